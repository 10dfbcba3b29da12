//! The power of two that cotangents are brought up to, so that gradients are numbers of fp16.
//!
//! A gradient is linear in its cotangents, so their size is free. The scale begins high, falls when a gradient overflows,
//! and rises after so many calls without. It says where the largest cotangent of a call is brought to, unlike a loss
//! scale, which is a factor: what a user's loop passes may be of any size.

/// Calls without overflow after which the scale rises.
const CALLS_TO_RISE: u32 = 200;
/// The least exponent: cotangents as small as that leave nothing of most gradients.
const LEAST: i32 = -12;
/// Where the scale begins: room for sums over a batch.
const FIRST: i32 = 8;
/// Where it begins when the only cotangent is that of a loss, which is divided by the batch at once; and its most.
const FIRST_OF_LOSS: i32 = 15;

/// The scale of one backward program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CotangentScale {
    /// The largest cotangent of a call is brought to 2 to this.
    exponent: i32,
    /// Calls since it changed.
    calls: u32,
}

/// The largest magnitude among cotangents.
pub(crate) fn largest(cotangents: &[&[f32]]) -> f32 {
    let all = cotangents.iter().flat_map(|x| x.iter());
    all.fold(0.0, |most, x| most.max(x.abs()))
}

impl CotangentScale {
    /// For a program whose first cotangents are these.
    pub(crate) fn for_first(cotangents: &[&[f32]]) -> Self {
        let of_loss = cotangents.iter().all(|x| x.len() == 1);
        Self {
            exponent: if of_loss { FIRST_OF_LOSS } else { FIRST },
            calls: 0,
        }
    }

    /// What the largest cotangent of a call is brought to, as a power of two.
    pub(crate) fn exponent(self) -> i32 {
        self.exponent
    }

    /// The factor for cotangents of which the largest has this magnitude: a power of two, which changes no digit.
    pub(crate) fn factor(self, largest: f32) -> f32 {
        if largest == 0.0 || !largest.is_finite() {
            return 1.0;
        }
        let up = self.exponent - largest.log2().ceil() as i32;
        2.0_f32.powi(up.clamp(-100, 100))
    }

    /// A call came out finite.
    pub(crate) fn accept(&mut self) {
        self.calls += 1;
        if self.calls >= CALLS_TO_RISE && self.exponent < FIRST_OF_LOSS {
            self.calls = 0;
            self.exponent += 1;
        }
    }

    /// A gradient overflowed: whether there is less to try.
    pub(crate) fn lower(&mut self) -> bool {
        if self.exponent <= LEAST {
            return false;
        }
        self.exponent -= 2;
        self.calls = 0;
        true
    }
}
