//! Identifiers made of paths, for whoever names ports after parameters.
//!
//! | path | identifier | |
//! |---|---|---|
//! | `fc1.weight` | `fc1_weight` | a dot is an underscore |
//! | `bn1.running_mean` | `bn1_running__mean` | an underscore is two |
//! | `a._b`, `a_.b` | `a___du_b`, `a___ud_b` | what stands together, or at an end, is spelled |
//! | `conv-1/w` | `conv___x2dz_1___x2fz_w` | so is everything else that no identifier has |
//! | `0.weight`, `tensor` | `_0_weight`, `_tensor` | what could not begin, or is a word of MIL, has an underscore in front |

use crate::namer::is_keyword;

/// The identifier of a path such as `encoder.layers.0.weight`: different paths have different identifiers, and ordinary
/// ones stay readable.
///
/// ```
/// use ane_mil::identifier;
/// assert_eq!(identifier("layers.0.weight"), "layers_0_weight");
/// assert_eq!(identifier("a.b_c"), "a_b__c");
/// assert_eq!(identifier("a_b.c"), "a__b_c");
/// ```
pub fn identifier(path: &str) -> String {
    // A run of one underscore is a dot, of two an underscore, of three the beginning of a spelling, which the next
    // underscore ends; a single one in front of everything is neither, since a path that begins with a dot is spelled.
    let mut name = String::with_capacity(path.len() + 8);
    let mut rest = path;
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric());
        let (word, after) = rest.split_at(word.unwrap_or(rest.len()));
        name.push_str(word);
        let run = after.find(|c: char| c.is_ascii_alphanumeric());
        let (run, after) = after.split_at(run.unwrap_or(after.len()));
        let inside = !name.is_empty() && !after.is_empty();
        match run {
            "" => {}
            "." if inside => name.push('_'),
            "_" if inside => name.push_str("__"),
            _ => {
                name.push_str("___");
                name.extend(run.chars().map(spelled));
                name.push('_');
            }
        }
        rest = after;
    }
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || is_keyword(&name) {
        name.insert(0, '_');
    }
    name
}

/// A character that identifiers do not have, in letters and digits.
fn spelled(c: char) -> String {
    match c {
        '.' => "d".into(),
        '_' => "u".into(),
        c => format!("x{:x}z", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namer::is_identifier;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The path of an identifier.
    fn path(name: &str) -> String {
        let name = match name.strip_prefix('_') {
            Some(rest) if !name.starts_with("___") => rest,
            _ => name,
        };
        let mut path = String::new();
        let mut rest = name;
        while !rest.is_empty() {
            let end = rest.find('_').unwrap_or(rest.len());
            path.push_str(&rest[..end]);
            rest = &rest[end..];
            if let Some(spelling) = rest.strip_prefix("___") {
                let (spelling, after) = spelling.split_once('_').unwrap();
                let mut letters = spelling;
                while !letters.is_empty() {
                    let (c, left) = match letters.split_at(1) {
                        ("d", left) => ('.', left),
                        ("u", left) => ('_', left),
                        (_, left) => {
                            let (code, left) = left.split_once('z').unwrap();
                            let code = u32::from_str_radix(code, 16).unwrap();
                            (char::from_u32(code).unwrap(), left)
                        }
                    };
                    path.push(c);
                    letters = left;
                }
                rest = after;
            } else if let Some(after) = rest.strip_prefix("__") {
                path.push('_');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('_') {
                path.push('.');
                rest = after;
            }
        }
        path
    }

    #[test]
    fn ordinary_paths_stay_readable() {
        for (path, name) in [
            ("fc1.weight", "fc1_weight"),
            ("encoder.layers.0.bias", "encoder_layers_0_bias"),
            ("bn1.running_mean", "bn1_running__mean"),
            ("0.weight", "_0_weight"),
            ("tensor", "_tensor"),
            ("a._b", "a___du_b"),
            ("a_.b", "a___ud_b"),
            ("_a", "___u_a"),
            ("a.", "a___d_"),
            ("conv-1/w", "conv___x2dz_1___x2fz_w"),
            ("", "_"),
        ] {
            assert_eq!(identifier(path), name);
        }
    }

    proptest! {
        #[test]
        fn every_path_is_found_again(text in "([a-c0._é-]|tensor){0,9}") {
            let name = identifier(&text);
            prop_assert!(is_identifier(&name) && !is_keyword(&name), "{text} {name}");
            prop_assert_eq!(path(&name), text, "{}", name);
        }
    }

    #[test]
    fn short_paths_have_identifiers_of_their_own() {
        let alphabet = ["a", "b", ".", "_", "0", "-"];
        let mut paths = vec![String::new()];
        let mut seen: HashMap<String, String> = HashMap::new();
        for _ in 0..5 {
            paths = paths
                .iter()
                .flat_map(|p| alphabet.map(|c| format!("{p}{c}")))
                .collect();
            for path in &paths {
                if let Some(other) = seen.insert(identifier(path), path.clone()) {
                    panic!("{path} and {other} are both {}", identifier(path));
                }
            }
        }
    }
}
