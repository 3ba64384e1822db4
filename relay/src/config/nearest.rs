//! What somebody may have meant who wrote a key that does not exist.

/// Changed, missing or added letters that are still taken for a slip.
const MAX_SLIPS: usize = 3;

/// The known key nearest to `wanted`; keys that end in the same name count as near, wherever they stand.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    known
        .filter_map(|key| {
            let whole = distance(wanted, key);
            let tail = distance(&last(wanted), &last(key));
            // A slip in a name of three letters is a third of it.
            let near = whole <= MAX_SLIPS.min(wanted.len() / 2) || tail == 0 || (tail <= 2 && last(wanted).len() > 4);
            near.then_some((tail, whole, key))
        })
        .min()
        .map(|(_, _, key)| key)
}

/// Levenshtein's distance. Keys are short, so the square costs nothing.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for ((to, above_left), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (above + 1).min(left + 1).min(above_left + usize::from(from != *to));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["relay.listen", "metrics.listen", "store.cache", "log.level"];

    #[test]
    fn distances_count_single_letters() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("listn", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_slip_finds_its_key_and_a_stranger_finds_none() {
        assert_eq!(nearest("relay.listn", KNOWN.into_iter()), Some("relay.listen"));
        assert_eq!(nearest("relay.cache", KNOWN.into_iter()), Some("store.cache"));
        assert_eq!(nearest("lgo.level", KNOWN.into_iter()), Some("log.level"));
        assert_eq!(nearest("relay.colour", KNOWN.into_iter()), None);
    }
}
