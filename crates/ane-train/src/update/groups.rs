//! Parameter groups: parameters whose updates have settings of their own.

use crate::{model::Parameter, optim::OptimizerConfig};
use serde::{Deserialize, Serialize};

/// Settings for some of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Which: a pattern of paths, in which `*` stands for any characters, or one of the tags `bias`, `norm` and
    /// `embedding`.
    pub parameters: String,
    /// Factor of the learning rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay instead of the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// What holds for a parameter besides the optimizer's settings.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Settings {
    /// Factor of the learning rate.
    pub lr: Option<f64>,
    /// Weight decay instead of the optimizer's.
    pub weight_decay: Option<f64>,
}

/// Groups in order: of each setting, a parameter has that of the first group that names it and says one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(pub Vec<Group>);

impl Groups {
    /// The settings of a parameter.
    pub fn of(&self, parameter: &Parameter) -> Settings {
        let mut groups = self.0.iter().filter(|g| names(&g.parameters, parameter));
        Settings {
            lr: groups.clone().find_map(|g| g.lr),
            weight_decay: groups.find_map(|g| g.weight_decay),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parameters with all settings of their own, as loops that move those themselves have them.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGroup {
    /// Who updates them.
    pub optimizer: OptimizerConfig,
    /// Factor of the learning rate.
    pub lr: f64,
    /// Updates that were made of them before: Adam's t − 1.
    pub updates: u64,
    /// Positions among the model's parameters; what is not trained is passed over.
    pub parameters: Vec<usize>,
}

/// Whether a pattern is one of the tags.
pub fn is_tag(pattern: &str) -> bool {
    matches!(pattern, "bias" | "norm" | "embedding")
}

/// Whether a tag or a pattern names a parameter.
pub fn names(pattern: &str, parameter: &Parameter) -> bool {
    let tags = parameter.tags;
    match pattern {
        "bias" => tags.bias,
        "norm" => tags.norm,
        "embedding" => tags.embedding,
        _ => matches(pattern, &parameter.path),
    }
}

/// Whether a text is of a pattern, in which `*` stands for any characters and `?` for one.
///
/// The last star is tried again with one character more wherever what follows it does not fit, so that no pattern takes
/// longer than the product of both lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else {
                    return false;
                };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, text, fits) in [
            ("0.*", "0.weight", true),
            ("*.bias", "layer1.0.bias", true),
            ("*.bias", "layer1.0.bias_2", false),
            ("layer?.*.weight", "layer1.0.conv1.weight", true),
            ("layer?.*.weight", "layer12.0.weight", false),
            ("*", "", true),
            ("a*b*c", "aXbXbXc", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn settings_of_several_groups_come_together() {
        let group = |parameters: &str, lr, weight_decay| Group {
            parameters: parameters.to_owned(),
            lr,
            weight_decay,
        };
        let groups = Groups(vec![
            group("*.bias", None, Some(0.0)),
            group("0.*", Some(0.1), None),
            group("*", Some(0.5), Some(0.3)),
        ]);
        let spec: crate::models::Mlp = "4-3-2".parse().unwrap();
        let model = spec.model(1).unwrap();
        let of = |path: &str| {
            let found = model.parameters.iter().find(|p| p.path == path);
            let Settings { lr, weight_decay } = groups.of(found.unwrap());
            (lr, weight_decay)
        };
        assert_eq!(of("0.weight"), (Some(0.1), Some(0.3)));
        assert_eq!(of("0.bias"), (Some(0.1), Some(0.0)));
        assert_eq!(of("2.bias"), (Some(0.5), Some(0.0)));
        assert_eq!(
            Groups::default().of(&model.parameters[0]),
            Settings::default()
        );
    }

    #[test]
    fn a_pattern_of_many_stars_ends() {
        let text = "a".repeat(3_000);
        assert!(!matches(&format!("{}b", "*a".repeat(300)), &text));
    }
}
