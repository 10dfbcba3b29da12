//! How long random tests go on: one round, or rounds until the minutes of a soak run are over.

use std::time::{Duration, Instant};

/// Seed of the first round, which is the only one of a short form.
const FIRST: u64 = 7;
/// Minutes of a long form when `ANE_TRAINER_SOAK_MINUTES` does not say.
const MINUTES: u64 = 10;

/// A seed for every round of a test: one round, or under `ANE_TRAINER_SOAK` as many as begin within
/// `ANE_TRAINER_SOAK_MINUTES`.
pub fn seeds() -> impl Iterator<Item = u64> {
    let soak = std::env::var_os("ANE_TRAINER_SOAK").is_some();
    let minutes = std::env::var("ANE_TRAINER_SOAK_MINUTES")
        .ok()
        .and_then(|minutes| minutes.parse().ok())
        .unwrap_or(MINUTES);
    rounds(soak.then(|| Duration::from_secs(minutes.saturating_mul(60))))
}

fn rounds(long: Option<Duration>) -> impl Iterator<Item = u64> {
    let since = Instant::now();
    (FIRST..)
        .take_while(move |&seed| seed == FIRST || long.is_some_and(|long| since.elapsed() < long))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_round_or_there_are_rounds_while_there_is_time() {
        assert_eq!(rounds(None).collect::<Vec<_>>(), [7]);
        assert_eq!(rounds(Some(Duration::ZERO)).collect::<Vec<_>>(), [7]);
        let long: Vec<u64> = rounds(Some(Duration::MAX)).take(3).collect();
        assert_eq!(long, [7, 8, 9]);
    }
}
