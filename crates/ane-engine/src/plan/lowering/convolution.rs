//! A convolution as the engine runs it: over rows and columns, with operands that lie by strides.

use super::TYPED;
use crate::plan::strided::{Demand, Strided};
use ane_ir::{
    Graph, Node, Value,
    ops::{Op, conv::ConvDims, support::window::WindowAxis},
};

/// A convolution over two spatial axes, or the transpose of one.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Convolution {
    /// By images, groups, channels, rows and columns.
    pub(in crate::plan) x: Operand,
    /// By channels of the result in a group, groups, channels, rows and columns.
    pub(in crate::plan) weight: Operand,
    pub(in crate::plan) bias: Option<Value>,
    /// Whether elements go to windows instead of coming from them.
    pub(in crate::plan) transposed: bool,
    pub(in crate::plan) batch: usize,
    pub(in crate::plan) groups: usize,
    /// Channels of a group that are read.
    pub(in crate::plan) inputs: usize,
    /// Channels of a group that are made.
    pub(in crate::plan) outputs: usize,
    /// Rows and columns.
    pub(in crate::plan) axes: [WindowAxis; 2],
}

/// An operand that is read where it lies.
#[derive(Debug, Clone, Copy)]
pub(in crate::plan) struct Operand {
    pub(in crate::plan) base: Value,
    pub(in crate::plan) strides: [usize; 5],
}

/// Rows and columns, where there are one or two axes: a single one is the columns of one row.
pub(in crate::plan) fn axes_of_images(axes: &[WindowAxis]) -> Option<[WindowAxis; 2]> {
    let row = WindowAxis {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        dilation: 1,
        before: 0,
        after: 0,
    };
    match *axes {
        [x] => Some([row, x]),
        [y, x] => Some([y, x]),
        _ => None,
    }
}

impl Convolution {
    /// Whether its vectors run along the window: results are fewer than the elements of that, as in the gradient of
    /// weights.
    pub(in crate::plan) fn along_window(&self) -> bool {
        let results: usize = self.axes.iter().map(|a| a.output).product();
        let window: usize = self.axes.iter().map(|a| a.kernel).product();
        !self.transposed && results < window
    }

    /// The sizes of `node` and whether it is transposed, when it is a convolution over one or two spatial axes.
    pub(super) fn dims(graph: &Graph, node: &Node) -> Option<(ConvDims, bool)> {
        let operand = |i: usize| graph.ty(node.operands[i]);
        let (dims, transposed) = match &node.op {
            Op::Conv(op) => (op.dims(operand(0), operand(1)), false),
            Op::ConvTranspose(op) => (op.dims(operand(0), operand(1)), true),
            _ => return None,
        };
        let dims = dims.expect(TYPED);
        (dims.axes.len() <= 2).then_some((dims, transposed))
    }

    /// `node` with operands that are read through transposes, when they lie by strides.
    pub(super) fn of(graph: &Graph, node: &Node, demand: &[Demand]) -> Option<Self> {
        let (d, transposed) = Self::dims(graph, node)?;
        let axes = axes_of_images(&d.axes)?;
        let operand = |v: Value, dims: [usize; 5]| {
            let lies = Strided::of(graph, v, |t| demand[t.index()] == Demand::InPlace);
            let strides = lies.strides(dims)?;
            Some((lies.base, strides))
        };
        let (inputs, outputs, [height, width]) = if transposed {
            (d.outputs, d.inputs, axes.map(|a| a.output))
        } else {
            (d.inputs, d.outputs, axes.map(|a| a.input))
        };
        let [rows, columns] = axes.map(|a| a.kernel);
        let (x, x_strides) = operand(node.operands[0], [d.batch, d.groups, inputs, height, width])?;
        let (weight, [group, output, input, row, column]) = operand(
            node.operands[1],
            [d.groups, d.outputs, d.inputs, rows, columns],
        )?;
        let [made, read] = if transposed {
            [input, output]
        } else {
            [output, input]
        };
        Some(Self {
            x: Operand {
                base: x,
                strides: x_strides,
            },
            weight: Operand {
                base: weight,
                strides: [made, group, read, row, column],
            },
            bias: node.operands.get(2).copied(),
            transposed,
            batch: d.batch,
            groups: d.groups,
            inputs,
            outputs,
            axes,
        })
    }
}
