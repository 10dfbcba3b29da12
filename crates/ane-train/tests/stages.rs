//! Placement as data: which stages a graph is cut into, and that they compute together what it does.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{
    DType, Def, Graph, Literal, Numerics, Shape, Target, Tensor, TensorType, Value, eval,
    ops::scatter::Mode,
};
use ane_train::stage::{Stage, Staged};
use std::collections::HashMap;

fn staged(graph: &Graph, target: &str) -> Staged {
    let target: Target = target.parse().unwrap();
    Staged::of(graph, &target).unwrap_or_else(|e| panic!("{target}: {e}\n{graph}"))
}

/// The stages as letters.
fn letters(staged: &Staged) -> String {
    let letter = |s: &Stage| match s {
        Stage::Engine(_) => 'E',
        Stage::Host(_) => 'H',
    };
    staged.stages.iter().map(letter).collect()
}

/// A graph over a table, indices and a batch.
struct Case {
    g: Graph,
    table: Value,
    x: Value,
    indices: Value,
}

impl Case {
    fn new() -> Self {
        let mut g = Graph::new();
        let table = g.input("table", TensorType::fp16([6, 4])).unwrap();
        let x = g.input("x", TensorType::fp16([6, 4])).unwrap();
        let indices = g.input("indices", TensorType::new(DType::Int32, [6]));
        let indices = indices.unwrap();
        Self {
            g,
            table,
            x,
            indices,
        }
    }

    fn gather(&mut self, v: Value) -> Value {
        let indices = self.indices;
        let gathered = self.g.scope("embedding", |g| g.gather(v, indices, 0));
        gathered.unwrap()
    }

    fn scatter(&mut self, v: Value) -> Value {
        let zeros = self.g.fill(&TensorType::fp16([6, 4]), 0.0).unwrap();
        let indices = self.indices;
        self.g.scatter(zeros, indices, v, 0, Mode::Add).unwrap()
    }

    fn product(&mut self, v: Value) -> Value {
        let square = Literal::splat(TensorType::fp16([4, 4]), 0.25);
        let square = self.g.constant(square).unwrap();
        self.g.matmul(v, square, false, false).unwrap()
    }
}

type Build = fn(&mut Case) -> Vec<Value>;

/// What is built, its stages on h13, and the ops on the host.
const CASES: &[(&str, Build, &str, &str)] = &[
    ("nothing on the host", |c| vec![c.product(c.x)], "E", ""),
    (
        "host before",
        |c| {
            let t = c.gather(c.table);
            vec![c.product(t)]
        },
        "HE",
        "gather",
    ),
    (
        "host after",
        |c| {
            let y = c.product(c.x);
            vec![c.scatter(y)]
        },
        "EH",
        "scatter",
    ),
    (
        "host between",
        |c| {
            let y = c.product(c.x);
            let y = c.gather(y);
            vec![c.product(y)]
        },
        "EHE",
        "gather",
    ),
    (
        "host around",
        |c| {
            let t = c.gather(c.table);
            let y = c.product(t);
            vec![y, c.scatter(y)]
        },
        "HEH",
        "gather scatter",
    ),
    (
        "only host",
        |c| {
            let t = c.gather(c.table);
            vec![c.scatter(t)]
        },
        "H",
        "gather scatter",
    ),
    // A branch that is alone on the engine waits for the stage that is there anyway.
    (
        "a branch on the engine",
        |c| {
            let t = c.gather(c.table);
            let (a, b) = (c.product(t), c.product(c.x));
            vec![c.g.add(a, b).unwrap()]
        },
        "HE",
        "gather",
    ),
    (
        "a branch on the host",
        |c| {
            let y = c.product(c.x);
            let (a, t) = (c.gather(y), c.gather(c.table));
            let sum = c.g.add(a, t).unwrap();
            vec![c.product(sum)]
        },
        "EHE",
        "gather gather",
    ),
    (
        "two branches of equal depth",
        |c| {
            let (a, b) = (c.gather(c.table), c.gather(c.x));
            let (a, b) = (c.product(a), c.product(b));
            vec![c.scatter(a), c.scatter(b)]
        },
        "HEH",
        "gather gather scatter scatter",
    ),
    (
        "two alternations",
        |c| {
            let y = c.gather(c.table);
            let y = c.product(y);
            let y = c.gather(y);
            let y = c.product(y);
            vec![c.scatter(y)]
        },
        "HEHEH",
        "gather gather scatter",
    ),
    // What is reshaped on its way from the host to an output, or transposed on its way there, costs no stage.
    (
        "movement stays with the host",
        |c| {
            let t = c.g.transpose(c.table, &[1, 0]).unwrap();
            let t = c.g.reshape(t, &Shape::new(&[6, 4])).unwrap();
            let t = c.gather(t);
            let y = c.product(t);
            let s = c.scatter(y);
            vec![c.g.reshape(s, &Shape::new(&[2, 12])).unwrap()]
        },
        "HEH",
        "transpose reshape gather scatter reshape",
    ),
    (
        "integers",
        |c| {
            let three = c.g.scalar(DType::Int32, 3.0).unwrap();
            let mask = c.g.less(c.indices, three).unwrap();
            let mask = c.g.reshape(mask, &Shape::new(&[6, 1])).unwrap();
            let y = c.product(c.x);
            vec![c.g.select(mask, y, c.x).unwrap()]
        },
        "HE",
        "less",
    ),
    (
        "an output of the host alone beside the engine",
        |c| vec![c.product(c.x), c.g.reduce_argmax(c.x, 1, false).unwrap()],
        "EH",
        "reduce_argmax",
    ),
    (
        "too many axes",
        |c| {
            let y = c.g.reshape(c.x, &Shape::new(&[1, 2, 3, 2, 1, 2])).unwrap();
            let y = c.g.tanh(y).unwrap();
            let y = c.g.reshape(y, &Shape::new(&[6, 4])).unwrap();
            vec![c.product(y)]
        },
        "HE",
        "reshape tanh reshape",
    ),
];

fn built(build: Build) -> Graph {
    let mut case = Case::new();
    for (i, v) in build(&mut case).into_iter().enumerate() {
        case.g.output(&format!("y{i}"), v).unwrap();
    }
    case.g
}

#[test]
fn graphs_are_cut_into_as_few_stages_as_their_paths_allow() {
    for (name, build, stages, ops) in CASES {
        let graph = built(*build);
        let on_h13 = staged(&graph, "h13");
        assert_eq!(letters(&on_h13), *stages, "{name}");
        let host: Vec<&str> = on_h13.host_nodes.iter().map(|n| n.op).collect();
        assert_eq!(host.join(" "), *ops, "{name}");
        let software = staged(&graph, "software");
        assert_eq!(software.stages, [Stage::Engine(0)], "{name}");
        assert!(software.engine[0].graph.same_as(&graph), "{name}");
    }
}

#[test]
fn every_host_node_is_reported_with_place_and_reason() {
    let graph = built(CASES[4].1);
    let on_h13 = staged(&graph, "h13");
    let [gather, scatter] = &on_h13.host_nodes[..] else {
        panic!("{:?}", on_h13.host_nodes);
    };
    assert_eq!(gather.place, "embedding");
    assert_eq!(gather.reason, "h13 does not compute on int32");
    assert!(scatter.is_known && gather.is_known);
    on_h13.require_ane().unwrap();
    let [flops, bytes] = on_h13.shares();
    // The product is 2·6·4·4; zeros and sums are one for each element.
    assert_eq!((flops.engine, flops.host), (192, 48));
    assert!(bytes.engine > 0 && bytes.host > 0);
    let lines = on_h13.lines().join("\n");
    assert!(lines.contains("stage 1: host"), "{lines}");
    assert!(
        lines.contains("`gather` at embedding: h13 does not compute on int32"),
        "{lines}"
    );
    assert!(staged(&graph, "software").lines().is_empty());

    let refused = staged(&built(CASES[13].1), "h13")
        .require_ane()
        .unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("`tanh`") && said.contains("[rank]"), "{said}");
    assert!(!said.contains("gather"), "{said}");
}

#[test]
fn crossing_ports_have_names_of_their_own() {
    let mut case = Case::new();
    let y = case.product(case.x);
    let gathered = case.gather(y);
    let z = case.product(gathered);
    // The name that the crossing would have.
    let port = format!("crossing_{}", gathered.index());
    case.g.output(&port, z).unwrap();
    let staged = staged(&case.g, "h13");
    assert_eq!(letters(&staged), "EHE");
    let names: Vec<&str> = staged.ports.keys().map(String::as_str).collect();
    assert!(names.contains(&port.as_str()) && names.contains(&format!("{port}_").as_str()));
    assert_eq!(names.len(), 6, "{names:?}");
}

#[test]
fn what_only_a_later_stage_needs_is_computed_there() {
    let mut case = Case::new();
    let y = case.product(case.x);
    let gathered = case.gather(y);
    // Made of inputs, read behind the host alone: it would only cross.
    let late = case.g.tanh(case.x).unwrap();
    let late = case.g.exp(late).unwrap();
    let z = case.g.add(gathered, late).unwrap();
    // Smaller than what it is made of, which is not an input: it crosses instead of that.
    let sum = case.g.reduce_sum(y, &[0, 1], true).unwrap();
    let z = case.g.mul(z, sum).unwrap();
    case.g.output("z", z).unwrap();
    let staged = staged(&case.g, "h13");
    assert_eq!(letters(&staged), "EHE");
    let crossing = |name: &&String| name.starts_with("crossing_");
    let crossing: Vec<&String> = staged.ports.keys().filter(crossing).collect();
    let expected = [y, gathered, sum].map(|v| format!("crossing_{}", v.index()));
    assert_eq!(crossing.len(), 3, "{crossing:?}");
    assert!(crossing.into_iter().all(|name| expected.contains(name)));
}

#[test]
fn what_no_node_is_to_blame_for_stays_illegal() {
    let mut g = Graph::new();
    let all: Vec<Value> = (0..140)
        .map(|i| {
            g.input(&format!("x{i}"), TensorType::fp16([2, 32]))
                .unwrap()
        })
        .collect();
    let y = g.concat(&all, 0).unwrap();
    let y = g.relu(y).unwrap();
    g.output("y", y).unwrap();
    let refused = Staged::of(&g, &"h16:client".parse().unwrap()).unwrap_err();
    assert!(refused.to_string().contains("surface_count"), "{refused}");
}

/// Runs the stages by the definitions of their ops.
fn run(staged: &Staged, inputs: &HashMap<String, Tensor<f64>>) -> HashMap<String, Tensor<f64>> {
    let mut ports = inputs.clone();
    for stage in &staged.stages {
        let graph = match *stage {
            Stage::Engine(i) => staged.engine[i].legal.graph(),
            Stage::Host(i) => &staged.host[i].graph,
        };
        let xs: Vec<Tensor<f64>> = graph
            .inputs()
            .iter()
            .map(|&v| {
                let x = &ports[graph.port(v)];
                assert_eq!(x.ty, *graph.ty(v), "{}", graph.port(v));
                x.clone()
            })
            .collect();
        let ys = eval(graph, &xs, &Numerics::exact()).unwrap();
        for (&v, y) in graph.outputs().iter().zip(ys) {
            ports.insert(graph.port(v).to_owned(), y);
        }
    }
    ports
}

/// The most runs of nodes of one side on any path to an output: no cut has fewer stages.
fn longest_alternation(graph: &Graph, staged: &Staged) -> usize {
    let nodes = graph.nodes();
    let mut is_live = vec![false; nodes.len()];
    let node_of = |v: Value| match graph.def(v) {
        Def::Result { node, .. } => Some(node),
        Def::Input(_) => None,
    };
    for node in graph.outputs().iter().filter_map(|&v| node_of(v)) {
        is_live[node] = true;
    }
    for i in (0..nodes.len()).rev() {
        if is_live[i] {
            for node in nodes[i].operands.iter().filter_map(|&v| node_of(v)) {
                is_live[node] = true;
            }
        }
    }
    let on_host = |i: usize| staged.host_nodes.iter().any(|h| h.node == i);
    let mut runs = vec![0; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        if node.operands.is_empty() || !is_live[i] {
            continue;
        }
        let before = node
            .operands
            .iter()
            .filter_map(|&v| node_of(v))
            .filter(|&n| runs[n] > 0);
        let before = before.map(|n| runs[n] + usize::from(on_host(n) != on_host(i)));
        runs[i] = before.max().unwrap_or(1);
    }
    runs.into_iter().max().unwrap_or(0)
}

/// Numbers without pattern.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A graph of `nodes` steps over floats [6, 4], indices [6] and masks [6, 1].
fn random_graph(seed: u64, nodes: usize) -> Graph {
    let mut r = Random(seed);
    let mut c = Case::new();
    let mut floats = vec![c.table, c.x];
    let mut ints = vec![c.indices];
    let g = &mut c.g;
    let mut masks = vec![g.greater(c.table, c.x).unwrap()];
    for i in 0..nodes {
        g.set_scope(ane_ir::Place::new(format!("layer{i}")));
        let (a, b, k, m) = (r.of(&floats), r.of(&floats), r.of(&ints), r.of(&masks));
        let l = r.of(&ints);
        match r.below(14) {
            0 => floats.push(g.gather(a, k, 0).unwrap()),
            1 => floats.push(g.scatter(a, k, b, 0, Mode::Add).unwrap()),
            2 => {
                let square = Literal::splat(TensorType::fp16([4, 4]), 0.25);
                let square = g.constant(square).unwrap();
                floats.push(g.matmul(a, square, false, false).unwrap());
            }
            3 => floats.push(g.add(a, b).unwrap()),
            4 => floats.push(g.tanh(a).unwrap()),
            5 => floats.push(g.select(m, a, b).unwrap()),
            6 => ints.push(g.reduce_argmax(a, 1, false).unwrap()),
            7 => {
                let mask = g.less(k, l).unwrap();
                masks.push(g.reshape(mask, &Shape::new(&[6, 1])).unwrap());
            }
            8 => masks.push(g.logical_not(m).unwrap()),
            9 => ints.push(g.minimum(k, l).unwrap()),
            10 => {
                // A scalar without axes.
                let sum = g.reduce_sum(a, &[0, 1], false).unwrap();
                let share = g.scalar(DType::Fp16, 1.0 / 32.0).unwrap();
                let mean = g.mul(sum, share).unwrap();
                floats.push(g.mul(b, mean).unwrap());
            }
            11 => {
                let t = g.transpose(a, &[1, 0]).unwrap();
                floats.push(g.reshape(t, &Shape::new(&[6, 4])).unwrap());
            }
            12 => {
                let hot = g.gather(k, l, 0).unwrap();
                ints.push(hot);
                let as_float = g.cast(hot, DType::Fp16).unwrap();
                let column = g.reshape(as_float, &Shape::new(&[6, 1])).unwrap();
                floats.push(g.add(a, column).unwrap());
            }
            _ => {
                let parts = g.split(a, 2, 1).unwrap();
                floats.push(g.concat(&[parts[1], parts[0]], 1).unwrap());
            }
        }
    }
    g.set_scope(ane_ir::Place::UNKNOWN);
    for (i, v) in [floats, ints, masks]
        .concat()
        .into_iter()
        .enumerate()
        .rev()
        .step_by(3)
    {
        if !g.is_port(v) {
            g.output(&format!("y{i}"), v).unwrap();
        }
    }
    c.g
}

#[test]
fn stages_compute_together_what_the_graph_does() {
    let mut with_stages = 0;
    for seed in 0..60 {
        let graph = random_graph(seed, 4 + seed as usize % 25);
        let mut r = Random(seed + 1_000);
        let inputs: HashMap<String, Tensor<f64>> = graph
            .inputs()
            .iter()
            .map(|&v| {
                let ty = graph.ty(v);
                let element = |_| match ty.dtype {
                    DType::Int32 => r.below(6) as f64,
                    _ => r.below(65) as f64 / 32.0 - 1.0,
                };
                let data = (0..ty.shape.numel()).map(element).collect();
                (graph.port(v).to_owned(), Tensor::new(ty.clone(), data))
            })
            .collect();
        let xs: Vec<Tensor<f64>> = graph
            .inputs()
            .iter()
            .map(|&v| inputs[graph.port(v)].clone())
            .collect();
        let expected = eval(&graph, &xs, &Numerics::exact()).unwrap();
        for target in ["software", "h13", "h16"] {
            let staged = staged(&graph, target);
            with_stages += usize::from(staged.stages.len() > 2);
            assert!(target != "software" || letters(&staged) == "E");
            // Paths that begin on different sides cost one stage more.
            let least = longest_alternation(&graph, &staged);
            let stages = staged.stages.len();
            assert!(
                stages == least || stages == least + 1,
                "{stages} {least}\n{graph}"
            );
            let found = run(&staged, &inputs);
            for (&v, want) in graph.outputs().iter().zip(&expected) {
                let name = graph.port(v);
                let found = &found[name].data;
                assert_eq!(found.len(), want.data.len());
                for (found, want) in found.iter().zip(&want.data) {
                    let near = (found - want).abs() <= 1e-5 * want.abs().max(1.0);
                    assert!(
                        near,
                        "{name}: {found} {want}, seed {seed} on {target}\n{graph}"
                    );
                }
            }
        }
    }
    assert!(with_stages > 40, "{with_stages}");
}
