//! Who is here: the leaves of the group's tree and nothing else. How lively they are comes from what they send.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::proof::VerifyingKey;

use crate::{
    api::{Departure, Event, Participant, ParticipantId, Presence},
    heartbeat::period,
    names,
};

/// Heartbeats that may be missing before somebody turns grey.
const GREY_AFTER_PERIODS: u32 = 3;

/// Silence after which a leaf may be removed, in tenths of a period: 16.5 s in rooms of up to a hundred. Whoever is killed
/// is gone in under four periods, the removal itself included.
const REAP_AFTER_TENTHS: u32 = 33;

/// A leaf of the tree, as the group shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// Its index.
    pub(crate) leaf: u16,
    /// Its signature key.
    pub(crate) key: VerifyingKey,
    /// What it calls itself.
    pub(crate) name: String,
    /// Whether the room's state lists it as a host.
    pub(crate) host: bool,
}

impl Member {
    /// Its name in the API.
    pub(crate) fn id(&self) -> ParticipantId {
        ParticipantId::of_leaf(self.leaf, self.key.as_bytes())
    }
}

struct Seat {
    participant: Participant,
    key: VerifyingKey,
    /// The name as the tree has it.
    said: String,
    /// What the eye makes of the name that is shown.
    skeleton: String,
    /// Whether their leaf key was said to all, at the end of the call.
    revealed: bool,
    /// What they call themselves since they came, if not as their leaf says.
    renamed: Option<String>,
    /// The last object of theirs that opened: for display.
    heard: Duration,
    /// The last heartbeat that they signed: for removal.
    signed: Duration,
    /// Whether they were here before us, or have signed one since they came: who was just let in cannot let in others yet.
    settled: bool,
}

/// Everybody in the room.
pub(crate) struct Roster {
    me: u16,
    seats: BTreeMap<u16, Seat>,
}

impl Roster {
    /// As we find it when we enter.
    pub(crate) fn new(me: u16, members: &[Member], epoch: u64, now: Duration) -> Self {
        let mut roster = Self { me, seats: BTreeMap::new() };
        for member in members {
            roster.seat(member, epoch, now, true);
        }
        roster.compare();
        roster
    }

    fn seat(&mut self, member: &Member, epoch: u64, now: Duration, settled: bool) -> Participant {
        let participant = Participant {
            id: member.id(),
            name: names::clean(&member.name),
            is_me: member.leaf == self.me,
            host: member.host,
            present: Presence::Here,
            joined_epoch: epoch,
            colour: names::hue(&member.key),
            similar_to: None,
            hidden: false,
            muted_by_me: false,
            blocked: false,
            verified: false,
            compared: false,
            known: None,
            recording: false,
        };
        let (said, skeleton) = (member.name.clone(), names::skeleton(&participant.name));
        let participant_of = participant.clone();
        let seat = Seat {
            participant: participant_of,
            key: member.key,
            said,
            skeleton,
            renamed: None,
            revealed: false,
            heard: now,
            signed: now,
            settled,
        };
        self.seats.insert(member.leaf, seat);
        participant
    }

    /// What was known of keys that are still here, after a way back that led through a new leaf.
    pub(crate) fn carry_over(&mut self, before: &Self) {
        for seat in before.seats.values() {
            self.carry(seat);
        }
    }

    /// People compare with a key, and a key keeps what came of it on whatever leaf it sits.
    fn carry(&mut self, before: &Seat) -> Option<Participant> {
        let seat = self.seats.values_mut().find(|seat| seat.key == before.key)?;
        let (now, then) = (&mut seat.participant, &before.participant);
        (now.verified, now.compared, now.known) = (then.verified, then.compared, then.known);
        Some(seat.participant.clone())
    }

    /// The tree as it is now. Gives what changed: those who went first.
    pub(crate) fn update(&mut self, members: &[Member], epoch: u64, now: Duration, how: impl Fn(u16) -> Departure) -> Vec<Event> {
        let mut events = Vec::new();
        let new: BTreeMap<u16, &Member> = members.iter().map(|member| (member.leaf, member)).collect();
        let gone: Vec<u16> = self
            .seats
            .iter()
            .filter(|(leaf, seat)| new.get(leaf).is_none_or(|member| member.key != seat.key))
            .map(|(leaf, _)| *leaf)
            .collect();
        let mut moved_on = Vec::new();
        for leaf in gone {
            if let Some(seat) = self.seats.remove(&leaf) {
                let moved = members.iter().any(|member| member.key == seat.key);
                let how = if moved { Departure::Moved } else { how(leaf) };
                events.push(Event::ParticipantLeft { id: seat.participant.id, how });
                if moved {
                    moved_on.push(seat);
                }
            }
        }
        for member in members {
            match self.seats.get_mut(&member.leaf) {
                None => {
                    let new = self.seat(member, epoch, now, false);
                    let before = moved_on.iter().find(|seat| seat.key == member.key);
                    let carried = before.and_then(|seat| self.carry(seat));
                    events.push(Event::ParticipantJoined(carried.unwrap_or(new)));
                }
                Some(seat) => {
                    if seat.said != member.name || seat.participant.host != member.host {
                        if seat.said != member.name {
                            seat.said.clone_from(&member.name);
                            if seat.renamed.is_none() {
                                seat.name(&member.name);
                            }
                        }
                        seat.participant.host = member.host;
                        events.push(Event::ParticipantChanged(seat.participant.clone()));
                    }
                }
            }
        }
        self.tell_similar(&mut events);
        events
    }

    /// Who has a name like somebody else's: gives those of whom it is news.
    fn compare(&mut self) -> Vec<u16> {
        let mut alike: BTreeMap<String, Vec<(u64, u16)>> = BTreeMap::new();
        for (leaf, seat) in self.seats.iter().filter(|(_, seat)| !seat.skeleton.is_empty()) {
            alike.entry(seat.skeleton.clone()).or_default().push((seat.participant.joined_epoch, *leaf));
        }
        for group in alike.values_mut() {
            group.sort_unstable();
        }
        let ids: BTreeMap<u16, ParticipantId> = self.seats.iter().map(|(leaf, seat)| (*leaf, seat.participant.id)).collect();
        let mut changed = Vec::new();
        for (leaf, seat) in &mut self.seats {
            let group = alike.get(&seat.skeleton).map(Vec::as_slice).unwrap_or_default();
            let first = group.iter().map(|(_, other)| *other).find(|other| other != leaf);
            let similar = first.and_then(|first| ids.get(&first).copied());
            if seat.participant.similar_to != similar {
                seat.participant.similar_to = similar;
                changed.push(*leaf);
            }
        }
        changed
    }

    /// Compares the names, and brings into `events` what came of it.
    fn tell_similar(&mut self, events: &mut Vec<Event>) {
        for leaf in self.compare() {
            let Some(seat) = self.seats.get(&leaf) else { continue };
            let now = &seat.participant;
            let told = events.iter_mut().find_map(|event| match event {
                Event::ParticipantJoined(told) | Event::ParticipantChanged(told) if told.id == now.id => Some(told),
                _ => None,
            });
            match told {
                Some(told) => told.similar_to = now.similar_to,
                None => events.push(Event::ParticipantChanged(now.clone())),
            }
        }
    }

    /// Everybody, in the tree's order.
    pub(crate) fn all(&self) -> Vec<Participant> {
        self.seats.values().map(|seat| seat.participant.clone()).collect()
    }

    /// How many leaves there are.
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    /// All leaves but ours.
    pub(crate) fn others(&self) -> impl Iterator<Item = u16> {
        let me = self.me;
        self.seats.keys().copied().filter(move |leaf| *leaf != me)
    }

    /// Whether an echo from this leaf shows that what we see of the room is current. A host removes people, so where there is
    /// another host than us it takes a host's: somebody who was removed, and of whose removal we have not been told, would echo us
    /// for as long as we let ourselves be heard.
    pub(crate) fn vouches(&self, leaf: u16) -> bool {
        self.is_host(self.me) || self.is_host(leaf) || !self.others().any(|other| self.is_host(other))
    }

    /// Whether a leaf is a host's.
    pub(crate) fn is_host(&self, leaf: u16) -> bool {
        self.seats.get(&leaf).is_some_and(|seat| seat.participant.host)
    }

    /// The leaf of somebody, if it is them who sit there.
    pub(crate) fn leaf_of(&self, id: ParticipantId) -> Option<u16> {
        (self.id(id.leaf()) == Some(id)).then(|| id.leaf())
    }

    /// The leaf with this key.
    pub(crate) fn leaf_with(&self, key: &VerifyingKey) -> Option<u16> {
        self.seats.iter().find(|(_, seat)| seat.key == *key).map(|(leaf, _)| *leaf)
    }

    fn change(&mut self, leaf: u16, change: impl FnOnce(&mut Participant)) -> Option<Event> {
        let seat = self.seats.get_mut(&leaf)?;
        let before = seat.participant.clone();
        change(&mut seat.participant);
        (seat.participant != before).then(|| Event::ParticipantChanged(seat.participant.clone()))
    }

    /// What somebody says of themselves besides their leaf; an empty name is the leaf's.
    pub(crate) fn on_about(&mut self, leaf: u16, name: &str, recording: bool) -> Vec<Event> {
        let Some(seat) = self.seats.get_mut(&leaf) else { return Vec::new() };
        let before = seat.participant.clone();
        seat.renamed = Some(name.to_owned()).filter(|name| !name.is_empty());
        let shown = seat.renamed.clone().unwrap_or_else(|| seat.said.clone());
        seat.name(&shown);
        seat.participant.recording = recording;
        let mut events = Vec::new();
        if seat.participant != before {
            events.push(Event::ParticipantChanged(seat.participant.clone()));
        }
        self.tell_similar(&mut events);
        events
    }

    /// Codes were compared with somebody, and were equal: whoever was in that epoch's tree is who the other sees there as well,
    /// and MLS has carried that on. Only those who came later are not vouched for.
    pub(crate) fn on_compared(&mut self, with: &VerifyingKey, epoch: u64) -> Vec<Event> {
        let leaves: Vec<u16> = self.seats.keys().copied().collect();
        let compared = self.leaf_with(with);
        let change = |leaf: u16| {
            self.change(leaf, |participant| {
                participant.verified |= participant.joined_epoch <= epoch;
                participant.compared |= compared == Some(leaf);
            })
        };
        leaves.into_iter().filter_map(change).collect()
    }

    /// Codes were compared with somebody, and were not equal.
    pub(crate) fn on_differs(&mut self, leaf: u16) -> Option<Event> {
        self.change(leaf, |participant| (participant.verified, participant.compared) = (false, false))
    }

    /// Somebody is known from an earlier call.
    pub(crate) fn on_known(&mut self, leaf: u16, which: u16) -> Option<Event> {
        self.change(leaf, |participant| participant.known = Some(which))
    }

    /// Who sits on a leaf.
    pub(crate) fn id(&self, leaf: u16) -> Option<ParticipantId> {
        self.seats.get(&leaf).map(|seat| seat.participant.id)
    }

    /// Somebody by name, if they are here.
    pub(crate) fn by_id(&self, id: ParticipantId) -> Option<&Participant> {
        self.seats.get(&id.leaf()).map(|seat| &seat.participant).filter(|participant| participant.id == id)
    }

    /// What somebody on a leaf calls themselves.
    pub(crate) fn name_of(&self, leaf: u16) -> Option<&str> {
        self.seats.get(&leaf).map(|seat| seat.participant.name.as_str())
    }

    /// The key of a leaf, while it signs for one person alone.
    pub(crate) fn key(&self, leaf: u16) -> Option<&VerifyingKey> {
        self.seats.get(&leaf).filter(|seat| !seat.revealed).map(|seat| &seat.key)
    }

    /// Everybody can sign with the key of a leaf now.
    pub(crate) fn on_revealed(&mut self, leaf: u16) {
        if let Some(seat) = self.seats.get_mut(&leaf) {
            seat.revealed = true;
        }
    }

    /// Whether what was sealed on this leaf in this epoch was sealed by whoever sits there now.
    pub(crate) fn is_of_now(&self, leaf: u16, epoch: u64) -> bool {
        self.seats.get(&leaf).is_some_and(|seat| seat.participant.joined_epoch <= epoch)
    }

    /// An object of this leaf opened.
    pub(crate) fn on_heard(&mut self, leaf: u16, now: Duration) -> Option<Event> {
        let seat = self.seats.get_mut(&leaf)?;
        seat.heard = seat.heard.max(now);
        if seat.participant.present == Presence::Here {
            return None;
        }
        seat.participant.present = Presence::Here;
        Some(Event::ParticipantChanged(seat.participant.clone()))
    }

    /// A heartbeat of this leaf verified.
    pub(crate) fn on_heartbeat(&mut self, leaf: u16, now: Duration) -> Option<Event> {
        if let Some(seat) = self.seats.get_mut(&leaf) {
            seat.signed = seat.signed.max(now);
            seat.settled = true;
        }
        self.on_heard(leaf, now)
    }

    /// We were not listening ourselves: nobody's silence counts so far.
    pub(crate) fn restart(&mut self, now: Duration) {
        for seat in self.seats.values_mut() {
            seat.heard = seat.heard.max(now);
            seat.signed = seat.signed.max(now);
        }
    }

    /// Turns those grey who have been silent for too long.
    pub(crate) fn on_timeout(&mut self, now: Duration) -> Vec<Event> {
        let grey_after = self.grey_after();
        let mut events = Vec::new();
        for seat in self.seats.values_mut().filter(|seat| !seat.participant.is_me) {
            if seat.participant.present == Presence::Here && seat.heard + grey_after <= now {
                seat.participant.present = Presence::Grey;
                events.push(Event::ParticipantChanged(seat.participant.clone()));
            }
        }
        events
    }

    /// Leaves that have not signed a heartbeat for so long that they may be removed, with the time since when.
    pub(crate) fn silent(&self, now: Duration) -> Vec<(u16, Duration)> {
        let reap_after = self.reap_after();
        self.others()
            .filter_map(|leaf| {
                let at = self.seats.get(&leaf)?.signed + reap_after;
                (at <= now).then_some((leaf, at))
            })
            .collect()
    }

    /// Whether a leaf has signed a heartbeat lately: those who have not do not count in the order of committers.
    pub(crate) fn is_lively(&self, leaf: u16, now: Duration) -> bool {
        leaf == self.me || self.seats.get(&leaf).is_some_and(|seat| seat.settled && seat.signed + self.grey_after() > now)
    }

    /// Whether a host is here who has signed a heartbeat lately.
    pub(crate) fn has_lively_host(&self, now: Duration) -> bool {
        self.seats(now).any(|(_, host, alive)| host && alive)
    }

    /// Every leaf, whether it is a host's, and whether it is lively.
    pub(crate) fn seats(&self, now: Duration) -> impl Iterator<Item = (u16, bool, bool)> {
        self.seats.iter().map(move |(leaf, seat)| (*leaf, seat.participant.host, self.is_lively(*leaf, now)))
    }

    /// Somebody said that they go: shown grey until they are out of the tree.
    pub(crate) fn on_leaving(&mut self, leaf: u16) -> Option<Event> {
        let seat = self.seats.get_mut(&leaf)?;
        if seat.participant.present == Presence::Grey {
            return None;
        }
        seat.participant.present = Presence::Grey;
        Some(Event::ParticipantChanged(seat.participant.clone()))
    }

    /// When somebody turns grey or may be removed.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let (grey_after, reap_after) = (self.grey_after(), self.reap_after());
        self.seats
            .values()
            .filter(|seat| !seat.participant.is_me)
            .flat_map(|seat| {
                let grey = (seat.participant.present == Presence::Here).then_some(seat.heard + grey_after);
                let reap = Some(seat.signed + reap_after).filter(|at| *at > now);
                [grey, reap]
            })
            .flatten()
            .min()
    }

    fn grey_after(&self) -> Duration {
        period(self.seats.len()) * GREY_AFTER_PERIODS
    }

    fn reap_after(&self) -> Duration {
        period(self.seats.len()) * REAP_AFTER_TENTHS / 10
    }
}

impl Seat {
    fn name(&mut self, name: &str) {
        self.participant.name = names::clean(name);
        self.skeleton = names::skeleton(&self.participant.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(leaf: u16, key: u8) -> Member {
        Member { leaf, key: VerifyingKey::new([key; 32]), name: format!("n{key}"), host: key == 0 }
    }

    fn words(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|event| match event {
                Event::ParticipantJoined(participant) => format!("+{}", participant.id.leaf()),
                Event::ParticipantLeft { id, how } => format!("-{} {how:?}", id.leaf()),
                Event::ParticipantChanged(participant) => format!("{} {:?}", participant.id.leaf(), participant.present),
                _ => "?".to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_roster_is_the_tree() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        let events = roster.update(&[member(0, 0), member(2, 2)], 2, Duration::ZERO, |_| Departure::Left);
        assert_eq!(words(&events), ["-1 Left", "+2"]);
        assert!(roster.update(&[member(0, 0), member(2, 2)], 3, Duration::ZERO, |_| Departure::Left).is_empty());
        let all = roster.all();
        assert_eq!(
            all.iter().map(|one| (one.id.leaf(), one.joined_epoch, one.host)).collect::<Vec<_>>(),
            [(0, 1, true), (2, 2, false)]
        );
        assert!(roster.is_of_now(2, 2) && !roster.is_of_now(2, 1) && !roster.is_of_now(1, 2));
        // Another key on the same leaf is another participant; the same key on another leaf has moved.
        let before = roster.id(2);
        let events = roster.update(&[member(0, 0), member(2, 3), member(5, 2)], 4, Duration::ZERO, |_| Departure::Reaped);
        assert_eq!(words(&events), ["-2 Moved", "+2", "+5"]);
        assert_ne!(roster.id(2), before);
    }

    #[test]
    fn whoever_takes_a_name_like_anothers_is_shown_with_it_and_so_is_the_other() {
        let named = |leaf: u16, name: &str| Member { name: name.to_owned(), ..member(leaf, u8::try_from(leaf).unwrap()) };
        let alice = named(1, "Alice");
        let mut roster = Roster::new(0, &[named(0, "Me"), alice.clone()], 1, Duration::ZERO);
        let fake = named(2, "\u{202e}\u{391}lice ");
        let events = roster.update(&[named(0, "Me"), alice.clone(), fake.clone()], 2, Duration::ZERO, |_| Departure::Left);
        let (one, other) = (alice.id(), fake.id());
        let similar: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::ParticipantJoined(who) | Event::ParticipantChanged(who) => Some((who.id, who.similar_to)),
                _ => None,
            })
            .collect();
        assert_eq!(similar, [(other, Some(one)), (one, Some(other))]);
        assert_eq!(roster.by_id(other).map(|who| who.name.as_str()), Some("\u{391}lice"), "no override is shown");
        let events = roster.update(&[named(0, "Me"), fake], 3, Duration::ZERO, |_| Departure::Left);
        let alone = |event: &Event| matches!(event, Event::ParticipantChanged(who) if who.similar_to.is_none());
        assert!(events.iter().any(alone), "nobody is mistaken for who has gone");
    }

    #[test]
    fn grey_after_three_periods_and_silent_after_a_little_more() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        assert!(roster.on_timeout(Duration::from_millis(14_999)).is_empty());
        assert_eq!(roster.next_timeout(Duration::ZERO), Some(Duration::from_secs(15)));
        assert_eq!(words(&roster.on_timeout(Duration::from_secs(15))), ["1 Grey"]);
        assert!(roster.on_timeout(Duration::from_secs(16)).is_empty(), "said once");
        assert!(roster.silent(Duration::from_millis(16_499)).is_empty());
        let at = Duration::from_millis(16_500);
        assert_eq!(roster.silent(at), [(1, at)], "never ourselves");
        assert!(!roster.is_lively(1, at) && roster.is_lively(0, at));
    }

    #[test]
    fn any_object_is_life_for_display_but_only_heartbeats_keep_a_leaf() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        roster.on_timeout(Duration::from_secs(15));
        let back = roster.on_heard(1, Duration::from_secs(16));
        assert_eq!(words(&back.into_iter().collect::<Vec<_>>()), ["1 Here"]);
        assert_eq!(roster.silent(Duration::from_secs(17)).len(), 1);
        assert!(roster.on_heartbeat(1, Duration::from_secs(17)).is_none());
        assert!(roster.silent(Duration::from_secs(18)).is_empty());
    }

    #[test]
    fn who_was_just_let_in_commits_nothing_before_their_first_heartbeat() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        roster.update(&[member(0, 0), member(1, 1), member(2, 2)], 2, Duration::ZERO, |_| Departure::Left);
        assert!(roster.is_lively(1, Duration::ZERO) && !roster.is_lively(2, Duration::ZERO));
        roster.on_heartbeat(2, Duration::from_secs(1));
        assert!(roster.is_lively(2, Duration::from_secs(1)));
    }

    fn verified(roster: &Roster) -> Vec<(u16, bool, bool)> {
        roster.all().iter().map(|one| (one.id.leaf(), one.verified, one.compared)).collect()
    }

    #[test]
    fn after_a_comparison_only_newcomers_are_unverified() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1), member(2, 2)], 1, Duration::ZERO);
        let with = [member(0, 0), member(1, 1), member(2, 2), member(3, 3)];
        roster.update(&with, 5, Duration::ZERO, |_| Departure::Left);
        let events = roster.on_compared(&VerifyingKey::new([1; 32]), 4);
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!(verified(&roster), [(0, true, false), (1, true, true), (2, true, false), (3, false, false)]);
        // Whoever comes back has the same key, and is who they were; another on the same leaf is not.
        let moved = [member(0, 0), member(1, 9), member(2, 2), member(3, 3), member(4, 1)];
        roster.update(&moved, 6, Duration::ZERO, |_| Departure::Left);
        assert_eq!(
            verified(&roster),
            [(0, true, false), (1, false, false), (2, true, false), (3, false, false), (4, true, true)]
        );
        let mut back = Roster::new(7, &[member(7, 0), member(1, 9), member(4, 1)], 9, Duration::ZERO);
        back.carry_over(&roster);
        assert_eq!(verified(&back), [(1, false, false), (4, true, true), (7, true, false)]);
        assert_eq!(back.on_differs(4).into_iter().count(), 1);
        assert_eq!(verified(&back)[1], (4, false, false));
    }

    #[test]
    fn a_new_name_stays_until_it_is_taken_back() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        let name = |roster: &Roster| roster.all()[1].name.clone();
        assert_eq!(roster.on_about(1, "Jo", false).len(), 1);
        assert_eq!(roster.on_about(1, "Jo", false).len(), 0, "nothing new");
        assert!(roster.update(&[member(0, 0), member(1, 1)], 2, Duration::ZERO, |_| Departure::Left).is_empty());
        assert_eq!(name(&roster), "Jo");
        assert_eq!(roster.on_about(1, "", true).len(), 1);
        assert_eq!((name(&roster), roster.all()[1].recording), ("n1".to_owned(), true));
    }

    #[test]
    fn where_there_is_a_host_only_a_host_vouches_for_what_we_see() {
        let roster = Roster::new(2, &[member(0, 0), member(1, 1), member(2, 2)], 1, Duration::ZERO);
        assert!(roster.vouches(0) && !roster.vouches(1));
        let roster = Roster::new(2, &[member(1, 1), member(2, 2)], 1, Duration::ZERO);
        assert!(roster.vouches(1), "no host is there");
        let roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        assert!(roster.vouches(1), "we are the host");
    }

    #[test]
    fn while_we_do_not_listen_nobody_is_silent() {
        let mut roster = Roster::new(0, &[member(0, 0), member(1, 1)], 1, Duration::ZERO);
        roster.restart(Duration::from_secs(60));
        assert!(roster.silent(Duration::from_secs(70)).is_empty());
        assert!(roster.on_timeout(Duration::from_secs(70)).is_empty());
    }
}
