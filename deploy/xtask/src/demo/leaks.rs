//! The leak check: everything that operators received, forwarded, stored, logged and exported is searched for everything
//! that they must not know.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose};

/// Shorter needles are found by chance: a four-byte number turns up in a few hundred megabytes of ciphertext.
const SHORTEST: usize = 8;

/// How much of a file is looked at in one go.
const CHUNK: usize = 1 << 20;

/// Something that no operator may hold, in every spelling that it might be held in.
pub(crate) struct Needles {
    names: Vec<String>,
    patterns: Vec<Vec<u8>>,
}

impl Needles {
    pub(crate) const fn new() -> Self {
        Self { names: Vec::new(), patterns: Vec::new() }
    }

    /// Adds one, as it is, in hexadecimal and in both alphabets of base64.
    pub(crate) fn add(&mut self, name: &str, secret: &[u8]) {
        if secret.len() < SHORTEST || self.patterns.iter().any(|pattern| pattern == secret) {
            return;
        }
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let spellings = [
            ("", secret.to_vec()),
            (" in hex", hex.clone().into_bytes()),
            (" in upper hex", hex.to_uppercase().into_bytes()),
            (" in base64", general_purpose::STANDARD_NO_PAD.encode(secret).into_bytes()),
            (" in base64url", general_purpose::URL_SAFE_NO_PAD.encode(secret).into_bytes()),
        ];
        for (how, pattern) in spellings {
            self.names.push(format!("{name}{how}"));
            self.patterns.push(pattern);
        }
    }

    /// How many secrets and markers are searched for.
    pub(crate) fn len(&self) -> usize {
        self.patterns.len() / 5
    }

    /// Searches every file under these places.
    pub(crate) fn search(&self, places: &[PathBuf], mut progress: impl FnMut(u64)) -> Result<Found> {
        let automaton = AhoCorasick::new(&self.patterns).context("the search cannot be built")?;
        let longest = self.patterns.iter().map(Vec::len).max().unwrap_or(1);
        let mut found = Found::default();
        let mut files = Vec::new();
        for place in places {
            list(place, &mut files)?;
        }
        files.sort();
        for file in files {
            let hits = self.search_file(&automaton, longest, &file, &mut found.bytes, &mut progress)?;
            found.files += 1;
            for (needle, count) in hits {
                *found.hits.entry((file.clone(), needle)).or_default() += count;
            }
        }
        Ok(found)
    }

    /// Chunks overlap by the longest needle, and a hit inside the overlap alone is counted once.
    fn search_file(
        &self,
        automaton: &AhoCorasick,
        longest: usize,
        path: &Path,
        bytes: &mut u64,
        progress: &mut impl FnMut(u64),
    ) -> Result<BTreeMap<String, u64>> {
        let mut file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut hits = BTreeMap::new();
        let mut window: Vec<u8> = Vec::with_capacity(CHUNK + longest);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk).with_context(|| format!("{} cannot be read", path.display()))?;
            if read == 0 {
                return Ok(hits);
            }
            *bytes += u64::try_from(read).unwrap_or(u64::MAX);
            progress(*bytes);
            let seen = window.len();
            window.extend_from_slice(chunk.get(..read).unwrap_or_default());
            for hit in automaton.find_overlapping_iter(&window) {
                if hit.end() > seen
                    && let Some(name) = self.names.get(hit.pattern().as_usize())
                {
                    *hits.entry(name.clone()).or_default() += 1;
                }
            }
            let keep = window.len().min(longest.saturating_sub(1));
            window.drain(..window.len() - keep);
        }
    }
}

/// What the search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files searched.
    pub(crate) files: u64,
    /// Bytes searched.
    pub(crate) bytes: u64,
    /// Where what was found, and how often.
    pub(crate) hits: BTreeMap<(PathBuf, String), u64>,
}

impl Found {
    pub(crate) fn count(&self) -> u64 {
        self.hits.values().sum()
    }
}

fn list(place: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let kind = std::fs::metadata(place).with_context(|| format!("{} is not there to be searched", place.display()))?;
    if !kind.is_dir() {
        files.push(place.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(place).with_context(|| format!("{} cannot be listed", place.display()))? {
        list(&entry?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("conclave-leaks-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn search(folder: &Path, secret: &[u8]) -> Found {
        let mut needles = Needles::new();
        needles.add("secret", secret);
        needles.search(&[folder.to_path_buf()], |_| ()).expect("searched")
    }

    #[test]
    fn a_planted_secret_is_found_in_every_spelling_and_across_chunks() {
        let folder = folder("planted");
        let secret = *b"twelve bytes";
        for (name, text) in
            [("raw", secret.to_vec()), ("hex", b"7477656c7665206279746573".to_vec()), ("base64", b"dHdlbHZlIGJ5dGVz".to_vec())]
        {
            let mut bytes = vec![b'.'; CHUNK - 5];
            bytes.extend_from_slice(&text);
            bytes.extend_from_slice(b"....");
            std::fs::write(folder.join(name), bytes).expect("written");
        }
        let found = search(&folder, &secret);
        assert_eq!(found.files, 3);
        assert!(found.hits.values().all(|count| *count == 1), "{found:?}");
        let kinds: std::collections::BTreeSet<_> = found.hits.keys().map(|(file, _)| file.clone()).collect();
        assert_eq!(kinds.len(), 3, "{found:?}");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let folder = folder("clean");
        std::fs::write(folder.join("file"), vec![7; 3 * CHUNK]).expect("written");
        let found = search(&folder, b"twelve bytes");
        assert_eq!((found.count(), found.files), (0, 1));
        assert_eq!(found.bytes, 3 * CHUNK as u64);
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error_and_not_a_clean_bill() {
        let mut needles = Needles::new();
        needles.add("secret", b"twelve bytes");
        assert!(needles.search(&[PathBuf::from("/no/such/place")], |_| ()).is_err());
    }
}
