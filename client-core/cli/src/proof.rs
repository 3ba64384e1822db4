//! `conclave proof verify FILE`: whether a relay really told two histories. Needs no room, no key and no network.

use std::{fs, path::Path};

use conclave::{Shown, verify_proof};

use crate::exit::{Exit, Failure};

/// More than any proof has, written as text.
const MAX_FILE: u64 = 64 * 1024;

/// Reads the file, as bytes or as hexadecimal digits, and says what it shows.
pub(crate) fn verify(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let read = fs::metadata(file).and_then(|about| if about.len() > MAX_FILE { Ok(None) } else { fs::read(file).map(Some) });
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Failure::new(Exit::NoInput, format!("{shown} is too large to be a proof"))),
        Err(error) => return Err(Failure::new(Exit::NoInput, format!("cannot read {shown}: {error}"))),
    };
    let bytes = from_hex(&bytes).unwrap_or(bytes);
    match verify_proof(&bytes) {
        Ok(proof) => Ok(sentence(&proof)),
        Err(error) => Err(Failure::new(Exit::NoProof, error.to_string())),
    }
}

fn sentence(shown: &Shown) -> String {
    let room: String = shown.room.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "genuine: relay {} signed two histories of call {} in room {room}, after entry {}",
        shown.relay.to_hex(),
        shown.instance.0,
        shown.seq
    )
}

/// `None`: not written as hexadecimal digits.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.last()?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_or_as_digits() {
        assert_eq!(from_hex(b"01aB\nff \n"), Some(vec![1, 0xab, 0xff]));
        for other in [&b""[..], b"1", b"0x", &[1, 2]] {
            assert_eq!(from_hex(other), None);
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_shows_nothing_says_so() {
        let nowhere = verify(Path::new("/nowhere/at/all")).expect_err("there is no such file");
        assert_eq!(nowhere.exit as u8, Exit::NoInput as u8);
        let here = verify(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect_err("that is no proof");
        assert_eq!(here.exit as u8, Exit::NoProof as u8);
    }
}
