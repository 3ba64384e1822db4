//! Reports on the command line: written into a file of their own, and checked with nothing but the file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use conclave::report::{self, Verified};

use crate::{
    exit::{Exit, Failure},
    output::Output,
    said::{Proved, Said},
};

/// Files of one name that are tried before it is given up.
const MAX_FILES: u32 = 10_000;

/// Writes a report into the current folder, over nothing that is there.
pub(crate) fn write(document: &[u8]) -> io::Result<PathBuf> {
    for number in 1..MAX_FILES {
        let path = PathBuf::from(format!("conclave-report-{number}.json"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => return file.write_all(document).and_then(|()| file.sync_all()).map(|()| path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many reports in this folder"))
}

/// Checks a report and says what it proves.
pub(crate) fn verify(path: &Path, out: &mut Output) -> Result<(), Failure> {
    let shown = path.display();
    let document = fs::metadata(path)
        .and_then(|about| {
            let short = about.len() <= u64::try_from(report::MAX_DOCUMENT).unwrap_or(u64::MAX);
            if short { fs::read(path) } else { Err(io::Error::other("it is longer than any report")) }
        })
        .map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {shown}: {error}")))?;
    let verified =
        report::verify(&document).map_err(|error| Failure::new(Exit::NoProof, format!("{shown} proves nothing: {error}")))?;
    out.say(&Said::ReportVerified(proved(&verified)));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn proved(verified: &Verified) -> Proved {
    let message = |said: &report::Said| crate::said::ProvedMessage {
        author: hex(said.author.as_bytes()),
        name: said.name.clone(),
        id: hex(&said.id),
        text: said.text.clone(),
        unix_ms: said.unix_ms,
        entry: said.admitted.as_ref().map(|admitted| admitted.seq),
    };
    Proved {
        room: hex(verified.room.as_bytes()),
        call: verified.instance.0,
        hub: hex(verified.hub.as_bytes()),
        stamped_ms: verified.stamped_ms,
        messages: verified.messages.iter().map(message).collect(),
        note: verified.note.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_report_proves_nothing_and_the_number_for_scripts_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.json");
        let mut out = Output::new(io::stdout(), true);
        assert_eq!(verify(&path, &mut out).expect_err("nothing is there").exit, Exit::NoInput);
        fs::write(&path, "{}").expect("written");
        let failure = verify(&path, &mut out).expect_err("nothing is proved");
        assert_eq!(failure.exit, Exit::NoProof);
        assert!(failure.words.contains("proves nothing"), "{}", failure.words);
    }
}
