//! Who really sent what: signed digests of sealed frames, said about once a second.
//!
//! Every participant can derive everybody's SFrame keys, so a frame that opens was sealed by *somebody* in the room. Each
//! sender therefore says, for each of its streams, the digests of what it sealed, signed by an *attest key*. The digest is
//! over the whole ciphertext and its place, never over the tag alone: whoever knows a GCM key makes another ciphertext
//! with the same tag for free (Isobe, Ito, Minematsu, ESORICS 2021), and another place with the same tag almost for free.
//!
//! The attest key is certified by the leaf key, lives five minutes, and its private half is told to the room half a minute
//! after it was replaced: from then on anybody can have made its signatures, so a recording proves nothing to somebody
//! who was not there. Receivers take nothing that is signed by a key that is old or was told.
//!
//! ```text
//!   sealer --digests--> Sender ---- attest key, words, old private halves ----> control track
//!   opener --digests--> Watch  <--- words, by way of Keys (who may sign now) --- control track
//!                         |
//!                     Trust: fresh, verified, doubtful, muted
//! ```

mod sender;
mod trust;
mod trusts;
mod word;

pub(crate) use self::{
    sender::{Pending, Saying, Sender, Speaker},
    trusts::{Change, NotVouched, Trusts},
    word::{KEY, REVEALED, Revealed, Seen, SignedKey, SignedWord, WORD, digest},
};

#[cfg(test)]
mod tests;
