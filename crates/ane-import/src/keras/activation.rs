//! Activations: the strings that layers take, and layers in the place of such strings.

use super::{
    Head,
    error::KerasError,
    network::serialized,
    run::{Layer, Run, Tensor, int},
    settings::{Settings, wrong},
};
use ane_ir::{Value, ops::gelu::Mode};
use serde_json::Value as Json;

/// An activation of Keras's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activation {
    /// x
    Linear,
    /// `keras.activations.relu` with all that it takes.
    Relu {
        /// Slope below the threshold.
        negative_slope: f64,
        /// Largest value.
        max_value: Option<f64>,
        /// Below it x becomes 0, or follows the slope.
        threshold: f64,
    },
    /// Normalised exponentials along an axis.
    Softmax(i64),
    /// Their logarithms.
    LogSoftmax(i64),
    /// 1 / (1 + exp(−x))
    Sigmoid,
    /// x above 0, alpha·(exp(x / divisor) − 1) below, times scale.
    Exponential {
        /// Factor below 0.
        alpha: f64,
        /// Divisor in the exponent.
        divisor: f64,
        /// Factor of everything.
        scale: f64,
    },
    /// With the error function, or with tanh.
    Gelu {
        /// Whether by tanh.
        approximate: bool,
    },
    /// Half of x times the sigmoid of the other half along an axis.
    Glu(i64),
    /// Those that have no setting.
    Plain(Plain),
}

/// Activations without settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// ln(1 + exp x)
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// x moved towards 0 by 0.5
    SoftShrink,
    /// A parabola between −1 and 1, x above.
    SparsePlus,
    /// x · sigmoid x
    Silu,
    /// (x + √(x² + 4)) / 2
    Squareplus,
    /// tanh
    Tanh,
    /// x − tanh x
    TanhShrink,
    /// x between −1 and 1
    HardTanh,
    /// x where |x| > 0.5
    HardShrink,
    /// exp
    Exp,
    /// x / 6 + 1/2 between 0 and 1
    HardSigmoid,
    /// x times that
    HardSilu,
    /// ln sigmoid x
    LogSigmoid,
    /// (x + 1) / 2 between 0 and 1
    SparseSigmoid,
    /// x · tanh(softplus x)
    Mish,
}

/// The constants of SELU.
const SELU: (f64, f64) = (1.673_263_242_354_377_2, 1.050_700_987_355_480_5);

impl Activation {
    /// Reads the setting `activation`: a name, or a serialised function or layer.
    pub(super) fn read(json: &Json) -> Result<Self, KerasError> {
        if let Json::String(name) = json {
            return Self::named(name);
        }
        let (module, class, config) = match serialized(json) {
            Ok(parts) => parts,
            // A function is its name instead of settings.
            Err(_) => match json.get("config") {
                Some(Json::String(name)) => return Self::named(name),
                _ => return Err(wrong("activation", "the name of an activation", json)),
            },
        };
        if !module.starts_with("keras") {
            return Err(unknown(class));
        }
        Self::layer(class, &Settings::new(config))?.ok_or_else(|| unknown(class))
    }

    /// Of a name.
    pub(super) fn named(name: &str) -> Result<Self, KerasError> {
        let relu = |negative_slope, max_value| Self::Relu {
            negative_slope,
            max_value,
            threshold: 0.0,
        };
        let elu = |alpha, scale| Self::Exponential {
            alpha,
            divisor: 1.0,
            scale,
        };
        Ok(match name {
            "linear" => Self::Linear,
            "relu" => relu(0.0, None),
            "relu6" => relu(0.0, Some(6.0)),
            "leaky_relu" => relu(0.2, None),
            "softmax" => Self::Softmax(-1),
            "log_softmax" => Self::LogSoftmax(-1),
            "sigmoid" => Self::Sigmoid,
            "elu" | "celu" => elu(1.0, 1.0),
            "selu" => elu(SELU.0, SELU.1),
            "gelu" => Self::Gelu { approximate: false },
            "glu" => Self::Glu(-1),
            "softplus" => Self::Plain(Plain::Softplus),
            "softsign" => Self::Plain(Plain::Softsign),
            "soft_shrink" => Self::Plain(Plain::SoftShrink),
            "sparse_plus" => Self::Plain(Plain::SparsePlus),
            "silu" | "swish" => Self::Plain(Plain::Silu),
            "squareplus" => Self::Plain(Plain::Squareplus),
            "tanh" => Self::Plain(Plain::Tanh),
            "tanh_shrink" => Self::Plain(Plain::TanhShrink),
            "hard_tanh" => Self::Plain(Plain::HardTanh),
            "hard_shrink" => Self::Plain(Plain::HardShrink),
            "exponential" => Self::Plain(Plain::Exp),
            "hard_sigmoid" => Self::Plain(Plain::HardSigmoid),
            "hard_silu" | "hard_swish" => Self::Plain(Plain::HardSilu),
            "log_sigmoid" => Self::Plain(Plain::LogSigmoid),
            "sparse_sigmoid" => Self::Plain(Plain::SparseSigmoid),
            "mish" => Self::Plain(Plain::Mish),
            other => return Err(unknown(other)),
        })
    }

    /// Of a layer that is an activation, if this class is one.
    pub(super) fn layer(class: &str, settings: &Settings<'_>) -> Result<Option<Self>, KerasError> {
        Ok(Some(match class {
            "Activation" => match settings.get("activation") {
                None => Self::Linear,
                Some(json) => Self::read(json)?,
            },
            "ReLU" => Self::Relu {
                negative_slope: settings.number("negative_slope", 0.0)?,
                max_value: settings.optional_number("max_value")?,
                threshold: settings.number("threshold", 0.0)?,
            },
            "LeakyReLU" => Self::Relu {
                negative_slope: settings.number("negative_slope", 0.3)?,
                max_value: None,
                threshold: 0.0,
            },
            "ELU" => Self::Exponential {
                alpha: settings.number("alpha", 1.0)?,
                divisor: 1.0,
                scale: 1.0,
            },
            "Softmax" => match settings.integers("axis")?.as_deref() {
                None => Self::Softmax(-1),
                Some([axis]) => Self::Softmax(*axis),
                Some(_) => {
                    let help = "reshape, so that the softmax is over one axis";
                    return Err(KerasError::unsupported("a softmax over several axes", help));
                }
            },
            _ => return Ok(None),
        }))
    }

    /// Applies it as the last thing that a layer does: it may be what a loss on logits takes off.
    pub(super) fn last(
        self,
        run: &mut Run<'_>,
        layer: &Layer<'_>,
        x: Tensor,
    ) -> Result<Tensor, KerasError> {
        let head = match self {
            Self::Softmax(axis) => {
                let last = run.keras_axis(x, axis)? + 1 == run.dims(x).len();
                last.then_some(Head::Softmax)
            }
            Self::Sigmoid => Some(Head::Sigmoid),
            _ => None,
        };
        match head {
            Some(head) if run.takes_off(layer, head) => Ok(x),
            _ => self.apply(run, x),
        }
    }

    /// Applies it.
    pub(super) fn apply(self, run: &mut Run<'_>, x: Tensor) -> Result<Tensor, KerasError> {
        let value = match self {
            Self::Linear => x.value,
            Self::Relu {
                negative_slope,
                max_value,
                threshold,
            } => relu(run, x.value, negative_slope, max_value, threshold)?,
            Self::Softmax(axis) => {
                let axis = int(run.axis(x, axis)?);
                run.cx.graph().softmax(x.value, axis)?
            }
            Self::LogSoftmax(axis) => {
                let axis = int(run.axis(x, axis)?);
                let g = run.cx.graph();
                let total = g.reduce_log_sum_exp(x.value, &[axis], true)?;
                g.sub(x.value, total)?
            }
            Self::Sigmoid => run.cx.graph().sigmoid(x.value)?,
            Self::Exponential {
                alpha,
                divisor,
                scale,
            } => {
                let above = run.cx.graph().relu(x.value)?;
                let below = run.cx.graph().sub(x.value, above)?;
                let below = times(run, below, 1.0 / divisor)?;
                let below = run.cx.graph().exp(below)?;
                let below = plus(run, below, -1.0)?;
                let below = times(run, below, alpha)?;
                let both = run.cx.graph().add(above, below)?;
                times(run, both, scale)?
            }
            Self::Gelu { approximate: false } => run.cx.graph().gelu(x.value, Mode::Exact)?,
            Self::Gelu { approximate: true } => {
                run.cx.graph().gelu(x.value, Mode::TanhApproximation)?
            }
            Self::Glu(axis) => {
                let axis = run.axis(x, axis)?;
                if !run.cx.shape(x.value).dims()[axis].is_multiple_of(2) {
                    let found = format!("{:?}", run.dims(x));
                    return Err(KerasError::input("an even axis to halve", found));
                }
                let halves = run.cx.graph().split(x.value, 2, int(axis))?;
                let gate = run.cx.graph().sigmoid(halves[1])?;
                run.cx.graph().mul(halves[0], gate)?
            }
            Self::Plain(plain) => plain.apply(run, x.value)?,
        };
        Ok(Tensor { value, ..x })
    }
}

impl Plain {
    fn apply(self, run: &mut Run<'_>, x: Value) -> Result<Value, KerasError> {
        Ok(match self {
            Self::Softplus => run.cx.graph().softplus(x)?,
            Self::Softsign => {
                let size = run.cx.graph().abs(x)?;
                let below = plus(run, size, 1.0)?;
                run.cx.graph().real_div(x, below)?
            }
            Self::SoftShrink => {
                let above = plus(run, x, -0.5)?;
                let above = run.cx.graph().relu(above)?;
                let below = times(run, x, -1.0)?;
                let below = plus(run, below, -0.5)?;
                let below = run.cx.graph().relu(below)?;
                run.cx.graph().sub(above, below)?
            }
            Self::SparsePlus => {
                let inside = run.cx.graph().clip(x, -1.0, 1.0)?;
                let inside = plus(run, inside, 1.0)?;
                let square = run.cx.graph().mul(inside, inside)?;
                let square = times(run, square, 0.25)?;
                let above = plus(run, x, -1.0)?;
                let above = run.cx.graph().relu(above)?;
                run.cx.graph().add(square, above)?
            }
            Self::Silu => run.cx.graph().silu(x)?,
            Self::Squareplus => {
                let square = run.cx.graph().mul(x, x)?;
                let square = plus(run, square, 4.0)?;
                let root = run.cx.graph().sqrt(square)?;
                let both = run.cx.graph().add(x, root)?;
                times(run, both, 0.5)?
            }
            Self::Tanh => run.cx.graph().tanh(x)?,
            Self::TanhShrink => {
                let tanh = run.cx.graph().tanh(x)?;
                run.cx.graph().sub(x, tanh)?
            }
            Self::HardTanh => run.cx.graph().clip(x, -1.0, 1.0)?,
            Self::HardShrink => {
                let size = run.cx.graph().abs(x)?;
                let half = run.cx.scalar(0.5)?;
                let far = run.cx.graph().greater(size, half)?;
                masked(run, x, far)?
            }
            Self::Exp => run.cx.graph().exp(x)?,
            Self::HardSigmoid => hard_sigmoid(run, x)?,
            Self::HardSilu => {
                let gate = hard_sigmoid(run, x)?;
                run.cx.graph().mul(x, gate)?
            }
            Self::LogSigmoid => {
                let negative = times(run, x, -1.0)?;
                let softplus = run.cx.graph().softplus(negative)?;
                times(run, softplus, -1.0)?
            }
            Self::SparseSigmoid => {
                let half = times(run, x, 0.5)?;
                let half = plus(run, half, 0.5)?;
                run.cx.graph().clip(half, 0.0, 1.0)?
            }
            Self::Mish => {
                let softplus = run.cx.graph().softplus(x)?;
                let tanh = run.cx.graph().tanh(softplus)?;
                run.cx.graph().mul(x, tanh)?
            }
        })
    }
}

/// `keras.activations.relu`.
fn relu(
    run: &mut Run<'_>,
    x: Value,
    negative_slope: f64,
    max_value: Option<f64>,
    threshold: f64,
) -> Result<Value, KerasError> {
    if max_value.is_none() && threshold == 0.0 {
        return Ok(match negative_slope {
            0.0 => run.cx.graph().relu(x)?,
            slope => run.cx.graph().leaky_relu(x, slope)?,
        });
    }
    let mut y = if threshold == 0.0 {
        run.cx.graph().relu(x)?
    } else {
        let least = run.cx.scalar(threshold)?;
        let above = run.cx.graph().greater(x, least)?;
        masked(run, x, above)?
    };
    if let Some(most) = max_value {
        if most < 0.0 {
            return Err(wrong("max_value", "at least 0", most));
        }
        y = run.cx.graph().clip(y, 0.0, most)?;
    }
    if negative_slope != 0.0 {
        let below = times(run, x, -1.0)?;
        let below = plus(run, below, threshold)?;
        let below = run.cx.graph().relu(below)?;
        let below = times(run, below, -negative_slope)?;
        y = run.cx.graph().add(y, below)?;
    }
    Ok(y)
}

fn hard_sigmoid(run: &mut Run<'_>, x: Value) -> Result<Value, KerasError> {
    let x = times(run, x, 1.0 / 6.0)?;
    let x = plus(run, x, 0.5)?;
    Ok(run.cx.graph().clip(x, 0.0, 1.0)?)
}

/// x where the condition holds, 0 elsewhere.
fn masked(run: &mut Run<'_>, x: Value, condition: Value) -> Result<Value, KerasError> {
    let zero = run.cx.scalar(0.0)?;
    Ok(run.cx.graph().select(condition, x, zero)?)
}

/// x times a number.
pub(super) fn times(run: &mut Run<'_>, x: Value, factor: f64) -> Result<Value, KerasError> {
    if factor == 1.0 {
        return Ok(x);
    }
    let factor = run.cx.scalar(factor)?;
    Ok(run.cx.graph().mul(x, factor)?)
}

/// x plus a number.
pub(super) fn plus(run: &mut Run<'_>, x: Value, term: f64) -> Result<Value, KerasError> {
    if term == 0.0 {
        return Ok(x);
    }
    let term = run.cx.scalar(term)?;
    Ok(run.cx.graph().add(x, term)?)
}

fn unknown(name: &str) -> KerasError {
    KerasError::unsupported(
        format!("the activation `{}`", super::error::shortened(name)),
        "use one of Keras's own, such as relu, gelu or silu",
    )
}
