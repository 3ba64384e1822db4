//! What waits for a session that is not ready: sent when it is, given up when it is too old.

use std::collections::VecDeque;

use conclave_federation::{
    io::{Now, Outlet},
    wire::code::Code,
};

use super::{End, Shard};
use crate::{
    between::ToRelay,
    connection::Metered,
    egress::Broken,
    fanout::{Fanout, Path},
    stats::Stats,
};

type Up = VecDeque<ToRelay>;

const SLOW: End = End::Ours(Code::SLOW, "you do not read what you asked for: read faster or ask for less");

impl Shard {
    pub(super) fn pump_reliable(&mut self, now: Now, slot: usize, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        match connection.reliable.pump(now.mono, connection.key, &self.tracks, outlet) {
            Ok(written) => {
                Self::count_control(connection, 0, written, stats);
                if connection.reliable.is_stuck() {
                    self.sessions.note_stuck(slot);
                } else {
                    self.sessions.settle(slot);
                }
            }
            Err(Broken::Slow) => self.end(now, slot, &SLOW, up, stats, outlet),
            Err(Broken::Stopped) => {
                let end = End::Ours(Code::VIOLATION, "the stream of what must not be lost may not be stopped");
                self.end(now, slot, &end, up, stats, outlet);
            }
        }
    }

    pub(super) fn writable(&mut self, now: Now, slot: usize, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        let session = connection.key;
        let mut metered = Metered::new(outlet);
        let result = connection.session.on_writable(&mut metered);
        let written = metered.written;
        Self::count_control(connection, 0, written, stats);
        let mut blocked: Vec<_> = connection.blocked.iter().copied().collect();
        self.after(now, slot, result, up, stats, outlet);
        self.pump_reliable(now, slot, up, stats, outlet);
        // Audio that was too long for a datagram goes before video.
        blocked.sort_by_key(|alias| self.tracks.get(alias).map(Fanout::class));
        for alias in blocked {
            if let Some(track) = self.tracks.get_mut(&alias) {
                let mut path = Path {
                    now: now.mono,
                    limits: &self.limits,
                    sessions: &mut self.sessions,
                    stats: &mut *stats,
                    outlet: &mut *outlet,
                };
                track.pump(session, &mut path);
            }
        }
    }

    /// A session for which something waits: what is too old is given up, and a session that takes nothing is ended.
    pub(super) fn overdue(&mut self, now: Now, slot: usize, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(connection) = self.sessions.at(slot) else { return };
        let session = connection.key;
        let blocked: Vec<_> = connection.blocked.iter().copied().collect();
        if connection.reliable.is_slow(now.mono) {
            return self.end(now, slot, &SLOW, up, stats, outlet);
        }
        for alias in blocked {
            if let Some(track) = self.tracks.get_mut(&alias) {
                let mut path = Path {
                    now: now.mono,
                    limits: &self.limits,
                    sessions: &mut self.sessions,
                    stats: &mut *stats,
                    outlet: &mut *outlet,
                };
                track.expire(session, &mut path);
            }
        }
        // A stream that could not be opened has no other call.
        self.pump_reliable(now, slot, up, stats, outlet);
    }
}
