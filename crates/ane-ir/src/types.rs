//! Element types, shapes and tensor types.

use smallvec::SmallVec;
use std::fmt;

/// Element type of a tensor. Its `Display` is the spelling of MIL text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE binary16, the engine's native type.
    Fp16,
    /// IEEE binary32.
    Fp32,
    /// Signed 8-bit integer.
    Int8,
    /// Unsigned 8-bit integer.
    UInt8,
    /// Signed 16-bit integer.
    Int16,
    /// Unsigned 16-bit integer.
    UInt16,
    /// Signed 32-bit integer.
    Int32,
    /// Truth value; stored as 0 or 1 in one byte.
    Bool,
}

impl DType {
    /// Every element type, in declaration order.
    pub const ALL: [Self; 8] = [
        Self::Fp16,
        Self::Fp32,
        Self::Int8,
        Self::UInt8,
        Self::Int16,
        Self::UInt16,
        Self::Int32,
        Self::Bool,
    ];

    /// MIL spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
            Self::UInt8 => "uint8",
            Self::Int16 => "int16",
            Self::UInt16 => "uint16",
            Self::Int32 => "int32",
            Self::Bool => "bool",
        }
    }

    /// The type spelled `name` in MIL text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Size of one element in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Fp16 | Self::Int16 | Self::UInt16 => 2,
            Self::Fp32 | Self::Int32 => 4,
            Self::Int8 | Self::UInt8 | Self::Bool => 1,
        }
    }

    /// Whether the type is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Fp32)
    }

    /// Inclusive range of an integer type; `None` for floating point. `bool` is 0 to 1.
    pub fn integer_range(self) -> Option<(f64, f64)> {
        match self {
            Self::Fp16 | Self::Fp32 => None,
            Self::Int8 => Some((-128.0, 127.0)),
            Self::UInt8 => Some((0.0, 255.0)),
            Self::Int16 => Some((-32_768.0, 32_767.0)),
            Self::UInt16 => Some((0.0, 65_535.0)),
            Self::Int32 => Some((-2_147_483_648.0, 2_147_483_647.0)),
            Self::Bool => Some((0.0, 1.0)),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Highest rank of a tensor. Chips have fewer axes: [`crate::Target::max_rank`].
pub const MAX_RANK: usize = 8;

/// Static dimensions, outermost first; at most [`MAX_RANK`]. Displays as `[1, 64]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; MAX_RANK]>);

impl Shape {
    /// A shape with these dimensions.
    pub fn new(dims: &[usize]) -> Self {
        Self(SmallVec::from_slice(dims))
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements; 1 for a scalar.
    pub fn numel(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> SmallVec<[usize; MAX_RANK]> {
        let mut strides = SmallVec::from_elem(1, self.rank());
        for i in (1..self.rank()).rev() {
            strides[i - 1] = strides[i] * self.0[i];
        }
        strides
    }

    /// Length of the last axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// NumPy broadcast of two shapes, `None` where they do not fit.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Self, i: usize| (i + s.rank()).checked_sub(rank).map_or(1, |j| s.0[j]);
        (0..rank)
            .map(|i| match (at(self, i), at(other, i)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<SmallVec<_>>>()
            .map(Self)
    }

    /// Strides with which a tensor of this shape is read while walking `out`, 0 on broadcast axes.
    ///
    /// # Panics
    /// When this shape does not broadcast to `out`.
    pub fn broadcast_strides(&self, out: &Self) -> SmallVec<[usize; MAX_RANK]> {
        assert!(
            self.broadcast(out).as_ref() == Some(out),
            "{self} does not broadcast to {out}"
        );
        let own = self.strides();
        let pad = out.rank() - self.rank();
        (0..out.rank())
            .map(|i| match i.checked_sub(pad) {
                Some(j) if self.0[j] != 1 => own[j],
                _ => 0,
            })
            .collect()
    }

    /// The axis that `axis` names, counting from the end when negative.
    pub fn axis(&self, axis: i32) -> Option<usize> {
        let rank = i32::try_from(self.rank()).ok()?;
        let axis = if axis < 0 { axis + rank } else { axis };
        (0..rank)
            .contains(&axis)
            .then(|| usize::try_from(axis).ok())
            .flatten()
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self::new(dims)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self::new(&dims)
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Self(dims.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{d}")?;
        }
        f.write_str("]")
    }
}

/// Type of a value: element type and static shape. Displays as MIL: `tensor<fp16, [1, 64]>`, a scalar as `fp16`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor type.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self {
            dtype,
            shape: shape.into(),
        }
    }

    /// An fp16 tensor type.
    pub fn fp16(shape: impl Into<Shape>) -> Self {
        Self::new(DType::Fp16, shape)
    }

    /// An fp32 tensor type.
    pub fn fp32(shape: impl Into<Shape>) -> Self {
        Self::new(DType::Fp32, shape)
    }

    /// Size of a dense buffer in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.numel() * self.dtype.bytes()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.rank() == 0 {
            write!(f, "{}", self.dtype)
        } else {
            write!(f, "tensor<{}, {}>", self.dtype, self.shape)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let check = |a: &[usize], b: &[usize], want: Option<&[usize]>| {
            assert_eq!(
                Shape::new(a).broadcast(&Shape::new(b)),
                want.map(Shape::new)
            );
        };
        check(&[2, 3], &[3], Some(&[2, 3]));
        check(&[2, 1], &[1, 3], Some(&[2, 3]));
        check(&[], &[4], Some(&[4]));
        check(&[2, 3], &[2], None);
    }

    #[test]
    fn broadcast_axes_have_stride_zero() {
        let s = Shape::new(&[3, 1]).broadcast_strides(&Shape::new(&[2, 3, 4]));
        assert_eq!(s.as_slice(), &[0, 1, 0]);
    }

    #[test]
    fn negative_axes_count_from_the_end() {
        let s = Shape::new(&[2, 3]);
        assert_eq!(s.axis(-1), Some(1));
        assert_eq!(s.axis(2), None);
        assert_eq!(s.axis(-3), None);
    }
}
