//! Graphs in SSA form, and modules of them.

use crate::{
    operands::{Argument, Operands, Segments},
    ops::{Op, TypeError, constant::Const},
    place::Place,
    tensor::Literal,
    types::{DType, TensorType},
};
use smallvec::SmallVec;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

/// Handle of an input or of one result of a node; prints as `%7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);

impl Value {
    /// Position among the values of its graph.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// The results of one node, nearly always one.
pub type Results = SmallVec<[Value; 1]>;

/// One op applied to operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// To which values: those that are present, in the order of the op's declaration.
    pub operands: SmallVec<[Value; 3]>,
    /// How many of them each declared operand has.
    pub segments: Segments,
    /// The values it defines.
    pub results: Results,
}

impl Node {
    /// `present`, one for each operand, by the operands' names.
    pub fn view<'a, T: Copy>(&'a self, present: &'a [T]) -> Operands<'a, T> {
        Operands::new(self.op.operands(), present, &self.segments)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Def {
    /// The function's input number `0`.
    Input(usize),
    /// A result of a node.
    Result {
        /// Position in [`Graph::nodes`].
        node: usize,
        /// Which of its results.
        index: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
struct ValueData {
    ty: TensorType,
    def: Def,
    name: Option<Arc<str>>,
    /// Position among the inputs or the outputs.
    port: Option<usize>,
    /// Whether it is one of a pair in place.
    is_resident: bool,
}

/// A pure function from inputs to outputs. [`Graph::push`] is the only way a node enters it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Where each node comes from.
    places: Vec<Place>,
    /// The place of the nodes to come.
    scope: Place,
    values: Vec<ValueData>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    /// Inputs and outputs by name.
    ports: HashMap<Arc<str>, Value>,
    stops: BTreeSet<Value>,
    /// Positions among inputs and outputs.
    in_place: Vec<(usize, usize)>,
}

/// A port could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The caller used a port name twice.
    #[error("port name `{name}` is used twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A value can leave a function under one name only.
    #[error(
        "value {value} is already the output `{name}`; give the second output a value of its own"
    )]
    OutputTwice {
        /// The value.
        value: Value,
        /// The port it already is.
        name: String,
    },
    /// The node that a port needed did not type.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The two ports cannot share a buffer.
    #[error("output `{output}` cannot be written in place of input `{input}`: {reason}")]
    InPlace {
        /// The input.
        input: String,
        /// The output.
        output: String,
        /// Why not.
        reason: &'static str,
    },
}

impl Graph {
    /// An empty function.
    pub fn new() -> Self {
        Self::default()
    }

    /// Apply `op` to `operands`; infers the types of the results. The values are the node's results.
    ///
    /// The operands fill the op's declaration from the left, so that optional ones at its end may be missing.
    ///
    /// # Errors
    /// When the operands do not fit the op.
    ///
    /// # Panics
    /// When an operand is not a value of this graph.
    pub fn push_multi(
        &mut self,
        op: impl Into<Op>,
        operands: &[Value],
    ) -> Result<Results, TypeError> {
        let op = op.into();
        let segments = Segments::plain(op.name(), op.operands(), operands.len())
            .map_err(|error| error.at(&self.scope))?;
        self.push_segments(op, operands, &segments)
    }

    /// Apply `op` to one argument for each operand that it declares.
    ///
    /// # Errors
    /// As [`Graph::push_multi`].
    pub fn push_arguments(
        &mut self,
        op: impl Into<Op>,
        arguments: &[Argument<'_>],
    ) -> Result<Results, TypeError> {
        let op = op.into();
        let counts: SmallVec<[usize; 5]> = arguments.iter().map(|a| a.values().len()).collect();
        let segments = Segments::of(op.name(), op.operands(), &counts)
            .map_err(|error| error.at(&self.scope))?;
        let operands: SmallVec<[Value; 5]> = arguments
            .iter()
            .flat_map(Argument::values)
            .copied()
            .collect();
        self.push_segments(op, &operands, &segments)
    }

    /// Apply `op` to `operands`, of which each declared one has as many as `segments` says: what a rewrite does with
    /// the operands of an old node.
    ///
    /// # Errors
    /// As [`Graph::push_multi`].
    pub fn push_segments(
        &mut self,
        op: impl Into<Op>,
        operands: &[Value],
        segments: &Segments,
    ) -> Result<Results, TypeError> {
        let op = op.into();
        let tys: SmallVec<[&TensorType; 3]> = operands.iter().map(|&v| self.ty(v)).collect();
        let result_tys = op
            .infer(&Operands::new(op.operands(), &tys, segments))
            .map_err(|error| error.at(&self.scope))?;
        drop(tys);
        let node = self.nodes.len();
        let results: Results = result_tys
            .into_iter()
            .enumerate()
            .map(|(index, ty)| self.define(ty, Def::Result { node, index }))
            .collect();
        self.nodes.push(Node {
            op,
            operands: operands.into(),
            segments: segments.clone(),
            results: results.clone(),
        });
        self.places.push(self.scope.clone());
        Ok(results)
    }

    /// Apply an op that has one result.
    ///
    /// # Errors
    /// As [`Graph::push_multi`].
    pub fn push(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Value, TypeError> {
        self.push_multi(op, operands).map(|r| r[0])
    }

    fn define(&mut self, ty: TensorType, def: Def) -> Value {
        let v = Value(u32::try_from(self.values.len()).expect("fewer than 2^32 values"));
        self.values.push(ValueData {
            ty,
            def,
            name: None,
            port: None,
            is_resident: false,
        });
        v
    }

    /// Add an input port.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn input(&mut self, name: &str, ty: TensorType) -> Result<Value, GraphError> {
        self.refuse_port_name(name)?;
        let v = self.define(ty, Def::Input(self.inputs.len()));
        self.make_port(v, name, self.inputs.len());
        self.inputs.push(v);
        Ok(v)
    }

    /// Make `value` an output port.
    ///
    /// # Errors
    /// When the name is taken, or the value already is a port.
    pub fn output(&mut self, name: &str, value: Value) -> Result<(), GraphError> {
        self.refuse_port_name(name)?;
        if self.is_port(value) {
            return Err(GraphError::OutputTwice {
                value,
                name: self.name(value).unwrap_or_default().to_owned(),
            });
        }
        self.make_port(value, name, self.outputs.len());
        self.outputs.push(value);
        Ok(())
    }

    fn make_port(&mut self, value: Value, name: &str, position: usize) {
        let name: Arc<str> = name.into();
        self.ports.insert(name.clone(), value);
        let data = &mut self.values[value.index()];
        data.name = Some(name);
        data.port = Some(position);
    }

    /// Whether `value` is an input or an output.
    pub fn is_port(&self, value: Value) -> bool {
        self.values[value.index()].port.is_some()
    }

    fn refuse_port_name(&self, name: &str) -> Result<(), GraphError> {
        if self.ports.contains_key(name) {
            return Err(GraphError::DuplicateName { name: name.into() });
        }
        Ok(())
    }

    /// Give `value` a name for messages and text. Names of ports are set by [`Graph::input`] and [`Graph::output`].
    pub fn set_name(&mut self, value: Value, name: &str) {
        if !self.is_port(value) {
            self.values[value.index()].name = Some(name.into());
        }
    }

    /// The name of `value`, if it has one.
    pub fn name(&self, value: Value) -> Option<&str> {
        self.values[value.index()].name.as_deref()
    }

    /// Type of `value`.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.values[value.index()].ty
    }

    /// Where `value` comes from.
    pub fn def(&self, value: Value) -> Def {
        self.values[value.index()].def
    }

    /// The node that defines `value`, `None` for an input.
    pub fn node_of(&self, value: Value) -> Option<&Node> {
        match self.def(value) {
            Def::Input(_) => None,
            Def::Result { node, .. } => Some(&self.nodes[node]),
        }
    }

    /// The constant that `value` is, if it is one.
    pub fn literal(&self, value: Value) -> Option<&Literal> {
        match &self.node_of(value)?.op {
            Op::Const(Const { val }) => Some(val),
            _ => None,
        }
    }

    /// Nodes in order: operands are defined before they are used.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every value, in order of creation.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + use<> {
        (0..u32::try_from(self.values.len()).expect("fewer than 2^32 values")).map(Value)
    }

    /// Input ports in declaration order.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// Output ports in declaration order.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// Name of a port.
    ///
    /// # Panics
    /// When `value` is not a port: ports always have names.
    pub fn port(&self, value: Value) -> &str {
        self.name(value)
            .expect("ports are named when they are made")
    }

    /// The input called `name`.
    pub fn input_named(&self, name: &str) -> Option<Value> {
        let v = *self.ports.get(name)?;
        matches!(self.def(v), Def::Input(_)).then_some(v)
    }

    /// The output called `name`.
    pub fn output_named(&self, name: &str) -> Option<Value> {
        let v = *self.ports.get(name)?;
        matches!(self.def(v), Def::Result { .. }).then_some(v)
    }

    /// Declares resident state: one buffer may be bound to `input` and to `output`, which holds its next value.
    ///
    /// The output reads what the buffer held before the execution, whatever else the program computes.
    /// The text of a program does not say it; it is a promise of whoever binds the buffers.
    ///
    /// # Errors
    /// When a port does not exist, the types differ, or one of them already is in such a pair.
    pub fn declare_in_place(&mut self, input: &str, output: &str) -> Result<(), GraphError> {
        let refused = |reason| GraphError::InPlace {
            input: input.into(),
            output: output.into(),
            reason,
        };
        let from = self
            .input_named(input)
            .ok_or_else(|| refused("there is no such input"))?;
        let to = self
            .output_named(output)
            .ok_or_else(|| refused("there is no such output"))?;
        if self.ty(from) != self.ty(to) {
            return Err(refused("their types differ"));
        }
        if [from, to]
            .iter()
            .any(|v| self.values[v.index()].is_resident)
        {
            return Err(refused("one of them is in another pair"));
        }
        let position = |v: Value| self.values[v.index()].port.expect("ports have positions");
        let (from_at, to_at) = (position(from), position(to));
        for v in [from, to] {
            self.values[v.index()].is_resident = true;
        }
        self.in_place.push((from_at, to_at));
        Ok(())
    }

    /// The declared pairs of an input and the output that may be written to its buffer, as positions among
    /// [`Graph::inputs`] and [`Graph::outputs`].
    pub fn in_place(&self) -> &[(usize, usize)] {
        &self.in_place
    }

    /// Takes over the pairs of a graph with the same ports in the same order.
    pub(crate) fn copy_in_place(&mut self, from: &Self) {
        self.in_place.clone_from(&from.in_place);
        for &(input, output) in &self.in_place {
            for v in [self.inputs[input], self.outputs[output]] {
                self.values[v.index()].is_resident = true;
            }
        }
    }

    /// How often each value is read by nodes and outputs, by value index.
    pub fn use_counts(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        for v in self
            .nodes
            .iter()
            .flat_map(|n| &n.operands)
            .chain(&self.outputs)
        {
            uses[v.index()] += 1;
        }
        uses
    }

    /// A rank-0 constant.
    ///
    /// # Errors
    /// Never for a valid dtype; kept for uniformity of builder code.
    pub fn scalar(&mut self, dtype: DType, value: f64) -> Result<Value, TypeError> {
        self.constant(Literal::splat(TensorType::new(dtype, []), value))
    }

    /// The same value, but no cotangent flows back through it.
    ///
    /// # Errors
    /// Never; kept for uniformity of builder code.
    pub fn stop_gradient(&mut self, x: Value) -> Result<Value, TypeError> {
        let y = self.identity(x)?;
        self.stops.insert(y);
        Ok(y)
    }

    /// Whether cotangents stop at `value`.
    pub fn stops_gradient(&self, value: Value) -> bool {
        self.stops.contains(&value)
    }

    pub(crate) fn mark_stop(&mut self, value: Value) {
        self.stops.insert(value);
    }

    /// Whether the two compute the same thing in the same way: equal but for places, for names of values that are not
    /// ports, and for what is promised of the buffers of ports.
    pub fn same_as(&self, other: &Self) -> bool {
        let types = |g: &Self| g.values.iter().map(|v| v.ty.clone()).collect::<Vec<_>>();
        let ports = |g: &Self| {
            g.inputs
                .iter()
                .chain(&g.outputs)
                .map(|&v| (v, g.port(v).to_owned()))
                .collect::<Vec<_>>()
        };
        self.nodes == other.nodes && types(self) == types(other) && ports(self) == ports(other)
    }
}

/// A named function of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// `main` in single-function programs.
    pub name: String,
    /// The op set tag of the text, such as `ios18`.
    pub opset: String,
    /// The body.
    pub graph: Graph,
}

/// A program: its functions. Constant blobs are shared by reference from the functions' `const` nodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Module {
    /// In textual order.
    pub functions: Vec<Function>,
}

impl Module {
    /// A module with the one function `main`.
    pub fn main(graph: Graph) -> Self {
        Self {
            functions: vec![Function {
                name: "main".into(),
                opset: "ios18".into(),
                graph,
            }],
        }
    }

    /// The function called `name`.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }
}

mod parts;
mod places;

pub use parts::PartError;

#[cfg(test)]
mod broken;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_unique_names() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2])).unwrap();
        assert!(matches!(
            g.input("x", TensorType::fp16([2])),
            Err(GraphError::DuplicateName { .. })
        ));
        let y = g.relu(x).unwrap();
        g.output("y", y).unwrap();
        assert!(matches!(
            g.output("z", y),
            Err(GraphError::OutputTwice { .. })
        ));
    }

    #[test]
    fn a_pair_in_place_has_one_type_and_ports_of_its_own() {
        let mut g = Graph::new();
        let w = g.input("w", TensorType::fp16([2, 3])).unwrap();
        let v = g.input("v", TensorType::fp16([3])).unwrap();
        let (next, sum) = (g.relu(w).unwrap(), g.add(w, v).unwrap());
        g.output("w_next", next).unwrap();
        g.output("sum", sum).unwrap();
        let reason = |g: &mut Graph, input, output| match g.declare_in_place(input, output) {
            Err(GraphError::InPlace { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(&mut g, "v", "sum"), "their types differ");
        assert_eq!(reason(&mut g, "sum", "w_next"), "there is no such input");
        assert_eq!(reason(&mut g, "w", "v"), "there is no such output");
        g.declare_in_place("w", "w_next").unwrap();
        assert_eq!(reason(&mut g, "w", "sum"), "one of them is in another pair");
        assert_eq!(g.in_place(), [(0, 0)]);
    }

    #[test]
    fn names_of_inner_values_do_not_make_graphs_different() {
        let build = |name: &str| {
            let mut g = Graph::new();
            let x = g.input("x", TensorType::fp16([2])).unwrap();
            let y = g.relu(x).unwrap();
            g.set_name(y, name);
            let z = g.tanh(y).unwrap();
            g.output("z", z).unwrap();
            g
        };
        assert!(build("a").same_as(&build("b")));
    }
}
