//! An axis: from where to where it runs, and its ticks, which are round numbers.

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Log,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    /// Values that are marked.
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// The axis for values from `low` to `high`, with about so many ticks. Its ends are ticks on a linear scale.
    pub(crate) fn around(low: f64, high: f64, count: usize, scale: Scale) -> Self {
        match scale {
            Scale::Log if low > 0.0 && high.is_finite() => Self::log(low, high),
            Scale::Log | Scale::Linear => Self::linear(low, high, count),
        }
    }

    /// The axis that begins and ends with these values, with about so many ticks, at whole numbers.
    pub(crate) fn between(from: f64, to: f64, count: usize) -> Self {
        let step = round_step((to - from) / count.max(1) as f64).max(1.0);
        let first = (from / step).ceil();
        let last = (to / step + 1e-9).floor();
        Self {
            scale: Scale::Linear,
            from,
            to,
            ticks: multiples(first, last, step),
        }
    }

    fn linear(low: f64, high: f64, count: usize) -> Self {
        let (low, high) = match (low.is_finite() && high.is_finite(), low < high) {
            (false, _) => (0.0, 1.0),
            (true, true) => (low, high),
            // A single value lies in the middle.
            (true, false) => {
                let around = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
                (low - around, low + around)
            }
        };
        let step = round_step((high - low) / count.max(1) as f64);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Self {
            scale: Scale::Linear,
            from: first * step,
            to: last * step,
            ticks: multiples(first, last, step),
        }
    }

    fn log(low: f64, high: f64) -> Self {
        let (from, to) = (low / 1.1, high.max(low) * 1.1);
        let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
        let marks = |of: &[f64], every: u32| -> Vec<f64> {
            let powers = decades
                .clone()
                .filter(|p| p.unsigned_abs().is_multiple_of(every));
            powers
                .flat_map(|p| of.iter().map(move |m| m * 10_f64.powi(p)))
                .filter(|x| (from..=to).contains(x))
                .collect()
        };
        // The densest marks that are not too many, so that even a part of a decade has some.
        let choices: [(&[f64], u32); 5] = [
            (&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 1),
            (&[1.0, 2.0, 3.0, 5.0], 1),
            (&[1.0, 3.0], 1),
            (&[1.0], 1),
            (&[1.0], 4),
        ];
        let all = choices.map(|(of, every)| marks(of, every));
        let fitting = all.iter().find(|ticks| ticks.len() <= 8);
        Self {
            scale: Scale::Log,
            from,
            to,
            ticks: fitting.unwrap_or(&all[4]).clone(),
        }
    }

    /// Where a value lies, as a share of the way; none for what the scale does not have.
    pub(crate) fn share(&self, x: f64) -> Option<f64> {
        let (x, from, to) = match self.scale {
            Scale::Linear => (x, self.from, self.to),
            Scale::Log if x > 0.0 => (x.ln(), self.from.ln(), self.to.ln()),
            Scale::Log => return None,
        };
        let share = (x - from) / (to - from);
        share.is_finite().then_some(share)
    }

    /// The texts of the ticks, as percentages if asked for, with as many decimals as tell them apart.
    pub(crate) fn labels(&self, percent: bool) -> Vec<String> {
        if self.scale == Scale::Log {
            return self.ticks.iter().map(|&x| plain(x)).collect();
        }
        let factor = if percent { 100.0 } else { 1.0 };
        let step = match self.ticks[..] {
            [a, b, ..] => (b - a).abs() * factor,
            _ => 1.0,
        };
        let largest = self.ticks.iter().fold(0.0_f64, |m, x| m.max(x.abs())) * factor;
        if largest >= 1e6 || (largest < 1e-3 && largest > 0.0) {
            return self.ticks.iter().map(|x| plain(x * factor)).collect();
        }
        let decimals = (-(step + 1e-12).log10().floor()).max(0.0) as usize;
        let unit = if percent { " %" } else { "" };
        let text = |x: &f64| format!("{:.decimals$}{unit}", x * factor + 0.0);
        self.ticks.iter().map(text).collect()
    }
}

/// A number in as few characters as tell its first three digits.
pub(crate) fn plain(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&x.abs()) {
        let text = format!("{x:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        return format!("{digits}e{power}");
    }
    let decimals = (2 - x.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{x:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let step = if step.is_finite() && step > 0.0 {
        step
    } else {
        1.0
    };
    let power = 10_f64.powf(step.log10().floor());
    let lead = step / power;
    let round = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|m| lead <= m * (1.0 + 1e-9));
    round.unwrap_or(10.0) * power
}

fn multiples(first: f64, last: f64, step: f64) -> Vec<f64> {
    // An axis has a handful of them; more would be an error of the caller's.
    let count = (last - first).clamp(0.0, 1000.0) as usize;
    (0..=count).map(|i| (first + i as f64) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, scale: Scale) -> Vec<String> {
        Axis::around(low, high, 5, scale).labels(false)
    }

    #[test]
    fn ticks_are_round() {
        let linear = |low, high| labels(low, high, Scale::Linear);
        assert_eq!(linear(0.0, 0.34), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(
            linear(0.913, 0.9847),
            ["0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]
        );
        assert_eq!(linear(-3.0, 12.0), ["-5", "0", "5", "10", "15"]);
        assert_eq!(linear(2.0, 2.0), ["1.8", "1.9", "2.0", "2.1", "2.2"]);
        assert_eq!(linear(1e-5, 4e-5), ["1e-5", "2e-5", "3e-5", "4e-5"]);
        assert_eq!(linear(f64::NAN, 1.0).len(), 6);
        let percent = Axis::around(0.9, 0.98, 4, Scale::Linear).labels(true);
        assert_eq!(percent, ["90 %", "92 %", "94 %", "96 %", "98 %"]);
    }

    #[test]
    fn a_logarithmic_axis_has_ticks_within_a_decade_and_over_many() {
        let log = |low, high| labels(low, high, Scale::Log);
        assert_eq!(log(0.05, 0.4), ["0.05", "0.1", "0.2", "0.3"]);
        assert_eq!(
            log(0.002, 2.3),
            ["0.003", "0.01", "0.03", "0.1", "0.3", "1"]
        );
        assert_eq!(log(1e-6, 1.0).len(), 7);
        assert_eq!(log(1e-12, 1e12).first().unwrap(), "1e-12");
        // Nothing to take a logarithm of.
        assert_eq!(log(0.0, 4.0), ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn places_are_shares_of_the_way() {
        let axis = Axis::between(0.0, 6.0, 6);
        assert_eq!(axis.ticks, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(axis.share(3.0), Some(0.5));
        assert_eq!(Axis::between(0.0, 2.5, 10).ticks, [0.0, 1.0, 2.0]);
        let log = Axis::around(0.1, 10.0, 5, Scale::Log);
        assert!((log.share(1.0).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(log.share(0.0), None);
        assert_eq!(log.share(f64::NAN), None);
    }

    #[test]
    fn numbers_have_three_digits() {
        let all = [0.0, 1.0, 0.25, 0.12345, 98.474, 1234.6, 5e-5, 2.5e7].map(plain);
        assert_eq!(
            all,
            ["0", "1", "0.25", "0.123", "98.5", "1235", "5e-5", "2.5e7"]
        );
    }
}
