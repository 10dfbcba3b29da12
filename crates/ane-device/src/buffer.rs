//! Device memory: a logical type over a physical layout.

use crate::error::DeviceError;
use ane_engine::{SharedBuffer, Strided, simd};
use ane_ir::{DType, Literal, Target, TensorType};

/// How elements lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Row-major without gaps.
    Dense,
    /// Every row of the last axis starts at a multiple of this many bytes.
    Rows {
        /// Distance of rows.
        row_bytes: usize,
    },
}

impl Layout {
    /// The layout of a target's buffers.
    pub fn of(target: &Target, ty: &TensorType) -> Self {
        target
            .row_alignment()
            .map_or(Self::Dense, |line| Self::rows(ty, line))
    }

    fn rows(ty: &TensorType, line: usize) -> Self {
        Self::Rows {
            row_bytes: (ty.shape.last() * ty.dtype.bytes()).next_multiple_of(line),
        }
    }

    /// Rows of 64 bytes, as engines with IOSurfaces read them.
    pub fn rows_of_64(ty: &TensorType) -> Self {
        Self::rows(ty, 64)
    }

    /// Whether a tensor of type `ty` in this layout lies in memory as a dense tensor of type `port` does.
    pub(crate) fn lies_as(self, ty: &TensorType, port: &TensorType) -> bool {
        let rows = |ty: &TensorType| ty.shape.numel() / ty.shape.last();
        match self {
            Self::Dense => ty == port,
            Self::Rows { row_bytes } => {
                ty.dtype == port.dtype
                    && rows(ty) == rows(port)
                    && port.shape.last() * port.dtype.bytes() == row_bytes
            }
        }
    }

    /// Bytes of a buffer of type `ty`.
    pub fn bytes(self, ty: &TensorType) -> usize {
        match self {
            Self::Dense => ty.bytes(),
            Self::Rows { row_bytes } => ty.shape.numel() / ty.shape.last() * row_bytes,
        }
    }
}

/// Memory of a device. Clones share it.
#[derive(Debug, Clone)]
pub struct Buffer {
    ty: TensorType,
    layout: Layout,
    memory: SharedBuffer,
    /// Where the first row lies, in bytes: not 0 in a view.
    offset: usize,
}

impl Buffer {
    /// A zeroed buffer.
    pub fn new(ty: TensorType, layout: Layout) -> Self {
        let memory = SharedBuffer::new(layout.bytes(&ty));
        Self {
            ty,
            layout,
            memory,
            offset: 0,
        }
    }

    /// A buffer over memory that a device has made, with `layout.bytes(&ty)` bytes or more.
    pub(crate) fn over(ty: TensorType, layout: Layout, memory: SharedBuffer) -> Self {
        debug_assert!(memory.len() >= layout.bytes(&ty), "memory of {ty}");
        Self {
            ty,
            layout,
            memory,
            offset: 0,
        }
    }

    /// Some rows of this buffer, from `row` on, as a tensor of type `ty` over the same memory. A view is read and written
    /// by the host and bound to no port.
    ///
    /// # Panics
    /// When `ty` has other rows than the buffer, or more than there are.
    pub fn view(&self, row: usize, ty: TensorType) -> Self {
        let rows = |ty: &TensorType| ty.shape.numel() / ty.shape.last();
        assert!(
            ty.dtype == self.ty.dtype
                && ty.shape.last() == self.ty.shape.last()
                && row + rows(&ty) <= rows(&self.ty),
            "rows from {row} on of {} as {ty}",
            self.ty
        );
        let row_bytes = match self.layout {
            Layout::Dense => ty.shape.last() * ty.dtype.bytes(),
            Layout::Rows { row_bytes } => row_bytes,
        };
        Self {
            ty,
            layout: self.layout,
            memory: self.memory.clone(),
            offset: self.offset + row * row_bytes,
        }
    }

    /// Logical type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Physical layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The memory itself, in the buffer's layout.
    pub fn memory(&self) -> &SharedBuffer {
        &self.memory
    }

    /// The memory and where its rows lie, for code that works on fp16 elements in place.
    ///
    /// # Panics
    /// When the buffer is not fp16.
    pub fn strided(&self) -> Strided {
        assert_eq!(self.ty.dtype, DType::Fp16, "elements of {}", self.ty);
        match self.layout {
            Layout::Dense => {
                let dense = Strided::dense(self.memory.clone(), self.ty.shape.numel());
                Strided {
                    offset: self.offset / 2,
                    ..dense
                }
            }
            Layout::Rows { row_bytes } => Strided {
                memory: self.memory.clone(),
                offset: self.offset / 2,
                row: self.ty.shape.last(),
                pitch: row_bytes / 2,
            },
        }
    }

    /// Whether the bytes lie as a dense tensor of type `port` would: of the buffer's own type, or with its rows padded
    /// to those of the port. A view that begins elsewhere fits none.
    pub fn fits(&self, port: &TensorType) -> bool {
        self.offset == 0 && self.layout.lies_as(&self.ty, port)
    }

    fn check(&self, found: usize) -> Result<(), DeviceError> {
        let expected = self.ty.shape.numel();
        if expected == found {
            return Ok(());
        }
        Err(DeviceError::Length {
            ty: self.ty.clone(),
            expected,
            found,
        })
    }

    /// Writes elements, each rounded to the buffer's dtype.
    ///
    /// # Errors
    /// When their number is not the type's.
    pub fn copy_in(&self, x: &[f32]) -> Result<(), DeviceError> {
        self.check(x.len())?;
        if self.layout == Layout::Dense && self.ty.dtype == DType::Fp16 {
            self.memory.write_u16(|out| {
                simd::narrow(
                    simd::Isa::detect(),
                    x,
                    &mut out[self.offset / 2..][..x.len()],
                )
            });
            return Ok(());
        }
        let elements: Vec<f64> = x.iter().map(|&e| f64::from(e)).collect();
        self.copy_in_bytes(Literal::from_f64(self.ty.clone(), &elements).bytes())
    }

    /// Writes fp16 bit patterns, unchanged.
    ///
    /// # Errors
    /// When their number is not the type's, or the buffer is not fp16.
    pub fn copy_in_bits(&self, x: &[u16]) -> Result<(), DeviceError> {
        self.check(x.len())?;
        if self.layout == Layout::Dense && self.ty.dtype == DType::Fp16 {
            self.memory
                .write_u16(|out| out[self.offset / 2..][..x.len()].copy_from_slice(x));
            return Ok(());
        }
        let bytes: Vec<u8> = x.iter().flat_map(|b| b.to_le_bytes()).collect();
        self.copy_in_bytes(&bytes)
    }

    /// Writes the bytes of a dense tensor of the buffer's type.
    ///
    /// # Errors
    /// When their number is not the type's.
    pub fn copy_in_bytes(&self, x: &[u8]) -> Result<(), DeviceError> {
        let size = self.ty.dtype.bytes();
        self.check(x.len() / size)?;
        let row = self.ty.shape.last() * size;
        self.memory.write(|out| match self.layout {
            Layout::Dense => out[self.offset..][..x.len()].copy_from_slice(x),
            Layout::Rows { row_bytes } => {
                let out = out[self.offset..].chunks_exact_mut(row_bytes);
                for (x, out) in x.chunks_exact(row).zip(out) {
                    out[..row].copy_from_slice(x);
                }
            }
        });
        Ok(())
    }

    /// Reads the bytes of a dense tensor of the buffer's type.
    pub fn copy_out_bytes(&self) -> Vec<u8> {
        let row = self.ty.shape.last() * self.ty.dtype.bytes();
        self.memory.read(|x| match self.layout {
            Layout::Dense => x[self.offset..][..self.ty.bytes()].to_vec(),
            Layout::Rows { row_bytes } => x[self.offset..][..self.layout.bytes(&self.ty)]
                .chunks_exact(row_bytes)
                .flat_map(|r| &r[..row])
                .copied()
                .collect(),
        })
    }

    /// Whether every element is zero, of either sign for floats. Costs as much as there are zeros before the first other
    /// element.
    pub fn is_zero(&self) -> bool {
        let row = self.ty.shape.last() * self.ty.dtype.bytes();
        let row_bytes = match self.layout {
            Layout::Dense => row,
            Layout::Rows { row_bytes } => row_bytes,
        };
        // The sign is the highest bit of the last byte.
        let (size, is_float) = (self.ty.dtype.bytes(), self.ty.dtype.is_float());
        let is_zero = |element: &[u8]| match element.split_last() {
            Some((last, rest)) if is_float => {
                last & 0x7f == 0 && rest.iter().all(|&byte| byte == 0)
            }
            _ => element.iter().all(|&byte| byte == 0),
        };
        self.memory.read(|x| {
            let rows = x[self.offset..][..self.layout.bytes(&self.ty)].chunks_exact(row_bytes);
            let mut elements = rows.flat_map(|r| r[..row].chunks_exact(size));
            elements.all(is_zero)
        })
    }

    /// Reads the elements.
    pub fn copy_out(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.ty.shape.numel()];
        self.copy_out_to(&mut out);
        out
    }

    /// Reads the elements into `out`.
    ///
    /// # Panics
    /// When `out` has another length than the type.
    pub fn copy_out_to(&self, out: &mut [f32]) {
        self.copy_out_by(1.0, out);
    }

    /// Reads the elements, times a factor, into `out`; the largest magnitude among them, NaN if one is NaN.
    ///
    /// # Panics
    /// When `out` has another length than the type.
    pub fn copy_out_by(&self, factor: f32, out: &mut [f32]) -> f32 {
        assert_eq!(out.len(), self.ty.shape.numel(), "elements of {}", self.ty);
        if self.layout == Layout::Dense && self.ty.dtype == DType::Fp16 {
            return self.memory.read_u16(|x| {
                let x = &x[self.offset / 2..][..out.len()];
                simd::widen_by(simd::Isa::detect(), x, factor, out)
            });
        }
        let literal = Literal::from_bytes(self.ty.clone(), self.copy_out_bytes())
            .expect("the bytes are the type's");
        let mut most = 0.0_f32;
        for (o, x) in out.iter_mut().zip(literal.to_f64()) {
            *o = x as f32 * factor;
            if o.is_nan() || o.abs() > most {
                most = o.abs();
            }
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros_whatever_their_sign_and_what_lies_behind_their_rows() {
        let ty = TensorType::fp16([3, 5]);
        for layout in [Layout::Dense, Layout::rows_of_64(&ty)] {
            let b = Buffer::new(ty.clone(), layout);
            b.memory().write(|x| x.fill(1));
            assert!(!b.is_zero());
            b.copy_in(&[-0.0; 15]).unwrap();
            assert!(b.is_zero(), "{layout:?}");
            let mut x = [0.0; 15];
            x[14] = 6e-8;
            b.copy_in(&x).unwrap();
            assert!(!b.is_zero(), "the smallest number is not zero");
            assert!(b.view(0, TensorType::fp16([2, 5])).is_zero());
        }
        let b = Buffer::new(TensorType::new(DType::Int32, [1]), Layout::Dense);
        b.copy_in_bytes(&i32::MIN.to_le_bytes()).unwrap();
        assert!(!b.is_zero(), "integers have no sign bit");
    }

    #[test]
    fn layouts_keep_the_elements() {
        let ty = TensorType::fp16([3, 5]);
        let x: Vec<f32> = (0..15).map(|i| i as f32 * 0.5 - 3.0).collect();
        for layout in [Layout::Dense, Layout::rows_of_64(&ty)] {
            let b = Buffer::new(ty.clone(), layout);
            b.copy_in(&x).unwrap();
            assert_eq!(b.copy_out(), x);
        }
        let rows = Layout::rows_of_64(&ty);
        assert_eq!(rows, Layout::Rows { row_bytes: 64 });
        assert_eq!(rows.bytes(&ty), 192);
    }

    #[test]
    fn padded_rows_are_those_of_a_wider_tensor() {
        let narrow = TensorType::fp16([3, 5]);
        let b = Buffer::new(narrow.clone(), Layout::rows_of_64(&narrow));
        assert!(b.fits(&TensorType::fp16([3, 32])));
        assert!(b.fits(&TensorType::fp16([1, 3, 32])));
        assert!(!b.fits(&narrow));
        assert!(!b.fits(&TensorType::fp16([2, 32])));
        assert!(!b.fits(&TensorType::new(DType::Int16, [3, 32])));
        let dense = Buffer::new(narrow.clone(), Layout::Dense);
        assert!(dense.fits(&narrow));
        assert!(!dense.fits(&TensorType::fp16([5, 3])));
        let strided = b.strided();
        assert_eq!((strided.row, strided.pitch), (5, 32));
    }

    #[test]
    fn a_view_is_rows_of_its_buffer_and_fits_no_port() {
        let ty = TensorType::fp16([4, 5]);
        for layout in [Layout::Dense, Layout::rows_of_64(&ty)] {
            let whole = Buffer::new(ty.clone(), layout);
            let view = whole.view(1, TensorType::fp16([2, 5]));
            let x: Vec<f32> = (1..=10).map(|i| i as f32).collect();
            view.copy_in(&x).unwrap();
            assert_eq!(view.copy_out(), x);
            let expected = [vec![0.0; 5], x.clone(), vec![0.0; 5]].concat();
            assert_eq!(whole.copy_out(), expected);
            let bits: Vec<u16> = (0..10).collect();
            view.copy_in_bits(&bits).unwrap();
            let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
            assert_eq!(view.copy_out_bytes(), bytes);
            let first_row = match layout {
                Layout::Dense => 5,
                Layout::Rows { row_bytes } => row_bytes / 2,
            };
            assert_eq!(view.strided().offset, first_row);
            assert!(!view.fits(&TensorType::fp16([2, 5])));
        }
    }

    #[test]
    fn every_dtype_crosses() {
        for dtype in DType::ALL {
            let b = Buffer::new(TensorType::new(dtype, [4]), Layout::Dense);
            b.copy_in(&[0.0, 1.0, 0.0, 1.0]).unwrap();
            assert_eq!(b.copy_out(), [0.0, 1.0, 0.0, 1.0], "{dtype}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let b = Buffer::new(TensorType::fp16([4]), Layout::Dense);
        let e = b.copy_in(&[1.0]).unwrap_err();
        assert_eq!(
            e.to_string(),
            "the buffer holds 4 elements (tensor<fp16, [4]>), 1 were given"
        );
    }
}
