//! `upsample_bilinear`: images made larger by interpolation between neighbouring pixels.
//!
//! ```text
//! # Definition   result[…, h, w] = x[…, p(h), q(w)], places between two rows or columns being weighed by how near they
//! #              are. Of an axis from n to m elements, p(i) is i · (n − 1)/(m − 1) with align_corners,
//! #              (i + ½) · n/m − ½ with half_pixel_centers, else i · n/m; the nearest place in the image where it is
//! #              outside, and 0 where align_corners asks for one element
//! # Operands     x: [*D, H, W] fp16 | fp32, at least three axes
//! # Result       [*D, ⌊H · scale_factor_height⌋, ⌊W · scale_factor_width⌋], dtype of x
//! # Attributes   scale_factor_height, scale_factor_width (1): may have fractions; align_corners (true);
//! #              half_pixel_centers (not align_corners), which excludes align_corners
//! # Gradient     ct times the weights, as products with a matrix for each of the two axes
//! # Sources      coremltools iOS16 image_resizing; PyTorch interpolate with recompute_scale_factor
//! ```

use super::{
    Attr, AttrType, Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support,
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, TensorType},
};
use smallvec::smallvec;

/// How much longer an axis becomes; MIL writes it as an integer or as an fp32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(pub f32);

impl AttrType for Scale {
    fn to_attr(&self) -> Option<Attr> {
        let whole = self.0.fract() == 0.0 && self.0.abs() < 65_536.0;
        Some(if whole {
            Attr::Int(self.0 as i32)
        } else {
            // A float attribute would be written in the dtype of x.
            let scalar = TensorType::new(DType::Fp32, []);
            Attr::Literal(Literal::splat(scalar, self.0.into()))
        })
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        match attr {
            Attr::Int(i) => Some(Self(i as f32)),
            Attr::Float(x) => Some(Self(x as f32)),
            Attr::Literal(literal) => literal.splat_value().map(|x| Self(x as f32)),
            _ => None,
        }
    }
}

attributes! {
    /// Images made larger by interpolation between neighbouring pixels.
    UpsampleBilinear {
        /// How much higher.
        scale_factor_height: Scale = Scale(1.0),
        /// How much wider.
        scale_factor_width: Scale = Scale(1.0),
        /// Whether the first and the last pixel stay where they are.
        align_corners: bool = true,
        /// Whether pixels are areas and not points; the opposite of `align_corners` when left out.
        half_pixel_centers: Option<bool>,
    }
}

/// A place between two elements of an axis.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The element before it and the one behind it.
    between: [usize; 2],
    /// How near the one behind it is, 0 to 1.
    weight: f64,
}

impl Place {
    fn at(place: f64, length: usize) -> Self {
        let last = length - 1;
        let place = place.clamp(0.0, last as f64);
        let before = (place as usize).min(last);
        Self {
            between: [before, (before + 1).min(last)],
            weight: place - before as f64,
        }
    }

    /// The weighed sum of both.
    fn of<T: Real>(self, [before, behind]: [T; 2]) -> T {
        let weight = T::from_f64;
        let before = before.mul(weight(1.0 - self.weight));
        before.add(behind.mul(weight(self.weight)))
    }
}

impl OpDef for UpsampleBilinear {
    const NAME: &'static str = "upsample_bilinear";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        if self.align_corners && self.half_pixel_centers == Some(true) {
            return Err(support::attribute(
                Self::NAME,
                "half_pixel_centers",
                "false, since align_corners is true",
                true,
            ));
        }
        let [rest @ .., _, _] = xs[0].shape.dims() else {
            return Err(Self::too_flat(xs[0]));
        };
        if rest.is_empty() {
            return Err(Self::too_flat(xs[0]));
        }
        let lengths = self.lengths(xs[0])?.map(|[_, to]| to);
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: rest.iter().copied().chain(lengths).collect(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let infallible = "the node was typed when it was made";
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[&x.ty]))
            .expect(infallible)
            .remove(0);
        let [height, width] = self.lengths(&x.ty).expect(infallible);
        let [rows, columns] = [height, width].map(|lengths| self.places(lengths));
        let mut data = Vec::with_capacity(ty.shape.numel());
        for plane in x.data.chunks_exact(height[0] * width[0]) {
            for row in &rows {
                let between = row.between.map(|h| &plane[h * width[0]..][..width[0]]);
                for column in &columns {
                    let along = |row: &[T]| column.of(column.between.map(|w| row[w]));
                    data.push(row.of(between.map(along)));
                }
            }
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.g.ty(cx.xs[0]).clone();
        let [rows, columns] = self.matrices(cx.g, &x)?;
        let mut dx = ct;
        if let Some(columns) = columns {
            dx = cx.g.matmul(dx, columns, false, false)?;
        }
        if let Some(rows) = rows {
            dx = cx.g.matmul(rows, dx, true, false)?;
        }
        Ok(vec![dx.into()])
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let x = g.ty(xs[0]).clone();
        let [rows, columns] = self.matrices(g, &x)?;
        let mut y = xs[0];
        if let Some(rows) = rows {
            y = g.matmul(rows, y, false, false)?;
        }
        if let Some(columns) = columns {
            y = g.matmul(y, columns, false, true)?;
        }
        Ok(Some(smallvec![y]))
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let op = |[height, width]: [f32; 2], align_corners, half_pixel_centers| Self {
            scale_factor_height: Scale(height),
            scale_factor_width: Scale(width),
            align_corners,
            half_pixel_centers,
        };
        vec![
            Sample::new(op([2.0, 3.0], true, None), [support::f(&[1, 2, 2, 3], s)]),
            Sample::new(op([2.0, 1.0], false, None), [support::f(&[2, 3, 2], s)]),
            Sample::new(
                op([1.5, 2.0], false, Some(false)),
                [support::f(&[2, 4, 2], s)],
            ),
            Sample::new(
                op([2.0, 2.0], false, Some(true)),
                [support::h(&[2, 3, 5, 17], s)],
            ),
        ]
    }
}

impl UpsampleBilinear {
    /// Lengths before and after, of rows and of columns.
    fn lengths(&self, x: &TensorType) -> Result<[[usize; 2]; 2], TypeError> {
        let scaled = |name, from: usize, scale: Scale| {
            // In fp32, as the attribute is: a rounded fraction would fall below a whole number otherwise.
            let to = (from as f32 * scale.0).floor();
            if (1.0..=16_777_216.0).contains(&to) {
                Ok([from, to as usize])
            } else {
                let expected = format!("a number that makes of {from} elements 1 to 2^24");
                Err(support::attribute(Self::NAME, name, expected, scale.0))
            }
        };
        let [.., height, width] = x.shape.dims() else {
            return Err(Self::too_flat(x));
        };
        Ok([
            scaled("scale_factor_height", *height, self.scale_factor_height)?,
            scaled("scale_factor_width", *width, self.scale_factor_width)?,
        ])
    }

    /// Where the elements of the result lie on an axis.
    fn places(&self, [from, to]: [usize; 2]) -> Vec<Place> {
        let (length, count) = (from as f64, to as f64);
        let centers = self.half_pixel_centers.unwrap_or(!self.align_corners);
        let place = |i: usize| {
            let i = i as f64;
            if self.align_corners {
                // The only element of a result is the first.
                i * (length - 1.0) / (count - 1.0).max(1.0)
            } else if centers {
                (i + 0.5) * length / count - 0.5
            } else {
                i * length / count
            }
        };
        (0..to).map(|i| Place::at(place(i), from)).collect()
    }

    /// For rows and for columns the weights of the elements of `x` in every one of the result, [result, x]; `None` where
    /// an axis stays what it is.
    fn matrices(&self, g: &mut Graph, x: &TensorType) -> Result<[Option<Value>; 2], TypeError> {
        let [height, width] = self.lengths(x)?;
        let mut of = |lengths: [usize; 2]| {
            let [from, to] = lengths;
            if from == to {
                return Ok(None);
            }
            let mut weights = vec![0.0; from * to];
            let rows = weights.chunks_exact_mut(from);
            for (row, place) in rows.zip(self.places(lengths)) {
                row[place.between[0]] += 1.0 - place.weight;
                row[place.between[1]] += place.weight;
            }
            let ty = TensorType::new(x.dtype, [to, from]);
            g.constant(Literal::from_f64(ty, &weights)).map(Some)
        };
        Ok([of(height)?, of(width)?])
    }

    fn too_flat(x: &TensorType) -> TypeError {
        support::operand_type(Self::NAME, "x", "of at least three axes", x)
    }
}

impl Graph {
    /// `x`, [*D, H, W], `height` times higher and `width` times wider, by interpolation. With `align_corners` the outer
    /// pixels stay where they are, without it pixels are areas: PyTorch's two ways.
    ///
    /// # Errors
    /// When `x` is not floating point, has fewer than three axes, or nothing would be left of it.
    pub fn upsample_bilinear(
        &mut self,
        x: Value,
        [height, width]: [f32; 2],
        align_corners: bool,
    ) -> Result<Value, TypeError> {
        let op = UpsampleBilinear {
            scale_factor_height: Scale(height),
            scale_factor_width: Scale(width),
            align_corners,
            half_pixel_centers: Some(!align_corners),
        };
        self.push(op, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval;

    /// The grids that coremltools gives as examples, and that of TensorFlow's ResizeBilinear with neither attribute.
    #[test]
    fn places_are_those_of_the_sources() {
        let third = 1.0 / 3.0;
        for (to, align_corners, half_pixel_centers, want) in [
            (5, false, None, vec![0.0, 0.1, 0.5, 0.9, 1.0]),
            (5, true, None, vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            (6, false, None, vec![0.0, 0.0, third, 1.0 - third, 1.0, 1.0]),
            (6, true, Some(false), vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (5, false, Some(false), vec![0.0, 0.4, 0.8, 1.0, 1.0]),
        ] {
            let mut g = Graph::new();
            let x = g.input("x", TensorType::fp32([1, 1, 2])).expect("a name");
            let op = UpsampleBilinear {
                scale_factor_height: Scale(1.0),
                scale_factor_width: Scale(to as f32 / 2.0),
                align_corners,
                half_pixel_centers,
            };
            let y = g.push(op, &[x]).expect("it types");
            g.output("y", y).expect("a name");
            let x = Tensor::new(g.ty(x).clone(), vec![0.0, 1.0]);
            let found = eval::<f64>(&g, &[x], &Numerics::exact()).expect("it runs");
            assert_eq!(found[0].data.len(), want.len());
            for (want, found) in want.iter().zip(&found[0].data) {
                assert!((want - found).abs() < 1e-12, "{want} {found}");
            }
        }
    }
}
