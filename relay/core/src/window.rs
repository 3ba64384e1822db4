//! What is retained of a reliable track: subscribers are cursors into it, not queues.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    limits::{MAX_LOG_BYTES, MAX_LOG_ENTRIES, RETAINED_BYTES, RETAINED_OBJECTS},
    wire::{message::Start, object::ObjectHeader, stream::reliable_head},
};

/// How much of a track is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Retention {
    /// All, as far as a log may grow.
    Whole,
    /// The newest objects: catalogs, control, chat.
    Bounded,
    /// Those younger than this: join requests.
    Aged(Duration),
    /// The newest group, which says all that older ones said: the directory.
    CurrentGroup,
}

/// An object that is kept, framed once for everybody.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    position: u64,
    group: u64,
    object: u64,
    since: Duration,
    /// Bytes before the payload on a reliable stream.
    pub(crate) head: Bytes,
    /// The payload.
    pub(crate) payload: Bytes,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.head.len() + self.payload.len()
    }
}

/// Where a subscriber stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    position: u64,
    /// Nothing before this object is wanted; 0 once it was met.
    from: u64,
    /// Nothing after this object is given: a log to somebody whose proof is of the generation before.
    until: u64,
}

impl Cursor {
    /// Gives nothing after this object from now on; `u64::MAX` for all.
    pub(crate) const fn limit(&mut self, until: u64) {
        self.until = until;
    }
}

/// What a cursor finds.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// The next object, and where the cursor stands after it.
    Object(&'a Kept, Cursor),
    /// Nothing for now.
    End,
    /// What it pointed at is not kept any more.
    Fell,
}

/// The retained objects of one track.
#[derive(Debug)]
pub(crate) struct Window {
    retention: Retention,
    objects: VecDeque<Kept>,
    next: u64,
    floor: u64,
    bytes: usize,
    last: Option<(u64, u64)>,
}

/// A directory's group is a snapshot and a few changes; more than this is not one.
const GROUP_OBJECTS: usize = 1_024;
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Open join requests of one room, at their largest.
const AGED_BYTES: usize = 4 * RETAINED_BYTES;

impl Window {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { retention, objects: VecDeque::new(), next: 0, floor: 0, bytes: 0, last: None }
    }

    /// Bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps an object. `tight`: memory is short, keep a sixteenth. `false`: it was here before, as after a link came back.
    pub(crate) fn push(&mut self, now: Duration, header: &ObjectHeader, payload: Bytes, tight: bool) -> bool {
        let place = (header.group, header.object);
        if self.last.is_some_and(|last| place <= last) {
            return false;
        }
        self.last = Some(place);
        if self.retention == Retention::CurrentGroup {
            while self.objects.front().is_some_and(|kept| kept.group < header.group) {
                self.pop();
            }
        }
        let head = reliable_head(header, payload.len());
        let kept = Kept { position: self.next, group: header.group, object: header.object, since: now, head, payload };
        self.next += 1;
        self.bytes += kept.bytes();
        self.objects.push_back(kept);
        self.trim(now, tight);
        true
    }

    /// Its sender may be another one now, or the same one with a clock that went back: what it numbers by its clock begins
    /// anew, and it says again all that still counts. Logs and what participants say go on by their own numbers.
    pub(crate) fn on_resumed(&mut self) {
        match self.retention {
            Retention::Whole | Retention::Bounded => {}
            Retention::Aged(_) | Retention::CurrentGroup => {
                self.last = None;
                self.objects.clear();
                self.bytes = 0;
            }
        }
    }

    fn trim(&mut self, now: Duration, tight: bool) {
        let (objects, bytes) = match self.retention {
            Retention::Whole if !tight => {
                (usize::try_from(MAX_LOG_ENTRIES).unwrap_or(usize::MAX), usize::try_from(MAX_LOG_BYTES).unwrap_or(usize::MAX))
            }
            Retention::Whole | Retention::Bounded => (RETAINED_OBJECTS, RETAINED_BYTES),
            Retention::Aged(_) => (RETAINED_OBJECTS, AGED_BYTES),
            Retention::CurrentGroup => (GROUP_OBJECTS, GROUP_BYTES),
        };
        let share = if tight && self.retention != Retention::CurrentGroup { 16 } else { 1 };
        while self.objects.len() > (objects / share).max(1) || (self.bytes > bytes / share && self.objects.len() > 1) {
            self.pop();
            self.floor = self.objects.front().map_or(self.next, |kept| kept.position);
        }
        self.expire(now);
    }

    fn expire(&mut self, now: Duration) {
        if let Retention::Aged(age) = self.retention {
            while self.objects.front().is_some_and(|kept| kept.since + age <= now) {
                self.pop();
            }
        }
    }

    fn pop(&mut self) {
        if let Some(kept) = self.objects.pop_front() {
            self.bytes -= kept.bytes();
        }
    }

    /// Drops one object that nobody new needs.
    pub(crate) fn forget(&mut self, group: u64, object: u64) {
        if let Some(at) = self.objects.iter().position(|kept| (kept.group, kept.object) == (group, object))
            && let Some(kept) = self.objects.remove(at)
        {
            self.bytes -= kept.bytes();
        }
    }

    /// Where a new subscriber's cursor stands. With `Start::From` the window may be filling still: [`Window::at`] skips what
    /// comes before.
    pub(crate) fn start(&mut self, now: Duration, start: Start) -> Cursor {
        let from = match (self.retention, start) {
            (Retention::CurrentGroup, _) | (_, Start::Next | Start::Current) => 0,
            (_, Start::From(object)) => object,
        };
        Cursor { position: self.first(now, start), from, until: u64::MAX }
    }

    fn first(&mut self, now: Duration, start: Start) -> u64 {
        self.expire(now);
        let newest = self.objects.back().map(|kept| kept.group);
        let first = match (self.retention, start) {
            (Retention::CurrentGroup, _) => self.objects.front(),
            (_, Start::Next) => None,
            (_, Start::Current) => self.objects.iter().find(|kept| Some(kept.group) == newest),
            (_, Start::From(0)) => self.objects.front(),
            (_, Start::From(object)) => self.objects.iter().find(|kept| kept.object >= object),
        };
        first.map_or(self.next, |kept| kept.position)
    }

    /// The object that a resumed subscription still needs.
    pub(crate) fn resume(&self) -> u64 {
        match self.retention {
            Retention::Whole => self.last.map_or(0, |(_, object)| object.saturating_add(1)),
            Retention::Bounded | Retention::Aged(_) | Retention::CurrentGroup => 0,
        }
    }

    /// What a cursor finds.
    pub(crate) fn at(&self, cursor: Cursor) -> Found<'_> {
        if cursor.position < self.floor {
            return Found::Fell;
        }
        let index = self.objects.partition_point(|kept| kept.position < cursor.position);
        let wanted = self.objects.range(index..).find(|kept| kept.object >= cursor.from);
        let wanted = wanted.filter(|kept| kept.object <= cursor.until);
        wanted.map_or(Found::End, |kept| Found::Object(kept, Cursor { position: kept.position + 1, from: 0, ..cursor }))
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::id::Alias;

    use super::*;

    fn header(group: u64, object: u64) -> ObjectHeader {
        ObjectHeader { alias: Alias::new(1), group, object, layer: 0, flags: 0, priority: 0 }
    }

    fn push(window: &mut Window, group: u64, object: u64, len: usize) -> bool {
        window.push(Duration::ZERO, &header(group, object), Bytes::from(vec![0; len]), false)
    }

    #[test]
    fn a_cursor_that_falls_off_the_window_is_told() {
        let mut window = Window::new(Retention::Bounded);
        assert!(push(&mut window, 0, 0, 10));
        let cursor = window.start(Duration::ZERO, Start::From(0));
        for object in 1..=300 {
            assert!(push(&mut window, 0, object, 10));
        }
        assert!(matches!(window.at(cursor), Found::Fell));
        assert!(window.bytes() <= RETAINED_BYTES);
    }

    #[test]
    fn the_window_is_bounded_in_bytes_and_keeps_the_newest() {
        let mut window = Window::new(Retention::Bounded);
        for object in 0..10 {
            push(&mut window, 0, object, 100 * 1024);
            assert!(window.bytes() <= RETAINED_BYTES, "at {object}");
        }
        push(&mut window, 0, 10, 1024 * 1024);
        let cursor = window.start(Duration::ZERO, Start::From(0));
        assert!(matches!(window.at(cursor), Found::Object(kept, _) if kept.object == 10));
    }

    #[test]
    fn what_was_here_before_is_not_kept_twice() {
        let mut window = Window::new(Retention::Whole);
        assert!(push(&mut window, 0, 0, 1));
        assert!(push(&mut window, 0, 1, 1));
        assert!(!push(&mut window, 0, 1, 1));
        assert!(!push(&mut window, 0, 0, 1));
        assert_eq!(window.resume(), 2);
    }

    #[test]
    fn a_new_group_of_a_directory_replaces_the_old_one_and_cursors_jump() {
        let mut window = Window::new(Retention::CurrentGroup);
        push(&mut window, 5, 0, 1);
        let cursor = window.start(Duration::ZERO, Start::Next);
        push(&mut window, 5, 1, 1);
        push(&mut window, 6, 0, 1);
        assert!(matches!(window.at(cursor), Found::Object(kept, _) if (kept.group, kept.object) == (6, 0)));
    }

    #[test]
    fn a_resumed_directory_may_begin_before_the_old_one_and_a_log_may_not() {
        let [mut directory, mut log] = [Retention::CurrentGroup, Retention::Whole].map(Window::new);
        assert!(push(&mut directory, 5, 0, 1) && push(&mut log, 0, 5, 1));
        let cursor = directory.start(Duration::ZERO, Start::Current);
        let Found::Object(_, cursor) = directory.at(cursor) else { panic!("it is kept") };
        directory.on_resumed();
        log.on_resumed();
        assert!(push(&mut directory, 4, 0, 1) && !push(&mut log, 0, 5, 1));
        assert!(matches!(directory.at(cursor), Found::Object(kept, _) if kept.group == 4));
        assert_eq!(directory.bytes(), directory.objects.iter().map(Kept::bytes).sum::<usize>());
    }

    #[test]
    fn a_request_is_forgotten_when_served_or_old() {
        let mut window = Window::new(Retention::Aged(Duration::from_secs(60)));
        for object in 0..3 {
            push(&mut window, 0, object, 1);
        }
        window.forget(0, 1);
        let cursor = window.start(Duration::ZERO, Start::From(0));
        let Found::Object(first, cursor) = window.at(cursor) else { panic!("the first is kept") };
        assert_eq!(first.object, 0);
        assert!(matches!(window.at(cursor), Found::Object(kept, _) if kept.object == 2));
        let late = window.start(Duration::from_secs(61), Start::From(0));
        assert!(matches!(window.at(late), Found::End));
    }

    #[test]
    fn a_limited_cursor_waits_at_its_limit_and_goes_on_when_it_is_raised() {
        let mut window = Window::new(Retention::Whole);
        for object in 0..5 {
            push(&mut window, 0, object, 1);
        }
        let mut cursor = window.start(Duration::ZERO, Start::From(2));
        cursor.limit(3);
        let Found::Object(_, next) = window.at(cursor) else { panic!("2 is within") };
        let Found::Object(last, mut next) = window.at(next) else { panic!("3 is the limit") };
        assert_eq!(last.object, 3);
        assert!(matches!(window.at(next), Found::End));
        next.limit(u64::MAX);
        assert!(matches!(window.at(next), Found::Object(kept, _) if kept.object == 4));
    }

    #[test]
    fn a_log_is_read_from_any_entry() {
        let mut window = Window::new(Retention::Whole);
        for object in 0..1_000 {
            push(&mut window, 0, object, 10);
        }
        let cursor = window.start(Duration::ZERO, Start::From(990));
        assert!(matches!(window.at(cursor), Found::Object(kept, _) if kept.object == 990));
        let next = window.start(Duration::ZERO, Start::Next);
        assert!(matches!(window.at(next), Found::End));
    }
}
