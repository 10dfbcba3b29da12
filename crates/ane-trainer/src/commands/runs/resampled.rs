//! Whether two groups of results differ: the difference of their means against that of every other division of them.
//!
//! Under the hypothesis that both settings do the same, every division of the results into groups of these sizes is as likely
//! as the one that was seen. The share of divisions whose means are at least as far apart is the probability of such a result
//! (Fisher 1935), so that a limit of 5 % calls the same different in at most 5 % of cases, however few runs there are.

/// Most divisions that are counted one by one; of more, so many are drawn.
const MOST: usize = 20_000;

/// The probability that groups that do the same are as far apart as these.
pub(super) fn probability(a: &[f64], b: &[f64]) -> f64 {
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let observed = distance(a, b);
    // What differs by rounding alone is as far apart.
    let reached = |d: f64| d >= observed - 1e-12 * observed.abs().max(1.0);
    let (mut as_far, mut count) = (0_usize, 0_usize);
    let mut consider = |chosen: &[bool]| {
        let group = |wanted: bool| -> Vec<f64> {
            let of = all.iter().zip(chosen).filter(|(_, c)| **c == wanted);
            of.map(|(x, _)| *x).collect()
        };
        count += 1;
        as_far += usize::from(reached(distance(&group(true), &group(false))));
    };
    if divisions(all.len(), a.len()) <= MOST as f64 {
        let mut chosen = vec![false; all.len()];
        each(&mut chosen, 0, a.len(), &mut consider);
    } else {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut order: Vec<usize> = (0..all.len()).collect();
        consider(&(0..all.len()).map(|i| i < a.len()).collect::<Vec<_>>());
        for _ in 1..MOST {
            for i in (1..order.len()).rev() {
                order.swap(i, below(&mut state, i + 1));
            }
            let mut chosen = vec![false; all.len()];
            order[..a.len()].iter().for_each(|&i| chosen[i] = true);
            consider(&chosen);
        }
    }
    as_far as f64 / count as f64
}

/// The smallest probability that groups of these sizes can have.
pub(super) fn least(a: usize, b: usize) -> f64 {
    let both = if a == b { 2.0 } else { 1.0 };
    both / divisions(a + b, a)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    (mean(a) - mean(b)).abs()
}

pub(super) fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len().max(1) as f64
}

/// How many ways there are to choose k of n.
fn divisions(n: usize, k: usize) -> f64 {
    (0..k)
        .fold(1.0, |all, i| all * (n - i) as f64 / (i + 1) as f64)
        .round()
}

/// Every choice of `left` more from `at` on.
fn each(chosen: &mut Vec<bool>, at: usize, left: usize, consider: &mut impl FnMut(&[bool])) {
    if left == 0 {
        consider(chosen);
        return;
    }
    for i in at..=chosen.len() - left {
        chosen[i] = true;
        each(chosen, i + 1, left - 1, consider);
        chosen[i] = false;
    }
}

/// A number below `n` (xorshift of Marsaglia 2003; the bias is below 2⁻⁵⁰).
fn below(state: &mut u64, n: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % n as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probability_is_the_share_of_divisions_as_far_apart() {
        // scipy.stats.permutation_test of the difference of means, exact: 2 of 70.
        let p = probability(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]);
        assert!((p - 2.0 / 70.0).abs() < 1e-12, "{p}");
        assert_eq!(probability(&[1.0, 1.0, 1.0], &[1.0, 1.0, 1.0]), 1.0);
        assert_eq!(least(3, 3), 0.1);
        assert_eq!(least(4, 4), 2.0 / 70.0);
        assert_eq!(least(3, 4), 1.0 / 35.0);
    }

    #[test]
    fn the_same_setting_is_seldom_called_different() {
        let mut state = 7_u64;
        // Sums of a few uniform numbers: near enough to what seeds scatter by.
        let mut draw = || (0..4).map(|_| below(&mut state, 1_000) as f64).sum::<f64>();
        let cases = 400;
        let different = (0..cases).filter(|_| {
            let a: Vec<f64> = (0..5).map(|_| draw()).collect();
            let b: Vec<f64> = (0..5).map(|_| draw()).collect();
            probability(&a, &b) <= 0.05
        });
        let share = different.count() as f64 / f64::from(cases);
        assert!(share <= 0.08, "{share}");
    }

    #[test]
    fn many_runs_are_drawn_instead_of_counted() {
        let a: Vec<f64> = (0..12).map(f64::from).collect();
        let b: Vec<f64> = (0..12).map(|i| f64::from(i) + 8.0).collect();
        assert!(probability(&a, &b) < 0.01);
        assert!(probability(&a, &a) > 0.9);
    }
}
