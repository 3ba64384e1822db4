//! Names that people give themselves: cleaned of what would play tricks with whoever reads them, and compared as the eye does.

use conclave_federation::proof::{VerifyingKey, sha256};

/// Code points that show nothing by themselves and change how the rest is read: invisible, bidirectional, or of another shape
/// than they claim. Joiners of emoji and of Persian words are not among them; [`skeleton`] passes them over.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// A name as it may be shown: on one line, without control characters, overrides of direction and what nobody sees; every run
/// of spaces is one. May be empty.
#[must_use]
pub fn clean(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    let mut gap = false;
    for c in name.chars() {
        if is_invisible(c) {
            continue;
        }
        if c.is_control() || c.is_whitespace() {
            gap = !clean.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            clean.push(' ');
        }
        clean.push(c);
    }
    if clean.chars().all(is_joiner) {
        clean.clear();
    }
    clean
}

/// What the eye makes of a name: two names with the same skeleton are equal or easily taken for each other (Unicode Technical
/// Standard 39), whatever their case, spaces and joiners. Empty for names that show nothing.
#[must_use]
pub fn skeleton(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c) && !is_joiner(*c)).collect();
    // The table takes a capital I for an l, and small case makes an i of it: so all of them, and figures, are one.
    let small: String = unicode_security::skeleton(&shown).flat_map(char::to_lowercase).collect();
    let fold = |c| match c {
        'i' | '1' | '|' => 'l',
        '0' => 'o',
        c => c,
    };
    unicode_security::skeleton(&small).flat_map(char::to_lowercase).map(fold).collect()
}

/// A colour for a key, as a hue from 0 to 359: the same at everybody and on every leaf, and no name can choose it.
#[must_use]
pub fn hue(key: &VerifyingKey) -> u16 {
    let [a, b, ..] = sha256(&[b"conclave/1 colour", key.as_bytes()]);
    u16::from_be_bytes([a, b]) % 360
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_reads_from_its_beginning() {
        for (name, shown) in [
            ("Alice", "Alice"),
            ("  Alice \t\r\n  Smith ", "Alice Smith"),
            ("\u{202e}ecilA\u{202c}", "ecilA"),
            ("A\u{200b}li\u{ad}ce\u{feff}\u{e0041}", "Alice"),
            ("\u{2066}Bob\u{2069} \u{7}", "Bob"),
            ("a\u{2028}b\u{a0}c\u{3000}d", "a b c d"),
            ("\u{3164}\u{200b}\u{200d}", ""),
            ("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}"),
            (
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            ),
        ] {
            assert_eq!(clean(name), shown, "{name:?}");
            assert_eq!(clean(shown), shown, "clean stays clean");
        }
    }

    #[test]
    fn names_that_the_eye_confuses_have_one_skeleton() {
        let alice = skeleton("Alice");
        for other in [
            "alice",
            "ALICE",
            "\u{391}lice",
            "\u{430}lice",
            "Al\u{456}ce",
            "Ali\u{441}e",
            "A lice",
            "Al\u{200d}ice",
            "\u{ff21}lice",
        ] {
            assert_eq!(skeleton(other), alice, "{other:?}");
        }
        for (one, other) in [("paypaI", "paypal"), ("Tim", "T1m"), ("Rob", "R0b"), ("IDA", "ida"), ("modern", "rnodern")] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        for other in ["Alicia", "Bob", "Alice Smith", ""] {
            assert_ne!(skeleton(other), alice, "{other:?}");
        }
        assert_eq!(skeleton("\u{200d}\u{3164} "), "");
    }

    #[test]
    fn a_colour_is_of_the_key_alone() {
        let hues: Vec<u16> = (0..200).map(|seed| hue(&VerifyingKey::new([seed; 32]))).collect();
        assert!(hues.iter().all(|hue| *hue < 360));
        assert_eq!(hue(&VerifyingKey::new([1; 32])), hues[1]);
        let different: std::collections::BTreeSet<_> = hues.iter().collect();
        assert!(different.len() > 120, "{}", different.len());
    }
}
