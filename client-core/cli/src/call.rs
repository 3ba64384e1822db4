//! One call: what comes from the room, the files, the keyboard and the clock, and what is said of it.

use std::{collections::BTreeMap, future, path::PathBuf, time::Duration};

use conclave::{
    ConnectionState, CreateOptions, Ended, Event, InFrame, Mode, Observer, Options, Participant, ParticipantId, RemoteTrack,
    Room, State, TrackId, unix_us,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use crate::{
    Watch,
    args::{self, Way},
    exit::{Exit, Failure},
    hosting::{self, Done, Door},
    keyboard, known,
    output::Output,
    publish::{self, Player, Told},
    record::{self, Problem, Recorder},
    report,
    said::{
        Carrying, Changed, FirstFrame, Joined, Person, Remote, Report, Said, Stats, Who, connection, departure, kind, misdeed,
        mode, transport, trust,
    },
    stop::Stop,
    tally::{Tally, millis},
    typed::{self, NotDone, Typed},
    wishes::{self, Wish},
};

/// How often totals are told, and losses together.
const TICK: Duration = Duration::from_secs(1);

/// Words of the players that wait.
const TOLD: usize = 16;

/// Everything from the command line to the last line. The error is for standard error and the exit code.
pub(crate) async fn run<O>(way: Way, call: args::Call, watch: Watch<O>, out: &mut Output) -> Result<(), Failure>
where
    O: Observer + Send + 'static,
{
    let ended = attempt(way, call, watch, out).await;
    let reason = match &ended {
        Ok(how) => (*how).to_owned(),
        Err(failure) => failure.words.clone(),
    };
    out.say(&Said::Ended { reason, ok: ended.is_ok() });
    ended.map(|_| ())
}

/// How a call ends well: as asked.
const LEFT: &str = "left";
/// Or because a host said so.
const CALL_ENDED: &str = "the call was ended for everybody";

async fn attempt<O>(way: Way, call: args::Call, watch: Watch<O>, out: &mut Output) -> Result<&'static str, Failure>
where
    O: Observer + Send + 'static,
{
    // What can be wrong on this side is told before anybody is called.
    if let Some(folder) = &call.record {
        record::prepare(folder).map_err(|words| Failure::new(Exit::Runtime, words))?;
    }
    let (files, screens) = (call.publish.clone(), call.screen.clone());
    let players = tokio::task::spawn_blocking(move || publish::open(&files, &screens)).await;
    let players = players.map_err(|_| Failure::new(Exit::NoInput, "a media file could not be read: try another one"))??;
    let mut stop = Stop::new().map_err(|error| Failure::new(Exit::Runtime, format!("cannot wait for Ctrl-C: {error}")))?;

    let known = call.known.as_deref().map(known::read).transpose();
    let known = known.map_err(|error| Failure::new(Exit::NoInput, format!("cannot read who is known: {error}")))?;
    let options = Options::named(&call.name).known(known.unwrap_or_default());
    let started = Instant::now();
    let is_new = matches!(way, Way::Create { .. });
    let (code, mut waiting) = watch::channel(None);
    let entering = enter(way, options.waiting(code), watch);
    tokio::pin!(entering);
    let room = loop {
        tokio::select! {
            room = &mut entering => break room?,
            () = stop.wanted() => return Ok(LEFT),
            Ok(()) = waiting.changed() => {
                let code = waiting.borrow_and_update().clone();
                if let Some(code) = code {
                    out.say(&Said::Waiting { code });
                }
            }
        }
    };
    if is_new {
        out.say(&Said::Link { link: room.link().to_string() });
    }
    let entered = Entered { room, started, took: started.elapsed() };
    let (mut running, inputs) = Running::begin(entered, call, players, out)?;
    let ended = running.go(inputs, &mut stop).await;
    running.finish(ended).await
}

async fn enter<O>(way: Way, options: Options, watch: Watch<O>) -> Result<Room, Failure>
where
    O: Observer + Send + 'static,
{
    #[cfg(feature = "audit")]
    let options = match watch.audit {
        Some(audit) => options.audited(audit),
        None => options,
    };
    let room = match way {
        Way::Create { relay, title, knock } => {
            let mode = if knock { Mode::Knock } else { Mode::Open };
            let options = CreateOptions::at(relay, options).titled(title).in_mode(mode);
            Room::create_observed(options, watch.observer).await
        }
        Way::Join { link, relay: None } => Room::join_observed(&link, options, watch.observer).await,
        Way::Join { link, relay: Some(relay) } => Room::join_observed(&link, options.through(relay), watch.observer).await,
    };
    Ok(room?)
}

/// A room that was just entered.
struct Entered {
    room: Room,
    /// When the program asked to come in.
    started: Instant,
    /// How long that took.
    took: Duration,
}

/// A call that goes on.
struct Running<'a> {
    room: Room,
    started: Instant,
    join_took: Duration,
    /// Whether the way back is being looked for.
    away: bool,
    out: &'a mut Output,
    people: BTreeMap<ParticipantId, Participant>,
    /// The last message of everybody, for reports.
    last_said: BTreeMap<ParticipantId, [u8; 16]>,
    tracks: BTreeMap<(ParticipantId, TrackId), RemoteTrack>,
    tally: Tally,
    /// Losses since the last tick.
    lost: BTreeMap<(ParticipantId, TrackId), u64>,
    recorder: Option<Recorder>,
    players: JoinSet<()>,
    /// Where people are kept who are to be recognised.
    known: Option<PathBuf>,
    /// Who knocks.
    door: Door,
    /// What went wrong and did not end the call: it decides how the program ends.
    trouble: Option<Failure>,
}

/// Where things come from besides the room.
struct Inputs {
    told: mpsc::Receiver<Told>,
    lines: mpsc::Receiver<String>,
    problems: Option<mpsc::Receiver<Problem>>,
    ticks: Interval,
    until: Option<Instant>,
    first_words: Vec<String>,
}

impl<'a> Running<'a> {
    fn begin(entered: Entered, call: args::Call, files: Vec<Player>, out: &'a mut Output) -> Result<(Self, Inputs), Failure> {
        let Entered { room, started, took } = entered;
        let (recorder, problems) = match &call.record {
            None => (None, None),
            Some(folder) => {
                let (recorder, problems) = Recorder::begin(folder, unix_us())
                    .map_err(|error| Failure::new(Exit::Runtime, format!("cannot start recording: {error}; try again")))?;
                (Some(recorder), Some(problems))
            }
        };
        let mut tally = Tally::starting_now();
        let mut players = JoinSet::new();
        let (tell, told) = mpsc::channel(TOLD);
        for player in files {
            tally.on_sending(player.sent.clone());
            players.spawn(player.play(room.clone(), tell.clone()));
        }
        let now = Instant::now();
        let mut ticks = interval_at(now + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let inputs = Inputs {
            told,
            lines: keyboard::lines(call.chat_lines),
            problems,
            ticks,
            until: call.time.map(|time| now + time),
            first_words: call.chat,
        };
        let (people, tracks, lost) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let running = Self {
            room,
            started,
            join_took: took,
            away: false,
            out,
            people,
            last_said: BTreeMap::new(),
            tracks,
            tally,
            lost,
            recorder,
            players,
            known: call.known,
            door: Door::default(),
            trouble: None,
        };
        Ok((running, inputs))
    }

    /// Until somebody wants to stop, or the room ends. `None`: it is for us to leave.
    async fn go(&mut self, mut inputs: Inputs, stop: &mut Stop) -> Option<Ended> {
        let mut first_words = std::mem::take(&mut inputs.first_words).into_iter();
        let mut says_so = false;
        while !self.out.is_broken() {
            tokio::select! {
                event = self.room.next_event() => match event {
                    Some(Event::Ended(ended)) => return Some(ended),
                    Some(event) => {
                        // The first one is the whole state: then we are in, and may speak.
                        self.on_event(event);
                        if self.recorder.is_some() && !std::mem::replace(&mut says_so, true) {
                            // Who records says so; an error means that the room is over.
                            let _ = self.room.say_recording(true).await;
                        }
                        for words in first_words.by_ref() {
                            self.say_to_all(words).await;
                        }
                    }
                    None => return Some(Ended::Left),
                },
                Some(told) = inputs.told.recv() => self.on_told(told),
                Some(line) = inputs.lines.recv() => self.on_line(&line).await,
                Some(problem) = next(&mut inputs.problems) => self.on_problem(problem),
                _ = inputs.ticks.tick() => self.on_tick(),
                () = stop.wanted() => return None,
                () = until(inputs.until) => return None,
            }
        }
        None
    }

    /// Leaves if that is still to do, finishes the recordings, and tells the totals.
    async fn finish(mut self, ended: Option<Ended>) -> Result<&'static str, Failure> {
        self.players.shutdown().await;
        let ended = match ended {
            Some(ended) => ended,
            None => {
                self.room.leave().await;
                loop {
                    match self.room.next_event().await {
                        Some(Event::Ended(ended)) => break ended,
                        Some(event) => self.on_event(event),
                        None => break Ended::Left,
                    }
                }
            }
        };
        self.tell_losses();
        let mut recordings = Vec::new();
        if let Some(recorder) = self.recorder.take() {
            if recorder.dropped > 0 {
                let words = format!("{} frames are not recorded: the disk is too slow, choose a faster one", recorder.dropped);
                self.on_problem(Problem::Incomplete(words));
            }
            // Only a bug of the recorder's thread could fail here, and it leaves no list.
            recordings = tokio::task::spawn_blocking(move || recorder.finish()).await.unwrap_or_default();
        }
        let (latency_p50_us, latency_p99_us) = self.tally.latency();
        let report = Report { stats: self.stats(), latency_p50_us, latency_p99_us, recordings };
        self.out.say(&Said::Report(report));
        match (ended, self.trouble) {
            (Ended::Failed(failure), _) => Err(failure.into()),
            (Ended::Left | Ended::CallEnded, Some(trouble)) => Err(trouble),
            (Ended::Left, None) => Ok(LEFT),
            (Ended::CallEnded, None) => Ok(CALL_ENDED),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Joined(state) => self.on_joined(state),
            Event::ParticipantJoined(participant) => {
                self.out.say(&Said::ParticipantJoined(Person::from(&participant)));
                self.people.insert(participant.id, participant);
            }
            Event::ParticipantChanged(participant) => {
                let changed = Changed::of(&participant, self.people.get(&participant.id));
                self.out.say(&Said::ParticipantChanged(changed));
                self.people.insert(participant.id, participant);
            }
            Event::ParticipantLeft { id, how } => {
                let name = self.name(id);
                self.people.remove(&id);
                self.last_said.remove(&id);
                self.tally.on_participant_gone(id);
                let gone: Vec<TrackId> = self.tracks.keys().filter(|(of, _)| *of == id).map(|(_, track)| *track).collect();
                for track in gone {
                    self.forget(id, track);
                }
                self.out.say(&Said::ParticipantLeft { participant: id.into(), name, how: departure(how) });
            }
            Event::TrackPublished(track) => self.on_track(track),
            Event::TrackChanged(track) => {
                let name = self.name(track.participant);
                self.out.say(&Said::TrackChanged(Remote::of(&track, name)));
                self.tracks.insert((track.participant, track.track), track);
            }
            Event::TrackUnpublished { participant, track } => {
                self.tally.on_track_gone(participant, track);
                if let Some(track) = self.forget(participant, track) {
                    let name = self.name(participant);
                    self.out.say(&Said::TrackUnpublished(Remote::of(&track, name)));
                }
            }
            Event::TrackTrust { participant, track, trust: now } => {
                let name = self.name(participant);
                if let Some(known) = self.tracks.get_mut(&(participant, track)) {
                    known.trust = now;
                    let kind = kind(known.media.kind);
                    let (participant, track, trust) = (participant.into(), track.into(), trust(now));
                    self.out.say(&Said::TrackTrust { participant, name, track, kind, trust });
                }
            }
            Event::Frame(frame) => self.on_frame(&frame),
            Event::FramesLost { participant, track, count } => {
                self.tally.on_lost(participant, track, count);
                if self.tracks.contains_key(&(participant, track)) {
                    *self.lost.entry((participant, track)).or_default() += count;
                }
            }
            Event::FramesUnread { participant, track, count } => self.tally.on_unread(participant, track, count),
            Event::FrameRefused { participant, reason } => {
                if let Some(participant) = participant {
                    self.tally.on_refused(participant);
                }
                self.warn(reason.to_string());
            }
            Event::ReportReady { document, stamped } => self.on_report(&document, stamped),
            Event::Chat { from, id, text, unix_ms, name, gone, history } => {
                if !gone {
                    self.last_said.insert(from, id);
                }
                let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
                let name = if name.is_empty() { self.name(from) } else { name };
                self.out.say(&Said::Chat { participant: from.into(), name, id, text, unix_ms, gone, history });
            }
            Event::ChatGap { from, count } => {
                self.out.say(&Said::ChatGap { participant: from.into(), name: self.name(from), count });
            }
            Event::Epoch { epoch, safety_code, committed } => {
                self.out.say(&Said::Epoch { epoch, safety_code, committed });
            }
            Event::Connection { state, transport: by } => {
                let again = self.away && state == ConnectionState::Connected;
                self.away = state == ConnectionState::Reconnecting || (self.away && !again);
                self.out.say(&Said::Connection { state: connection(state), again, transport: by.map(transport) });
            }
            Event::Carriers(carriers) => {
                self.out.say(&Said::Carriers { carriers: carriers.iter().map(Carrying::from).collect() });
            }
            Event::Knock { request, name, code, old_link } => {
                self.door.on_knock(request, &name);
                self.out.say(&Said::Knock { request: request.to_string(), name, code, old_link });
            }
            Event::KnockGone { request } => {
                self.door.on_gone(request);
                self.out.say(&Said::KnockGone { request: request.to_string() });
            }
            Event::LinkChanged { link } => self.out.say(&Said::LinkChanged { link: link.to_string() }),
            Event::ModeChanged { mode: now, by } => {
                let name = by.map(|by| self.name(by)).unwrap_or_default();
                self.out.say(&Said::ModeChanged { mode: mode(now), participant: by.map(Who::from), name });
            }
            Event::HostsChanged { hosts } => {
                let names = hosts.iter().map(|host| self.name(*host)).collect();
                self.out.say(&Said::HostsChanged { hosts: hosts.into_iter().map(Who::from).collect(), names });
            }
            Event::LastHost => self.out.say(&Said::LastHost),
            Event::CompareCode { participant, words, epoch } => {
                let name = self.name(participant);
                self.out.say(&Said::CompareCode { participant: participant.into(), name, words, epoch });
            }
            Event::CompareUnanswered { participant } => {
                let name = self.name(participant);
                self.out.say(&Said::CompareUnanswered { participant: participant.into(), name });
            }
            Event::Acquaintance { participant, secret } => {
                let name = self.name(participant);
                match self.known.as_deref().map(|file| known::add(file, &secret, &name)) {
                    None => {}
                    Some(Ok(())) => self.out.say(&Said::Acquainted { participant: participant.into(), name }),
                    Some(Err(error)) => self.warn(format!("{name} will not be recognised: {error}")),
                }
            }
            Event::Hands(hands) => {
                let names = hands.iter().map(|hand| self.name(*hand)).collect();
                self.out.say(&Said::Hands { hands: hands.into_iter().map(Who::from).collect(), names });
            }
            Event::Reaction { from, text } => {
                let name = self.name(from);
                self.out.say(&Said::Reaction { participant: from.into(), name, text });
            }
            Event::MuteRequested { by, kind: wanted } => {
                let name = self.name(by);
                self.out.say(&Said::MuteRequested { participant: by.into(), name, kind: kind(wanted) });
            }
            Event::Equivocation { relay, proof } => {
                let proof = proof.iter().map(|byte| format!("{byte:02x}")).collect();
                self.out.say(&Said::Equivocation { relay: relay.to_hex(), proof });
            }
            Event::Misbehaved { participant, what } => {
                let name = self.name(participant);
                self.out.say(&Said::Misbehaved { participant: participant.into(), name, what: misdeed(what) });
            }
            Event::Warning(warning) => self.warn(warning.to_string()),
            // Taken where events are taken.
            Event::Ended(_) => {}
        }
    }

    /// The whole state: the first time as the beginning, later because the way back led through a new leaf.
    fn on_joined(&mut self, state: State) {
        for (participant, track) in self.tracks.keys().copied().collect::<Vec<_>>() {
            if !state.tracks.iter().any(|known| (known.participant, known.track) == (participant, track)) {
                self.tally.on_track_gone(participant, track);
                self.forget(participant, track);
            }
        }
        self.people = state.roster.iter().map(|participant| (participant.id, participant.clone())).collect();
        self.out.say(&Said::Joined(Joined {
            me: state.me.into(),
            name: self.name(state.me),
            title: state.title,
            epoch: state.epoch,
            safety_code: state.safety_code,
            transport: state.transport.map(transport),
            join_ms: millis(self.join_took),
            roster: state.roster.iter().map(Person::from).collect(),
        }));
        for track in state.tracks {
            if !self.tracks.contains_key(&(track.participant, track.track)) {
                self.on_track(track);
            }
        }
    }

    fn on_track(&mut self, track: RemoteTrack) {
        let name = self.name(track.participant);
        self.tally.on_track(&track, &name);
        if let Some(recorder) = &mut self.recorder {
            recorder.on_track(&track, &name);
        }
        self.out.say(&Said::TrackPublished(Remote::of(&track, name)));
        self.tracks.insert((track.participant, track.track), track);
    }

    fn forget(&mut self, participant: ParticipantId, track: TrackId) -> Option<RemoteTrack> {
        if let Some(recorder) = &mut self.recorder {
            recorder.on_track_gone(participant, track);
        }
        self.lost.remove(&(participant, track));
        self.tracks.remove(&(participant, track))
    }

    fn on_frame(&mut self, frame: &InFrame) {
        let now = unix_us();
        if let Some(recorder) = &mut self.recorder {
            recorder.on_frame(frame, now);
        }
        let Some((since_join, since_published)) = self.tally.on_frame(frame, now) else { return };
        let Some(track) = self.tracks.get(&(frame.participant, frame.track)) else { return };
        let first = FirstFrame {
            participant: frame.participant.into(),
            name: self.name(frame.participant),
            track: frame.track.into(),
            kind: kind(track.media.kind),
            ms_since_join: millis(since_join),
            ms_since_start: millis(self.started.elapsed()),
            ms_since_published: millis(since_published),
        };
        self.out.say(&Said::FirstFrame(first));
    }

    fn on_tick(&mut self) {
        self.tell_losses();
        if self.out.is_json() {
            let stats = self.stats();
            self.out.say(&Said::Stats(stats));
        }
    }

    fn tell_losses(&mut self) {
        for ((participant, track), count) in std::mem::take(&mut self.lost) {
            let Some(lossy) = self.tracks.get(&(participant, track)) else { continue };
            let (name, kind) = (self.name(participant), kind(lossy.media.kind));
            self.out.say(&Said::Lost { participant: participant.into(), name, track: track.into(), kind, count });
        }
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Published { kind, label } => self.out.say(&Said::Published { kind, label }),
            Told::Refused(error) => self.warn(error.to_string()),
            Told::Broken(error) => {
                self.warn(error.to_string());
                self.trouble.get_or_insert_with(|| Failure::new(Exit::NoInput, error));
            }
        }
    }

    fn on_problem(&mut self, problem: Problem) {
        match problem {
            Problem::NotRecorded(words) => self.warn(words),
            Problem::Incomplete(words) => {
                self.warn(words.clone());
                self.trouble.get_or_insert_with(|| Failure::new(Exit::Runtime, words));
            }
        }
    }

    async fn on_line(&mut self, line: &str) {
        if let Some(order) = hosting::read(line) {
            return match hosting::act(order, &self.room, &self.door, |who| self.find(who)).await {
                Done::Asked => {}
                Done::Link(link) => self.out.say(&Said::Link { link }),
                Done::Not(why) => self.warn(why),
            };
        }
        if let Some(wish) = wishes::read(line, self.people.values()) {
            return self.on_wish(wish).await;
        }
        match typed::read(line) {
            Typed::Say(words) => self.say_to_all(words).await,
            Typed::Wrong(help) => self.warn(help.to_owned()),
            Typed::Do(deed) => match typed::act(deed, &self.room, |who| self.find(who)).await {
                Ok(()) | Err(NotDone::Over) => {}
                Err(NotDone::Who(who)) => self.warn(format!("nobody, or more than one, is called {who}: use the eight digits")),
            },
        }
    }

    /// Somebody by their eight digits, or by a name that one of the others has alone.
    fn find(&self, who: &str) -> Option<ParticipantId> {
        let id = |id: &ParticipantId| format!("{:08x}", id.get());
        if let Some(found) = self.people.keys().find(|one| id(one) == who) {
            return Some(*found);
        }
        let mut named = self.people.values().filter(|one| one.name == who && !one.is_me);
        named.next().filter(|_| named.next().is_none()).map(|one| one.id)
    }

    async fn on_wish(&mut self, wish: Wish) {
        // When the room is over, its last event says so.
        let _ = match wish {
            Wish::Report { of, note } => match self.last_said.get(&of) {
                Some(id) => self.room.report(vec![*id], note).await,
                None => return self.warn("they have said nothing that could be reported".to_owned()),
            },
            Wish::Hide { of, hidden } => self.room.hide(of, hidden).await,
            Wish::Mute { of, muted } => self.room.mute_locally(of, muted).await,
            Wish::Block { of, blocked } => self.room.block(of, blocked).await,
            Wish::Nobody => return self.warn("nobody of that name is here, or more than one: use their number".to_owned()),
        };
    }

    fn on_report(&mut self, document: &[u8], stamped: bool) {
        match report::write(document) {
            Ok(path) => self.out.say(&Said::Reported { file: path.display().to_string(), stamped }),
            Err(error) => self.warn(format!("the report could not be written: {error}")),
        }
    }

    async fn say_to_all(&mut self, text: String) {
        if self.room.chat(text.as_str()).await.is_ok() {
            self.out.say(&Said::ChatSent { text });
        }
    }

    fn warn(&mut self, text: String) {
        self.out.say(&Said::Warning { text });
    }

    fn stats(&self) -> Stats {
        let (epoch, safety_code) = self.room.state().map(|state| (state.epoch, state.safety_code)).unwrap_or_default();
        let (sending, receiving) = (self.tally.sending(), self.tally.receiving());
        Stats { epoch, safety_code, roster_size: self.people.len(), sending, receiving, unopened: self.room.counters().into() }
    }

    fn name(&self, id: ParticipantId) -> String {
        self.people.get(&id).map(|participant| participant.name.clone()).unwrap_or_default()
    }
}

async fn next(from: &mut Option<mpsc::Receiver<Problem>>) -> Option<Problem> {
    match from {
        Some(from) => from.recv().await,
        None => None,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => future::pending().await,
    }
}
