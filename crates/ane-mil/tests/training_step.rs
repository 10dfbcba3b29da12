//! A training step like MNIST's against Apple's law: accepted on every chip, and caught by every rule once mutated.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "training_step/mlp.rs"]
mod mlp;

use ane_ir::{
    Chip, DType, Graph, Literal, Route, Shape, Target, TensorType, Value,
    ops::concat::Concat,
    passes::{self, LEGALIZE},
};
use ane_mil::{RULES, Violation, check, parse, print};
use std::collections::HashMap;

const SMALL: &[usize] = &[784, 32, 10];

fn legalized(graph: &Graph, target: &Target) -> Graph {
    passes::run(graph, target, LEGALIZE).unwrap()
}

fn accepted_and_back(graph: &Graph, target: &Target) {
    let legal = check(legalized(graph, target), target).unwrap_or_else(|violations| {
        let all: Vec<String> = violations.iter().map(Violation::to_string).collect();
        panic!("{target}: {}", all.join("\n"))
    });
    let program = print(&legal);
    let back = parse(&program.text, &program.blobs()).unwrap_or_else(|e| panic!("{}", e.excerpt()));
    assert!(back.functions[0].graph.same_as(legal.graph()));
}

#[test]
fn every_chip_takes_the_step() {
    let step = mlp::step(8, SMALL);
    for chip in Chip::HARDWARE {
        accepted_and_back(&step, &Target::new(chip, Route::E5rt));
    }
}

#[test]
fn every_chip_takes_the_step_of_mnist_in_full() {
    let step = mlp::step(128, &[784, 512, 512, 10]);
    for chip in Chip::HARDWARE {
        accepted_and_back(&step, &Target::new(chip, Route::E5rt));
    }
}

#[test]
fn software_takes_the_step_as_it_is() {
    assert!(check(mlp::step(8, SMALL), &Target::SOFTWARE).is_ok());
}

#[test]
fn the_text_of_the_step_is_known() {
    let target = Target::new(Chip::H16, Route::E5rt);
    let legal = check(legalized(&mlp::step(8, SMALL), &target), &target).unwrap();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("training_step", print(&legal).text));
}

/// A rule, a target it holds for, and a change of the step that breaks it.
type Mutant = (&'static str, &'static str, fn(&mut Graph));

const MUTANTS: &[Mutant] = &[
    ("axis_limits", "h16", |g| {
        change_input(g, "x", TensorType::fp16([8, 70_000]), |g, x| {
            g.slice_by_size(x, &[0, 0], &[8, 784]).unwrap()
        });
    }),
    ("bare_movement", "h16:client", |g| {
        let y = g.identity(g.input_named("x").unwrap()).unwrap();
        g.output("copy", y).unwrap();
    }),
    ("blob_count", "h17:memory", |g| {
        let mut x = logits(g);
        for i in 0..17 {
            let ty = g.ty(x).clone();
            let c = g.constant(Literal::splat(ty, f64::from(i))).unwrap();
            x = g.add(x, c).unwrap();
        }
        g.output("sum", x).unwrap();
    }),
    ("dead_values", "h13", |g| {
        let x = logits(g);
        g.tanh(x).unwrap();
    }),
    ("io_dtypes", "h14", |g| {
        change_input(g, "w0", TensorType::fp32([784, 32]), |g, w| {
            g.cast(w, DType::Fp16).unwrap()
        });
    }),
    ("names", "h15", |g| {
        let ty = TensorType::fp16([8, 1]);
        let ones = Literal::splat(ty.clone(), 1.0);
        change_input(g, "w", ty, |g, _| g.constant(ones.clone()).unwrap());
    }),
    ("narrow_rows", "h16:client", |g| {
        change_input(g, "x", TensorType::fp16([8, 784]), |g, x| {
            g.pad(x, &[0, 0, 0, 16], 0.0).unwrap()
        });
    }),
    ("op_support", "h17", |g| {
        let x = logits(g);
        let wide = g.cast(x, DType::Fp32).unwrap();
        let back = g.cast(wide, DType::Fp16).unwrap();
        g.output("cast", back).unwrap();
    }),
    ("rank", "h13", |g| {
        let x = logits(g);
        let y = g.reduce_max(x, &[0, 1], false).unwrap();
        g.output("scalar", y).unwrap();
    }),
    ("required_parameters", "h16", |g| {
        let x = logits(g);
        let concat = Concat {
            axis: 0,
            interleave: None,
        };
        let y = g.push(concat, &[x, x]).unwrap();
        g.output("twice", y).unwrap();
    }),
    ("scaled_reduction", "h17", |g| {
        let x = logits(g);
        let max = g.reduce_max(x, &[1], true).unwrap();
        let zero = g.scalar(DType::Fp16, 0.0).unwrap();
        let y = g.mul(max, zero).unwrap();
        g.output("nothing", y).unwrap();
    }),
    ("surface_count", "h15:client", |g| {
        let mut x = logits(g);
        for i in 0..110 {
            let ty = g.ty(x).clone();
            let more = g.input(&format!("more{i}"), ty).unwrap();
            x = g.add(x, more).unwrap();
        }
        g.output("sum", x).unwrap();
    }),
    ("wide_rows", "h17", |g| {
        let gradient = g.output_named("dw0").unwrap();
        let row = Shape::new(&[1, g.ty(gradient).shape.numel()]);
        let row = g.reshape(gradient, &row).unwrap();
        let rows = g.concat(&[row, row, row], 1).unwrap();
        g.output("flat", rows).unwrap();
    }),
];

fn logits(g: &Graph) -> Value {
    g.output_named("logits").unwrap()
}

/// Gives the input `name` another type; `read` makes of it what the step goes on with.
fn change_input(
    g: &mut Graph,
    name: &str,
    ty: TensorType,
    read: impl Fn(&mut Graph, Value) -> Value,
) {
    let mut out = Graph::new();
    let mut map: HashMap<Value, Value> = HashMap::new();
    for &old in g.inputs() {
        let port = g.port(old);
        let new = if port == name {
            let x = out.input(name, ty.clone()).unwrap();
            read(&mut out, x)
        } else {
            out.input(port, g.ty(old).clone()).unwrap()
        };
        assert_eq!(out.ty(new), g.ty(old), "`{port}` is read as another type");
        map.insert(old, new);
    }
    for node in g.nodes() {
        let operands: Vec<Value> = node.operands.iter().map(|x| map[x]).collect();
        let results = out
            .push_segments(node.op.clone(), &operands, &node.segments)
            .unwrap();
        map.extend(node.results.iter().copied().zip(results));
    }
    for &old in g.outputs() {
        out.output(g.port(old), map[&old]).unwrap();
    }
    *g = out;
}

fn count(rule: &str, graph: Graph, target: &Target) -> usize {
    let violations = check(graph, target).err().unwrap_or_default();
    violations.iter().filter(|v| v.rule == rule).count()
}

#[test]
fn every_rule_catches_its_mutant() {
    for (rule, target, mutate) in MUTANTS {
        let target: Target = target.parse().unwrap();
        let step = legalized(&mlp::step(8, SMALL), &target);
        let mut mutant = step.clone();
        mutate(&mut mutant);
        // On the row routes the step itself has narrow ports, so it is the difference that counts.
        let (before, after) = (count(rule, step, &target), count(rule, mutant, &target));
        assert!(
            after > before,
            "`{rule}` on {target}: {before} violations before, {after} after"
        );
    }
}

#[test]
fn every_rule_has_a_mutant() {
    let mut with_mutant: Vec<&str> = MUTANTS.iter().map(|m| m.0).collect();
    with_mutant.dedup();
    let rules: Vec<&str> = RULES.iter().map(|r| r.id).collect();
    assert_eq!(with_mutant, rules);
}

#[test]
fn violations_say_what_where_and_what_to_do() {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp32([2, 20_000])).unwrap();
    let y = g.identity(x).unwrap();
    g.output("y", y).unwrap();
    let violations = check(g, &"h13".parse().unwrap()).unwrap_err();
    let text: Vec<String> = violations.iter().map(Violation::to_string).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
`x` (tensor<fp32, [2, 20000]>) has an axis of 20000 elements, h13 takes at most 16384 [axis_limits]
help: split the axis, or fold it into two
`y` (tensor<fp32, [2, 20000]>) has an axis of 20000 elements, h13 takes at most 16384 [axis_limits]
help: split the axis, or fold it into two
the program has no op but `identity` and `reshape`, expected one that computes [bare_movement]
help: let the op that computes the value make the output, or leave the output out
`y` (tensor<fp32, [2, 20000]>) only passes an input on, expected the result of an op [bare_movement]
help: let the op that computes the value make the output, or leave the output out
`x` (tensor<fp32, [2, 20000]>) is an input of fp32, expected fp16, int8, uint8, int16, uint16 [io_dtypes]
help: make the port fp16 and let the host convert
`y` (tensor<fp32, [2, 20000]>) is an output of fp32, expected fp16, int8, uint8, int16, uint16 [io_dtypes]
help: make the port fp16 and let the host convert
`y` (tensor<fp32, [2, 20000]>) is made by `identity`, which h13 refuses [op_support]
help: run the passes of LEGALIZE, which decompose what can be decomposed, or run the op on the host
");
}
