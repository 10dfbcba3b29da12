//! A network with its weights as constants, for a given batch and element type: what needs no input is computed in f64
//! and rounded once.

use super::{Network, continued, continued_shape};
use crate::ExportError;
use ane_ir::{
    DType, Graph, Literal, Node, Numerics, Results, Tensor, TensorType, Value,
    ops::{Attr, Op},
};
use ane_mil::identifier;
use smallvec::SmallVec;

/// A network on its way into another graph.
#[derive(Debug)]
pub struct Baked<'a> {
    network: &'a Network,
    /// What holds real numbers.
    real: DType,
    /// Examples more than the network's graph takes.
    steps: i32,
    /// The values of the network that need no input, and what they are called.
    data: Vec<Option<(Tensor<f64>, Option<String>)>>,
    /// The values of the network that are in the new graph.
    there: Vec<Option<Value>>,
}

impl<'a> Baked<'a> {
    /// A network in `real` for `batch` examples, or for as many as it takes where it is for no other number.
    pub fn new(network: &'a Network, real: DType, batch: usize) -> Self {
        let more = batch as i32 - network.batch as i32;
        let steps = if network.twin.is_some() { more } else { 0 };
        let values = network.graph.values().len();
        let mut known = vec![None; values];
        for weight in &network.weights {
            let ty = network.graph.ty(weight.value).clone();
            let elements = weight.elements.iter();
            let data = elements.map(|&x| f64::from(weight.form.of(x))).collect();
            let name = identifier(&weight.path);
            known[weight.value.index()] = Some((Tensor::new(ty, data), Some(name)));
        }
        Self {
            network,
            real,
            steps,
            data: known,
            there: vec![None; values],
        }
    }

    /// The type of a value of the network at the new batch.
    pub fn ty(&self, value: Value) -> TensorType {
        let here = self.network.graph.ty(value);
        let twin = self.network.twin.as_ref().map_or(here, |g| g.ty(value));
        TensorType {
            dtype: self.dtype(here.dtype),
            shape: continued_shape(here, twin, self.steps),
        }
    }

    fn dtype(&self, dtype: DType) -> DType {
        if dtype.is_float() { self.real } else { dtype }
    }

    /// Says which value of the new graph an input of the network is.
    pub fn give(&mut self, input: Value, value: Value) {
        self.there[input.index()] = Some(value);
    }

    /// Puts the network into `graph`; its outputs there.
    ///
    /// # Errors
    /// When an op does not take what it is given: our bug.
    ///
    /// # Panics
    /// When an input was not given.
    pub fn put(&mut self, graph: &mut Graph) -> Result<Vec<Value>, ExportError> {
        let source = &self.network.graph;
        for (position, node) in source.nodes().iter().enumerate() {
            let op = self.op(position);
            if let Some(results) = self.computed(node, &op) {
                for (&v, y) in node.results.iter().zip(results) {
                    let name = source.name(v).map(str::to_owned);
                    self.data[v.index()] = Some((y, name));
                }
                continue;
            }
            graph.set_scope(source.place(position).clone());
            let operands = (node.operands.iter())
                .map(|&x| self.value(graph, x))
                .collect::<Result<SmallVec<[Value; 3]>, _>>()?;
            let results: Results = graph.push_segments(op, &operands, &node.segments)?;
            for (&old, new) in node.results.iter().zip(results) {
                self.there[old.index()] = Some(new);
            }
        }
        let outputs = source.outputs().iter();
        outputs.map(|&v| self.value(graph, v)).collect()
    }

    /// The op of a node at the new batch and in the new type.
    fn op(&self, position: usize) -> Op {
        let op = &self.network.graph.nodes()[position].op;
        let attributes = op.attrs();
        let twin = self.network.twin.as_ref();
        let twin = twin.map(|graph| graph.nodes()[position].op.attrs());
        let mut get = |name: &str| {
            let at = attributes.iter().position(|(n, _)| *n == name)?;
            let here = &attributes[at].1;
            let attr = match &twin {
                Some(twin) => continued(here, &twin[at].1, self.steps),
                None => here.clone(),
            };
            Some(self.retyped(op, attr))
        };
        let made = Op::from_attrs(op.name(), &mut get);
        made.and_then(Result::ok)
            .expect("attributes of an op make that op")
    }

    /// Floats of any width become floats of the new one. A constant keeps every bit until it is rounded.
    fn retyped(&self, op: &Op, attr: Attr) -> Attr {
        match (op, attr) {
            (Op::Const(_), attr) => attr,
            (Op::Cast(_), Attr::Str(name)) => {
                let dtype = DType::from_name(&name).map(|dtype| self.dtype(dtype));
                Attr::Str(dtype.map_or(name, |dtype| dtype.name().to_owned()))
            }
            (_, Attr::Literal(literal)) => {
                let ty = literal.ty();
                let ty = TensorType::new(self.dtype(ty.dtype), ty.shape.clone());
                Attr::Literal(Literal::from_f64(ty, &literal.to_f64()))
            }
            (_, attr) => attr,
        }
    }

    /// The results of a node that needs no input.
    fn computed(&self, node: &Node, op: &Op) -> Option<Vec<Tensor<f64>>> {
        let operands: SmallVec<[&Tensor<f64>; 3]> = (node.operands.iter())
            .map(|x| self.data[x.index()].as_ref().map(|(tensor, _)| tensor))
            .collect::<Option<_>>()?;
        Some(op.eval(&node.view(&operands), &Numerics::exact()))
    }

    /// A value in the new graph, where a constant is written when it is asked for first.
    fn value(&mut self, graph: &mut Graph, old: Value) -> Result<Value, ExportError> {
        if let Some(value) = self.there[old.index()] {
            return Ok(value);
        }
        let data = self.data[old.index()].as_ref();
        let (tensor, name) = data.expect("operands are known before their node");
        let ty = TensorType::new(self.dtype(tensor.ty.dtype), tensor.ty.shape.clone());
        let value = graph.constant(Literal::from_f64(ty, &tensor.data))?;
        if let Some(name) = name {
            graph.set_name(value, name);
        }
        self.there[old.index()] = Some(value);
        Ok(value)
    }
}
