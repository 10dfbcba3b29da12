//! Host tensors over a real working type, and constants as typed bytes.

use crate::types::{DType, Shape, TensorType};
use half::f16;
use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

/// Working type of the definitions of the ops: f32 for the engine's oracle, f64 for checking derivatives.
///
/// Every dtype's values are held in it. An f32 holds integers up to 2²⁴ only, so [`crate::eval`] computes in
/// [`Real::Exact`], which holds every int32 and computes floats as this type does.
pub trait Real: Copy + PartialOrd + std::fmt::Debug + Send + Sync + 'static {
    /// The same arithmetic over elements that hold every int32.
    type Exact: Real<Exact = Self::Exact>;
    /// The integer; in f32 the nearest value.
    fn from_int(i: i32) -> Self;
    /// The integer that this is, towards zero and saturating; 0 for NaN.
    fn to_int(self) -> i32 {
        self.to_f64() as i32
    }
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
    /// Sine, of radians.
    Sin,
    /// Cosine, of radians.
    Cos,
    /// Gauss error function.
    Erf,
    /// Its complement, 1 − erf, without the cancellation.
    Erfc,
}

macro_rules! real {
    ($t:ty, $exact:ty) => {
        impl Real for $t {
            type Exact = $exact;
            fn from_int(i: i32) -> Self {
                i as $t
            }
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
                    Function::Sin => self.sin(),
                    Function::Cos => self.cos(),
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
real!(f32, Single);
real!(f64, f64);

/// An element of [`crate::eval`] in f32: a float that is always an f32, or any int32.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Single(f64);

impl Single {
    fn of(x: f32) -> Self {
        Self(f64::from(x))
    }
}

impl Real for Single {
    type Exact = Self;
    fn from_int(i: i32) -> Self {
        Self(f64::from(i))
    }
    fn from_f64(x: f64) -> Self {
        Self::of(x as f32)
    }
    fn to_f64(self) -> f64 {
        self.0
    }
    fn to_f32(self) -> f32 {
        self.0 as f32
    }
    fn to_f16(self) -> f16 {
        round_to_f16(self.0)
    }
    fn map(self, f: Function) -> Self {
        Self::of(self.to_f32().map(f))
    }
    fn add(self, y: Self) -> Self {
        Self::of(self.to_f32() + y.to_f32())
    }
    fn sub(self, y: Self) -> Self {
        Self::of(self.to_f32() - y.to_f32())
    }
    fn mul(self, y: Self) -> Self {
        Self::of(self.to_f32() * y.to_f32())
    }
    fn div(self, y: Self) -> Self {
        Self::of(self.to_f32() / y.to_f32())
    }
    fn pow(self, y: Self) -> Self {
        Self::of(self.to_f32().pow(y.to_f32()))
    }
}

/// `x` as an element of `dtype` in another working type.
fn converted<T: Real, U: Real>(dtype: DType, x: T) -> U {
    if dtype.is_float() {
        U::from_f64(x.to_f64())
    } else {
        U::from_int(x.to_int())
    }
}

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
            data: self
                .data
                .iter()
                .map(|&x| converted(self.ty.dtype, x))
                .collect(),
        }
    }
}

/// Payload of a constant: little-endian elements of its dtype, shared. Equal elements are held once, so that a splat of
/// any size costs nothing until its bytes are asked for.
#[derive(Debug, Clone)]
pub struct Literal {
    ty: TensorType,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    Dense(Arc<[u8]>),
    /// One element, and all of them once somebody asked.
    Splat {
        element: Arc<[u8]>,
        dense: Arc<OnceLock<Box<[u8]>>>,
    },
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        // Whoever makes a literal of equal elements gets a splat, so the two kinds never hold the same data.
        self.ty == other.ty
            && match (&self.data, &other.data) {
                (Data::Dense(a), Data::Dense(b)) => Arc::ptr_eq(a, b) || a == b,
                (Data::Splat { element: a, .. }, Data::Splat { element: b, .. }) => a == b,
                _ => false,
            }
    }
}

impl Eq for Literal {}

impl Hash for Literal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
        match &self.data {
            Data::Dense(bytes) | Data::Splat { element: bytes, .. } => bytes.hash(state),
        }
    }
}

impl Literal {
    /// A constant from the bytes of its elements, or `None` when their number is wrong.
    pub fn from_bytes(ty: TensorType, bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() == ty.bytes()).then(|| Self::of(ty, bytes))
    }

    fn of(ty: TensorType, bytes: Arc<[u8]>) -> Self {
        let mut elements = bytes.chunks_exact(ty.dtype.bytes());
        let data = match elements.next() {
            Some(first) if elements.all(|e| e == first) => Data::splat(first.into()),
            _ => Data::Dense(bytes),
        };
        Self { ty, data }
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
        Self::of(ty, bytes.into())
    }

    /// A constant of equal elements.
    pub fn splat(ty: TensorType, value: f64) -> Self {
        if ty.shape.numel() == 0 {
            return Self::from_f64(ty, &[]);
        }
        let one = TensorType::new(ty.dtype, []);
        Self {
            data: Self::from_f64(one, &[value]).data,
            ty,
        }
    }

    /// Its type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Little-endian elements.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Dense(bytes) => bytes,
            Data::Splat { element, .. } if self.ty.shape.numel() == 1 => element,
            Data::Splat { element, dense } => {
                dense.get_or_init(|| element.repeat(self.ty.shape.numel()).into())
            }
        }
    }

    /// The elements, exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::Dense(bytes) => self.elements(bytes),
            Data::Splat { element, .. } => {
                vec![self.elements(element)[0]; self.ty.shape.numel()]
            }
        }
    }

    fn elements(&self, b: &[u8]) -> Vec<f64> {
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
            data: self
                .to_f64()
                .into_iter()
                .map(|x| converted(self.ty.dtype, x))
                .collect(),
        }
    }

    /// The common element, when all elements have the same bits.
    pub fn splat_value(&self) -> Option<f64> {
        match &self.data {
            Data::Dense(_) => None,
            Data::Splat { element, .. } => Some(self.elements(element)[0]),
        }
    }

    /// The same elements under another shape of equal size.
    pub fn with_shape(&self, shape: Shape) -> Option<Self> {
        (shape.numel() == self.ty.shape.numel()).then(|| Self {
            ty: TensorType {
                dtype: self.ty.dtype,
                shape,
            },
            data: self.data.clone(),
        })
    }
}

impl Data {
    fn splat(element: Arc<[u8]>) -> Self {
        Self::Splat {
            element,
            dense: Arc::default(),
        }
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

    #[test]
    fn equal_elements_are_held_once_however_they_came() {
        let ty = TensorType::new(DType::Int16, [1000, 1000]);
        let splat = Literal::splat(ty.clone(), -2.0);
        let Data::Splat { element, dense } = &splat.data else {
            panic!("a splat");
        };
        assert_eq!(element.len(), 2);
        assert!(dense.get().is_none(), "nobody asked for the elements");
        let dense = Literal::from_bytes(ty.clone(), [0xfe, 0xff].repeat(1_000_000)).unwrap();
        assert_eq!(splat, dense);
        assert_eq!(splat.bytes(), dense.bytes());
        assert_eq!(splat.bytes().len(), ty.bytes());
        assert_ne!(splat, Literal::splat(ty, -1.0));
        let (zero, minus) = (TensorType::fp16([2]), TensorType::fp16([2]));
        let (zero, minus) = (Literal::splat(zero, 0.0), Literal::splat(minus, -0.0));
        assert_ne!(zero, minus, "bits decide");
    }

    #[test]
    fn singles_are_f32_and_hold_every_int32() {
        for i in [i32::MIN, -16_777_217, 16_777_217, i32::MAX] {
            assert_eq!(Single::from_int(i).to_int(), i);
        }
        for (x, y) in [(0.1_f32, 0.7_f32), (1e30, -3e-30), (16_777_216.0, 1.0)] {
            let (a, b) = (Single::of(x), Single::of(y));
            assert_eq!(a.add(b).to_f32(), x + y);
            assert_eq!(a.sub(b).to_f32(), x - y);
            assert_eq!(a.mul(b).to_f32(), x * y);
            assert_eq!(a.div(b).to_f32(), x / y);
            assert_eq!(a.map(Function::Exp).to_f32(), x.exp());
        }
        assert_eq!(Single::from_f64(0.1).to_f64(), f64::from(0.1_f32));
    }
}
