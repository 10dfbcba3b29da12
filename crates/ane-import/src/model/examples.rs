//! Examples of a data set as a model takes them.

use super::TorchModelError;
use ane_ir::{Graph, Shape, TypeError, Value};
use ane_train::models::Examples;

/// How examples of a data set, images [B, C, H, W] or rows [B, features], become what a model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// As they are.
    Same(Shape),
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
        let of_example = takes.get(1..).unwrap_or(&[]);
        let of_image = |shape @ [channels, rows, columns]: [usize; 3]| {
            if channels == 1 && of_example == [rows, columns] {
                return Some(Self::Plane(shape));
            }
            (of_example == [rows, columns, channels]).then_some(Self::ChannelsLast(shape))
        };
        let found = match of_example {
            e if e == examples.shape.dims() => Some(Self::Same(examples.shape.clone())),
            e if e == [examples.values()] => Some(Self::Flat(examples.values())),
            _ => examples.image().and_then(of_image),
        };
        found.ok_or_else(|| TorchModelError::Examples {
            takes: takes.to_vec(),
            shape: examples.shape.clone(),
        })
    }

    /// Shape of an example at the model's port.
    pub(super) fn port(&self) -> Shape {
        match self {
            Self::Same(shape) => shape.clone(),
            Self::Plane(s) | Self::ChannelsLast(s) => Shape::new(s),
            Self::Flat(n) => Shape::new(&[*n]),
        }
    }

    /// What the exported graph takes, of what is at the port.
    pub(super) fn apply(&self, g: &mut Graph, x: Value) -> Result<Value, TypeError> {
        match self {
            Self::Same(_) | Self::Flat(_) => Ok(x),
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
        let mnist = Examples::images([1, 28, 28], 10);
        let of = |takes: &[usize]| Layout::of(takes, &mnist).ok();
        assert_eq!(of(&[8, 1, 28, 28]), Some(Layout::Same([1, 28, 28].into())));
        assert_eq!(of(&[8, 28, 28]), Some(Layout::Plane([1, 28, 28])));
        assert_eq!(of(&[8, 784]), Some(Layout::Flat(784)));
        assert_eq!(of(&[8, 28, 28, 1]), Some(Layout::ChannelsLast([1, 28, 28])));
        for wrong in [&[][..], &[8], &[8, 3, 28, 28], &[8, 1, 784]] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        let row = Examples {
            shape: [13].into(),
            ..mnist
        };
        let of = |takes: &[usize]| Layout::of(takes, &row).ok();
        assert_eq!(of(&[8, 13]), Some(Layout::Same([13].into())));
        assert_eq!(of(&[8, 1, 13]), None);
    }
}
