//! `gelu`: Gaussian error linear unit.
//!
//! ```text
//! # Definition   EXACT: x/2 · (1 + erf(x/√2)); TANH_APPROXIMATION: x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)));
//! #              SIGMOID_APPROXIMATION: x · sigmoid(1.702·x)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   mode
//! # Gradient     through `decompose`
//! # Sources      coremltools iOS15 activation; Hendrycks & Gimpel 2016, arXiv 1606.08415, section 2
//! ```

use super::{
    Attr, AttrType, Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError,
    attributes, support,
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Function, Real, Tensor},
    types::TensorType,
};
use smallvec::smallvec;

/// √(2/π)
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// Coefficient of the cubic term, Hendrycks & Gimpel 2016.
pub const CUBIC: f64 = 0.044_715;
/// Slope of the sigmoid approximation, Hendrycks & Gimpel 2016.
pub const SIGMOID_SLOPE: f64 = 1.702;

/// Which formula computes the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the error function.
    Exact,
    /// By tanh.
    TanhApproximation,
    /// By the logistic function.
    SigmoidApproximation,
}

impl AttrType for Mode {
    fn to_attr(&self) -> Option<Attr> {
        let name = match self {
            Self::Exact => "EXACT",
            Self::TanhApproximation => "TANH_APPROXIMATION",
            Self::SigmoidApproximation => "SIGMOID_APPROXIMATION",
        };
        Some(Attr::Str(name.into()))
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        match attr {
            Attr::Str(s) => match s.as_str() {
                "EXACT" => Some(Self::Exact),
                "TANH_APPROXIMATION" => Some(Self::TanhApproximation),
                "SIGMOID_APPROXIMATION" => Some(Self::SigmoidApproximation),
                _ => None,
            },
            _ => None,
        }
    }
}

attributes! {
    /// Gaussian error linear unit.
    Gelu {
        /// Which formula.
        mode: Mode = Mode::Exact,
    }
}

impl OpDef for Gelu {
    const NAME: &'static str = "gelu";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let c = T::from_f64;
        // Neither 1 + erf nor 1 + tanh: far below zero nothing but their rounding would be left.
        let logistic = |x: T, y: T| x.div(c(1.0).add(c(-1.0).mul(y).map(Function::Exp)));
        support::elementwise::map(xs[0], |x| match self.mode {
            Mode::Exact => {
                let tail = x.mul(c(-std::f64::consts::FRAC_1_SQRT_2));
                c(0.5).mul(x).mul(tail.map(Function::Erfc))
            }
            Mode::TanhApproximation => {
                let cubic = x.add(c(CUBIC).mul(x).mul(x).mul(x));
                logistic(x, c(2.0 * SQRT_2_OVER_PI).mul(cubic))
            }
            Mode::SigmoidApproximation => logistic(x, c(SIGMOID_SLOPE).mul(x)),
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };

        cx.through_decomposition(self, &[Some(ct)])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (Mode::Exact, support::f(&[2, 3], Fill::Signed)),
            (Mode::TanhApproximation, support::f(&[2, 3], Fill::Signed)),
            (
                Mode::SigmoidApproximation,
                support::f(&[2, 3], Fill::Signed),
            ),
            (Mode::Exact, support::h(&[3, 37], Fill::Signed)),
            (Mode::TanhApproximation, support::h(&[3, 37], Fill::Signed)),
            (
                Mode::SigmoidApproximation,
                support::h(&[3, 37], Fill::Signed),
            ),
        ]
        .into_iter()
        .map(|(mode, x)| Sample::new(Self { mode }, [x]))
        .collect()
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let x = xs[0];
        let dtype = g.ty(x).dtype;
        match self.mode {
            Mode::Exact => {
                let [root, half, one] = {
                    let mut c = |v| g.scalar(dtype, v);
                    [c(std::f64::consts::FRAC_1_SQRT_2)?, c(0.5)?, c(1.0)?]
                };
                let inner = g.mul(x, root)?;
                let e = g.erf(inner)?;
                let gate = g.add(e, one)?;
                let gate = g.mul(gate, half)?;
                Ok(Some(smallvec![g.mul(x, gate)?]))
            }
            Mode::TanhApproximation => {
                let [cubic, k, half, one] = {
                    let mut c = |v| g.scalar(dtype, v);
                    [c(CUBIC)?, c(SQRT_2_OVER_PI)?, c(0.5)?, c(1.0)?]
                };
                let x2 = g.mul(x, x)?;
                let x3 = g.mul(x2, x)?;
                let bent = g.mul(x3, cubic)?;
                let sum = g.add(x, bent)?;
                let inner = g.mul(sum, k)?;
                let t = g.tanh(inner)?;
                let gate = g.add(t, one)?;
                let gate = g.mul(gate, half)?;
                Ok(Some(smallvec![g.mul(x, gate)?]))
            }
            Mode::SigmoidApproximation => {
                let k = g.scalar(dtype, SIGMOID_SLOPE)?;
                let inner = g.mul(x, k)?;
                let s = g.sigmoid(inner)?;
                Ok(Some(smallvec![g.mul(x, s)?]))
            }
        }
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Graph {
    /// Gaussian error linear unit of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn gelu(&mut self, x: Value, mode: Mode) -> Result<Value, TypeError> {
        self.push(Gelu { mode }, &[x])
    }
}
