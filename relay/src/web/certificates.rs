//! The certificates that browsers compare by their hash: one that is shown, and the next one, known before it is shown.
//!
//! ```text
//!   made        half of its life       a day before its end
//!    |---- shown -----|---------- shown ---------|-- ended --|
//!                     | the next one: published  |-- shown ...
//! ```
//!
//! Browsers refuse lives of more than two weeks, so these have thirteen days. Both lie in one file of the data folder, so
//! that a relay that was started again is who it was to those who read its hashes before. Time comes in from outside.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use conclave_federation::proof::sha256;
use conclave_quic::{CertificateError, WebCertificate};

/// The file's name in the data folder.
pub(crate) const FILE: &str = "web.certificates";

/// A certificate's life; browsers refuse more than fourteen days.
pub(crate) const LIFE: Duration = Duration::from_secs(13 * DAY);
/// Certificates begin this long before they are made: clocks of browsers go slow as well.
pub(crate) const EARLY: Duration = Duration::from_secs(5 * 60);
/// The next one is made and published when the current one is this old.
pub(crate) const PUBLISH_AFTER: Duration = Duration::from_secs(13 * DAY / 2);
/// The next one is shown when the current one has this long to live: clocks of browsers go fast as well.
pub(crate) const SWITCH_BEFORE: Duration = Duration::from_secs(DAY);

const DAY: u64 = 24 * 3_600;

/// What the file begins with.
const HEAD: &[u8] = b"conclave web certificates 1\n";
/// Two certificates with their keys are a tenth of this.
const MAX_FILE: u64 = 16 * 1024;

/// What a turn of the clock changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing.
    Nothing,
    /// There is another one to publish.
    Published,
    /// Another one is to be shown.
    Switched,
}

/// The two slots, and the file they are kept in.
#[derive(Debug)]
pub(crate) struct Certificates {
    path: PathBuf,
    current: WebCertificate,
    next: Option<WebCertificate>,
    /// The file does not have them: it could not be written.
    unsaved: bool,
}

impl Certificates {
    /// Reads what the data folder has, and makes what it lacks. A damaged file costs browsers one more look at the signed
    /// document, so it is replaced and said, and no reason not to start.
    ///
    /// # Errors
    /// When no certificate can be made: the clock stands before 1970 or after 2100.
    pub(crate) fn open(folder: &Path, unix_ms: u64) -> Result<Self, CertificateError> {
        let path = folder.join(FILE);
        let mut slots = match read(&path) {
            Ok(slots) => slots,
            Err(wrong) => {
                if wrong != Wrong::Missing {
                    tracing::warn!(%wrong, "the certificates for browsers are made anew");
                }
                Vec::new()
            }
        };
        slots.retain(|certificate| is_usable(certificate, unix_ms));
        // The file has them in this order; whoever changed it by hand cannot make the older one wait for ever.
        slots.sort_by_key(WebCertificate::not_after);
        let mut slots = slots.into_iter();
        let (current, unsaved) = match slots.next() {
            Some(current) => (current, false),
            None => (make(unix_ms)?, true),
        };
        let mut certificates = Self { path, current, next: slots.next(), unsaved };
        certificates.turn(unix_ms)?;
        certificates.save();
        Ok(certificates)
    }

    /// The one to show.
    pub(crate) const fn current(&self) -> &WebCertificate {
        &self.current
    }

    /// Hashes of all that are or will be shown, for the signed document.
    pub(crate) fn hashes(&self) -> Vec<[u8; 32]> {
        std::iter::once(&self.current).chain(&self.next).map(WebCertificate::hash).collect()
    }

    /// Looks at the clock; may be called as often as one likes.
    ///
    /// # Errors
    /// As [`Certificates::open`]; what there is stays.
    pub(crate) fn turn(&mut self, unix_ms: u64) -> Result<Turn, CertificateError> {
        let mut turn = Turn::Nothing;
        if self.next.as_ref().is_some_and(|next| !is_usable(next, unix_ms)) {
            self.next = None;
            turn = Turn::Published;
        }
        let left = self.current.not_after().saturating_sub(unix_ms);
        if !is_usable(&self.current, unix_ms) || left <= millis(SWITCH_BEFORE) {
            // Nothing was published in time: the relay was not running, or its clock jumped. Then it begins at once.
            self.current = match self.next.take() {
                Some(next) => next,
                None => make(unix_ms)?,
            };
            turn = Turn::Switched;
        }
        let age = unix_ms.saturating_sub(self.current.not_before());
        if self.next.is_none() && age >= millis(PUBLISH_AFTER) {
            self.next = Some(make(unix_ms)?);
            turn = turn.max(Turn::Published);
        }
        self.unsaved |= turn != Turn::Nothing;
        self.save();
        Ok(turn)
    }

    /// A relay that cannot write goes on: its certificates are new ones after the next start, and browsers ask again.
    fn save(&mut self) {
        if self.unsaved {
            match write(&self.path, std::iter::once(&self.current).chain(&self.next)) {
                Ok(()) => self.unsaved = false,
                Err(error) => tracing::warn!(
                    kind = %error.kind(),
                    "the certificates for browsers cannot be kept in the data folder: free space, or make it writable"
                ),
            }
        }
    }
}

impl Turn {
    const fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Switched, _) | (_, Self::Switched) => Self::Switched,
            (Self::Published, _) | (_, Self::Published) => Self::Published,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Valid now; one from the future was made by a clock that was wrong.
fn is_usable(certificate: &WebCertificate, unix_ms: u64) -> bool {
    (certificate.not_before()..certificate.not_after()).contains(&unix_ms)
}

fn make(unix_ms: u64) -> Result<WebCertificate, CertificateError> {
    WebCertificate::generate(unix_ms.saturating_sub(millis(EARLY)), LIFE)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Why the file is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Wrong {
    #[error("there is no file yet")]
    Missing,
    #[error("their file cannot be read ({0})")]
    Unreadable(io::ErrorKind),
    #[error("others may read their file")]
    Open,
    #[error("their file is damaged")]
    Damaged,
}

fn read(path: &Path) -> Result<Vec<WebCertificate>, Wrong> {
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Wrong::Missing,
        kind => Wrong::Unreadable(kind),
    };
    let file = File::open(path).map_err(wrong)?;
    if !is_private(&file).map_err(wrong)? {
        return Err(Wrong::Open);
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(wrong)?;
    parse(&bytes).ok_or(Wrong::Damaged)
}

/// Head, SHA-256 of the rest, and each certificate with its key after its length in four bytes.
fn parse(bytes: &[u8]) -> Option<Vec<WebCertificate>> {
    let rest = bytes.strip_prefix(HEAD)?;
    let (hash, mut rest) = rest.split_first_chunk::<32>()?;
    if bytes.len() as u64 > MAX_FILE || sha256(&[rest]) != *hash {
        return None;
    }
    let mut slots = Vec::new();
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk()?;
        let (one, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        slots.push(WebCertificate::from_bytes(one).ok()?);
        rest = after;
    }
    Some(slots)
}

fn write<'a>(path: &Path, slots: impl Iterator<Item = &'a WebCertificate>) -> io::Result<()> {
    let mut rest = zeroize::Zeroizing::new(Vec::new());
    for one in slots {
        let one = one.to_bytes();
        rest.extend_from_slice(&u32::try_from(one.len()).unwrap_or(u32::MAX).to_be_bytes());
        rest.extend_from_slice(&one);
    }
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private(&new)?;
    for part in [HEAD, &sha256(&[&rest]), &rest] {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The name too has to survive the loss of power.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(unix)]
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn is_private(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(_: &File) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026.
    const NOW: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR;

    fn open(folder: &tempfile::TempDir, unix_ms: u64) -> Certificates {
        Certificates::open(folder.path(), unix_ms).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_restart_shows_the_same_one() {
        let folder = folder();
        let first = open(&folder, NOW).hashes();
        assert_eq!(first.len(), 1);
        assert_eq!(open(&folder, NOW + HOUR).hashes(), first);
        assert_eq!(open(&folder, NOW + HOUR).current().der(), open(&folder, NOW).current().der());
    }

    #[test]
    fn it_lives_for_thirteen_days_and_began_five_minutes_ago() {
        let folder = folder();
        let certificates = open(&folder, NOW);
        assert_eq!(certificates.current().not_before(), NOW - 5 * 60_000);
        assert_eq!(certificates.current().not_after(), NOW - 5 * 60_000 + 13 * DAY_MS);
    }

    #[test]
    fn each_is_published_days_before_it_is_shown_and_shown_before_the_former_ends() {
        let folder = folder();
        let mut certificates = open(&folder, NOW);
        let mut published = vec![(certificates.hashes()[0], NOW)];
        let mut shown = 0;
        let mut former_end = u64::MAX;
        let mut now = NOW;
        while now < NOW + 60 * DAY_MS {
            now += HOUR;
            let before = certificates.current().hash();
            let turn = certificates.turn(now).unwrap();
            for hash in certificates.hashes() {
                if !published.iter().any(|(known, _)| *known == hash) {
                    assert_ne!(turn, Turn::Nothing);
                    published.push((hash, now));
                }
            }
            let current = certificates.current();
            assert!(is_usable(current, now), "what is shown is valid");
            if current.hash() != before {
                assert_eq!(turn, Turn::Switched);
                let since = published.iter().find(|(known, _)| *known == current.hash()).unwrap().1;
                assert!(now - since >= 5 * DAY_MS, "known for {} h", (now - since) / HOUR);
                assert!(now < former_end && former_end - now <= DAY_MS, "the former one is still valid for a day at most");
                shown += 1;
            }
            former_end = current.not_after();
        }
        assert_eq!(shown, 8, "in sixty days");
    }

    #[test]
    fn the_next_one_survives_a_restart_and_is_shown_after_it() {
        let folder = folder();
        let mut certificates = open(&folder, NOW);
        assert_eq!(certificates.turn(NOW + 7 * DAY_MS).unwrap(), Turn::Published);
        let [current, next] = certificates.hashes()[..] else { panic!("two") };
        let again = open(&folder, NOW + 8 * DAY_MS);
        assert_eq!(again.hashes(), [current, next]);
        let later = open(&folder, NOW + 12 * DAY_MS + HOUR);
        assert_eq!(later.current().hash(), next);
    }

    #[test]
    fn a_relay_that_slept_for_a_month_begins_anew_at_once() {
        let folder = folder();
        let mut certificates = open(&folder, NOW);
        let before = certificates.hashes();
        assert_eq!(certificates.turn(NOW + 30 * DAY_MS).unwrap(), Turn::Switched);
        assert!(is_usable(certificates.current(), NOW + 30 * DAY_MS));
        assert!(!before.contains(&certificates.current().hash()));
        assert_eq!(certificates.hashes().len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_gets_one_that_is_valid_then() {
        let folder = folder();
        let mut certificates = open(&folder, NOW);
        certificates.turn(NOW + 7 * DAY_MS).unwrap();
        // The clock was ahead by a week: the one that was made for next week is of no use, the current one is.
        let [current, _] = certificates.hashes()[..] else { panic!("two") };
        assert_eq!(certificates.turn(NOW).unwrap(), Turn::Published);
        assert_eq!(certificates.hashes(), [current]);
        assert_eq!(certificates.turn(NOW - 400 * DAY_MS).unwrap(), Turn::Switched);
        assert!(is_usable(certificates.current(), NOW - 400 * DAY_MS));
        assert_eq!(open(&folder, NOW - 400 * DAY_MS).hashes(), certificates.hashes(), "and it is kept");
    }

    #[test]
    fn a_clock_that_is_no_clock_changes_nothing() {
        let folder = folder();
        let mut certificates = open(&folder, NOW);
        let before = certificates.hashes();
        assert_eq!(certificates.turn(u64::MAX / 2), Err(CertificateError::Lifetime));
        assert_eq!(certificates.hashes(), before);
        assert_eq!(certificates.turn(NOW).unwrap(), Turn::Nothing);
    }

    #[test]
    fn a_damaged_file_is_made_anew() {
        let folder = folder();
        let right = {
            open(&folder, NOW).turn(NOW + 7 * DAY_MS).unwrap();
            fs::read(folder.path().join(FILE)).unwrap()
        };
        let mut wrong =
            vec![Vec::new(), b"conclave web certificates 2\n".to_vec(), vec![0xff; 40_000], right[..right.len() - 1].to_vec()];
        wrong.extend([0, HEAD.len(), HEAD.len() + 32, right.len() / 2, right.len() - 1].map(|at| {
            let mut bytes = right.clone();
            bytes[at] ^= 1;
            bytes
        }));
        for bytes in wrong {
            fs::write(folder.path().join(FILE), &bytes).unwrap();
            let certificates = open(&folder, NOW);
            assert_eq!(certificates.hashes().len(), 1);
            assert_eq!(open(&folder, NOW).hashes(), certificates.hashes(), "the new one is kept");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_the_file_and_one_that_somebody_could_read_is_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let first = open(&folder, NOW).hashes();
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(open(&folder, NOW).hashes(), first);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_reason_not_to_serve() {
        let folder = folder();
        let occupied = folder.path().join("occupied");
        fs::write(&occupied, "a file").unwrap();
        let mut certificates = Certificates::open(&occupied, NOW).unwrap();
        assert!(certificates.unsaved);
        fs::remove_file(&occupied).unwrap();
        fs::create_dir(&occupied).unwrap();
        assert_eq!(certificates.turn(NOW).unwrap(), Turn::Nothing);
        assert!(!certificates.unsaved, "it is kept as soon as it can be");
        assert_eq!(Certificates::open(&occupied, NOW).unwrap().hashes(), certificates.hashes());
    }
}
