//! Where nodes come from: the scope that a builder is in becomes the place of the nodes it adds.

use super::{Def, Graph, Value};
use crate::place::Place;

impl Graph {
    /// Builds inside of `segment`: nodes that `build` adds get places under it.
    ///
    /// ```
    /// # use ane_ir::{Graph, TensorType};
    /// let mut g = Graph::new();
    /// let x = g.input("x", TensorType::fp16([2])).unwrap();
    /// let y = g.scope("encoder", |g| g.scope("act", |g| g.relu(x))).unwrap();
    /// assert_eq!(g.place_of(y).to_string(), "encoder.act");
    /// ```
    pub fn scope<R>(&mut self, segment: &str, build: impl FnOnce(&mut Self) -> R) -> R {
        let inside = self.scope.child(segment);
        self.at(inside, build)
    }

    /// Builds at `place`, whatever the scope around: what importers and rewrites do.
    pub fn at<R>(&mut self, place: Place, build: impl FnOnce(&mut Self) -> R) -> R {
        let outside = self.set_scope(place);
        let built = build(self);
        self.set_scope(outside);
        built
    }

    /// Makes `place` that of the nodes to come; the former one, to be put back.
    pub fn set_scope(&mut self, place: Place) -> Place {
        std::mem::replace(&mut self.scope, place)
    }

    /// The place of the nodes to come.
    pub fn current_scope(&self) -> &Place {
        &self.scope
    }

    /// The place of the node at this position of [`Graph::nodes`].
    pub fn place(&self, node: usize) -> &Place {
        &self.places[node]
    }

    /// The place of the node that defines `value`; unknown for an input.
    pub fn place_of(&self, value: Value) -> &Place {
        match self.def(value) {
            Def::Input(_) => &Place::UNKNOWN,
            Def::Result { node, .. } => self.place(node),
        }
    }

    /// `encoder.layers.0.linear1`, or the name or number of `value` where its node has no place: for messages.
    pub fn describe(&self, value: Value) -> String {
        let place = self.place_of(value);
        match (self.name(value), place.is_unknown()) {
            (Some(name), true) => format!("`{name}`"),
            (Some(name), false) => format!("`{name}` at {place}"),
            (None, true) => value.to_string(),
            (None, false) => place.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TensorType, autodiff,
        ops::TypeError,
        passes::{self, Rewriter},
        target::Target,
    };

    /// `y = tanh(matmul(x, w) + b)`, every node in a scope of its own.
    fn layer() -> (Graph, Value) {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([2, 3])).unwrap();
        let w = g.input("w", TensorType::fp32([3, 3])).unwrap();
        let b = g.input("b", TensorType::fp32([3])).unwrap();
        let y = g.scope("layers.0", |g| {
            let z = g.scope("linear", |g| {
                let z = g.matmul(x, w, false, false).unwrap();
                g.add(z, b).unwrap()
            });
            g.scope("act", |g| g.tanh(z)).unwrap()
        });
        (g, y)
    }

    #[test]
    fn scopes_nest_and_end() {
        let (mut g, y) = layer();
        let places: Vec<String> = (0..3).map(|i| g.place(i).to_string()).collect();
        assert_eq!(
            places,
            ["layers.0.linear", "layers.0.linear", "layers.0.act"]
        );
        let after = g.relu(y).unwrap();
        assert!(g.place_of(after).is_unknown());
    }

    #[test]
    fn gradients_have_the_places_of_what_they_differentiate() {
        let (mut g, y) = layer();
        let forward = g.nodes().len();
        let seed = g.input("seed", g.ty(y).clone()).unwrap();
        let w = g.input_named("w").unwrap();
        autodiff::vjp(&mut g, &[y], &[seed], &[w]).unwrap();
        assert!(g.nodes().len() > forward);
        for (i, node) in g.nodes().iter().enumerate().skip(forward) {
            let expected = match node.op.name() {
                "matmul" | "reduce_sum" | "squeeze" => "gradient of layers.0.linear",
                _ => "gradient of layers.0.act",
            };
            assert_eq!(g.place(i).to_string(), expected, "{}", node.op.name());
        }
    }

    #[test]
    fn every_pass_keeps_places() {
        let (mut g, y) = layer();
        g.output("y", y).unwrap();
        for target in ["software", "h16:client"] {
            let target: Target = target.parse().unwrap();
            let out = passes::run(&g, &target, passes::LEGALIZE).unwrap();
            for (i, node) in out.nodes().iter().enumerate() {
                // What narrows and widens ports belongs to no layer.
                let moves = ["slice_by_size", "pad"].contains(&node.op.name());
                assert_eq!(
                    out.place(i).is_unknown(),
                    moves,
                    "{target} {}",
                    node.op.name()
                );
            }
        }
    }

    #[test]
    fn what_a_rule_makes_is_where_the_old_node_was() {
        let (mut g, y) = layer();
        g.output("y", y).unwrap();
        let twice = |r: &mut Rewriter<'_>, node: &super::super::Node, xs: &[Value]| {
            if node.op.name() != "tanh" {
                return Ok(None);
            }
            let a = r.out.relu(xs[0]).unwrap();
            Ok(Some(smallvec::smallvec![r.out.relu(a).unwrap()]))
        };
        let out = passes::rewrite("twice", &g, twice).unwrap();
        let places: Vec<&str> = (0..4).map(|i| out.place(i).path()).collect();
        assert_eq!(places[2..], ["layers.0.act", "layers.0.act"]);
    }

    #[test]
    fn a_type_error_names_the_place() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
        let failed = g.scope("head.fc", |g| g.matmul(x, x, false, false));
        let error = failed.unwrap_err();
        assert!(matches!(error, TypeError::At { .. }));
        assert_eq!(
            error.to_string(),
            "matmul: tensor<fp16, [2, 3]> and tensor<fp16, [2, 3]> do not fit: \
             the summed axes must have equal lengths, at head.fc"
        );
    }
}
