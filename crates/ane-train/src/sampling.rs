//! Which token is said, of scores for all: the likeliest, or one by chance among the likelier ones.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// What scores are divided by; 0 takes the likeliest token always.
    pub temperature: f64,
    /// How many of the likeliest tokens are left; 0 for all.
    pub top_k: usize,
    /// The likeliest tokens are left whose probabilities together come to this; 1 for all.
    pub top_p: f64,
    /// Seed of chance.
    pub seed: u64,
}

/// Chooses one token after another.
#[derive(Debug)]
pub struct Sampler {
    how: Sampling,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// From the beginning of its seed.
    pub fn new(how: Sampling) -> Self {
        Self {
            how,
            rng: ChaCha8Rng::seed_from_u64(how.seed),
        }
    }

    /// The next token by its scores; of equal ones the first. NaN is never chosen.
    pub fn next(&mut self, scores: &[f32]) -> u32 {
        let mut order: Vec<u32> = (0..scores.len() as u32)
            .filter(|&i| !scores[i as usize].is_nan())
            .collect();
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
        let Some(&first) = order.first() else {
            return 0;
        };
        if self.how.temperature == 0.0 {
            return first;
        }
        if self.how.top_k > 0 {
            order.truncate(self.how.top_k);
        }
        let largest = f64::from(scores[first as usize]);
        let share =
            |&i: &u32| ((f64::from(scores[i as usize]) - largest) / self.how.temperature).exp();
        let mut shares: Vec<f64> = order.iter().map(share).collect();
        let whole: f64 = shares.iter().sum();
        if self.how.top_p < 1.0 {
            let mut so_far = 0.0;
            let enough = shares.iter().position(|share| {
                so_far += share;
                so_far >= self.how.top_p * whole
            });
            shares.truncate(enough.map_or(shares.len(), |at| at + 1));
        }
        let total: f64 = shares.iter().sum();
        // 53 random bits: every f64 in [0, 1) of that spacing is as likely.
        let unit = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut left = unit * total;
        for (&token, share) in order.iter().zip(&shares) {
            left -= share;
            if left < 0.0 {
                return token;
            }
        }
        order[shares.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(how: Sampling, scores: &[f32]) -> Vec<usize> {
        let mut sampler = Sampler::new(how);
        let mut counts = vec![0; scores.len()];
        for _ in 0..4_000 {
            counts[sampler.next(scores) as usize] += 1;
        }
        counts
    }

    const ALL: Sampling = Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        seed: 7,
    };

    #[test]
    fn tokens_come_as_often_as_their_probabilities_say() {
        // Shares 1/2, 1/4, 1/4 and none.
        let scores = [2.0_f32.ln(), 0.0, 0.0, f32::NEG_INFINITY];
        let found = counts(ALL, &scores);
        for (found, share) in found.iter().zip([0.5, 0.25, 0.25, 0.0]) {
            assert!(
                (*found as f64 / 4_000.0 - share).abs() < 0.03,
                "{found} {share}"
            );
        }
        let cold = Sampling {
            temperature: 0.5,
            ..ALL
        };
        let found = counts(cold, &scores)[0] as f64 / 4_000.0;
        assert!((found - 4.0 / 6.0).abs() < 0.03, "{found}");
    }

    #[test]
    fn fewer_tokens_are_left_when_that_is_asked_for() {
        let scores = [0.1, 3.0, f32::NAN, 2.9, 1.0];
        let greedy = Sampling {
            temperature: 0.0,
            ..ALL
        };
        assert_eq!(counts(greedy, &scores)[1], 4_000);
        let two = counts(Sampling { top_k: 2, ..ALL }, &scores);
        assert_eq!((two[0], two[4]), (0, 0));
        assert!(two[1] > 1_800 && two[3] > 1_600);
        let most = counts(Sampling { top_p: 0.6, ..ALL }, &scores);
        assert_eq!(most[1] + most[3], 4_000);
        let one = counts(Sampling { top_p: 0.1, ..ALL }, &scores);
        assert_eq!(one[1], 4_000);
    }
}
