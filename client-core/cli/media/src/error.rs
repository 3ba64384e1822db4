//! What can be wrong with a media file, as one sentence for the person who named it.

use std::io;
use std::path::PathBuf;

use crate::{ivf, opus};

/// Why a file cannot be published or does not count as a recording. The text says which file, what it is and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not let us read it.
    #[error("cannot read {}: {reason}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A folder, a pipe or a device: a source starts again at its end, and these cannot.
    #[error("{} is not a regular file: give a VP8 .ivf or an Opus .ogg file", path.display())]
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Neither of the two formats, by its first bytes.
    #[error(
        "{} is not an IVF or Ogg Opus file: give a VP8 .ivf or an Opus .ogg; ffmpeg -i IN -c:v libvpx OUT.ivf makes one",
        path.display()
    )]
    Unknown {
        /// The file as it was named.
        path: PathBuf,
    },
    /// IVF by its first bytes, and not usable.
    #[error(
        "{} is an IVF file that {fault}: copy it again, or make it anew with ffmpeg -i IN -c:v libvpx -g 30 OUT.ivf",
        path.display()
    )]
    Ivf {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with it.
        fault: ivf::Error,
    },
    /// Ogg by its first bytes, and not usable.
    #[error(
        "{} is an Ogg file that {fault}: copy it again, or make it anew with ffmpeg -i IN -c:a libopus OUT.ogg",
        path.display()
    )]
    Opus {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with it.
        fault: opus::Error,
    },
}
