//! Reads the text of the pure crates for what a dependency graph cannot show: the standard library has sockets,
//! clocks, threads and disks too.
//!
//! Clippy's disallowed lists (`clippy.toml`) say the same with types resolved, but only in the configurations
//! that clippy builds; this sees every line, and it sees a crate that forgot to switch those lints on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One source file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Modules of the standard library that act on the world.
const STD: &[(&str, &str)] = &[
    ("env", "the driver reads the environment and passes values in"),
    ("fs", "storage is an output to obey and an input that confirms"),
    ("net", "the driver owns the sockets (the plain address types are in `core::net`)"),
    ("process", "the driver owns the process"),
    ("thread", "the driver owns the threads"),
];

/// Words that have no business in a pure crate, as code; comments and texts may say them.
const WORDS: &[(&str, &str)] = &[
    ("async", "a machine is called and answers, it does not wait"),
    ("Instant", "time comes in as `Now`"),
    ("SystemTime", "time comes in as `Now`"),
    ("tokio", "the driver owns the runtime"),
    ("thread_rng", "randomness comes from the seed"),
    ("OsRng", "randomness comes from the seed"),
    ("from_entropy", "randomness comes from the seed"),
    ("getrandom", "randomness comes from the seed"),
];

/// What switches clippy's disallowed lists on in a crate.
const LINTS: &[&str] = &["disallowed_methods", "disallowed_types"];

/// All Rust files of a folder and the folders in it, in a fixed order.
pub(crate) fn read(folder: &Path) -> Result<Vec<Source>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .with_context(|| format!("cannot list {}", folder.display()))?;
    entries.sort();
    let mut sources = Vec::new();
    for path in entries {
        if path.is_dir() {
            sources.extend(read(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// One sentence for each forbidden word; paths are shown as seen from the crate's `folder`.
pub(crate) fn violations(name: &str, folder: &Path, sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let shown = source.path.strip_prefix(folder).unwrap_or(&source.path).display();
        let tokens = tokens(&source.text);
        for (line, what, why) in forbidden(&tokens) {
            found.push(format!("{name} is pure, but {shown}:{line} says `{what}`: {why}"));
        }
        if source.path == folder.join("src/lib.rs") {
            let is_on = |lint: &str| tokens.iter().any(|token| token.text == lint);
            if let Some(lint) = LINTS.iter().find(|lint| !is_on(lint)) {
                found.push(format!(
                    "{name} is pure, but {shown} does not switch on clippy::{lint}: \
                     add #![deny(clippy::disallowed_methods, clippy::disallowed_types)]"
                ));
            }
        }
    }
    found
}

fn forbidden<'a>(tokens: &[Token<'a>]) -> Vec<(usize, String, &'static str)> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if let Some((word, why)) = WORDS.iter().find(|(word, _)| *word == token.text) {
            found.push((token.line, (*word).to_owned(), *why));
        }
        if token.text == "std" {
            let after = tokens.get(index + 1..).unwrap_or_default();
            for module in modules_of_std(after) {
                if let Some((name, why)) = STD.iter().find(|(name, _)| *name == module.text) {
                    found.push((module.line, format!("std::{name}"), *why));
                }
            }
        }
    }
    found
}

/// The modules that a path beginning with `std` names, be it one or a group in braces.
fn modules_of_std<'t, 'a>(after: &'t [Token<'a>]) -> Vec<&'t Token<'a>> {
    let [first, second, rest @ ..] = after else { return Vec::new() };
    if first.text != ":" || second.text != ":" {
        return Vec::new();
    }
    match rest {
        [open, group @ ..] if open.text == "{" => {
            let mut depth = 1_usize;
            let mut is_first = true;
            let mut modules = Vec::new();
            for token in group {
                match token.text {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    "," if depth == 1 => is_first = true,
                    _ if depth == 1 && is_first => {
                        modules.push(token);
                        is_first = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            modules
        }
        [module, ..] => vec![module],
        [] => Vec::new(),
    }
}

/// A word or a single sign of the code, and the line it is on.
#[derive(Debug, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// Splits code into words and signs; comments, texts and characters are left out.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let word = rest.find(|sign: char| !is_of_word(sign)).unwrap_or(rest.len());
            let length = if word > 0 { word } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.extend(rest.get(..length).map(|text| Token { text, line }));
            }
            length
        });
        let (passed, remaining) = rest.split_at(length);
        line += passed.matches('\n').count();
        rest = remaining;
    }
    tokens
}

fn is_of_word(sign: char) -> bool {
    sign == '_' || sign.is_alphanumeric()
}

/// The length of the comment, text or character that begins here, if one does.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let quoted = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let prefix = rest.len() - quoted.len();
    if quoted.starts_with('"') {
        return Some(prefix + text_literal(quoted));
    }
    if let Some(raw) = quoted.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = raw.get(hashes..)?.strip_prefix('"')?;
        let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
        return Some(prefix + 1 + hashes + 1 + length);
    }
    let inner = quoted.strip_prefix('\'')?;
    let mut signs = inner.char_indices();
    let (_, first) = signs.next()?;
    if first == '\\' {
        // An escaped sign is at least two long, so that `'\''` does not end early.
        let after = inner.get(2..)?;
        return Some(prefix + 1 + 2 + after.find('\'')? + 1);
    }
    // What is not closed after one sign is a lifetime.
    let (at, second) = signs.next()?;
    (second == '\'').then_some(prefix + 1 + at + 1)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn text_literal(quoted: &str) -> usize {
    let mut signs = quoted.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => {
                signs.next();
            }
            '"' => return at + 1,
            _ => {}
        }
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<String> {
        let folder = Path::new("/house/room");
        violations("room", folder, &[Source { path: folder.join("src/door.rs"), text: text.to_owned() }])
    }

    #[test]
    fn a_planted_clock_is_caught_with_its_line() {
        assert_eq!(
            sentences("use bytes::Bytes;\nuse std::time::{Duration, Instant};\n"),
            ["room is pure, but src/door.rs:2 says `Instant`: time comes in as `Now`"]
        );
        assert_eq!(sentences("let now = std::time::SystemTime::now();").len(), 1);
    }

    #[test]
    fn every_forbidden_module_is_caught_alone_and_in_a_group() {
        for (module, _) in STD {
            assert_eq!(sentences(&format!("use std::{module}::x;")).len(), 1, "{module}");
            assert_eq!(sentences(&format!("use std::{{fmt, {module}::{{a, b}}, io}};")).len(), 1, "{module}");
            assert_eq!(sentences(&format!("fn f() {{ std :: {module} :: g() }}")).len(), 1, "{module}");
        }
    }

    #[test]
    fn every_forbidden_word_is_caught() {
        for (word, _) in WORDS {
            assert_eq!(sentences(&format!("fn f() {{ {word} }}")).len(), 1, "{word}");
        }
        assert_eq!(sentences("pub async fn dial() {}").len(), 1);
    }

    #[test]
    fn comments_texts_and_similar_names_are_free() {
        let text = r##"
            //! An `async fn` of tokio would need std::net.
            /* Instant /* SystemTime */ std::thread */
            use std::{collections::BTreeMap, fmt::{self, env}, io::Read};
            use core::net::IpAddr;
            fn asynchronous<'a>(instant: &'a str, quote: char) -> bool {
                let _ = ("std::fs \" tokio", r#"" async "#, b"tokio", '"', '\'', b'\\', "async");
                quote == '\u{1f600}' && my_std::net::f()
            }
        "##;
        assert_eq!(sentences(text), Vec::<String>::new());
    }

    #[test]
    fn code_after_a_text_or_a_character_is_still_seen() {
        assert_eq!(sentences("f('\"'); tokio::spawn(g(\"\\\\\")); 'a: loop { async {} }").len(), 2);
    }

    #[test]
    fn a_pure_crate_has_to_switch_on_clippys_lists() {
        let folder = Path::new("/house/room");
        let lib = |text: &str| violations("room", folder, &[Source { path: folder.join("src/lib.rs"), text: text.to_owned() }]);
        assert_eq!(lib("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"), Vec::<String>::new());
        assert_eq!(lib("// disallowed_methods disallowed_types").len(), 1);
    }
}
