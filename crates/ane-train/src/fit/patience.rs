//! How long a run waits for a better validation result.

use crate::{checkpoint::Best, config::RunConfig};

/// How long a run waits for a better validation result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Epochs without one after which the run ends.
    pub epochs: u64,
    /// Epochs of the run before the first that counts as waiting: more than 0 where it went on after it had waited.
    pub since: u64,
}

impl Patience {
    /// That of a run, if it has any.
    pub fn of(config: &RunConfig) -> Option<Self> {
        let since = config.extended.iter().filter_map(|e| e.waits_since);
        Some(Self {
            epochs: config.patience?,
            since: since.max().unwrap_or(0),
        })
    }

    /// Whether a run that has had so many epochs has waited long enough.
    pub fn is_over(self, best: Option<&Best>, epochs: u64) -> bool {
        best.is_some_and(|best| epochs.saturating_sub(best.epoch.max(self.since)) >= self.epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_waits_from_its_best_epoch_or_from_where_it_went_on() {
        let best = Best {
            value: 1.0,
            loss: 1.0,
            epoch: 3,
        };
        let over = |since, epochs| Patience { epochs: 2, since }.is_over(Some(&best), epochs);
        assert_eq!([4, 5].map(|n| over(0, n)), [false, true]);
        assert_eq!([5, 6, 7].map(|n| over(5, n)), [false, false, true]);
        assert!(
            !Patience {
                epochs: 2,
                since: 0
            }
            .is_over(None, 9)
        );
    }
}
