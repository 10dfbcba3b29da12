//! How a tensor lies in a surface.
//!
//! A tensor has five axes there: batches, depth, channels, height and width; missing ones are 1, in front. A row is the
//! width, padded to 64 bytes; rows follow each other without further gaps, so planes need none of their own. A surface is
//! as large as its batches and a multiple of 16 KiB.

use ane_ir::{DType, TensorType};

/// Rows start at multiples of this many bytes.
const ROW: usize = 64;

/// Sizes of surfaces are multiples of this many bytes.
pub(crate) const PAGE: usize = 16 * 1024;

/// A tensor's layout. Strides are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) dtype: DType,
    pub(crate) batches: usize,
    pub(crate) depth: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) row_stride: usize,
    pub(crate) plane_stride: usize,
    pub(crate) depth_stride: usize,
    pub(crate) batch_stride: usize,
}

impl Geometry {
    pub(crate) fn of(ty: &TensorType) -> Self {
        let mut axes = [1; 5];
        let dims = ty.shape.dims();
        axes[5 - dims.len()..].copy_from_slice(dims);
        // The fourth axis from the right is the batch unless there is a depth.
        let [a, b, channels, height, width] = axes;
        let (batches, depth) = if dims.len() == 5 { (a, b) } else { (b, 1) };
        let row_stride = (width * ty.dtype.bytes()).next_multiple_of(ROW);
        let plane_stride = row_stride * height;
        let depth_stride = plane_stride * channels;
        let batch_stride = depth_stride * depth;
        Self {
            dtype: ty.dtype,
            batches,
            depth,
            channels,
            height,
            width,
            row_stride,
            plane_stride,
            depth_stride,
            batch_stride,
        }
    }

    /// Bytes that the tensor covers in a surface.
    pub(crate) fn bytes(&self) -> usize {
        self.batches * self.batch_stride
    }

    /// Bytes of a row's elements.
    fn row_bytes(&self) -> usize {
        self.width * self.dtype.bytes()
    }

    /// Reads a dense tensor out of rows.
    pub(crate) fn gather(&self, surface: &[u8], dense: &mut [u8]) {
        let row = self.row_bytes();
        let rows = surface.chunks(self.row_stride);
        for (from, to) in rows.zip(dense.chunks_exact_mut(row)) {
            to.copy_from_slice(&from[..row]);
        }
    }

    /// Writes a dense tensor into rows; the padding stays as it is.
    pub(crate) fn scatter(&self, dense: &[u8], surface: &mut [u8]) {
        let row = self.row_bytes();
        let rows = surface.chunks_mut(self.row_stride);
        for (to, from) in rows.zip(dense.chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
    }

    /// The framework's name of the element type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.dtype {
            DType::Fp16 => "Float16",
            DType::Fp32 => "Float32",
            DType::Int8 => "Int8",
            DType::UInt8 | DType::Bool => "UInt8",
            DType::Int16 => "Int16",
            DType::UInt16 => "UInt16",
            DType::Int32 => "Int32",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_tensor_has_the_strides_that_were_dumped_from_a_chip() {
        let g = Geometry::of(&TensorType::fp16([1, 4, 1, 4]));
        let strides = (g.row_stride, g.plane_stride, g.depth_stride, g.batch_stride);
        assert_eq!(strides, (64, 64, 256, 256));
        assert_eq!((g.batches, g.channels, g.height, g.width), (1, 4, 1, 4));
    }

    #[test]
    fn axes_are_taken_from_the_right() {
        let g = Geometry::of(&TensorType::fp16([2, 3, 5, 7, 33]));
        assert_eq!((g.batches, g.depth, g.channels, g.height), (2, 3, 5, 7));
        assert_eq!(g.row_stride, 128);
        assert_eq!(g.bytes(), 2 * 3 * 5 * 7 * 128);
        let g = Geometry::of(&TensorType::fp16([7, 33]));
        assert_eq!((g.batches, g.channels, g.height), (1, 1, 7));
        let g = Geometry::of(&TensorType::fp16([6, 5, 7, 33]));
        assert_eq!((g.batches, g.depth, g.channels), (6, 1, 5));
    }

    #[test]
    fn rows_are_gathered_and_scattered_without_their_padding() {
        let g = Geometry::of(&TensorType::fp16([3, 5]));
        let dense: Vec<u8> = (0..30).collect();
        let mut surface = vec![0xAA; g.bytes()];
        g.scatter(&dense, &mut surface);
        assert_eq!(surface[..10], dense[..10]);
        assert_eq!(surface[10..64], [0xAA; 54]);
        assert_eq!(surface[128..138], dense[20..]);
        let mut back = vec![0; 30];
        g.gather(&surface, &mut back);
        assert_eq!(back, dense);
    }
}
