//! The suites of every op, one test per op and suite, from the op list; and random graphs.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{
    DType, Graph, Module,
    ops::{OpDef, Sample},
    testing,
};
use ane_mil::{Program, parse, print_module};

/// The program of a graph, after the way there and back.
fn round_trip_of(g: &Graph) -> Program {
    let module = Module::main(g.clone());
    let program = print_module(&module);
    let back = parse(&program.text, &program.blobs())
        .unwrap_or_else(|e| panic!("{}\n{}", e.excerpt(), program.text));
    assert_eq!(back.functions.len(), 1);
    assert!(
        back.functions[0].graph.same_as(g),
        "{g}\n{}\n{}",
        program.text,
        back.functions[0].graph
    );
    assert_eq!(print_module(&back), program);
    program
}

fn samples<O: OpDef>() -> Vec<Sample<O>> {
    let samples = O::samples();
    assert!(!samples.is_empty(), "`{}` has no samples", O::NAME);
    samples
}

/// Text and weights are the graph again, and text is stable.
fn round_trip<O: OpDef>() {
    for s in samples::<O>() {
        round_trip_of(&testing::graph_of(&s));
    }
}

/// The text of the first fp16 sample, or of the first where the op has none.
fn golden<O: OpDef>() {
    let graphs: Vec<Graph> = samples::<O>().iter().map(testing::graph_of).collect();
    let is_fp16 = |g: &&Graph| g.values().any(|v| g.ty(v).dtype == DType::Fp16);
    let g = graphs.iter().find(is_fp16).unwrap_or(&graphs[0]);
    let program = round_trip_of(g);
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(O::NAME, program.text));
}

macro_rules! suites {
    ($($module:ident::$op:ident,)*) => {
        $(mod $module {
            use ane_ir::ops::$module::$op;
            #[test] fn round_trip() { super::round_trip::<$op>() }
            #[test] fn golden() { super::golden::<$op>() }
        })*
    };
}
ane_ir::for_each_op!(suites);

mod random {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn graphs_round_trip() {
        for seed in testing::seeds() {
            let config = ProptestConfig {
                cases: 300,
                failure_persistence: None,
                rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
                ..ProptestConfig::default()
            };
            proptest!(config, |(choices in proptest::collection::vec(any::<u8>(), 3..90))| {
                round_trip_of(&testing::random_graph(&choices));
            });
        }
    }
}

mod modules {
    use super::*;
    use ane_ir::{Function, Literal, TensorType};
    use ane_mil::BlobReader;

    fn scaled(name: &str, by: f64) -> Function {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 32])).unwrap();
        let c = g
            .constant(Literal::splat(TensorType::fp16([2, 32]), by))
            .unwrap();
        let y = g.mul(x, c).unwrap();
        let z = g.tanh(y).unwrap();
        g.output("y", y).unwrap();
        g.output("z", z).unwrap();
        Function {
            name: name.into(),
            opset: "ios17".into(),
            graph: g,
        }
    }

    #[test]
    fn several_functions_share_one_weight_file() {
        let module = Module {
            functions: vec![
                scaled("first", 2.0),
                scaled("second", 3.0),
                scaled("third", 2.0),
            ],
        };
        let program = print_module(&module);
        assert_eq!(BlobReader::new(&program.weights).unwrap().count(), 2);
        let back = parse(&program.text, &program.blobs()).unwrap();
        assert_eq!(back.functions.len(), 3);
        for (a, b) in module.functions.iter().zip(&back.functions) {
            assert_eq!((&a.name, &a.opset), (&b.name, &b.opset));
            assert!(a.graph.same_as(&b.graph));
        }
    }

    #[test]
    fn numbers_that_text_cannot_spell_keep_their_bits() {
        let bits: Vec<u8> = [0x7e01_u16, 0xfc00, 0x8000, 0x0001]
            .iter()
            .flat_map(|b| b.to_le_bytes())
            .collect();
        let literal = Literal::from_bytes(TensorType::fp16([4]), bits).unwrap();
        let mut g = Graph::new();
        let c = g.constant(literal.clone()).unwrap();
        let y = g.relu(c).unwrap();
        g.output("y", y).unwrap();
        let program = print_module(&Module::main(g));
        let back = parse(&program.text, &program.blobs()).unwrap();
        let g = &back.functions[0].graph;
        assert_eq!(g.literal(g.values().next().unwrap()), Some(&literal));
    }

    #[test]
    fn the_empty_module_is_a_program() {
        let program = print_module(&Module::default());
        assert_eq!(
            parse(&program.text, &program.blobs()),
            Ok(Module::default())
        );
    }
}
