//! What a run is called that was given no name: the day, the data set, and two words that are easy to say.

use jiff::ZonedDateTime;
use std::path::PathBuf;

const QUALITIES: [&str; 32] = [
    "amber", "bold", "brave", "bright", "calm", "clear", "crisp", "deep", "eager", "early", "fair",
    "fond", "gentle", "glad", "golden", "grand", "happy", "keen", "kind", "light", "lively",
    "lucky", "mild", "neat", "noble", "proud", "quick", "quiet", "rapid", "silver", "steady",
    "warm",
];
const ANIMALS: [&str; 32] = [
    "badger", "beaver", "bison", "crane", "deer", "dolphin", "eagle", "falcon", "finch", "fox",
    "gecko", "goose", "hare", "heron", "ibis", "koala", "lark", "lynx", "marten", "moose", "otter",
    "owl", "panda", "puffin", "raven", "robin", "seal", "stork", "swan", "tern", "wolf", "wren",
];

/// The directory of a run on a data set, in `runs`. Names that are taken get a number behind them when they are made.
pub(crate) fn default_out(dataset: &str) -> PathBuf {
    let now = ZonedDateTime::now();
    let chance = now.timestamp().as_nanosecond().unsigned_abs() / 1_000;
    // What stands in a path is what stands in names of files anywhere.
    let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
    let dataset: String = dataset.chars().map(plain).collect();
    PathBuf::from("runs").join(format!(
        "{}-{dataset}-{}-{}",
        now.date(),
        QUALITIES[(chance % 32) as usize],
        ANIMALS[(chance / 32 % 32) as usize]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_day_the_data_and_two_words() {
        let out = default_out("my data.v2");
        let name = out.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let parts: Vec<&str> = name.split('-').collect();
        assert_eq!(parts[3..6], ["my", "data", "v2"], "{name}");
        assert!(
            QUALITIES.contains(&parts[6]) && ANIMALS.contains(&parts[7]),
            "{name}"
        );
        assert_eq!(out.parent(), Some("runs".as_ref()));
    }
}
