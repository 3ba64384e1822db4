//! Where in the file each value stands, and what in it cannot be meant.
//!
//! The `config` crate throws spans away, so the file is read a second time with `toml`'s own: this pass finds syntax
//! errors, unknown keys and wrong types, and says the line of each.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{nearest::nearest, settings::Settings};

/// Lines of all keys of a file: `relay.listen`, `peers[0].relay`.
pub(super) type Lines = BTreeMap<String, usize>;

/// A line, and what is wrong there.
pub(super) type Complaint = (usize, String);

/// Reads the file as `toml` alone sees it.
pub(super) fn read(text: &str) -> Result<Lines, Vec<Complaint>> {
    let at = |span: Option<Range<usize>>| line(text, span.map_or(0, |span| span.start));
    let table = DeTable::parse(text).map_err(|error| vec![(at(error.span()), sentence(error.message()))])?;
    let mut walk = Walk { text, lines: Lines::new(), wrong: Vec::new() };
    walk.table("", table.get_ref(), &super::known());
    if !walk.wrong.is_empty() {
        walk.wrong.sort();
        return Err(walk.wrong);
    }
    match toml::from_str::<Settings>(text) {
        Ok(_) => Ok(walk.lines),
        Err(error) => Err(vec![(at(error.span()), sentence(error.message()))]),
    }
}

/// First line only: what follows in `toml`'s messages repeats the file.
fn sentence(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

fn line(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

struct Walk<'a> {
    text: &'a str,
    lines: Lines,
    wrong: Vec<Complaint>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>, known: &[String]) {
        for (key, value) in table {
            let name = key.get_ref();
            let full = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            let line = line(self.text, key.span().start);
            // `peers[3].relay` is known as `peers[].relay`.
            let general = general(&full);
            let inside = format!("{general}.");
            let list = format!("{general}[].");
            if known.iter().any(|key| *key == general || key.starts_with(&inside) || key.starts_with(&list)) {
                self.lines.insert(full.clone(), line);
                self.value(&full, value, known);
            } else {
                self.wrong.push((line, unknown(path, name, &general, known)));
            }
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, known: &[String]) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table, known),
            DeValue::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    let element = format!("{path}[{index}]");
                    if let DeValue::Table(table) = value.get_ref() {
                        self.lines.insert(element.clone(), line(self.text, value.span().start));
                        self.table(&element, table, known);
                    }
                }
            }
            _ => {}
        }
    }
}

fn general(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => {
                inside = false;
                out.push_str("[]");
            }
            _ if inside => {}
            _ => out.push(c),
        }
    }
    out
}

fn unknown(section: &str, name: &str, full: &str, known: &[String]) -> String {
    let section = general(section);
    let near = nearest(full, known.iter().map(String::as_str)).map(|near| match near.rsplit_once('.') {
        Some((inside, key)) if inside == section => format!("\"{key}\""),
        Some((inside, key)) => format!("\"{key}\" {}", place(inside)),
        None => format!("\"{near}\""),
    });
    let place = place(&section);
    match near {
        Some(near) => format!("unknown key \"{name}\" {place}: did you mean {near}?"),
        None => format!("unknown key \"{name}\" {place}: remove it; `conclave-relay init` writes a file with every key there is"),
    }
}

fn place(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(list) => format!("in [[{list}]]"),
        None if section.is_empty() => "at the top level".to_owned(),
        None => format!("in [{section}]"),
    }
}
