//! The known name that a misspelt one was meant to be.

/// Longest name that is compared: the table of distances grows with the product of the lengths.
const LONGEST: usize = 40;

/// The candidate with the fewest edits from `name`, when they are few enough to be a slip.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    if name.len() > LONGEST {
        return None;
    }
    let most = 1 + name.len() / 4;
    candidates
        .into_iter()
        .filter(|c| c.len() <= LONGEST && c.len().abs_diff(name.len()) <= most)
        .map(|c| (distance(name.as_bytes(), c.as_bytes()), c))
        .filter(|&(d, _)| d <= most)
        .min()
        .map(|(_, c)| c.to_owned())
}

/// Levenshtein distance: insertions, deletions and replacements.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let ops = ["relu", "reduce_sum", "reduce_max", "tanh"];
        assert_eq!(nearest("reluu", ops).as_deref(), Some("relu"));
        assert_eq!(nearest("reduce_sun", ops).as_deref(), Some("reduce_sum"));
        assert_eq!(nearest("lstm", ops), None);
    }
}
