//! Paths as identifiers, so that different paths never become the same one.

use std::fmt::Write;

/// A path such as `layer1.0.conv1` in letters, digits and underscores, to be prefixed: a dot becomes `_`, an underscore
/// `__`, any other character `_X` with its code in hexadecimal and `_`. A dot before a character that would make this
/// ambiguous (`_`, `D`, `X`, or one that is escaped) becomes `_D`. Different paths become different identifiers.
pub fn identifier(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut characters = path.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '.' => {
                let plain = characters.peek().is_some_and(|&next| {
                    next.is_ascii_alphanumeric() && !matches!(next, 'D' | 'X')
                });
                out.push_str(if plain { "_" } else { "_D" });
            }
            '_' => out.push_str("__"),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "_X{:x}_", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn usual_paths_stay_readable() {
        assert_eq!(identifier("0.weight"), "0_weight");
        assert_eq!(identifier("layer1.0.conv1.weight"), "layer1_0_conv1_weight");
        assert_eq!(identifier("bn1.running_mean"), "bn1_running__mean");
        assert_ne!(identifier("a.b_c"), identifier("a_b.c"));
    }

    #[test]
    fn different_paths_become_different_identifiers() {
        let alphabet = ['a', '2', 'D', 'X', '_', '.', '-'];
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut paths = vec![String::new()];
        for _ in 0..6 {
            paths = paths
                .iter()
                .flat_map(|p| alphabet.map(|c| format!("{p}{c}")))
                .collect();
            for path in &paths {
                let id = identifier(path);
                assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
                if let Some(other) = seen.insert(id.clone(), path.clone()) {
                    panic!("`{path}` and `{other}` are both `{id}`");
                }
            }
        }
    }
}
