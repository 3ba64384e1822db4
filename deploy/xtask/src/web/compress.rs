//! Files as brotli makes them small, kept by what they hold: the module takes seconds, and changes seldom.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{Build, make, read, write};
use crate::progress::Task;

/// How hard to try: the most, for what thousands load.
const RELEASE_QUALITY: u32 = 11;
/// How hard to try for one's own machine: the module is large then.
const DEV_QUALITY: u32 = 3;

/// The window, as a power of two: 4 MiB, more than the module has, and every browser takes up to 16.
const WINDOW: u32 = 22;

const BUFFER: usize = 64 * 1024;

/// Files larger than this are announced: they take more than a moment.
const LARGE: usize = 512 * 1024;

/// What was compressed before.
pub(super) struct Compressed {
    folder: PathBuf,
    quality: u32,
    used: BTreeSet<String>,
}

impl Compressed {
    pub(super) fn open(folder: PathBuf, what: Build) -> Result<Self> {
        make(&folder)?;
        let quality = match what {
            Build::Release => RELEASE_QUALITY,
            Build::Dev => DEV_QUALITY,
        };
        Ok(Self { folder, quality, used: BTreeSet::new() })
    }

    /// The compressed form of a file.
    pub(super) fn of(&mut self, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let key = format!("{:x}-{}", Sha256::digest(bytes), self.quality);
        let path = self.folder.join(&key);
        self.used.insert(key);
        if path.is_file() {
            return read(&path);
        }
        let task = (bytes.len() > LARGE).then(|| Task::start(format!("compressing {name}")));
        let small = compress(bytes, self.quality).with_context(|| format!("cannot compress {name}"))?;
        if let Some(task) = task {
            task.done();
        }
        write(&path, &small)?;
        Ok(small)
    }

    /// Removes what no file of this build needed; what the other way of building made stays.
    pub(super) fn forget_unused(&self) -> Result<()> {
        let ours = format!("-{}", self.quality);
        let entries = fs::read_dir(&self.folder).with_context(|| format!("cannot list {}", self.folder.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(&ours) && !self.used.contains(&name) {
                fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }
}

fn compress(bytes: &[u8], quality: u32) -> Result<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, quality, WINDOW);
    writer.write_all(bytes)?;
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_was_compressed_is_the_same_again() {
        let text = "nobody is in the room unseen. ".repeat(1_000);
        let small = compress(text.as_bytes(), RELEASE_QUALITY).expect("it compresses");
        assert!(small.len() < 200, "{} B", small.len());
        let mut again = String::new();
        brotli::Decompressor::new(small.as_slice(), BUFFER).read_to_string(&mut again).expect("it is brotli");
        assert_eq!(again, text);
    }
}
