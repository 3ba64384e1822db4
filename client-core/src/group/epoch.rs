//! What an epoch's exporter gives, and nothing else of the epoch.

use openmls::prelude::{ExportSecretError, MlsGroup, OpenMlsCrypto, StagedCommit};
use zeroize::Zeroizing;

use crate::{code::SafetyCode, seal::SealKey};

/// The exported secrets of one epoch.
pub(super) struct EpochKeys {
    /// `MS_n`: commits made in this epoch.
    pub(super) entry: SealKey,
    /// Base key of RFC 9605, section 5.2.
    pub(super) sframe: Zeroizing<[u8; 16]>,
    /// Heartbeats of this epoch.
    pub(super) heartbeat: SealKey,
    /// MLS' epoch authenticator: equal at all members, known to nobody else.
    pub(super) authenticator: Zeroizing<Vec<u8>>,
}

/// The exporter gave nothing: the group is not usable any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoEpoch;

impl EpochKeys {
    pub(super) fn of(mls: &MlsGroup, crypto: &impl OpenMlsCrypto) -> Result<Self, NoEpoch> {
        let export = |label: &str, len: usize| {
            mls.export_secret(crypto, label, &[], len).map(Zeroizing::new).map_err(|_: ExportSecretError| NoEpoch)
        };
        Ok(Self {
            entry: key(&export("conclave/1 entry", 32)?)?,
            sframe: fixed(&export("SFrame 1.0 Base Key", 16)?)?,
            heartbeat: key(&export("conclave/1 hb", 32)?)?,
            authenticator: Zeroizing::new(mls.epoch_authenticator().as_slice().to_vec()),
        })
    }

    pub(super) fn code(&self) -> SafetyCode {
        SafetyCode::of(&self.authenticator)
    }
}

const BOX: &str = "conclave/1 box";

/// `EB_n+1`, before the commit is merged.
pub(super) fn box_key_ahead(staged: &StagedCommit, crypto: &impl OpenMlsCrypto) -> Result<SealKey, NoEpoch> {
    key(&Zeroizing::new(staged.export_secret(crypto, BOX, &[], 32).map_err(|_| NoEpoch)?))
}

/// `EB_n` of the epoch that the group is in.
pub(super) fn box_key(mls: &MlsGroup, crypto: &impl OpenMlsCrypto) -> Result<SealKey, NoEpoch> {
    key(&Zeroizing::new(mls.export_secret(crypto, BOX, &[], 32).map_err(|_| NoEpoch)?))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<Zeroizing<[u8; N]>, NoEpoch> {
    bytes.try_into().map(Zeroizing::new).map_err(|_| NoEpoch)
}

fn key(bytes: &[u8]) -> Result<SealKey, NoEpoch> {
    fixed::<32>(bytes).map(|bytes| SealKey::new(*bytes))
}
