//! Host tensors over a real working type, and constants as typed bytes.

use crate::types::{DType, Shape, TensorType};
use half::f16;
use std::sync::Arc;

/// Working type of the definitions of the ops: f32 for the engine's oracle, f64 for checking derivatives.
///
/// Every dtype's values are held in it. Integers beyond 2²⁴ lose precision in f32; no op of the set depends on them.
pub trait Real: Copy + PartialOrd + std::fmt::Debug + Send + Sync + 'static {
    /// Nearest value.
    fn from_f64(x: f64) -> Self;
    /// Exact widening.
    fn to_f64(self) -> f64;
    /// Rounded once to f32.
    fn to_f32(self) -> f32;
    /// Rounded once to fp16, to nearest even.
    fn to_f16(self) -> f16;
    /// Whether this is NaN.
    fn is_nan(self) -> bool {
        self.to_f64().is_nan()
    }
    /// One function of one argument, computed in this type.
    fn map(self, f: Function) -> Self;
    /// Sum rounded to this type.
    fn add(self, y: Self) -> Self;
    /// Difference rounded to this type.
    fn sub(self, y: Self) -> Self;
    /// Product rounded to this type.
    fn mul(self, y: Self) -> Self;
    /// Quotient rounded to this type.
    fn div(self, y: Self) -> Self;
    /// Power.
    fn pow(self, y: Self) -> Self;
}

/// The elementary functions the ops are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// eˣ
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// Gauss error function.
    Erf,
    /// Its complement, 1 − erf, without the cancellation.
    Erfc,
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn to_f16(self) -> f16 {
                round_to_f16(f64::from(self))
            }
            fn map(self, f: Function) -> Self {
                match f {
                    Function::Exp => self.exp(),
                    Function::Log => self.ln(),
                    Function::Sqrt => self.sqrt(),
                    Function::Tanh => self.tanh(),
                    Function::Erf => erf(f64::from(self)) as $t,
                    Function::Erfc => erfc(f64::from(self)) as $t,
                }
            }
            fn add(self, y: Self) -> Self {
                self + y
            }
            fn sub(self, y: Self) -> Self {
                self - y
            }
            fn mul(self, y: Self) -> Self {
                self * y
            }
            fn div(self, y: Self) -> Self {
                self / y
            }
            fn pow(self, y: Self) -> Self {
                self.powf(y)
            }
        }
    };
}
real!(f32);
real!(f64);

/// fp16 nearest to `x`, ties to even. Going through f32 would round twice.
fn round_to_f16(x: f64) -> f16 {
    let near = f16::from_f32(x as f32);
    if !near.is_finite() || f64::from(x as f32) == x {
        return near;
    }
    // Rounding to f32 first can only be wrong when it lands exactly between two fp16 values: rounding it to odd there
    // keeps the side on which `x` lies.
    let f = x as f32;
    let toward_zero = if f64::from(f).abs() > x.abs() {
        f32::from_bits(f.to_bits() - 1)
    } else {
        f
    };
    f16::from_f32(f32::from_bits(toward_zero.to_bits() | 1))
}

/// Error function to about 1e-15, by its power series near zero and its continued fraction beyond.
///
/// Abramowitz & Stegun 7.1.6 (`2/√π · e^{-x²} Σ 2ⁿ x^{2n+1} / (1·3·…·(2n+1))`) and 7.1.14.
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let y = if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
    } else {
        1.0 - upper_tail(a)
    };
    if x.is_nan() { x } else { y.copysign(x) }
}

/// Complementary error function 1 − erf(x), as exact relative to its own size.
pub(crate) fn erfc(x: f64) -> f64 {
    if x >= 2.5 {
        upper_tail(x)
    } else {
        1.0 - erf(x)
    }
}

/// 1 − erf(a) from 2.5 on, by the continued fraction.
fn upper_tail(a: f64) -> f64 {
    if a.is_infinite() {
        return 0.0;
    }
    let fraction = (1..=120).rev().fold(a, |t, k| a + f64::from(k) * 0.5 / t);
    (-a * a).exp() / fraction / std::f64::consts::PI.sqrt()
}

/// A dense row-major tensor on the host; every dtype's elements are held as `T`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<T> {
    /// Element type and shape.
    pub ty: TensorType,
    /// `ty.shape.numel()` elements, row-major.
    pub data: Vec<T>,
}

impl<T: Real> Tensor<T> {
    /// A tensor from its elements.
    ///
    /// # Panics
    /// When the number of elements is not the shape's.
    pub fn new(ty: TensorType, data: Vec<T>) -> Self {
        assert_eq!(ty.shape.numel(), data.len(), "elements of {ty}");
        Self { ty, data }
    }

    /// A tensor of equal elements.
    pub fn full(ty: TensorType, value: T) -> Self {
        let n = ty.shape.numel();
        Self::new(ty, vec![value; n])
    }

    /// The elements in another working type.
    pub fn convert<U: Real>(&self) -> Tensor<U> {
        Tensor {
            ty: self.ty.clone(),
            data: self.data.iter().map(|x| U::from_f64(x.to_f64())).collect(),
        }
    }
}

/// Payload of a constant: little-endian elements of its dtype, shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    ty: TensorType,
    bytes: Arc<[u8]>,
}

impl Literal {
    /// A constant from the bytes of its elements, or `None` when their number is wrong.
    pub fn from_bytes(ty: TensorType, bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() == ty.bytes()).then_some(Self { ty, bytes })
    }

    /// A constant from elements, each rounded to `ty.dtype` (integers saturate, truth is non-zero).
    ///
    /// # Panics
    /// When the number of elements is not the shape's.
    pub fn from_f64(ty: TensorType, elements: &[f64]) -> Self {
        assert_eq!(ty.shape.numel(), elements.len(), "elements of {ty}");
        let mut bytes = Vec::with_capacity(ty.bytes());
        for &x in elements {
            match ty.dtype {
                DType::Fp16 => bytes.extend(round_to_f16(x).to_le_bytes()),
                DType::Fp32 => bytes.extend((x as f32).to_le_bytes()),
                DType::Int8 => bytes.extend((x as i8).to_le_bytes()),
                DType::UInt8 => bytes.push(x as u8),
                DType::Int16 => bytes.extend((x as i16).to_le_bytes()),
                DType::UInt16 => bytes.extend((x as u16).to_le_bytes()),
                DType::Int32 => bytes.extend((x as i32).to_le_bytes()),
                DType::Bool => bytes.push(u8::from(x != 0.0)),
            }
        }
        Self {
            ty,
            bytes: bytes.into(),
        }
    }

    /// A constant of equal elements.
    pub fn splat(ty: TensorType, value: f64) -> Self {
        let n = ty.shape.numel();
        Self::from_f64(ty, &vec![value; n])
    }

    /// Its type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Little-endian elements.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The elements, exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        let b = &self.bytes;
        match self.ty.dtype {
            DType::Fp16 => chunks(b, |c| f64::from(f16::from_le_bytes(c))),
            DType::Fp32 => chunks(b, |c| f64::from(f32::from_le_bytes(c))),
            DType::Int8 => chunks(b, |c| f64::from(i8::from_le_bytes(c))),
            DType::UInt8 | DType::Bool => chunks(b, |c: [u8; 1]| f64::from(c[0])),
            DType::Int16 => chunks(b, |c| f64::from(i16::from_le_bytes(c))),
            DType::UInt16 => chunks(b, |c| f64::from(u16::from_le_bytes(c))),
            DType::Int32 => chunks(b, |c| f64::from(i32::from_le_bytes(c))),
        }
    }

    /// As a tensor of the working type.
    pub fn to_tensor<T: Real>(&self) -> Tensor<T> {
        Tensor {
            ty: self.ty.clone(),
            data: self.to_f64().into_iter().map(T::from_f64).collect(),
        }
    }

    /// The common element, when all elements have the same bits.
    pub fn splat_value(&self) -> Option<f64> {
        let size = self.ty.dtype.bytes();
        let mut elements = self.bytes.chunks_exact(size);
        let first = elements.next()?;
        elements
            .all(|e| e == first)
            .then(|| self.reshaped(Shape::new(&[1]), 1).to_f64()[0])
    }

    fn reshaped(&self, shape: Shape, elements: usize) -> Self {
        Self {
            ty: TensorType {
                dtype: self.ty.dtype,
                shape,
            },
            bytes: self.bytes[..elements * self.ty.dtype.bytes()].into(),
        }
    }

    /// The same elements under another shape of equal size.
    pub fn with_shape(&self, shape: Shape) -> Option<Self> {
        (shape.numel() == self.ty.shape.numel()).then(|| Self {
            ty: TensorType {
                dtype: self.ty.dtype,
                shape,
            },
            bytes: self.bytes.clone(),
        })
    }
}

fn chunks<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_keep_their_bits() {
        let ty = TensorType::fp16([3]);
        let l = Literal::from_f64(ty, &[0.1, -65_504.0, 2.0_f64.powi(-24)]);
        assert_eq!(l.to_f64()[1], -65_504.0);
        assert_eq!(l.to_f64()[2], 2.0_f64.powi(-24));
        assert_eq!(l.splat_value(), None);
        assert_eq!(
            Literal::splat(TensorType::fp16([2, 2]), 1.5).splat_value(),
            Some(1.5)
        );
    }

    #[test]
    fn erf_matches_tabulated_values() {
        // Abramowitz & Stegun, table 7.1.
        for (x, want) in [
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (2.0, 0.995_322_265_0),
            (3.0, 0.999_977_909_5),
        ] {
            assert!((erf(x) - want).abs() < 1e-10, "{x}");
            assert!((erf(-x) + want).abs() < 1e-10, "{x}");
        }
    }
}
