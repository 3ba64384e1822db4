//! The first one in: a group of one, and the genesis that makes the call known to the hub.

use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance},
    log::Position,
    proof::{HostProof, Label, SigningKey},
    record::{CallKeys, Chain, RoomRecord},
    wire::{
        Blob, List, Text, Wire,
        message::{Append, EntryHeader, EntryKind, Sealed},
    },
};
use openmls::prelude::{GroupId, MlsGroup, MlsGroupCreateConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY};
use openmls_traits::OpenMlsProvider;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zeroize::Zeroizing;

use super::{
    EpochBox, Group, LeafSigner, Parts, RetiredLink, entry::Part, epoch, generation::retired_fit, node, roster_hash,
    thread::Thread,
};
use crate::{
    leaf::{Bind, Call, Profile, genesis_hash},
    provider::{self, Provider},
    room::{AccessSecret, JoinKeys, LinkSecret},
    state::{HostEntry, Mode, RoomState},
};

/// What a call is begun from. Whoever has the room's current link can, unless the record requires a host.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The room's record, verified.
    pub record: RoomRecord,
    /// `L_g`.
    pub link: LinkSecret,
    /// `A_g` of the record, for those who have it. Without it the call gets an access secret of its own, which nobody who was in
    /// an earlier one has.
    pub access: Option<AccessSecret>,
    /// Link secrets of earlier generations, as far as they are known: who knocks with one of them is heard.
    pub retired: Vec<RetiredLink>,
    /// The number of the call: one above the hub's.
    pub instance: Instance,
    /// What others will see.
    pub profile: Profile,
    /// What we commit to before any comparison: see [`Bind::commitment`].
    pub commitment: [u8; 32],
    /// The founder's key, when it is them: makes a host.
    pub founder: Option<SigningKey>,
    /// The room's title.
    pub title: String,
    /// Who may let others in.
    pub mode: Mode,
}

/// Why a call cannot be begun.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum FoundError {
    /// Link or access secret are not those of the record.
    #[error("the link is not this room's current one: ask for a fresh link")]
    Secrets,
    /// Only a host may begin a call here.
    #[error("only a host can begin a call in this room: wait for one")]
    HostRequired,
    /// A bug of ours or the library's.
    #[error("the group could not be made: start again")]
    Mls,
}

/// Length of the random part of a group id.
const NONCE: usize = 8;

/// `room_id ‖ u32 instance ‖ nonce`.
pub(super) const GROUP_ID: usize = 16 + 4 + NONCE;

impl Group {
    /// Begins a call: the group, already past its genesis, and the genesis for the hub. On CONFLICT somebody else was
    /// first: throw the group away and join.
    ///
    /// # Errors
    /// Says why it cannot be.
    pub fn found(seed: [u8; 32], founding: &Founding) -> Result<(Self, Append), FoundError> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let record = &founding.record;
        let join_keys = founding.link.keys_of(record).ok_or(FoundError::Secrets)?;
        if !retired_fit(record, &founding.retired) {
            return Err(FoundError::Secrets);
        }
        if record.host_required && founding.founder.is_none() {
            return Err(FoundError::HostRequired);
        }
        let signer = LeafSigner::fresh(&mut rng);
        let key = signer.0.verifying_key();
        let group_id = group_id(&mut rng, record, founding.instance);
        let call = Call { room: record.room, instance: founding.instance, genesis: genesis_hash(&group_id) };
        let bind = Bind { call, seq: 0, commitment: founding.commitment };
        let (access, call_keys) = match &founding.access {
            Some(access) => (access.clone(), None),
            None => {
                let access = AccessSecret::random(&mut rng);
                let call_keys = call_keys(&access, &join_keys, record, founding.instance);
                (access, Some(call_keys))
            }
        };
        let access_keys = access.keys_of(record, call_keys.as_ref()).ok_or(FoundError::Secrets)?;
        let (profile, hosts) = match &founding.founder {
            Some(founder) => {
                let host = HostEntry { key, delegation: Chain::default() };
                (founding.profile.clone().by_founder(founder, &call, &key), vec![host])
            }
            None => (founding.profile.clone(), Vec::new()),
        };
        let state = RoomState {
            version: RoomState::VERSION,
            mode: founding.mode,
            generation: record.generation,
            record: record.hash(),
            hosts: List::new(hosts).unwrap_or_default(),
            hub_index: 0,
            hub_term: 0,
            max_members: record.max_members,
            flags: RoomState::DEFAULT_FLAGS,
            history: 0,
            history_minutes: 0,
            title: Text::cut(&founding.title),
        };
        let provider = Provider::new(fork(&mut rng));
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(provider::SUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .padding_size(node::CHAT_PADDING)
            .max_past_epochs(node::PAST_EPOCHS)
            .number_of_resumption_psks(0)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(node::ratchets())
            .lifetime(node::lifetime())
            .capabilities(node::capabilities())
            .with_group_context_extensions(node::context_extensions(&state).map_err(|_| FoundError::Mls)?)
            .with_leaf_node_extensions(node::leaf_extensions(&profile, &bind).map_err(|_| FoundError::Mls)?)
            .map_err(|_| FoundError::Mls)?
            .build();
        let id = GroupId::from_slice(&group_id);
        let mls = MlsGroup::new_with_group_id(&provider, &signer, &config, id, node::credential(&signer.0))
            .map_err(|_| FoundError::Mls)?;

        let mut header = EntryHeader {
            version: EntryHeader::VERSION,
            room: record.room,
            instance: founding.instance,
            seq: 0,
            prev_head: Head::START,
            kind: EntryKind::Genesis,
            flags: 0,
            generation: record.generation,
            term: 0,
            hub_index: 0,
            body_hash: [0; 32],
            welcome_hash: EntryHeader::welcome_hash(&Sealed::default()),
            served: List::default(),
        };
        let contents = EpochBox {
            generation: record.generation,
            access: access.clone(),
            link: founding.link.clone(),
            record: record.hash(),
            roster: roster_hash(vec![key]),
            seq: 0,
            retired: List::new(founding.retired.clone()).ok_or(FoundError::Mls)?,
        };
        let box_key = epoch::box_key(&mls, provider.crypto()).map_err(|_| FoundError::Mls)?;
        let sealed = box_key.seal(&mut rng, &Part::Box.associated(&header), &contents.spell()).map_err(|_| FoundError::Mls)?;
        let commit = Blob::new(Bytes::copy_from_slice(&group_id)).ok_or(FoundError::Mls)?;
        let epoch_box = Blob::new(sealed).ok_or(FoundError::Mls)?;
        header.body_hash = EntryHeader::body_hash(&commit, &epoch_box, None);
        let spelled = header.encode();
        let signature = join_keys.sign.sign(Label::Append, &spelled);
        let position = Position::START.advance(&header).map_err(|_| FoundError::Mls)?;
        let by_founder = |key: &SigningKey| HostProof::sign(Label::Reserve, &spelled, key, Chain::default());
        let reserve = founding.founder.as_ref().filter(|_| record.host_required).map(by_founder);
        let append = Append {
            via: None,
            header,
            signature,
            commit,
            epoch_box,
            welcome: Sealed::default(),
            record: None,
            reserve,
            call: call_keys.clone(),
        };
        let group = Self::assemble(Parts {
            mls,
            provider,
            rng,
            signer,
            founder: founding.founder.clone(),
            record: record.clone(),
            call_keys,
            call,
            link: founding.link.clone(),
            retired: founding.retired.clone(),
            access,
            join_keys,
            access_keys,
            thread: Thread::founded(position, record.generation),
            head: None,
            state,
        })
        .map_err(|_| FoundError::Mls)?;
        Ok((group, append))
    }
}

/// The keys of a call whose access secret is its own.
fn call_keys(access: &AccessSecret, join: &JoinKeys, record: &RoomRecord, instance: Instance) -> CallKeys {
    let keys = access.keys(record.room, record.generation);
    let (access, lobby) = (keys.sign.verifying_key(), *keys.lobby.public());
    CallKeys::issue(&join.sign, record.room, instance, record.generation, access, lobby)
}

fn group_id(rng: &mut impl RngCore, record: &RoomRecord, instance: Instance) -> [u8; GROUP_ID] {
    let mut id = [0; GROUP_ID];
    let (front, nonce) = id.split_at_mut(GROUP_ID - NONCE);
    let (room, number) = front.split_at_mut(16);
    room.copy_from_slice(record.room.as_bytes());
    number.copy_from_slice(&instance.0.to_be_bytes());
    rng.fill_bytes(nonce);
    id
}

/// Another stream of numbers from the same seed.
pub(super) fn fork(rng: &mut ChaCha20Rng) -> ChaCha20Rng {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut());
    ChaCha20Rng::from_seed(*seed)
}

impl LeafSigner {
    /// Leaf keys are fresh for every call.
    pub(super) fn fresh(rng: &mut impl RngCore) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self(SigningKey::from_seed(*seed))
    }
}
