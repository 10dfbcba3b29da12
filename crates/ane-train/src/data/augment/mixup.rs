//! Mixup (Zhang et al. 2017): each example of a batch blended with another of the same batch, and its target alike.
//!
//! A batch has one share λ, drawn from Beta(α, α), and one permutation of its examples; both are a function of seed, epoch
//! and the first example of the batch, which only one batch of an epoch has. A loss that is linear in its target, as
//! cross-entropy is, is then λ times that of the one target and 1 − λ times that of the other.

use super::Amount;
use crate::data::{Batch, Dataset, Field, FillError, IMAGE, Values, sampler::shuffle};
use half::{f16, slice::HalfBitsSliceExt, slice::HalfFloatSliceExt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Its name among the augmentations.
pub(super) const NAME: &str = "mixup";
/// Beyond this λ is as good as 1/2, and draws from Beta would be rare ones.
pub(super) const AMOUNT: Amount = Amount {
    what: "ALPHA",
    most: 4.0,
};

/// What keeps these draws apart from the others of a seed.
const OWN: u64 = 0x31B_5EED;

/// A data set whose batches are blended with themselves.
#[derive(Debug)]
pub struct Mixed {
    inner: Arc<dyn Dataset>,
    alpha: f64,
    target: String,
    /// What an output should be, by class.
    rows: Vec<Vec<f32>>,
    seed: u64,
}

impl Mixed {
    /// The same examples, blended with λ of Beta(`alpha`, `alpha`), and the classes `target` as the rows that the loss wants
    /// of them, blended alike; none where `target` holds no classes.
    pub fn new(
        inner: Arc<dyn Dataset>,
        alpha: f32,
        (target, rows): (&str, Vec<Vec<f32>>),
        seed: u64,
    ) -> Option<Self> {
        inner.field(target)?.classes?;
        Some(Self {
            inner,
            alpha: f64::from(alpha),
            target: target.to_owned(),
            rows,
            seed,
        })
    }

    /// Blends the targets, and what examples weigh with them; not those that hold no class, which are refused later.
    fn mix_targets(&self, share: f64, others: &[u32], batch: &mut Batch) {
        let Some(Values::Int32(classes)) = batch.get(&self.target) else {
            return;
        };
        let row = |class: i32| self.rows.get(usize::try_from(class).ok()?);
        let present = classes[..others.len()].iter();
        let Some(wanted) = present.map(|&c| row(c)).collect::<Option<Vec<_>>>() else {
            return;
        };
        let (width, weights) = (self.rows.first().map_or(0, Vec::len), batch.weights());
        let mut mixed = vec![0; batch.rows() * width];
        let mut weigh = Vec::with_capacity(others.len());
        for (i, &other) in others.iter().enumerate() {
            let other = other as usize;
            let own = share * f64::from(weights[i]);
            let rest = (1.0 - share) * f64::from(weights[other]);
            let whole = own + rest;
            // What weighs nothing has any target.
            let part = if whole > 0.0 { own / whole } else { 1.0 };
            let pairs = wanted[i].iter().zip(wanted[other]);
            for (x, (&a, &b)) in mixed[i * width..].iter_mut().zip(pairs) {
                let sum = part * f64::from(a) + (1.0 - part) * f64::from(b);
                *x = f16::from_f64(sum).to_bits();
            }
            weigh.push(whole as f32);
        }
        batch.weigh(&weigh);
        batch.set(&self.target, Values::Fp16(mixed));
    }
}

impl Dataset for Mixed {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn schema(&self) -> Vec<Field> {
        self.inner.schema()
    }

    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        self.inner.fill(examples, batch)?;
        let (Some(&(first, epoch)), Some(Values::Fp16(images))) =
            (examples.first(), batch.get(IMAGE))
        else {
            return Ok(());
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ OWN);
        rng.set_stream(epoch.wrapping_shl(32) | u64::from(first));
        let share = beta(self.alpha, &mut rng);
        let mut others: Vec<u32> = (0..batch.present() as u32).collect();
        shuffle(&mut others, &mut rng);
        let width = images.len() / batch.rows();
        let mut pixels = vec![0.0; others.len() * width];
        let whole = images[..pixels.len()].reinterpret_cast::<f16>();
        whole.convert_to_f32_slice(&mut pixels);
        let (own, rest) = (share as f32, (1.0 - share) as f32);
        let mut mixed = vec![0.0; width];
        let out = batch.fp16(IMAGE, width).chunks_exact_mut(width);
        for (i, (out, &other)) in out.zip(&others).enumerate() {
            let row = |i: usize| &pixels[i * width..][..width];
            let pairs = row(i).iter().zip(row(other as usize));
            for (x, (a, b)) in mixed.iter_mut().zip(pairs) {
                *x = own * a + rest * b;
            }
            let out = out.reinterpret_cast_mut::<f16>();
            out.convert_from_f32_slice(&mixed);
        }
        self.mix_targets(share, &others, batch);
        Ok(())
    }
}

/// A draw from Beta(α, α) by Jöhnk's method (1964): of two powers of uniform numbers whose sum is at most 1, the share of the
/// first. In logarithms, since the powers of a small α vanish.
fn beta(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    // 53 bits are what f64 holds; none of these is 0.
    let mut power = || {
        let uniform = ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        uniform.ln() / alpha
    };
    loop {
        let (x, y) = (power(), power());
        let larger = x.max(y);
        let sum = larger + ((x - larger).exp() + (y - larger).exp()).ln();
        if sum <= 0.0 {
            return (x - sum).exp();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LABEL;
    use ane_ir::DType;

    /// Images of three pixels that all are the number of the example, of the class of that number.
    #[derive(Debug)]
    struct Numbers {
        weights: Vec<f32>,
    }

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.weights.len()
        }

        fn schema(&self) -> Vec<Field> {
            let classes = (0..self.weights.len()).map(|i| i.to_string());
            vec![
                Field::new(IMAGE, DType::Fp16, [1, 1, 3]),
                Field {
                    classes: Some(classes.collect()),
                    ..Field::new(LABEL, DType::Int32, [])
                },
            ]
        }

        fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
            for (row, (i, _)) in batch.fp16(IMAGE, 3).chunks_exact_mut(3).zip(examples) {
                row.fill(f16::from_f64(f64::from(*i)).to_bits());
            }
            for (label, (i, _)) in batch.int32(LABEL, 1).iter_mut().zip(examples) {
                *label = *i as i32;
            }
            let weights: Vec<f32> = examples
                .iter()
                .map(|(i, _)| self.weights[*i as usize])
                .collect();
            batch.weigh(&weights);
            Ok(())
        }
    }

    fn numbers(weights: &[f32], seed: u64, examples: &[u32], epoch: u64) -> Batch {
        let weights = weights.to_vec();
        let n = weights.len();
        let row = |class| (0..n).map(|k| f32::from(u8::from(k == class))).collect();
        let rows = (0..n).map(row).collect();
        let data = Mixed::new(Arc::new(Numbers { weights }), 0.7, (LABEL, rows), seed).unwrap();
        let examples: Vec<(u32, u64)> = examples.iter().map(|&i| (i, epoch)).collect();
        let mut batch = Batch::new(n + 1, n);
        data.fill(&examples, &mut batch).unwrap();
        batch
    }

    fn values(batch: &Batch, name: &str, width: usize) -> Vec<Vec<f64>> {
        let Some(Values::Fp16(bits)) = batch.get(name) else {
            panic!("{name} holds no rows")
        };
        let all: Vec<f64> = bits.iter().map(|&b| f16::from_bits(b).to_f64()).collect();
        all.chunks_exact(width).map(<[f64]>::to_vec).collect()
    }

    #[test]
    fn images_and_targets_are_blended_alike_with_one_share_and_a_permutation() {
        let order = [3, 1, 0, 4, 2];
        let batch = numbers(&[1.0; 5], 7, &order, 2);
        let (images, targets) = (values(&batch, IMAGE, 3), values(&batch, LABEL, 5));
        let mut shares = Vec::new();
        let mut others = [0; 5];
        for (i, &number) in order.iter().enumerate() {
            let row = &targets[i];
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{row:?}");
            let blended: f64 = row.iter().enumerate().map(|(k, x)| k as f64 * x).sum();
            for pixel in &images[i] {
                assert!((pixel - blended).abs() < 5e-3, "{pixel} {blended}");
            }
            let own = row[number as usize];
            let other = (0..5).find(|&k| k != number as usize && row[k] > 0.0);
            others[other.unwrap_or(number as usize)] += 1;
            shares.extend(other.map(|_| own));
        }
        assert_eq!(others, [1; 5], "each is the other one once");
        assert!(shares.len() >= 3, "{targets:?}");
        assert!(shares.iter().all(|s| (s - shares[0]).abs() < 1e-3));
        // Padding stays what it was.
        assert_eq!(
            (&images[5][..], &targets[5][..]),
            (&[0.0; 3][..], &[0.0; 5][..])
        );
        assert_eq!((batch.weights(), batch.divisor), (&[1.0; 5][..], 5.0));
        // The same again, and another in another epoch, batch or seed.
        assert_eq!(numbers(&[1.0; 5], 7, &order, 2), batch);
        for other in [
            numbers(&[1.0; 5], 7, &order, 3),
            numbers(&[1.0; 5], 8, &order, 2),
            numbers(&[1.0; 5], 7, &[1, 3, 0, 4, 2], 2),
        ] {
            assert_ne!(values(&other, LABEL, 5), targets);
        }
    }

    #[test]
    fn what_is_blended_weighs_what_its_parts_do() {
        let weights = [1.0, 3.0, 0.0, 2.0, 1.0];
        let order = [0, 1, 2, 3, 4];
        let plain = values(&numbers(&[1.0; 5], 1, &order, 0), LABEL, 5);
        let weighed = numbers(&weights, 1, &order, 0);
        let rows = values(&weighed, LABEL, 5);
        for (i, row) in rows[..5].iter().enumerate() {
            // The loss of a class counts as often as it would by itself.
            for (k, x) in row.iter().enumerate() {
                let found = f64::from(weighed.weights()[i]) * x;
                let wanted = plain[i][k] * f64::from(weights[k]);
                let is_zero = weighed.weights()[i] == 0.0;
                assert!(
                    (found - wanted).abs() < 5e-3 || is_zero,
                    "{i} {k}: {found} {wanted}"
                );
            }
        }
        assert_eq!(weighed.divisor, weighed.weights().iter().sum::<f32>());
    }

    #[test]
    fn shares_are_of_beta() {
        for alpha in [0.05, 0.2, 1.0, 4.0] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let draws: Vec<f64> = (0..4000).map(|_| beta(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)), "{alpha}");
            let mean = draws.iter().sum::<f64>() / 4000.0;
            let off = draws.iter().map(|x| (x - mean).powi(2));
            let variance = off.sum::<f64>() / 4000.0;
            let wanted = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.03, "{alpha}: {mean}");
            assert!((variance / wanted - 1.0).abs() < 0.1, "{alpha}: {variance}");
        }
    }
}
