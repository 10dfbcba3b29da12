//! Examples of a data set as a model takes them.

use super::TorchModelError;
use ane_ir::{Graph, Shape, TypeError, Value};
use ane_train::models::Examples;

/// How images [B, C, H, W] of a data set become what a model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// As they are.
    Image([usize; 3]),
    /// All values of an example in a row.
    Flat(usize),
    /// Without the axis of their only channel.
    Plane([usize; 3]),
    /// With the channels last.
    ChannelsLast([usize; 3]),
}

impl Layout {
    /// The first layout that fits a shape with the batch first.
    pub(super) fn of(takes: &[usize], examples: &Examples) -> Result<Self, TorchModelError> {
        let shape @ [channels, rows, columns] = examples.shape;
        let of_example = takes.get(1..).unwrap_or(&[]);
        let found = match of_example {
            e if e == shape => Some(Self::Image(shape)),
            e if channels == 1 && e == [rows, columns] => Some(Self::Plane(shape)),
            e if e == [examples.values()] => Some(Self::Flat(examples.values())),
            e if e == [rows, columns, channels] => Some(Self::ChannelsLast(shape)),
            _ => None,
        };
        found.ok_or_else(|| TorchModelError::Examples {
            takes: takes.to_vec(),
            shape,
        })
    }

    /// Shape of an example at the model's port.
    pub(super) fn port(&self) -> Shape {
        match self {
            Self::Image(s) | Self::Plane(s) | Self::ChannelsLast(s) => Shape::new(s),
            Self::Flat(n) => Shape::new(&[*n]),
        }
    }

    /// What the exported graph takes, of what is at the port.
    pub(super) fn apply(&self, g: &mut Graph, x: Value) -> Result<Value, TypeError> {
        match self {
            Self::Image(_) | Self::Flat(_) => Ok(x),
            Self::Plane([_, rows, columns]) => {
                let batch = g.ty(x).shape.dims()[0];
                g.reshape(x, &Shape::new(&[batch, *rows, *columns]))
            }
            Self::ChannelsLast(_) => g.transpose(x, &[0, 2, 3, 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layout_that_fits_is_taken() {
        let mnist = Examples {
            shape: [1, 28, 28],
            classes: 10,
        };
        let of = |takes: &[usize]| Layout::of(takes, &mnist).ok();
        assert_eq!(of(&[8, 1, 28, 28]), Some(Layout::Image([1, 28, 28])));
        assert_eq!(of(&[8, 28, 28]), Some(Layout::Plane([1, 28, 28])));
        assert_eq!(of(&[8, 784]), Some(Layout::Flat(784)));
        assert_eq!(of(&[8, 28, 28, 1]), Some(Layout::ChannelsLast([1, 28, 28])));
        for wrong in [&[][..], &[8], &[8, 3, 28, 28], &[8, 1, 784]] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
