//! Reports: put together from what was heard, and lodged with the hub while the call lasts.

use std::collections::VecDeque;

use conclave_federation::{
    io::Outlet,
    wire::{
        Blob, List, Text,
        message::{Answer, Request, Stamp},
    },
};

use super::{
    super::{Ask, core::Ctx},
    Joined,
};
use crate::{
    api::{Event, Warning},
    chat::Kept,
    report::{Admitted, Evidence, Item, MAX_NOTE},
};

/// Reports that wait for the hub's stamp.
const MAX_WAITING: usize = 4;

/// Reports on their way to the hub: asked for again on the next session, until there is an answer.
#[derive(Default)]
pub(super) struct Reports {
    waiting: VecDeque<(u32, Evidence)>,
    next: u32,
}

impl Joined {
    /// The application reports messages by their ids.
    pub(in crate::client) fn report(&mut self, messages: &[[u8; 16]], note: &str, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(evidence) = self.evidence(messages, note) else {
            ctx.core.warn(Warning::NothingToReport);
            return;
        };
        if self.reports.waiting.len() >= MAX_WAITING {
            ctx.core.warn(Warning::NotChanged);
            return;
        }
        let number = self.reports.next;
        self.reports.next = number.wrapping_add(1);
        self.reports.waiting.push_back((number, evidence));
        self.lodge(number, ctx);
    }

    fn evidence(&self, messages: &[[u8; 16]], note: &str) -> Option<Evidence> {
        let group = self.seat.group()?;
        let item = |kept: &Kept| {
            let admitted = group.admission(&kept.author);
            Some(Item {
                author: kept.author,
                leaf: kept.leaf,
                name: Text::cut(&kept.name),
                signed: Blob::new(kept.signed.clone())?,
                admitted: admitted.map(|entry| Admitted { seq: entry.seq, head: entry.head, key: *entry.key.expose() }),
            })
        };
        let found = |id: &[u8; 16]| self.chat.recent.find(id).and_then(item);
        let items: Vec<Item> = messages.iter().map(found).collect::<Option<_>>()?;
        let items = List::new(items).filter(|items| !items.is_empty())?;
        let (room, instance, record) = (self.place.room, self.place.instance, group.record().clone());
        Some(Evidence { room, instance, record, items, note: Text::cut(&note[..note.floor_char_boundary(MAX_NOTE)]) })
    }

    fn lodge(&self, number: u32, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some((_, evidence)) = self.reports.waiting.iter().find(|(waiting, _)| *waiting == number) else { return };
        let via = self.hall.via(ctx.relay());
        let stamp = Stamp { via, room: self.place.room, instance: self.place.instance, digest: evidence.digest() };
        ctx.ask(Request::Stamp(stamp), Ask::Stamp(number));
    }

    /// On a fresh session.
    pub(super) fn lodge_again(&self, ctx: &mut Ctx<'_, impl Outlet>) {
        for (number, _) in &self.reports.waiting {
            self.lodge(*number, ctx);
        }
    }

    /// The hub answered.
    pub(super) fn on_stamp_answer(&mut self, number: u32, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(at) = self.reports.waiting.iter().position(|(waiting, _)| *waiting == number) else { return };
        let Some((_, evidence)) = self.reports.waiting.remove(at) else { return };
        let stamp = match answer {
            Answer::Stamped(stamped) => Some(stamped),
            _ => None,
        };
        // A stamp that is not the hub's would make the report worthless later, when it is too late for another.
        let stamp = stamp.filter(|stamp| {
            let hub = evidence.hub();
            hub.is_some_and(|hub| stamp.verify(hub, evidence.room, evidence.instance, &evidence.digest()))
        });
        let document = evidence.document(stamp.as_ref());
        self.tell(Event::ReportReady { document, stamped: stamp.is_some() }, ctx);
    }
}
