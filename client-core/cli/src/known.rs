//! The file with those who are recognised again: one line each, 64 hexadecimal digits and a name. A secret: only its owner may read it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use conclave::Acquaintance;

use crate::words::printable;

/// Those in the file; a file that is not there has none, and lines that are none are passed over.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Acquaintance>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().filter_map(line).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Adds one.
pub(crate) fn add(file: &Path, secret: &Acquaintance, name: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let digits: String = secret.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(options.open(file)?, "{digits} {}", printable(name))
}

fn line(line: &str) -> Option<Acquaintance> {
    let digits = line.split_whitespace().next()?;
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Acquaintance::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_added_is_read_back_and_other_lines_are_passed_over() {
        let file = std::env::temp_dir().join(format!("conclave-known-{}", std::process::id()));
        let _ = fs::remove_file(&file);
        assert_eq!(read(&file).expect("none yet"), []);
        let (one, other) = (Acquaintance::new([1; 32]), Acquaintance::new([0xfe; 32]));
        add(&file, &one, "First\nof two").expect("written");
        fs::write(&file, format!("{}\nnobody\nzz{}\n", fs::read_to_string(&file).expect("read"), "0".repeat(62)))
            .expect("written");
        add(&file, &other, "Other").expect("written");
        assert_eq!(read(&file).expect("read"), [one, other]);
        fs::remove_file(&file).expect("removed");
    }
}
