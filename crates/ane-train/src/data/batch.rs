//! A batch: named typed tensors, which rows of them hold examples, and what each example weighs.

use ane_ir::DType;
use std::collections::BTreeMap;

/// Elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// fp16 bit patterns.
    Fp16(Vec<u16>),
    /// Signed integers, such as classes and indices.
    Int32(Vec<i32>),
    /// Bytes.
    UInt8(Vec<u8>),
}

impl Values {
    /// Their type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Fp16(_) => DType::Fp16,
            Self::Int32(_) => DType::Int32,
            Self::UInt8(_) => DType::UInt8,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Fp16(x) => x.len(),
            Self::Int32(x) => x.len(),
            Self::UInt8(x) => x.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Examples ready for a step. Rows beyond [`Batch::present`] are padding: they hold zeros and weigh nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Epoch and number of the batch within it.
    pub position: (u64, usize),
    /// The divisor of the mean loss: what all examples weigh together that one update is made of.
    pub divisor: f32,
    rows: usize,
    present: usize,
    weights: Vec<f32>,
    tensors: BTreeMap<String, Values>,
}

impl Batch {
    /// A batch of `rows` rows, of which the first `present` hold examples that weigh 1 each.
    ///
    /// # Panics
    /// When more examples are present than there are rows.
    pub fn new(rows: usize, present: usize) -> Self {
        let mut batch = Self::default();
        batch.restart(rows, present);
        batch
    }

    /// Makes it a batch of `rows` rows again, of which the first `present` hold examples that weigh 1 each. The tensors
    /// keep their memory.
    ///
    /// # Panics
    /// When more examples are present than there are rows.
    pub fn restart(&mut self, rows: usize, present: usize) {
        assert!(present <= rows, "{present} examples in {rows} rows");
        self.rows = rows;
        self.present = present;
        self.weights.clear();
        self.weights.resize(present, 1.0);
        self.divisor = present as f32;
    }

    /// Rows of every tensor.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that hold examples: the first ones.
    pub fn present(&self) -> usize {
        self.present
    }

    /// What each example weighs.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Replaces what each example weighs, and the divisor by their sum.
    ///
    /// # Panics
    /// When their number is not that of the examples.
    pub fn weigh(&mut self, weights: &[f32]) {
        assert_eq!(weights.len(), self.present, "one weight per example");
        self.weights.copy_from_slice(weights);
        self.divisor = weights.iter().sum();
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<&Values> {
        self.tensors.get(name)
    }

    /// Sets a tensor.
    pub fn set(&mut self, name: &str, values: Values) {
        self.tensors.insert(name.to_owned(), values);
    }

    /// Names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
}

/// Memory for a data set to fill.
impl Batch {
    /// The rows of the fp16 tensor `name`, `width` bit patterns each; padding is zero.
    pub fn fp16(&mut self, name: &str, width: usize) -> &mut [u16] {
        self.memory(name, width, Values::Fp16, |v| match v {
            Values::Fp16(x) => Some(x),
            Values::Int32(_) | Values::UInt8(_) => None,
        })
    }

    /// The rows of the int32 tensor `name`, `width` elements each; padding is zero.
    pub fn int32(&mut self, name: &str, width: usize) -> &mut [i32] {
        self.memory(name, width, Values::Int32, |v| match v {
            Values::Int32(x) => Some(x),
            Values::Fp16(_) | Values::UInt8(_) => None,
        })
    }

    /// The rows of the tensor of bytes `name`, `width` elements each; padding is zero.
    pub fn uint8(&mut self, name: &str, width: usize) -> &mut [u8] {
        self.memory(name, width, Values::UInt8, |v| match v {
            Values::UInt8(x) => Some(x),
            Values::Fp16(_) | Values::Int32(_) => None,
        })
    }

    fn memory<T: Clone + Default>(
        &mut self,
        name: &str,
        width: usize,
        wrap: fn(Vec<T>) -> Values,
        unwrap: fn(&mut Values) -> Option<&mut Vec<T>>,
    ) -> &mut [T] {
        let (len, used) = (self.rows * width, self.present * width);
        if self.tensors.get_mut(name).and_then(unwrap).is_none() {
            self.tensors.insert(name.to_owned(), wrap(Vec::new()));
        }
        let tensor = self.tensors.get_mut(name).and_then(unwrap);
        let x = tensor.expect("a tensor of this type was just put there");
        x.resize(len, T::default());
        x[used..].fill(T::default());
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_zero_and_weighs_nothing_whatever_the_memory_held() {
        let mut b = Batch::new(3, 3);
        b.fp16("x", 2).fill(7);
        b.int32("label", 1).fill(9);
        b.restart(3, 1);
        assert_eq!(b.fp16("x", 2), [7, 7, 0, 0, 0, 0]);
        assert_eq!(b.int32("label", 1), [9, 0, 0]);
        assert_eq!((b.weights(), b.divisor), (&[1.0][..], 1.0));
        b.weigh(&[0.25]);
        assert_eq!(b.divisor, 0.25);
        assert_eq!(b.uint8("x", 1), [0, 0, 0]);
        assert_eq!(b.get("x").map(Values::dtype), Some(DType::UInt8));
    }
}
