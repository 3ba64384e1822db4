//! What control messages say: every body, and the one table of type numbers.

pub use super::control::{Message, MessageReader, grease};
use super::{Blob, List, Malformed, Reader, Text, Wire, Writer, code::Code, wire_struct};
use crate::{
    id::{Alias, Generation, Head, Instance, JoinId, RelayId, RoomId, TrackId},
    limits::{MAX_ADDRESSES, MAX_HOPS, MAX_NOTE, MAX_REQUEST_BODY, MAX_SEALED, MAX_SERVED, MAX_VERSIONS, MAX_WORDS},
    proof::{Capability, HostProof, Label, Signature, SigningKey},
    record::{Address, CallKeys, RelayDescriptor, RoomRecord},
    track::Class,
};

/// A sealed body: a commit, an epoch box, a welcome.
pub type Sealed = Blob<MAX_SEALED>;

/// Who opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A participant's client: says nothing of itself.
    Client,
    /// A relay: its descriptor, and its signature over the TLS exporter and both relay ids.
    Relay(Box<RelayDescriptor>, Signature),
}

impl Wire for Identity {
    fn put(&self, out: &mut Writer) {
        match self {
            Self::Client => out.u8(0),
            Self::Relay(descriptor, signature) => {
                out.u8(1);
                descriptor.put(out);
                signature.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => Ok(Self::Client),
            1 => Ok(Self::Relay(Box::new(Wire::take(from)?), Wire::take(from)?)),
            _ => Err(Malformed::Value("identity")),
        }
    }
}

wire_struct! {
    /// First message of the dialler.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Hello {
        /// Versions spoken, best first.
        pub versions: List<u16, MAX_VERSIONS>,
        /// Optional features, one bit each; none is defined.
        pub features: u64,
        /// Who dials.
        pub identity: Identity,
    }
}

wire_struct! {
    /// First message of the acceptor, always a relay; its key was proved in TLS.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Greeting {
        /// The version of this session.
        pub version: u16,
        /// Optional features both sides have.
        pub features: u64,
        /// Fresh for this session; attach proofs are over it.
        pub nonce: [u8; 32],
        /// Who answers.
        pub descriptor: RelayDescriptor,
    }
}

wire_struct! {
    /// The relay that a request is for, when it is not the one at the other end.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Via {
        /// The relay.
        pub relay: RelayId,
        /// Where the asker believes it to be; the asked relay dials only what its policy allows.
        pub addresses: List<Address, MAX_ADDRESSES>,
    }
}

wire_struct! {
    /// What is known of a room; needs nothing but its id.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Resolve {
        /// The hub that knows, when it is not the relay asked.
        pub via: Option<Via>,
        /// The room.
        pub room: RoomId,
    }
}

wire_struct! {
    /// Answer to [`Resolve`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Resolved {
        /// The newest record that the hub holds.
        pub record: RoomRecord,
        /// The current instance; 0 before the first.
        pub instance: Instance,
        /// Whether anybody is attached to it, anywhere: if not, [`Instance::next`] may be begun.
        pub occupied: bool,
        /// Group id of the current instance's genesis, empty before the first: requests are bound to its hash.
        pub group: Blob<64>,
        /// Entries of the log so far.
        pub seq: u64,
        /// Its head.
        pub head: Head,
        /// Keys of the current instance, when whoever began it chose some: see [`RoomRecord::keys`]. To be verified.
        pub call: Option<CallKeys>,
    }
}

wire_struct! {
    /// Registers a room's record at a hub, or a newer one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PutRecord {
        /// The hub, when it is not the relay asked.
        pub via: Option<Via>,
        /// The record.
        pub record: RoomRecord,
    }
}

wire_struct! {
    /// Proof of membership towards the relay asked, and what lets that relay ask others.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Attach {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Generation of the access key.
        pub generation: Generation,
        /// 0: participant.
        pub role: u8,
        /// Over [`crate::proof::AttachClaim`].
        pub signature: Signature,
        /// For the relay asked.
        pub capability: Capability,
    }
}

wire_struct! {
    /// On a link: shows the capability for a room, once, and again before it expires. The answer says that the room is served.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Present {
        /// The capability of the presenting relay.
        pub capability: Capability,
        /// Whether participants of the room are attached there, or this is only for a subscription.
        pub attached: bool,
    }
}

/// What a log entry does, as far as the hub may know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// Begins an instance.
    Genesis,
    /// A sealed commit.
    Commit,
    /// Moves the log to the next hub; specified, not spoken yet.
    HubMove,
    /// Ends the instance; says nothing else, and needs a host's word.
    End,
}

impl Wire for EntryKind {
    fn put(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Genesis => 1,
            Self::Commit => 2,
            Self::HubMove => 3,
            Self::End => 4,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Genesis),
            2 => Ok(Self::Commit),
            3 => Ok(Self::HubMove),
            4 => Ok(Self::End),
            _ => Err(Malformed::Value("entry kind")),
        }
    }
}

wire_struct! {
    /// The part of a log entry that a hub reads. The head is a hash over these bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EntryHeader {
        /// 1.
        pub version: u8,
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Counts from 0, the genesis.
        pub seq: u64,
        /// What it follows; the hub compares and swaps on it.
        pub prev_head: Head,
        /// What it does.
        pub kind: EntryKind,
        /// Bit 0, [`EntryHeader::NEXT_GENERATION`]: comes with a record of the next generation. The others are 0.
        pub flags: u8,
        /// Generation of the key that offers it; of an entry that begins the next generation, the one before.
        pub generation: Generation,
        /// Counts hub moves; 0.
        pub term: u16,
        /// Which listed hub orders it; 0.
        pub hub_index: u8,
        /// SHA-256 of commit, box and record, each as spelled in the entry.
        pub body_hash: [u8; 32],
        /// SHA-256 of the welcome's bytes.
        pub welcome_hash: [u8; 32],
        /// The join requests it serves.
        pub served: List<JoinId, MAX_SERVED>,
    }
}

wire_struct! {
    /// A log entry as members see it: an object of the log track.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Entry {
        /// What the hub read.
        pub header: EntryHeader,
        /// Sealed for the epoch it was made in; for a genesis the group id, in clear.
        pub commit: Sealed,
        /// Sealed for the epoch it makes.
        pub epoch_box: Sealed,
        /// The record of the next generation, exactly when the header says so.
        pub record: Option<RoomRecord>,
        /// The hub's word for it.
        pub head: HubHead,
    }
}

wire_struct! {
    /// A hub's signed statement of its log: two that contradict each other are a proof.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HubHead {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Of the newest entry.
        pub seq: u64,
        /// After that entry.
        pub head: Head,
        /// Counts hub moves.
        pub term: u16,
        /// Which listed hub.
        pub hub_index: u8,
        /// The hub's clock, milliseconds since 1970.
        pub time: u64,
        /// By the hub's relay key, over all before it.
        pub signature: Signature,
    }
}

wire_struct! {
    /// Offers an entry to the hub. Answered by [`HubHead`] once it is durable.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Append {
        /// The hub, when it is not the relay asked.
        pub via: Option<Via>,
        /// The part that the hub reads.
        pub header: EntryHeader,
        /// Over the header's bytes: by the access key, for a genesis by the join key.
        pub signature: Signature,
        /// As in [`Entry`].
        pub commit: Sealed,
        /// As in [`Entry`].
        pub epoch_box: Sealed,
        /// Kept beside the log, for the requests served alone; may be empty.
        pub welcome: Sealed,
        /// As in [`Entry`].
        pub record: Option<RoomRecord>,
        /// A host's word under [`Label::Reserve`] over the header's bytes: a share of the log's pace of its own.
        pub reserve: Option<HostProof>,
        /// Only with a genesis: the keys of this call, in place of the record's.
        pub call: Option<CallKeys>,
    }
}

wire_struct! {
    /// Asks to be let in; stays open until served. Signed by the join key of a link, the current or a retired one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Join {
        /// The hub, when it is not the relay asked.
        pub via: Option<Via>,
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Of the link that signs it.
        pub generation: Generation,
        /// Chosen at random; the same after a reconnect.
        pub id: JoinId,
        /// The joiner's clock, milliseconds since 1970.
        pub time: u64,
        /// Sealed for the members.
        pub body: Blob<MAX_REQUEST_BODY>,
        /// Over [`Join::claim`].
        pub signature: Signature,
    }
}

impl Join {
    /// The signed bytes: hub, room, instance, the link's generation, id, time and the hash of the body.
    #[must_use]
    pub fn claim(
        hub: RelayId,
        room: RoomId,
        instance: Instance,
        generation: Generation,
        id: JoinId,
        time: u64,
        body: &[u8],
    ) -> Vec<u8> {
        let mut out = Writer::new();
        hub.put(&mut out);
        room.put(&mut out);
        instance.put(&mut out);
        generation.put(&mut out);
        id.put(&mut out);
        out.u64(time);
        out.raw(&crate::proof::sha256(&[body]));
        out.into_vec()
    }
}

wire_struct! {
    /// Answer to [`Join`]: the entry that serves it, and its welcome.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Admitted {
        /// The part of the entry that the hub read.
        pub header: EntryHeader,
        /// Sealed for the epoch it makes.
        pub epoch_box: Sealed,
        /// Sealed for the joiners served.
        pub welcome: Sealed,
        /// The hub's word for it.
        pub head: HubHead,
    }
}

/// A sealed note to somebody whose request a host refused.
pub type Note = Blob<MAX_NOTE>;

wire_struct! {
    /// A host refuses a join request: its asker is answered with the note, at once and when the same request is made again.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Decline {
        /// The hub, when it is not the relay asked.
        pub via: Option<Via>,
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// The request.
        pub id: JoinId,
        /// For the asker.
        pub note: Note,
        /// Over [`Decline::claim`], under [`Label::Decline`].
        pub proof: HostProof,
    }
}

impl Decline {
    /// The signed bytes: room, instance, id and the hash of the note.
    #[must_use]
    pub fn claim(room: RoomId, instance: Instance, id: JoinId, note: &[u8]) -> Vec<u8> {
        let mut out = Writer::new();
        room.put(&mut out);
        instance.put(&mut out);
        id.put(&mut out);
        out.raw(&crate::proof::sha256(&[note]));
        out.into_vec()
    }

    /// Whether a host of `record`'s room refuses this, now.
    #[must_use]
    pub fn verify(&self, record: &RoomRecord, unix_ms: u64) -> bool {
        let claim = Self::claim(self.room, self.instance, self.id, self.note.bytes());
        self.room == record.room && self.proof.verify(Label::Decline, &claim, record, unix_ms)
    }
}

wire_struct! {
    /// Asks the hub to state when it saw a digest: that of a report, of which the hub learns nothing else.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Stamp {
        /// The hub, when it is not the relay asked.
        pub via: Option<Via>,
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// SHA-256 of the report.
        pub digest: [u8; 32],
    }
}

wire_struct! {
    /// Answer to [`Stamp`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Stamped {
        /// The hub's clock, milliseconds since 1970.
        pub time: u64,
        /// By the hub's relay key, over room, instance, digest and time.
        pub signature: Signature,
    }
}

impl Stamped {
    fn claim(room: RoomId, instance: Instance, digest: &[u8; 32], time: u64) -> Vec<u8> {
        let mut out = Writer::new();
        room.put(&mut out);
        instance.put(&mut out);
        out.raw(digest);
        out.u64(time);
        out.into_vec()
    }

    /// A hub states when it saw a digest.
    #[must_use]
    pub fn sign(hub: &SigningKey, stamp: &Stamp, time: u64) -> Self {
        let claim = Self::claim(stamp.room, stamp.instance, &stamp.digest, time);
        Self { time, signature: hub.sign(Label::Report, &claim) }
    }

    /// Whether `hub` said this of the digest.
    #[must_use]
    pub fn verify(&self, hub: RelayId, room: RoomId, instance: Instance, digest: &[u8; 32]) -> bool {
        hub.key().verify(Label::Report, &Self::claim(room, instance, digest, self.time), &self.signature)
    }
}

/// From where a subscription begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// The next group or object.
    Next,
    /// The current group from its beginning, when the relay has it: for those who come back.
    Current,
    /// This object and all after it: reliable tracks. 0 is all that is retained.
    From(u64),
}

impl Wire for Start {
    fn put(&self, out: &mut Writer) {
        match self {
            Self::Next => out.u8(0),
            Self::Current => out.u8(1),
            Self::From(object) => {
                out.u8(2);
                out.u64(*object);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => Ok(Self::Next),
            1 => Ok(Self::Current),
            2 => from.u64().map(Self::From),
            _ => Err(Malformed::Value("start")),
        }
    }
}

wire_struct! {
    /// Wants the objects of a track.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Subscribe {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// The track.
        pub track: TrackId,
        /// From where.
        pub start: Start,
        /// Relays that the subscription has passed, the first subscriber's entry relay first; empty from a client.
        pub path: List<RelayId, MAX_HOPS>,
    }
}

wire_struct! {
    /// Answer to [`Subscribe`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Subscribed {
        /// How objects of this track are marked from here.
        pub alias: Alias,
        /// How they travel.
        pub class: Class,
    }
}

wire_struct! {
    /// Announces a track, before its first object. Relays pass it on to the hub.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Publish {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Random.
        pub track: TrackId,
        /// How it travels.
        pub class: Class,
        /// Temporal layers, 1 to 4.
        pub layers: u8,
    }
}

wire_struct! {
    /// Answer to [`Publish`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Published {
        /// How the publisher marks objects of this track.
        pub alias: Alias,
    }
}

wire_struct! {
    /// A track that is no more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Unpublish {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// The track.
        pub track: TrackId,
    }
}

wire_struct! {
    /// A participant leaves the room, or a relay has nobody there any more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Detach {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
    }
}

wire_struct! {
    /// Why not, with one sentence for people that says what to do.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Refusal {
        /// The reason.
        pub code: Code,
        /// The sentence; may be empty.
        pub words: Text<MAX_WORDS>,
    }
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(code: Code, words: &str) -> Self {
        Self { code, words: Text::cut(words) }
    }
}

macro_rules! messages {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident($type:ty) = $number:literal,)* }) => {
        $(#[$meta])*
        pub enum $name { $($(#[$doc])* $variant($type)),* }

        impl $name {
            /// Its number in the table.
            #[must_use]
            pub const fn number(&self) -> u64 {
                match self { $(Self::$variant(_) => $number),* }
            }

            /// Its name in logs and metrics.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant)),* }
            }

            /// Every number of the table, with its name.
            pub const TABLE: &'static [(u64, &'static str)] = &[$(($number, stringify!($variant))),*];

            pub(super) fn put_body(&self, out: &mut Writer) {
                match self { $(Self::$variant(body) => body.put(out)),* }
            }

            pub(super) fn take_body(number: u64, from: &mut Reader<'_>) -> Option<Result<Self, Malformed>> {
                match number {
                    $($number => Some(<$type as Wire>::take(from).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

messages! {
    /// Wants an answer: a result or a [`Refusal`]. The body follows the request's id.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[expect(clippy::large_enum_variant, reason = "requests travel in a box, see [`Message`]")]
    pub enum Request {
        /// See [`Resolve`].
        Resolve(Resolve) = 0x10,
        /// See [`PutRecord`].
        PutRecord(PutRecord) = 0x11,
        /// See [`Attach`].
        Attach(Attach) = 0x12,
        /// Renews the capability handed over in [`Attach`].
        Renew(Capability) = 0x13,
        /// See [`Present`].
        Present(Present) = 0x14,
        /// See [`Append`]; on a stream of its own.
        Append(Append) = 0x15,
        /// See [`Join`]; on a stream of its own.
        Join(Join) = 0x16,
        /// See [`Subscribe`].
        Subscribe(Subscribe) = 0x17,
        /// See [`Publish`].
        Publish(Publish) = 0x18,
        /// See [`Decline`].
        Decline(Decline) = 0x19,
        /// See [`Stamp`].
        Stamp(Stamp) = 0x1a,
    }
}

messages! {
    /// Ends a request. The body follows the request's id.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Answer {
        /// Done; nothing to say.
        Done(()) = 0x30,
        /// Not done.
        Refused(Refusal) = 0x31,
        /// To [`Request::Resolve`].
        Resolved(Box<Resolved>) = 0x32,
        /// To [`Request::Append`]: durable.
        Appended(HubHead) = 0x33,
        /// To [`Request::Join`].
        Admitted(Box<Admitted>) = 0x34,
        /// To [`Request::Join`]: a host's refusal, with a note.
        Declined(Note) = 0x35,
        /// To [`Request::Subscribe`].
        Subscribed(Subscribed) = 0x36,
        /// To [`Request::Publish`].
        Published(Published) = 0x37,
        /// To [`Request::Stamp`].
        Stamped(Stamped) = 0x38,
    }
}

messages! {
    /// Wants no answer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Notice {
        /// The first message of the dialler.
        Hello(Hello) = 0x01,
        /// The first message of the acceptor.
        Greeting(Box<Greeting>) = 0x02,
        /// To the sender of a track's objects: a key frame is needed. At most one per track in 500 ms.
        KeyFrame(Alias) = 0x50,
        /// To the sender of a track's objects: no more, please.
        Unsubscribe(Alias) = 0x51,
        /// From the sender of a track's objects: there will be no more.
        Ended(Alias) = 0x52,
        /// See [`Unpublish`].
        Unpublish(Unpublish) = 0x53,
        /// See [`Detach`].
        Detach(Detach) = 0x54,
        /// From a hub to the relays of a room: a newer record of it.
        Record(Box<RoomRecord>) = 0x55,
    }
}

impl Wire for () {
    fn put(&self, _: &mut Writer) {}

    fn take(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Writer) {
        T::put(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::take(from).map(Box::new)
    }
}
