//! One of everything that has a spelling in bytes, built from fixed seeds.

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Generation, Instance, JoinId, RelayId, TrackId},
    log::Position,
    proof::{Capability, HostProof, Label, Signature, SigningKey},
    record::{Address, CallKeys, Chain, Delegation, Hub, RelayDescriptor, RoomRecord},
    track::Class,
    well_known::WellKnown,
    wire::{
        Blob, List, Text,
        code::Code,
        message::{
            Admitted, Answer, Append, Attach, Decline, Detach, EntryHeader, EntryKind, Greeting, Hello, HubHead, Identity, Join,
            Message, Notice, Present, Publish, Published, PutRecord, Refusal, Request, Resolve, Resolved, Stamp, Stamped, Start,
            Subscribe, Subscribed, Unpublish, Via,
        },
    },
};

pub(crate) const TIME: u64 = 1_750_000_000_000;

pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32])
}

pub(crate) fn relay(n: u8) -> RelayId {
    RelayId::new(*key(n).verifying_key().as_bytes())
}

pub(crate) fn blob<const MAX: usize>(bytes: &'static [u8]) -> Blob<MAX> {
    Blob::new(Bytes::from_static(bytes)).expect("short")
}

pub(crate) fn addresses() -> List<Address, 4> {
    List::new(vec![Address::cut("relay.example:4433")]).expect("one")
}

pub(crate) fn record() -> RoomRecord {
    let founder = key(1);
    let mut record = RoomRecord {
        version: RoomRecord::VERSION,
        room: conclave_federation::id::RoomId::of_founder(&founder.verifying_key()),
        founder: founder.verifying_key(),
        seq: 1,
        suite: 1,
        generation: Generation(0),
        access: key(2).verifying_key(),
        join: key(3).verifying_key(),
        lobby: [4; 32],
        retired: List::default(),
        revoked: List::default(),
        host_required: false,
        max_members: 100,
        hubs: List::new(vec![Hub { relay: relay(10), addresses: addresses() }]).expect("one"),
        not_after: TIME + 1_000_000,
        signer: founder.verifying_key(),
        delegation: List::default(),
        signature: Signature::new([0; 64]),
    };
    record.sign(&founder);
    record
}

/// The record of the next generation, by a host whom another host made one.
pub(crate) fn next_record() -> RoomRecord {
    let old = record();
    let mut record = RoomRecord {
        seq: 2,
        generation: Generation(1),
        access: key(32).verifying_key(),
        join: key(33).verifying_key(),
        lobby: [34; 32],
        retired: old.next_retired(),
        revoked: List::new(vec![key(35).verifying_key()]).expect("one"),
        ..old
    };
    record.sign_as(&key(31), chain());
    record
}

/// From the founder over one host to another, key 31.
pub(crate) fn chain() -> Chain {
    let room = record().room;
    let first = Delegation::issue(&key(1), room, key(30).verifying_key(), TIME + 500_000);
    let second = Delegation::issue(&key(30), room, key(31).verifying_key(), TIME + 400_000);
    List::new(vec![first, second]).expect("two")
}

/// The keys of the first call.
pub(crate) fn call_keys() -> CallKeys {
    CallKeys::issue(&key(3), record().room, Instance(1), Generation(0), key(42).verifying_key(), [44; 32])
}

/// A commit after `position` that begins the next generation.
pub(crate) fn next_generation(position: Position) -> Append {
    let mut append = append(position, b"commit");
    append.record = Some(next_record());
    append.header.flags = EntryHeader::NEXT_GENERATION;
    append.header.body_hash = EntryHeader::body_hash(&append.commit, &append.epoch_box, append.record.as_ref());
    sign(append, &key(2))
}

/// The founder ends the call.
pub(crate) fn end(position: Position) -> Append {
    let mut append = append(position, b"");
    append.epoch_box = blob(b"");
    append.welcome = blob(b"");
    append.header.kind = EntryKind::End;
    append.header.served = List::default();
    append.header.body_hash = EntryHeader::body_hash(&append.commit, &append.epoch_box, None);
    append.header.welcome_hash = EntryHeader::welcome_hash(&append.welcome);
    reserve(append, &key(2))
}

/// Signed once more, with the founder's word.
pub(crate) fn reserve(append: Append, signer: &SigningKey) -> Append {
    use conclave_federation::wire::Wire;
    let mut append = sign(append, signer);
    append.reserve = Some(HostProof::sign(Label::Reserve, &append.header.encode(), &key(1), Chain::default()));
    append
}

pub(crate) fn descriptor() -> RelayDescriptor {
    RelayDescriptor::issue(&key(20), relay(10), "Alder", addresses())
}

pub(crate) fn well_known() -> WellKnown {
    let certificates = List::new(vec![[0xc1; 32], [0xc2; 32]]).expect("two");
    WellKnown::issue(&key(10), descriptor(), TIME, TIME + 3_600_000, certificates)
}

pub(crate) fn capability() -> Capability {
    Capability::issue(&key(2), relay(11), record().room, Instance(1), Generation(0), TIME + 60_000)
}

/// An append that is next after `position`, rightly signed.
pub(crate) fn append(position: Position, commit: &'static [u8]) -> Append {
    let (commit, epoch_box, welcome) = (blob(commit), blob(b"box"), blob(b"welcome"));
    let kind = if position.seq == 0 { EntryKind::Genesis } else { EntryKind::Commit };
    let header = EntryHeader {
        version: EntryHeader::VERSION,
        room: record().room,
        instance: Instance(1),
        seq: position.seq,
        prev_head: position.head,
        kind,
        flags: 0,
        generation: Generation(0),
        term: 0,
        hub_index: 0,
        body_hash: EntryHeader::body_hash(&commit, &epoch_box, None),
        welcome_hash: EntryHeader::welcome_hash(&welcome),
        served: List::new(vec![JoinId::new([9; 16])]).expect("one"),
    };
    let signer = if kind == EntryKind::Genesis { key(3) } else { key(2) };
    sign(
        Append {
            via: None,
            header,
            signature: Signature::new([0; 64]),
            commit,
            epoch_box,
            welcome,
            record: None,
            reserve: None,
            call: None,
        },
        &signer,
    )
}

pub(crate) fn sign(mut append: Append, signer: &SigningKey) -> Append {
    use conclave_federation::wire::Wire;
    append.signature = signer.sign(Label::Append, &append.header.encode());
    append
}

/// One message of every type in the table, in its order, with its name.
pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    let room = record().room;
    let instance = Instance(1);
    let track = TrackId(0x0123_4567_89ab_cdef);
    let via = || Some(Via { relay: relay(10), addresses: addresses() });
    let append = append(Position::START, b"group");
    let at = Position::START.advance(&append.header).expect("next");
    let head = HubHead::sign(&key(10), &append.header, TIME);
    let stamp = Stamp { via: None, room, instance, digest: [7; 32] };
    let join_body = b"sealed request";
    let request = |body| Message::Request(7, Box::new(body));
    vec![
        (
            "hello_client",
            Message::Notice(Notice::Hello(Hello {
                versions: List::new(vec![1]).expect("one"),
                features: 0,
                identity: Identity::Client,
            })),
        ),
        (
            "hello_relay",
            Message::Notice(Notice::Hello(Hello {
                versions: List::new(vec![2, 1]).expect("two"),
                features: 0,
                identity: Identity::Relay(
                    Box::new(descriptor()),
                    conclave_federation::peering::prove_link(&key(10), &[5; 32], relay(11)),
                ),
            })),
        ),
        (
            "greeting",
            Message::Notice(Notice::Greeting(Box::new(Greeting {
                version: 1,
                features: 0,
                nonce: [6; 32],
                descriptor: descriptor(),
            }))),
        ),
        ("resolve", request(Request::Resolve(Resolve { via: via(), room }))),
        ("put_record", request(Request::PutRecord(PutRecord { via: None, record: record() }))),
        (
            "attach",
            request(Request::Attach(Attach {
                room,
                instance,
                generation: Generation(0),
                role: 0,
                signature: key(2).sign(Label::Attach, b"claim"),
                capability: capability(),
            })),
        ),
        ("renew", request(Request::Renew(capability()))),
        ("present", request(Request::Present(Present { capability: capability(), attached: true }))),
        ("append", request(Request::Append(append.clone()))),
        ("append_genesis", request(Request::Append(Append { call: Some(call_keys()), ..append.clone() }))),
        ("append_generation", request(Request::Append(next_generation(at)))),
        ("append_end", request(Request::Append(end(at)))),
        (
            "join",
            request(Request::Join(Join {
                via: via(),
                room,
                instance,
                generation: Generation(0),
                id: JoinId::new([9; 16]),
                time: TIME,
                body: blob(join_body),
                signature: key(3).sign(
                    Label::Request,
                    &Join::claim(relay(10), room, instance, Generation(0), JoinId::new([9; 16]), TIME, join_body),
                ),
            })),
        ),
        (
            "subscribe",
            request(Request::Subscribe(Subscribe {
                room,
                instance,
                track,
                start: Start::From(3),
                path: List::new(vec![relay(11)]).expect("one"),
            })),
        ),
        ("publish", request(Request::Publish(Publish { room, instance, track, class: Class::Groups, layers: 2 }))),
        (
            "decline",
            request(Request::Decline(Decline {
                via: via(),
                room,
                instance,
                id: JoinId::new([9; 16]),
                note: blob(b"note"),
                proof: HostProof::sign(
                    Label::Decline,
                    &Decline::claim(room, instance, JoinId::new([9; 16]), b"note"),
                    &key(31),
                    chain(),
                ),
            })),
        ),
        ("stamp", request(Request::Stamp(stamp.clone()))),
        ("done", Message::Answer(7, Answer::Done(()))),
        (
            "refused",
            Message::Answer(7, Answer::Refused(Refusal { code: Code::CONFLICT, words: Text::cut("another entry was first") })),
        ),
        (
            "resolved",
            Message::Answer(
                7,
                Answer::Resolved(Box::new(Resolved {
                    record: record(),
                    instance,
                    occupied: true,
                    group: blob(b"group"),
                    seq: 1,
                    head: append.header.head(),
                    call: Some(call_keys()),
                })),
            ),
        ),
        ("appended", Message::Answer(7, Answer::Appended(head.clone()))),
        (
            "admitted",
            Message::Answer(
                7,
                Answer::Admitted(Box::new(Admitted {
                    header: append.header,
                    epoch_box: append.epoch_box,
                    welcome: append.welcome,
                    head,
                })),
            ),
        ),
        ("declined", Message::Answer(7, Answer::Declined(blob(b"note")))),
        (
            "subscribed",
            Message::Answer(7, Answer::Subscribed(Subscribed { alias: Alias::new(0x2345_6789), class: Class::Datagram })),
        ),
        ("published", Message::Answer(7, Answer::Published(Published { alias: Alias::new(0x2345_6789) }))),
        ("stamped", Message::Answer(7, Answer::Stamped(Stamped::sign(&key(10), &stamp, TIME)))),
        ("key_frame", Message::Notice(Notice::KeyFrame(Alias::new(1)))),
        ("unsubscribe", Message::Notice(Notice::Unsubscribe(Alias::new(2)))),
        ("ended", Message::Notice(Notice::Ended(Alias::new(3)))),
        ("unpublish", Message::Notice(Notice::Unpublish(Unpublish { room, instance, track }))),
        ("detach", Message::Notice(Notice::Detach(Detach { room, instance }))),
        ("record", Message::Notice(Notice::Record(Box::new(next_record())))),
    ]
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
