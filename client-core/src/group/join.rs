//! The way in: a request with a fresh key package, and what has to hold of the answer before it is believed.

use bytes::Bytes;
use conclave_federation::{
    host::{chain_end, chain_revoked},
    id::{Generation, Instance, JoinId},
    limits::MAX_REQUEST_BODY,
    proof::{Signature, SigningKey, VerifyingKey},
    record::{CallKeys, RoomRecord},
    wire::{
        Blob, Wire,
        message::{Admitted, EntryHeader, EntryKind, Join, Note},
    },
};
use openmls::prelude::{
    KeyPackageBuilder, MlsGroup, MlsMessageBodyIn, MlsMessageIn, StagedWelcome,
    tls_codec::{DeserializeBytes, Serialize},
};
use openmls_traits::OpenMlsProvider;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zeroize::Zeroizing;

use super::{
    EpochBox, FaultNote, Group, LeafSigner, Parts, Request, RequestKind,
    entry::Part,
    epoch,
    found::{GROUP_ID, fork},
    generation::retired_fit,
    node,
    request::{MAX_ATTEMPT, join_message, knock_code},
    roster_hash,
    thread::Thread,
};
use crate::{
    api::DeclineReason,
    decline::Declined,
    hpke,
    leaf::{Bind, Call, Profile, genesis_hash},
    provider::{self, Provider},
    room::{JoinKeys, LinkSecret},
    state::RoomState,
};

/// Where a joiner stands: the room's record as the hub gave it, and the call that is on.
#[derive(Clone, Debug)]
pub struct Lobby {
    /// Verified against the room id of the link.
    pub record: RoomRecord,
    /// Keys of the call, if it has its own: `Resolved::call`.
    pub call: Option<CallKeys>,
    /// From the link: of the record's generation, or of an earlier one that it still names.
    pub link: LinkSecret,
    /// The call.
    pub instance: Instance,
    /// Its group: `Resolved::group`.
    pub group: Bytes,
    /// Entries that its log has: `Resolved::seq`.
    pub seq: u64,
}

/// Somebody on the way in.
pub struct Joining {
    lobby: Lobby,
    /// Of the link's generation.
    keys: JoinKeys,
    link: Generation,
    bind: Bind,
    profile: Profile,
    founder: Option<SigningKey>,
    rng: ChaCha20Rng,
    provider: Provider,
    signer: LeafSigner,
    kind: RequestKind,
    /// What they cannot get past.
    fault: Option<FaultNote>,
    attempt: u8,
    id: JoinId,
    /// Refusals are sealed to it.
    reply: hpke::SecretKey,
    /// The request before this one: its answer may be on its way.
    earlier: Option<(JoinId, hpke::SecretKey)>,
    body: Blob<MAX_REQUEST_BODY>,
}

/// Why somebody asks who was in before.
struct Back {
    /// What they cannot get past.
    fault: Option<FaultNote>,
}

/// Why one does not get in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum JoinError {
    /// The link is of another generation, or of another room.
    #[error("the link is not this room's current one: ask for a fresh link")]
    Link,
    /// The keys of the call are not of a holder of the link.
    #[error("the relay's keys for this call are not genuine: try again, or ask the relay's operator")]
    Keys,
    /// The hub's group id is not one of this room and call.
    #[error("the hub does not say which call is on: try again, or ask the relay's operator")]
    NoCall,
    /// The request could not be made.
    #[error("the request could not be made: start again")]
    Request,
    /// The answer is for somebody else, or not the hub's.
    #[error("the hub's answer does not fit the request: try again")]
    Answer,
    /// The welcome does not open.
    #[error("the welcome cannot be opened: ask again")]
    Welcome,
    /// The group is not of this room and call.
    #[error("the group is not of this room and call: ask for a fresh link")]
    Group,
    /// Somebody in it is not who they claim to be.
    #[error("somebody in the group is not what a participant of this call is: leave and ask the others")]
    Member,
    /// The box of the epoch does not fit the record or the tree.
    #[error("the secrets handed over do not fit the room's record: ask again")]
    Box,
}

impl Joining {
    /// Sets out. `founder` is the founder's key, when it is them who come back; `commitment` is [`Bind::commitment`].
    ///
    /// # Errors
    /// When the link does not fit the record, or no call is on.
    pub fn new(
        seed: [u8; 32],
        lobby: Lobby,
        profile: Profile,
        founder: Option<&SigningKey>,
        commitment: [u8; 32],
    ) -> Result<Self, JoinError> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let signer = LeafSigner::fresh(&mut rng);
        Self::with(rng, signer, lobby, profile, founder.cloned(), commitment, None)
    }

    fn with(
        mut rng: ChaCha20Rng,
        signer: LeafSigner,
        lobby: Lobby,
        profile: Profile,
        founder: Option<SigningKey>,
        commitment: [u8; 32],
        back: Option<Back>,
    ) -> Result<Self, JoinError> {
        let (kind, fault) = match back {
            None => (RequestKind::Join, None),
            Some(Back { fault: None }) => (RequestKind::Rejoin, None),
            Some(Back { fault }) => (RequestKind::Fault, fault),
        };
        let (link, keys) = lobby.link.find(&lobby.record).ok_or(JoinError::Link)?;
        // Those of an earlier generation mean nothing any more.
        let mut lobby = lobby;
        lobby.call = lobby.call.filter(|call| call.generation == lobby.record.generation);
        if lobby.call.as_ref().is_some_and(|call| !call.verify(lobby.instance, &lobby.record)) {
            return Err(JoinError::Keys);
        }
        let named = [lobby.record.room.as_bytes().as_slice(), &lobby.instance.0.to_be_bytes()].concat();
        if lobby.group.len() != GROUP_ID || !lobby.group.starts_with(&named) {
            return Err(JoinError::NoCall);
        }
        let call = Call { room: lobby.record.room, instance: lobby.instance, genesis: genesis_hash(&lobby.group) };
        let bind = Bind { call, seq: lobby.seq, commitment };
        let profile = match &founder {
            Some(founder) => profile.by_founder(founder, &call, &signer.0.verifying_key()),
            None => profile,
        };
        let provider = Provider::new(fork(&mut rng));
        let mut joining = Self {
            lobby,
            keys,
            link,
            bind,
            profile,
            founder,
            rng,
            provider,
            signer,
            kind,
            fault,
            attempt: 0,
            id: JoinId::new([0; 16]),
            reply: hpke::SecretKey::derive(&[0; 32]),
            earlier: None,
            body: Blob::default(),
        };
        joining.again()?;
        Ok(joining)
    }

    /// The same key asks again in a room that was looked up again: its record may be a newer one, and a leaf may not be made
    /// for a moment that is long gone.
    ///
    /// # Errors
    /// When the link does not fit the record any more, another call is on, or the request cannot be made.
    pub fn again_in(&mut self, lobby: Lobby) -> Result<(), JoinError> {
        let (link, keys) = lobby.link.find(&lobby.record).ok_or(JoinError::Link)?;
        if lobby.call.as_ref().is_some_and(|call| !call.verify(lobby.instance, &lobby.record)) {
            return Err(JoinError::Keys);
        }
        if lobby.group != self.lobby.group || lobby.instance != self.lobby.instance {
            return Err(JoinError::NoCall);
        }
        self.bind.seq = lobby.seq;
        (self.lobby, self.link, self.keys) = (lobby, link, keys);
        self.again()
    }

    /// Makes a new request, with a new id and a new key package under the same leaf key: the answer to an earlier one was
    /// lost or did not fit.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn again(&mut self) -> Result<(), JoinError> {
        self.provider = Provider::new(fork(&mut self.rng));
        self.attempt = self.attempt.saturating_add(1).min(MAX_ATTEMPT);
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let before = std::mem::replace(&mut self.id, JoinId::new(id));
        let mut reply = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(reply.as_mut());
        let earlier = std::mem::replace(&mut self.reply, hpke::SecretKey::derive(reply.as_ref()));
        self.earlier = Some((before, earlier));
        let extensions = node::leaf_extensions(&self.profile, &self.bind).map_err(|_| JoinError::Request)?;
        let bundle = KeyPackageBuilder::new()
            .key_package_lifetime(node::lifetime())
            .leaf_node_capabilities(node::capabilities())
            .leaf_node_extensions(extensions)
            .build(provider::SUITE, &self.provider, &self.signer, node::credential(&self.signer.0))
            .map_err(|_| JoinError::Request)?;
        let key_package = bundle.key_package().tls_serialize_detached().map_err(|_| JoinError::Request)?;
        let mut request = Request {
            id: self.id,
            instance: self.lobby.instance,
            kind: self.kind,
            attempt: self.attempt,
            key_package: Blob::new(key_package.into()).ok_or(JoinError::Request)?,
            note: None,
            fault: self.fault.clone(),
            reply: *self.reply.public(),
            key: self.signer.0.verifying_key(),
            signature: Signature::new([0; 64]),
        };
        request.sign(&self.signer.0);
        let (_, lobby) = self.lobby.record.keys(self.lobby.call.as_ref());
        self.body = request.seal(&mut self.rng, &self.keys, self.lobby.record.room, &lobby).map_err(|_| JoinError::Request)?;
        Ok(())
    }

    /// The request for the hub; the caller says `via`. The same id and body until [`Joining::again`], so that a reconnect
    /// resumes it.
    #[must_use]
    pub fn request(&self, unix_ms: u64) -> Option<Join> {
        join_message(&self.lobby.record, &self.keys, self.link, self.lobby.instance, self.id, &self.body, unix_ms)
    }

    /// Whether the link is of an earlier generation: it leads to the waiting room alone.
    #[must_use]
    pub fn is_old_link(&self) -> bool {
        self.link != self.lobby.record.generation
    }

    /// What a host sees of us, too: see [`knock_code`].
    #[must_use]
    pub fn code(&self) -> String {
        knock_code(&self.key())
    }

    /// The id of the current request.
    #[must_use]
    pub const fn id(&self) -> JoinId {
        self.id
    }

    /// Why our request was refused; a note that no participant sealed says nothing, and is a refusal all the same.
    #[must_use]
    pub fn declined(&self, note: &Note) -> DeclineReason {
        let (room, instance) = (self.lobby.record.room, self.lobby.instance);
        let requests = self.earlier.iter().map(|(id, reply)| (*id, reply)).chain([(self.id, &self.reply)]);
        let mut reasons = requests.filter_map(|(id, reply)| Declined { room, instance, id }.open(note, reply));
        reasons.next().unwrap_or(DeclineReason::Refused)
    }

    /// Our leaf key's public half.
    #[must_use]
    pub fn key(&self) -> VerifyingKey {
        self.signer.0.verifying_key()
    }

    /// Takes the hub's answer. On an error the request is spent: [`Joining::again`].
    ///
    /// # Errors
    /// Says what of the answer does not hold.
    pub fn admitted(&mut self, admitted: &Admitted) -> Result<Group, JoinError> {
        let header = &admitted.header;
        self.check_answer(admitted)?;
        let welcome =
            self.keys.seal.open(&Part::Welcome.associated(header), admitted.welcome.bytes()).map_err(|_| JoinError::Welcome)?;
        let welcome = MlsMessageIn::tls_deserialize_exact_bytes(&welcome).map_err(|_| JoinError::Welcome)?;
        let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else { return Err(JoinError::Welcome) };
        let provider = std::mem::replace(&mut self.provider, Provider::new(fork(&mut self.rng)));
        let mls = StagedWelcome::build_from_welcome(&provider, &node::join_config(), welcome)
            .map_err(|_| JoinError::Welcome)?
            // All leaves live for ever, which is checked below: nobody's clock has a say.
            .skip_lifetime_validation()
            .replace_old_group()
            .build()
            .and_then(|staged| staged.into_group(&provider))
            .map_err(|_| JoinError::Welcome)?;

        let record = &self.lobby.record;
        if mls.group_id().as_slice() != self.lobby.group || mls.ciphersuite() != provider::SUITE {
            return Err(JoinError::Group);
        }
        let state = node::room_state(mls.extensions()).ok_or(JoinError::Group)?;
        if state.record != record.hash() || state.generation != record.generation {
            return Err(JoinError::Group);
        }
        let keys = self.check_members(&mls, &state)?;
        let own = mls.own_leaf_node().ok_or(JoinError::Group)?;
        if own.signature_key().as_slice() != self.signer.0.verifying_key().as_bytes()
            || keys.len() > usize::from(state.max_members)
        {
            return Err(JoinError::Group);
        }

        let contents = epoch::box_key(&mls, provider.crypto())
            .ok()
            .and_then(|key| key.open(&Part::Box.associated(header), admitted.epoch_box.bytes()).ok())
            .and_then(|plain| EpochBox::decode(&Bytes::copy_from_slice(&plain)).ok())
            .ok_or(JoinError::Box)?;
        // Whoever came by the current link has it already; by an old one, they are given it here.
        let given = self.is_old_link() || contents.link == self.lobby.link;
        if contents.generation != record.generation
            || contents.record != record.hash()
            || contents.roster != roster_hash(keys)
            || contents.seq != header.seq
            || !given
            || !retired_fit(record, &contents.retired)
        {
            return Err(JoinError::Box);
        }
        let join_keys = contents.link.keys_of(record).ok_or(JoinError::Box)?;
        let access_keys = contents.access.keys_of(record, self.lobby.call.as_ref()).ok_or(JoinError::Box)?;
        Group::assemble(Parts {
            mls,
            provider,
            rng: fork(&mut self.rng),
            signer: self.signer.clone(),
            founder: self.founder.clone(),
            record: record.clone(),
            call_keys: self.lobby.call.clone(),
            call: self.bind.call,
            link: contents.link,
            retired: contents.retired.into_vec(),
            access: contents.access,
            join_keys,
            access_keys,
            thread: Thread::joined(header.seq, header.head(), record.generation),
            head: Some(admitted.head.clone()),
            state,
        })
        .map_err(|_| JoinError::Group)
    }

    /// Everybody is of this call, nobody is there twice, and every host is one by the founder's word.
    fn check_members(&self, mls: &MlsGroup, state: &RoomState) -> Result<Vec<VerifyingKey>, JoinError> {
        let record = &self.lobby.record;
        for host in state.hosts.iter().filter(|host| !host.delegation.is_empty()) {
            let end = chain_end(record.room, &record.founder, &host.delegation);
            if end != Some(host.key) || chain_revoked(&host.delegation, &record.revoked) {
                return Err(JoinError::Member);
            }
        }
        let mut keys = Vec::new();
        for member in mls.members() {
            let node = mls.public_group().leaf(member.index).ok_or(JoinError::Member)?;
            let node::Known { key, profile, .. } = node::check_leaf(node, &self.bind.call).map_err(|_| JoinError::Member)?;
            let by_word = state.host(&key).is_some_and(|host| host.delegation.is_empty());
            if by_word && !profile.is_host(&record.founder, &self.bind.call, &key) {
                return Err(JoinError::Member);
            }
            if keys.contains(&key) {
                return Err(JoinError::Member);
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn check_answer(&self, admitted: &Admitted) -> Result<(), JoinError> {
        let header = &admitted.header;
        let hub = self.lobby.record.hub().ok_or(JoinError::Answer)?.relay;
        let fits = header.version == EntryHeader::VERSION
            && header.room == self.lobby.record.room
            && header.instance == self.lobby.instance
            && header.kind == EntryKind::Commit
            && header.generation == self.lobby.record.generation
            && header.served.contains(&self.id)
            && header.welcome_hash == EntryHeader::welcome_hash(&admitted.welcome)
            && super::says(&admitted.head, header, hub);
        if fits { Ok(()) } else { Err(JoinError::Answer) }
    }
}

impl Group {
    /// The way back for those who lost the thread: the same key asks for a new leaf. What was held of the group is wiped; who
    /// is stuck keeps it for a while, by [`Group::way_back`].
    ///
    /// # Errors
    /// When the request cannot be made.
    pub fn rejoin(self) -> Result<Joining, JoinError> {
        let profile = self.profile.clone();
        self.rejoin_as(profile)
    }

    /// The same, saying something else of ourselves than before.
    ///
    /// # Errors
    /// When the request cannot be made.
    pub fn rejoin_as(mut self, profile: Profile) -> Result<Joining, JoinError> {
        self.way_back(profile)
    }

    /// The same, while the group goes on with the log: what we are stuck on may be taken back. The request says so to the
    /// others. As soon as either way leads on, the other one is given up.
    ///
    /// # Errors
    /// When the request cannot be made.
    pub fn way_back(&mut self, profile: Profile) -> Result<Joining, JoinError> {
        let lobby = Lobby {
            record: self.newer.as_ref().unwrap_or(&self.record).clone(),
            call: self.call_keys.clone(),
            link: self.link.clone(),
            instance: self.call.instance,
            group: Bytes::copy_from_slice(self.mls.group_id().as_slice()),
            seq: self.thread.position().seq,
        };
        // The founder's word is for this key in this call, and stays with it.
        let profile = Profile { host: self.profile.host, ..profile };
        let (rng, signer, founder) = (fork(&mut self.rng), self.signer.clone(), self.founder.clone());
        let back = Back { fault: self.fault_note() };
        Joining::with(rng, signer, lobby, profile, founder, self.commitment, Some(back))
    }
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joining").field("id", &self.id).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
