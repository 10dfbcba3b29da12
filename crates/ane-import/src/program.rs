//! ATen graphs that are programs in themselves: the forward and backward graphs of AOTAutograd.
//!
//! Ports are named by position: input `in_3`, result `out_0`, mask `random_1`; of the backward graph `ct_3`, `grad_0` and
//! `random_again_1`. The backward graph reads what the forward graph left on the device: such inputs are told the names of
//! those ports.

use crate::{
    aten::{self, Arg, Dtype},
    error::ImportError,
    lower::{Cx, Frame, Given, KeepMask, dtype_of, shape_of},
};
use ane_ir::{DType, Graph, Shape, TensorType, Value};
use std::collections::HashMap;

/// How a result of the ATen graph is had.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// From this output port, as elements of this type and shape.
    Port {
        /// The port.
        name: String,
        /// What PyTorch says the result is.
        tensor: aten::Tensor,
    },
    /// It is this input as it came.
    Input(usize),
    /// A whole number.
    Int(i64),
    /// Nothing.
    None,
    /// No lowering gives it; of this op. An error only if a program reads it.
    Missing(String),
}

/// An input port.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Position among the inputs of the ATen graph.
    pub index: usize,
    /// The port.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
}

/// An input port that the host fills with a new mask for every run.
#[derive(Debug, Clone, PartialEq)]
pub struct Random {
    /// The port.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The probability of an element that it is 1 and not 0.
    pub keep: f64,
}

/// An ATen graph as a program.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The program.
    pub graph: Graph,
    /// The ports of inputs that it reads. An input may have two: of its own type and of fp32.
    pub inputs: Vec<Input>,
    /// Where the results are, in order.
    pub outputs: Vec<Output>,
    /// Masks, in the order in which they are drawn.
    pub randoms: Vec<Random>,
}

/// How the ports of a program are called. The two programs of a call share the buffers of ports that are called alike,
/// so what is not shared is called differently.
#[derive(Debug, Clone, Copy)]
struct Prefixes {
    input: &'static str,
    output: &'static str,
    random: &'static str,
}

const FORWARD: Prefixes = Prefixes {
    input: "in",
    output: "out",
    random: "random",
};
const BACKWARD: Prefixes = Prefixes {
    input: "ct",
    output: "grad",
    random: "random_again",
};

struct Program {
    prefixes: Prefixes,
    graph: Graph,
    names: HashMap<usize, String>,
    inputs: Vec<Input>,
    randoms: Vec<Random>,
    values: HashMap<(usize, bool), Value>,
}

impl Frame for Program {
    fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }

    fn input(
        &mut self,
        index: usize,
        tensor: &aten::Tensor,
        wide: bool,
    ) -> Result<Value, ImportError> {
        if let Some(&value) = self.values.get(&(index, wide)) {
            return Ok(value);
        }
        let unknown = || ImportError::Output {
            graph: "the inputs".to_owned(),
            index,
            found: format!("{:?}", tensor.dtype),
        };
        let dtype = dtype_of(tensor.dtype).ok_or_else(unknown)?;
        let wide = wide && dtype == DType::Fp16;
        // Truth values cross as numbers, which every device carries.
        let on_port = match dtype {
            DType::Fp16 if wide => DType::Fp32,
            DType::Bool => DType::Fp16,
            other => other,
        };
        let given = self.names.get(&index);
        let mut name = given
            .cloned()
            .unwrap_or_else(|| format!("{}_{index}", self.prefixes.input));
        if wide {
            name.push_str("_fp32");
        }
        let ty = TensorType {
            dtype: on_port,
            shape: shape_of(&tensor.shape),
        };
        let value = self.graph.input(&name, ty.clone())?;
        self.inputs.push(Input { index, name, ty });
        let value = if dtype == DType::Bool {
            let zero = self.graph.scalar(DType::Fp16, 0.0)?;
            let is_zero = self.graph.equal(value, zero)?;
            self.graph.logical_not(is_zero)?
        } else {
            value
        };
        self.values.insert((index, wide), value);
        Ok(value)
    }

    fn keep_mask(
        &mut self,
        shape: &Shape,
        keep: f64,
        _module: &str,
    ) -> Result<KeepMask, ImportError> {
        let name = format!("{}_{}", self.prefixes.random, self.randoms.len());
        let ty = TensorType {
            dtype: DType::Fp16,
            shape: shape.clone(),
        };
        let value = self.graph.input(&name, ty)?;
        self.randoms.push(Random {
            name,
            shape: shape.clone(),
            keep,
        });
        Ok(KeepMask { value, kept: 1.0 })
    }
}

impl Imported {
    /// Imports a graph that makes results.
    ///
    /// # Errors
    /// When an op has no lowering for what is asked of it, with its place in the user's program.
    pub fn forward(aten: &aten::Graph) -> Result<Self, ImportError> {
        Self::new(aten, HashMap::new(), FORWARD)
    }

    /// Imports a graph that makes gradients. `ports` names the ports of the forward program that inputs are; the other
    /// inputs are cotangents, by position.
    ///
    /// # Errors
    /// As [`Imported::forward`].
    pub fn backward(
        aten: &aten::Graph,
        ports: HashMap<usize, String>,
    ) -> Result<Self, ImportError> {
        Self::new(aten, ports, BACKWARD)
    }

    fn new(
        aten: &aten::Graph,
        names: HashMap<usize, String>,
        prefixes: Prefixes,
    ) -> Result<Self, ImportError> {
        let mut program = Program {
            prefixes,
            graph: Graph::new(),
            names,
            inputs: Vec::new(),
            randoms: Vec::new(),
            values: HashMap::new(),
        };
        let mut given = Vec::new();
        {
            let mut cx = Cx::lower(&mut program, aten)?;
            for arg in &aten.outputs {
                given.push(match arg {
                    Arg::None => None,
                    Arg::Int(i) => Some(Err(*i)),
                    arg => match cx.result(arg) {
                        Some(found) => Some(Ok(found)),
                        None => {
                            return Err(ImportError::Output {
                                graph: aten.name.clone(),
                                index: given.len(),
                                found: format!("{arg:?}"),
                            });
                        }
                    },
                });
            }
        }
        let mut outputs = Vec::new();
        for (i, given) in given.into_iter().enumerate() {
            outputs.push(match given {
                None => Output::None,
                Some(Err(number)) => Output::Int(number),
                Some(Ok(Given::Input(index))) => Output::Input(index),
                Some(Ok(Given::Missing(op))) => Output::Missing(op),
                Some(Ok(Given::Value(value, tensor))) => {
                    let name = format!("{}_{i}", prefixes.output);
                    program.output(&name, value, tensor.dtype)?;
                    Output::Port { name, tensor }
                }
            });
        }
        Ok(Self {
            graph: program.graph,
            inputs: program.inputs,
            outputs,
            randoms: program.randoms,
        })
    }
}

impl Program {
    fn output(&mut self, name: &str, value: Value, dtype: Dtype) -> Result<(), ImportError> {
        let g = &mut self.graph;
        let value = if dtype == Dtype::Bool {
            let one = g.scalar(DType::Fp16, 1.0)?;
            let zero = g.scalar(DType::Fp16, 0.0)?;
            g.select(value, one, zero)?
        } else {
            value
        };
        // A value that is a port already leaves by a node of its own.
        let value = if g.is_port(value) {
            g.identity(value)?
        } else {
            value
        };
        Ok(g.output(name, value)?)
    }
}
