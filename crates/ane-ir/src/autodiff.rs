//! Reverse mode, from graph to graph: a function in, the same function with cotangent nodes appended out.

use crate::{
    graph::{Graph, Node, Results, Value},
    operands::Operands,
    ops::{
        Op, OpDef, TypeError,
        scatter::{Mode, Scatter},
        support::elementwise,
    },
    place::Place,
};
use std::{collections::HashMap, ops::Range};

/// What a rule says about the cotangent of one operand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cotangent {
    /// Structurally zero.
    Zero,
    /// This value, of the operand's type.
    Value(Value),
    /// There is a derivative, and the rule does not have it, for this reason: an error only when a gradient that was
    /// asked for needs it.
    Undefined(&'static str),
}

impl From<Value> for Cotangent {
    fn from(v: Value) -> Self {
        Self::Value(v)
    }
}

/// What a rule works with.
#[derive(Debug)]
pub struct VjpCx<'a> {
    /// The graph to which cotangent nodes are appended.
    pub g: &'a mut Graph,
    /// Operands of the node.
    pub xs: Operands<'a, Value>,
    /// Its results.
    pub ys: &'a [Value],
}

impl VjpCx<'_> {
    /// The cotangent of operand `i` from `ct`, which has the broadcast shape.
    pub(crate) fn unbroadcast(&mut self, ct: Value, i: usize) -> Result<Cotangent, TypeError> {
        let shape = self.g.ty(self.xs[i]).shape.clone();
        elementwise::unbroadcast(self.g, ct, &shape).map(Cotangent::Value)
    }

    /// A rank-0 constant of the dtype of `x`.
    pub(crate) fn scalar_like(&mut self, x: Value, value: f64) -> Result<Value, TypeError> {
        let dtype = self.g.ty(x).dtype;
        self.g.scalar(dtype, value)
    }

    /// The rule of an op that has a decomposition: that of its parts.
    pub(crate) fn through_decomposition<O: OpDef>(
        &mut self,
        op: &O,
        cts: &[Option<Value>],
    ) -> Result<Vec<Cotangent>, TypeError> {
        let nodes = self.g.nodes().len();
        let first_value = self.g.values().len();
        let parts: Results = op
            .decompose(self.g, &self.xs)?
            .expect("the op differentiates through its decomposition");
        let (outputs, seeds): (Vec<Value>, Vec<Value>) = parts
            .iter()
            .zip(cts)
            .filter_map(|(&y, ct)| ct.map(|ct| (y, ct)))
            .unzip();
        let part = Part {
            nodes: nodes..self.g.nodes().len(),
            first_value,
        };
        let slots = part.differentiate(self.g, &outputs, &seeds, &self.xs, rule_of_op)?;
        Ok(slots
            .into_iter()
            .map(|slot| match (slot.undefined, slot.ct) {
                (Some(cause), _) => Cotangent::Undefined(cause.reason),
                (None, Some(ct)) => Cotangent::Value(ct),
                (None, None) => Cotangent::Zero,
            })
            .collect())
    }
}

/// A gradient could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VjpError {
    /// A seed cotangent of another type than its output.
    #[error("the cotangent of {output} must be {expected}, found {found}")]
    Seed {
        /// The output, by name and place.
        output: String,
        /// Its type.
        expected: crate::TensorType,
        /// The seed's type.
        found: crate::TensorType,
    },
    /// Not one seed per output.
    #[error("{outputs} outputs need as many cotangents, found {cotangents}")]
    SeedCount {
        /// Number of outputs.
        outputs: usize,
        /// Number of cotangents.
        cotangents: usize,
    },
    /// A gradient that was asked for needs a derivative that an op does not have.
    #[error("the gradient of {wrt} needs that of {op}, which is undefined: {reason}{}", .place.suffix())]
    Undefined {
        /// Whose gradient was asked for, by name and place.
        wrt: String,
        /// MIL name of the op.
        op: &'static str,
        /// Why it has no derivative.
        reason: &'static str,
        /// Where the op is.
        place: Place,
    },
    /// A rule built a node that does not type: our bug.
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// Cotangents of `wrt` given those of `outputs`; `None` where no path leads.
///
/// The nodes are appended to `graph`, each at the place of the node that it differentiates. A loss scale is a seed other
/// than 1, never a factor on the loss. Values marked by [`Graph::stop_gradient`] pass nothing on.
///
/// # Errors
/// When the seeds do not fit the outputs, or a derivative on the way to `wrt` is undefined.
pub fn vjp(
    graph: &mut Graph,
    outputs: &[Value],
    cotangents: &[Value],
    wrt: &[Value],
) -> Result<Vec<Option<Value>>, VjpError> {
    if outputs.len() != cotangents.len() {
        return Err(VjpError::SeedCount {
            outputs: outputs.len(),
            cotangents: cotangents.len(),
        });
    }
    for (&y, &ct) in outputs.iter().zip(cotangents) {
        if graph.ty(y) != graph.ty(ct) {
            return Err(VjpError::Seed {
                output: graph.describe(y),
                expected: graph.ty(y).clone(),
                found: graph.ty(ct).clone(),
            });
        }
    }
    let part = Part {
        nodes: 0..graph.nodes().len(),
        first_value: 0,
    };
    let slots = part.differentiate(graph, outputs, cotangents, wrt, rule_of_op)?;
    let asked = wrt
        .iter()
        .zip(slots)
        .map(|(&v, slot)| match slot.undefined {
            Some(cause) => Err(VjpError::Undefined {
                wrt: graph.describe(v),
                op: graph.nodes()[cause.node].op.name(),
                reason: cause.reason,
                place: graph.place(cause.node).clone(),
            }),
            None => Ok(slot.ct),
        });
    asked.collect()
}

/// The rule of a node.
type Rule = fn(&Node, &mut VjpCx<'_>, &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError>;

fn rule_of_op(
    node: &Node,
    cx: &mut VjpCx<'_>,
    cts: &[Option<Value>],
) -> Result<Vec<Cotangent>, TypeError> {
    node.op.vjp(cx, cts)
}

/// What is known of the cotangent of a value.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// Whether the value depends on one that a gradient was asked for.
    needed: bool,
    ct: Option<Value>,
    undefined: Option<Undefined>,
}

/// The node whose rule does not say a cotangent.
#[derive(Debug, Clone, Copy)]
struct Undefined {
    node: usize,
    reason: &'static str,
}

/// Nodes at the end of a graph, and the values that they define; differentiating them costs what they cost, however
/// large the graph before them is.
struct Part {
    nodes: Range<usize>,
    first_value: usize,
}

/// Slots of the values of a part and of those before it that it is differentiated by.
struct Slots {
    first: usize,
    within: Vec<Slot>,
    before: HashMap<Value, Slot>,
}

impl Slots {
    fn get(&self, v: Value) -> Option<&Slot> {
        match v.index().checked_sub(self.first) {
            Some(i) => self.within.get(i),
            None => self.before.get(&v),
        }
    }

    fn get_mut(&mut self, v: Value) -> Option<&mut Slot> {
        match v.index().checked_sub(self.first) {
            Some(i) => self.within.get_mut(i),
            None => self.before.get_mut(&v),
        }
    }

    fn is_needed(&self, v: Value) -> bool {
        self.get(v).is_some_and(|slot| slot.needed)
    }
}

impl Part {
    /// The slots of `wrt`, in order.
    fn differentiate(
        &self,
        graph: &mut Graph,
        outputs: &[Value],
        cotangents: &[Value],
        wrt: &[Value],
        rule: Rule,
    ) -> Result<Vec<Slot>, TypeError> {
        let mut slots = self.slots(graph, wrt);
        for (&y, &ct) in outputs.iter().zip(cotangents) {
            accumulate(graph, &mut slots, y, ct)?;
        }
        for i in self.nodes.clone().rev() {
            let place = graph.place(i).gradient();
            graph.at(place, |graph| step(graph, &mut slots, i, rule))?;
        }
        Ok(wrt
            .iter()
            .map(|&v| slots.get(v).cloned().unwrap_or_default())
            .collect())
    }

    /// Empty slots, marked where the values depend on `wrt`: only these need cotangents.
    fn slots(&self, graph: &Graph, wrt: &[Value]) -> Slots {
        let mut slots = Slots {
            first: self.first_value,
            within: vec![Slot::default(); graph.values().len() - self.first_value],
            before: HashMap::new(),
        };
        for &v in wrt {
            if v.index() < self.first_value {
                slots.before.entry(v).or_default();
            }
            if let Some(slot) = slots.get_mut(v) {
                slot.needed = true;
            }
        }
        for node in &graph.nodes()[self.nodes.clone()] {
            if node.operands.iter().any(|&x| slots.is_needed(x)) {
                for &r in &node.results {
                    if let Some(slot) = slots.get_mut(r) {
                        slot.needed = true;
                    }
                }
            }
        }
        slots
    }
}

/// Passes the cotangents of the results of node `i` on to its operands.
fn step(graph: &mut Graph, slots: &mut Slots, i: usize, rule: Rule) -> Result<(), TypeError> {
    let node = graph.nodes()[i].clone();
    if !node.operands.iter().any(|&x| slots.is_needed(x)) {
        return Ok(());
    }
    let arriving: Vec<Option<&Slot>> = node
        .results
        .iter()
        .map(|&r| slots.get(r).filter(|_| !graph.stops_gradient(r)))
        .collect();
    if let Some(cause) = arriving.iter().find_map(|slot| (*slot)?.undefined) {
        // What comes of an undefined cotangent is undefined, whatever the rule makes of the others.
        for &x in &node.operands {
            mark_undefined(slots, x, cause);
        }
        return Ok(());
    }
    let cts: Vec<Option<Value>> = arriving.iter().map(|slot| (*slot)?.ct).collect();
    if cts.iter().all(Option::is_none) {
        return Ok(());
    }
    let mut cx = VjpCx {
        g: graph,
        xs: node.view(&node.operands),
        ys: &node.results,
    };
    let grads = rule(&node, &mut cx, &cts)?;
    for (&x, grad) in node.operands.iter().zip(grads) {
        match grad {
            Cotangent::Zero => {}
            Cotangent::Value(gx) => accumulate(graph, slots, x, gx)?,
            Cotangent::Undefined(reason) => {
                mark_undefined(slots, x, Undefined { node: i, reason });
            }
        }
    }
    Ok(())
}

/// Values that no asked-for gradient depends on have no use for a cotangent, nor for knowing that it is undefined.
fn needed_slot(slots: &mut Slots, v: Value) -> Option<&mut Slot> {
    slots.get_mut(v).filter(|slot| slot.needed)
}

fn mark_undefined(slots: &mut Slots, v: Value, cause: Undefined) {
    if let Some(slot) = needed_slot(slots, v) {
        slot.undefined.get_or_insert(cause);
    }
}

fn accumulate(graph: &mut Graph, slots: &mut Slots, v: Value, ct: Value) -> Result<(), TypeError> {
    if let Some(slot) = needed_slot(slots, v) {
        slot.ct = Some(match slot.ct {
            Some(earlier) => sum(graph, earlier, ct)?,
            None => ct,
        });
    }
    Ok(())
}

/// The sum of two cotangents. Slices that are added into zeros are added into the other one instead, so that a table that is
/// looked up and multiplied by has one gradient, rounded once.
fn sum(graph: &mut Graph, x: Value, y: Value) -> Result<Value, TypeError> {
    for (into, added) in [(x, y), (y, x)] {
        if let Some((scatter, indices, updates)) = slices_added_to_zeros(graph, added) {
            return graph.push(scatter, &[into, indices, updates]);
        }
    }
    graph.add(x, y)
}

/// What a value adds into zeros, and where: the op, the indices and the slices.
fn slices_added_to_zeros(graph: &Graph, value: Value) -> Option<(Scatter, Value, Value)> {
    let node = graph.node_of(value)?;
    let (Op::Scatter(scatter), [data, indices, updates]) = (&node.op, &node.operands[..]) else {
        return None;
    };
    let Op::Fill(fill) = &graph.node_of(*data)?.op else {
        return None;
    };
    let is_zero = fill
        .value
        .as_ref()
        .is_none_or(|v| v.splat_value() == Some(0.0));
    (is_zero && scatter.mode == Mode::Add).then(|| (scatter.clone(), *indices, *updates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Numerics, Tensor, TensorType, eval};

    #[test]
    fn a_value_used_twice_gets_the_sum_of_both_cotangents() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([])).unwrap();
        let y = g.mul(x, x).unwrap();
        let seed = g.scalar(crate::DType::Fp32, 1.0).unwrap();
        let dx = vjp(&mut g, &[y], &[seed], &[x]).unwrap()[0].unwrap();
        g.output("dx", dx).unwrap();
        let at = Tensor::full(TensorType::fp32([]), 3.0_f64);
        assert_eq!(eval(&g, &[at], &Numerics::exact()).unwrap()[0].data, [6.0]);
    }

    #[test]
    fn no_cotangent_passes_a_stop() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([])).unwrap();
        let frozen = g.stop_gradient(x).unwrap();
        let y = g.mul(x, frozen).unwrap();
        let seed = g.scalar(crate::DType::Fp32, 1.0).unwrap();
        let dx = vjp(&mut g, &[y], &[seed], &[x]).unwrap()[0].unwrap();
        g.output("dx", dx).unwrap();
        let at = Tensor::full(TensorType::fp32([]), 3.0_f64);
        assert_eq!(eval(&g, &[at], &Numerics::exact()).unwrap()[0].data, [3.0]);
    }

    /// `y = tanh(erf(a) · b)`, with a rule for `erf` that has no answer.
    fn without_erf(wrt: &str, stop: bool) -> (Graph, Slot) {
        let mut g = Graph::new();
        let a = g.input("a", TensorType::fp32([2])).unwrap();
        let b = g.input("b", TensorType::fp32([2])).unwrap();
        let mut e = g.scope("gate", |g| g.erf(a)).unwrap();
        if stop {
            e = g.stop_gradient(e).unwrap();
        }
        let p = g.mul(e, b).unwrap();
        let y = g.tanh(p).unwrap();
        let seed = g.input("seed", TensorType::fp32([2])).unwrap();
        let rule: Rule = |node, cx, cts| match node.op.name() {
            "erf" => Ok(vec![Cotangent::Undefined("it is a test")]),
            _ => rule_of_op(node, cx, cts),
        };
        let part = Part {
            nodes: 0..g.nodes().len(),
            first_value: 0,
        };
        let wrt = g.input_named(wrt).unwrap();
        let mut slots = part
            .differentiate(&mut g, &[y], &[seed], &[wrt], rule)
            .unwrap();
        (g, slots.remove(0))
    }

    #[test]
    fn an_undefined_derivative_is_met_only_on_the_way_to_what_was_asked() {
        let (g, a) = without_erf("a", false);
        let cause = a.undefined.unwrap();
        assert_eq!(g.place(cause.node).path(), "gate");
        assert_eq!(cause.reason, "it is a test");
        let (_, b) = without_erf("b", false);
        assert!(b.undefined.is_none() && b.ct.is_some());
        let (_, stopped) = without_erf("a", true);
        assert!(stopped.undefined.is_none() && stopped.ct.is_none());
    }

    #[test]
    fn the_error_names_what_was_asked_the_op_and_its_place() {
        let error = VjpError::Undefined {
            wrt: "`w`".into(),
            op: "erf",
            reason: "it is a test",
            place: Place::new("gate"),
        };
        assert_eq!(
            error.to_string(),
            "the gradient of `w` needs that of erf, which is undefined: it is a test, at gate"
        );
    }

    #[test]
    fn a_decomposition_is_differentiated_at_its_own_cost() {
        let nodes_of = |before: usize| {
            let mut g = Graph::new();
            let mut x = g.input("x", TensorType::fp32([2])).unwrap();
            for _ in 0..before {
                x = g.relu(x).unwrap();
            }
            let first_value = g.values().len();
            let part = Part {
                nodes: g.nodes().len()..g.nodes().len(),
                first_value,
            };
            part.slots(&g, &[x]).within.len()
        };
        assert_eq!((nodes_of(1), nodes_of(1000)), (0, 0));
    }

    #[test]
    fn seeds_must_fit_their_outputs() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([2])).unwrap();
        let y = g.relu(x).unwrap();
        let seed = g.scalar(crate::DType::Fp32, 1.0).unwrap();
        assert!(matches!(
            vjp(&mut g, &[y], &[seed], &[x]),
            Err(VjpError::Seed { .. })
        ));
        assert!(matches!(
            vjp(&mut g, &[y], &[], &[x]),
            Err(VjpError::SeedCount {
                outputs: 1,
                cotangents: 0
            })
        ));
    }

    #[test]
    fn a_table_that_is_looked_up_and_multiplied_by_has_one_gradient() {
        let mut g = Graph::new();
        let fp16 = |dims: &[usize]| TensorType::fp16(dims);
        let table = g.input("table", fp16(&[5, 2])).unwrap();
        let x = g.input("x", fp16(&[3, 2])).unwrap();
        let indices = TensorType::new(crate::DType::Int32, [3]);
        let indices = g.input("indices", indices).unwrap();
        let rows = g.gather(table, indices, 0).unwrap();
        let met = g.mul(rows, x).unwrap();
        let scores = g.matmul(met, table, false, true).unwrap();
        let ct = g.input("ct", fp16(&[3, 5])).unwrap();
        let found = vjp(&mut g, &[scores], &[ct], &[table]).unwrap();
        let node = g.node_of(found[0].unwrap()).unwrap();
        assert_eq!(node.op.name(), "scatter");
        // The rows are added into the gradient of the product, not into zeros.
        let into = g.node_of(node.operands[0]).unwrap();
        assert_eq!(into.op.name(), "matmul");
        let sums = g.nodes().iter().filter(|n| n.op.name() == "add");
        assert_eq!(sums.count(), 0);
    }
}
