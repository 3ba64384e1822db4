//! The handle of a room.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use conclave_client_core::{
    Client,
    api::{Command, Config, Entry, Kind, Mode, Participant, ParticipantId, Profile, RemoteTrack, RequestId},
    link::Link,
};
use conclave_federation::id::TrackId;
use conclave_quic::{BindConfig, Driver, Endpoint, Observer, Transport};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use crate::{
    Counters, LocalTrack,
    driver::{ORDERS, Order, Shared, Task},
    error::{Failure, JoinError, PublishError, RoomOver},
    event::{Event, State},
    options::{CreateOptions, Options},
    publish::Wish,
    track::{PublishedTrack, Track},
};

/// A room that we are in. Clones are handles of the same room; when the last one is dropped, the room is left.
///
/// All of it may be called from several tasks; each event goes to one of those that wait for it.
#[derive(Clone)]
pub struct Room {
    handle: Arc<Handle>,
    /// As we came in.
    link: Arc<Link>,
}

struct Handle {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    /// Held by whoever waits for an answer to `publish`: a refusal does not say which track it is about.
    publishing: Mutex<()>,
    next_track: AtomicU32,
    /// Dropped with the last handle, which tells the task.
    _alive: oneshot::Sender<()>,
}

impl Room {
    /// Enters the room of a link. Returns when we are in; the first event is the whole state.
    ///
    /// Has to be called inside a tokio runtime. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Each says what to do; see [`JoinError`].
    pub async fn join(link: &str, options: Options) -> Result<Self, JoinError> {
        Self::join_observed(link, options, ()).await
    }

    /// Makes a room, and enters it. [`Room::link`] has what to give to others.
    ///
    /// # Errors
    /// Each says what to do; see [`JoinError`].
    pub async fn create(options: CreateOptions) -> Result<Self, JoinError> {
        Self::create_observed(options, ()).await
    }

    /// [`Room::join`] with somebody who reads along at the driver's edge. For tests: nothing that is shipped calls it.
    ///
    /// # Errors
    /// As [`Room::join`].
    pub async fn join_observed<O>(link: &str, options: Options, observer: O) -> Result<Self, JoinError>
    where
        O: Observer + Send + 'static,
    {
        let link: Link = link.parse()?;
        let entry = match &options.entry {
            Some(entry) => entry.clone().into_entry(),
            None => entry_of(&link),
        };
        let config = config(&options, entry)?;
        Self::enter(Client::join(config, link), options, observer).await
    }

    /// [`Room::create`] with somebody who reads along at the driver's edge. For tests: nothing that is shipped calls it.
    ///
    /// # Errors
    /// As [`Room::create`].
    pub async fn create_observed<O>(options: CreateOptions, observer: O) -> Result<Self, JoinError>
    where
        O: Observer + Send + 'static,
    {
        let CreateOptions { room, entry, options } = options;
        let config = config(&options, entry.into_entry())?;
        Self::enter(Client::create(config, room), options, observer).await
    }

    async fn enter<O>(client: Client, mut options: Options, observer: O) -> Result<Self, JoinError>
    where
        O: Observer + Send + 'static,
    {
        let driver = Driver::observed(Endpoint::bind(BindConfig::participant())?, observer);
        let shared = Arc::new(Shared::new());
        if let Some(link) = client.link() {
            *shared.link() = Some(link.clone());
        }
        let (orders, orders_rx) = mpsc::channel(ORDERS);
        let (alive, handles) = oneshot::channel();
        let (entered, answer) = oneshot::channel();
        let task = Task {
            client,
            driver,
            transport: None,
            shared: shared.clone(),
            orders: orders_rx,
            waiting: options.waiting.take(),
            for_good: false,
            entered: Some(entered),
            handles,
            #[cfg(feature = "audit")]
            audit: options.audit,
        };
        #[cfg(not(feature = "audit"))]
        drop(options);
        tokio::spawn(task.run());
        let handle = Handle { shared, orders, publishing: Mutex::new(()), next_track: AtomicU32::new(0), _alive: alive };
        // Dropped with this future if nobody wants to wait any longer, and then the task leaves.
        let handle = Arc::new(handle);
        let answer = answer.await;
        let link = handle.shared.link().clone();
        match (answer, link) {
            (Ok(Ok(())), Some(link)) => Ok(Self { handle, link: Arc::new(link) }),
            (Ok(Err(failure)), _) => Err(failure.into()),
            // The task is gone without a word, or knows no link of the room that it is in.
            (Err(_), _) | (Ok(Ok(())), None) => Err(Failure::Bug.into()),
        }
    }

    /// What others need to come in: the newest one, as hosts may change it.
    #[must_use]
    pub fn link(&self) -> Link {
        self.handle.shared.link().clone().unwrap_or_else(|| Link::clone(&self.link))
    }

    /// Everything that is true of the room now.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.handle.shared.state().clone()
    }

    /// Who is here, us included: nobody is there unseen.
    #[must_use]
    pub fn roster(&self) -> Vec<Participant> {
        self.handle.shared.state().as_ref().map(|state| state.roster.clone()).unwrap_or_default()
    }

    /// The tracks of the others.
    #[must_use]
    pub fn tracks(&self) -> Vec<RemoteTrack> {
        self.handle.shared.state().as_ref().map(|state| state.tracks.clone()).unwrap_or_default()
    }

    /// 30 digits that are equal at everybody in this epoch. People who read them to each other know that nobody sits in
    /// between.
    #[must_use]
    pub fn safety_code(&self) -> String {
        self.handle.shared.state().as_ref().map(|state| state.safety_code.clone()).unwrap_or_default()
    }

    /// What carries our bytes to our relay: QUIC, or WebSocket over TCP where UDP is blocked. `None` while there is no
    /// connection.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.handle.shared.state().as_ref().and_then(|state| state.transport)
    }

    /// What has been counted so far: objects that were not opened, each under its one reason, and what was done about them.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.handle.shared.counters()
    }

    /// The next event; `None` after [`Event::Ended`]. Cancel-safe.
    ///
    /// An application that reads too slowly loses the oldest frames and is told how many; it loses nothing else.
    pub async fn next_event(&self) -> Option<Event> {
        self.handle.shared.queue.next().await
    }

    /// Publishes a track. Returns when frames may be written.
    ///
    /// # Errors
    /// When the relay refuses, when there are too many, or when the room is over.
    pub async fn publish(&self, track: Track) -> Result<PublishedTrack, PublishError> {
        let _turn = self.handle.publishing.lock().await;
        let local = LocalTrack(self.handle.next_track.fetch_add(1, Ordering::Relaxed));
        let wanted = Arc::new(Notify::new());
        let (reply, answer) = oneshot::channel();
        let wish = Wish { track: local, media: track.media, wanted: wanted.clone(), reply };
        self.order(Order::Publish(wish)).await?;
        answer.await.map_err(|_| PublishError::Over)??;
        Ok(PublishedTrack { track: local, orders: self.handle.orders.clone(), wanted })
    }

    /// Says something to everybody, at most 4 KiB. Returns when the room's task has it.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn chat(&self, text: impl Into<String>) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Chat { text: text.into() })).await
    }

    /// Puts together a report of messages that were heard or said lately, stamped by the room's hub;
    /// [`crate::Event::ReportReady`] has it. Nobody is told.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn report(&self, messages: Vec<[u8; 16]>, note: impl Into<String>) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Report { messages, note: note.into() })).await
    }

    /// Receives no pictures of somebody, or receives them again. Nobody is told.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn hide(&self, participant: ParticipantId, hidden: bool) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Hide { participant, hidden })).await
    }

    /// Receives no sound of somebody, or receives it again. Nobody is told.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn mute_locally(&self, participant: ParticipantId, muted: bool) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::MuteLocally { participant, muted })).await
    }

    /// Receives nothing of somebody any more: no media, no chat, no reactions; or receives it again. Nobody is told.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn block(&self, participant: ParticipantId, blocked: bool) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Block { participant, blocked })).await
    }

    /// Compares codes with somebody; answered by [`Event::CompareCode`] at both.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn compare(&self, participant: ParticipantId) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Compare { participant })).await
    }

    /// Says whether the words that were compared with somebody were equal.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn verified(&self, participant: ParticipantId, matches: bool) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Verified { participant, matches })).await
    }

    /// Takes another name; an empty one is the name with which we came.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn rename(&self, name: impl Into<String>) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Rename { name: name.into() })).await
    }

    /// Raises the hand, or takes it down.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn raise_hand(&self, up: bool) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::RaiseHand { up })).await
    }

    /// Says that we record, or do not any more: to be said before a recording begins.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn say_recording(&self, on: bool) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::Recording { on })).await
    }

    /// Shows everybody a sign for a moment.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn react(&self, text: impl Into<String>) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::React { text: text.into() })).await
    }

    /// Asks somebody to mute a track of theirs: nobody can do it for them.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn ask_mute(&self, participant: ParticipantId, kind: Kind) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::AskMute { participant, kind })).await
    }

    /// Asks the publisher of a track for a key frame.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn request_key_frame(&self, participant: ParticipantId, track: TrackId) -> Result<(), RoomOver> {
        self.order(Order::Command(Command::RequestKeyFrame { participant, track })).await
    }

    /// Lets in whoever asks with this request: see [`Event::Knock`]. Hosts only.
    ///
    /// # Errors
    /// When the room is over. What the room does not allow is told by [`Event::Warning`]; so with all that hosts do.
    pub async fn admit(&self, request: RequestId) -> Result<(), RoomOver> {
        self.command(Command::Admit { request }).await
    }

    /// Tells whoever asks with this request that they may not come in. Hosts only.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn refuse(&self, request: RequestId) -> Result<(), RoomOver> {
        self.command(Command::Refuse { request }).await
    }

    /// Says who may let others in. Hosts only; everybody is told by [`Event::ModeChanged`].
    ///
    /// # Errors
    /// When the room is over.
    pub async fn set_mode(&self, mode: Mode) -> Result<(), RoomOver> {
        self.command(Command::SetMode(mode)).await
    }

    /// Puts somebody out: they can open nothing from then on, and the link that they have leads to the waiting room. Hosts only.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn remove(&self, participant: ParticipantId) -> Result<(), RoomOver> {
        self.command(Command::Remove { participant }).await
    }

    /// Makes a new link; the old one leads to the waiting room. Hosts only; everybody is told by [`Event::LinkChanged`].
    ///
    /// # Errors
    /// When the room is over.
    pub async fn rotate_link(&self) -> Result<(), RoomOver> {
        self.command(Command::RotateLink).await
    }

    /// Makes somebody a host. Hosts only.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn make_host(&self, participant: ParticipantId) -> Result<(), RoomOver> {
        self.command(Command::MakeHost { participant }).await
    }

    /// Takes a host's rights away, one's own perhaps. Hosts only.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn drop_host(&self, participant: ParticipantId) -> Result<(), RoomOver> {
        self.command(Command::DropHost { participant }).await
    }

    /// Says how much of the chat newcomers are shown: the last so many messages, none older than so many minutes (0 is no bound).
    /// Hosts only.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn set_history(&self, messages: u16, minutes: u16) -> Result<(), RoomOver> {
        self.command(Command::SetHistory { messages, minutes }).await
    }

    /// Where no host has been for a minute: says that somebody should go. With two thirds of those who have been here for five
    /// minutes saying so, they are removed, and the room is locked until a host is back.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn vote(&self, participant: ParticipantId) -> Result<(), RoomOver> {
        self.command(Command::Vote { participant }).await
    }

    /// Ends the call for everybody. Hosts only; the last event is [`crate::Ended::CallEnded`].
    ///
    /// # Errors
    /// When the room is over.
    pub async fn end_for_all(&self) -> Result<(), RoomOver> {
        self.command(Command::EndForAll).await
    }

    /// Leaves, unless we are the last host and others are here: then [`Event::LastHost`] asks to think it over, once.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn ask_to_leave(&self) -> Result<(), RoomOver> {
        self.order(Order::AskToLeave).await
    }

    async fn command(&self, command: Command) -> Result<(), RoomOver> {
        self.order(Order::Command(command)).await
    }

    /// Says goodbye, so that nobody has to wait for us, and returns when the connection is closed: after a round trip,
    /// and after a few seconds at most. The last event is still to be read.
    pub async fn leave(&self) {
        // An error means that it is over already.
        let _ = self.order(Order::Command(Command::Leave)).await;
        self.handle.shared.done().await;
    }

    async fn order(&self, order: Order) -> Result<(), RoomOver> {
        self.handle.orders.send(order).await.map_err(|_| RoomOver)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

/// Where a link without a port leads: the port of the web, which a relay's QUIC shares.
const WEB_PORT: u16 = 443;

/// The relay that a link begins with, for those who have none of their own.
fn entry_of(link: &Link) -> Entry {
    let host = link.host.as_str();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let of_hub =
        link.hubs.iter().map(|hub| &hub.address).find(|address| address.rsplit_once(':').is_some_and(|(name, _)| name == host));
    let address = match (has_port, of_hub) {
        (true, _) => host.to_owned(),
        (false, Some(address)) => address.clone(),
        (false, None) => format!("{host}:{WEB_PORT}"),
    };
    Entry { relay: None, addresses: vec![address] }
}

fn config(options: &Options, entry: Entry) -> Result<Config, JoinError> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(JoinError::Randomness)?;
            seed
        }
    };
    Ok(Config { seed, profile: Profile { name: options.name.clone() }, entry, known: options.known.clone() })
}
