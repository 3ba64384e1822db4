//! What an insider builds by hand, past everything that an honest client would refuse to build.

use conclave_federation::{
    id::{Head, JoinId},
    proof::Label,
    record::RoomRecord,
    wire::{
        Blob, List, Wire,
        message::{Append, Entry, EntryHeader, EntryKind, Sealed},
    },
};
use openmls::prelude::{CommitBuilder, Extensions, GroupContext, Initial, KeyPackage, KeyPackageBuilder, Lifetime, MlsGroup};
use openmls_traits::OpenMlsProvider;

use super::world::{World, assert_agree, skipped};
use crate::{
    group::{Action, CommitAad, Cut, Group, LeafSigner, LeaveNote, Skip, Vote, entry::Part, found::fork, node},
    leaf::{Bind, Profile},
    provider::{self, Provider},
    state::RoomState,
};

pub(super) type Filling<'a> = CommitBuilder<'a, Initial, &'a mut MlsGroup>;

/// What an insider commits by hand.
pub(super) struct Forged {
    pub(super) action: Action,
    pub(super) prev_head: Option<Head>,
    pub(super) notes: Vec<LeaveNote>,
    pub(super) votes: Vec<Vote>,
    pub(super) cut: Option<Cut>,
    pub(super) served: usize,
    /// Comes with the entry, which then says that it begins a generation.
    pub(super) record: Option<RoomRecord>,
}

impl Forged {
    pub(super) fn of(action: Action) -> Self {
        Self { action, prev_head: None, notes: Vec::new(), votes: Vec::new(), cut: None, served: 0, record: None }
    }
}

/// An entry with whatever commit the insider likes, in the right place of the log.
pub(super) fn forge(
    world: &mut World,
    evil: &mut Group,
    forged: Forged,
    fill: impl for<'a> FnOnce(Filling<'a>) -> Filling<'a>,
) -> Entry {
    let served: Vec<_> = (0..forged.served).map(|at| JoinId::new([u8::try_from(at).expect("few"); 16])).collect();
    let aad = CommitAad {
        version: 1,
        prev_head: forged.prev_head.unwrap_or(evil.position().head),
        action: forged.action,
        notes: List::new(forged.notes).expect("few"),
        served: List::new(served).expect("few"),
        votes: List::new(forged.votes).expect("few"),
        cut: forged.cut,
    };
    evil.mls.set_aad(aad.encode().to_vec());
    let bundle = fill(evil.mls.commit_builder().consume_proposal_store(false))
        .load_psks(evil.provider.storage())
        .expect("no keys are shared before")
        .build(evil.provider.rand(), evil.provider.crypto(), &evil.signer, |_| true)
        .expect("MLS lets insiders do it")
        .stage_commit(&evil.provider)
        .expect("staged");
    evil.mls.clear_pending_commit(evil.provider.storage()).expect("cleared");
    let commit = bundle.commit().to_bytes().expect("bytes");
    offer_with(world, evil, &commit, aad.served, forged.record)
}

/// Any bytes as a commit, sealed and signed as it should be.
pub(super) fn offer(
    world: &mut World,
    evil: &mut Group,
    commit: &[u8],
    served: List<JoinId, { conclave_federation::limits::MAX_SERVED }>,
) -> Entry {
    offer_with(world, evil, commit, served, None)
}

/// A commit that opens for nobody, and this as a word against an earlier entry.
pub(super) fn offer_word(world: &mut World, evil: &mut Group, word: &[u8]) -> Entry {
    let header = header(evil, List::default(), None);
    let sealed = evil.access_keys.void.clone().seal(&mut evil.rng, &Part::Box.associated(&header), word).expect("sealed");
    let append = signed(evil, header, Sealed::default(), Blob::new(sealed).expect("short"), None);
    world.hub.append(&append).expect("the hub is blind");
    world.hub.last()
}

fn offer_with(
    world: &mut World,
    evil: &mut Group,
    commit: &[u8],
    served: List<JoinId, { conclave_federation::limits::MAX_SERVED }>,
    record: Option<RoomRecord>,
) -> Entry {
    let header = header(evil, served, record.as_ref());
    let sealed = evil.keys.entry.seal(&mut evil.rng, &Part::Commit.associated(&header), commit).expect("sealed");
    let append = signed(evil, header, Blob::new(sealed).expect("short"), Sealed::default(), record);
    if append.record.is_some() {
        world.hub.take_anything(&append);
    } else {
        world.hub.append(&append).expect("the hub is blind");
    }
    world.hub.last()
}

fn header(
    evil: &Group,
    served: List<JoinId, { conclave_federation::limits::MAX_SERVED }>,
    record: Option<&RoomRecord>,
) -> EntryHeader {
    EntryHeader {
        version: 1,
        room: evil.room(),
        instance: evil.instance(),
        seq: evil.position().seq,
        prev_head: evil.position().head,
        kind: EntryKind::Commit,
        flags: u8::from(record.is_some()),
        generation: evil.generation(),
        term: 0,
        hub_index: 0,
        body_hash: [0; 32],
        welcome_hash: EntryHeader::welcome_hash(&Sealed::default()),
        served,
    }
}

fn signed(evil: &Group, mut header: EntryHeader, commit: Sealed, epoch_box: Sealed, record: Option<RoomRecord>) -> Append {
    header.body_hash = EntryHeader::body_hash(&commit, &epoch_box, record.as_ref());
    let signature = evil.access_keys.sign.sign(Label::Append, &header.encode());
    Append { via: None, header, signature, commit, epoch_box, welcome: Sealed::default(), record, reserve: None, call: None }
}

/// Everybody skips it, for the same reason, and the call goes on.
pub(super) fn all_skip(world: &mut World, groups: &mut [Group], entry: &Entry) -> Skip {
    let mut reasons: Vec<_> = groups.iter_mut().map(|group| skipped(group.process(entry))).collect();
    reasons.dedup();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let mut joining = [world.joiner("afterwards")];
    let (first, others) = groups.split_at_mut(1);
    let mut others: Vec<&mut Group> = others.iter_mut().collect();
    world.admit(&mut first[0], &mut others, &mut joining);
    assert_agree(&groups.iter().collect::<Vec<_>>());
    reasons.remove(0)
}

pub(super) fn call(seed: u8, n: usize) -> (World, Vec<Group>) {
    let (world, founder, guests) = World::call(seed, n);
    (world, [founder].into_iter().chain(guests).collect())
}

pub(super) fn key_package(evil: &mut Group, bind: &Bind, lifetime: Lifetime, signer: Option<LeafSigner>) -> KeyPackage {
    let provider = Provider::new(fork(&mut evil.rng));
    let signer = signer.unwrap_or_else(|| LeafSigner::fresh(&mut evil.rng));
    KeyPackageBuilder::new()
        .key_package_lifetime(lifetime)
        .leaf_node_capabilities(node::capabilities())
        .leaf_node_extensions(node::leaf_extensions(&Profile::named("evil"), bind).expect("extensions"))
        .build(provider::SUITE, &provider, &signer, node::credential(&signer.0))
        .expect("a key package")
        .into_key_package()
}

/// What a leaf made now would be bound to.
pub(super) fn bind(group: &Group) -> Bind {
    Bind { call: group.call, seq: group.position().seq, commitment: [0; 32] }
}

/// The guest with the highest leaf does it; everybody skips.
pub(super) fn evil_commit(seed: u8, forged: Forged, fill: impl for<'a> FnOnce(Filling<'a>) -> Filling<'a>) -> Skip {
    let (mut world, mut groups) = call(seed, 3);
    let entry = forge(&mut world, groups.last_mut().expect("a guest"), forged, fill);
    all_skip(&mut world, &mut groups, &entry)
}

pub(super) fn state_with(group: &Group, change: impl FnOnce(&mut RoomState)) -> Extensions<GroupContext> {
    let mut state = group.state().clone();
    change(&mut state);
    node::context_extensions(&state).expect("extensions")
}
