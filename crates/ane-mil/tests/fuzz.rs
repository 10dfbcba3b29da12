//! No text and no weight file makes the parser panic.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{Graph, Literal, Module, TensorType, Value, ops::all_samples, testing};
use ane_mil::{BlobSource, MemoryBlobs, NoBlobs, Program, WEIGHTS_PATH, parse, print_module};
use proptest::prelude::*;
use std::cell::Cell;

/// Pieces that texts are made of; shuffled, they get further than random bytes.
const PIECES: &[&str] = &[
    "program(1.3)",
    "{",
    "}",
    "func main<ios18>",
    "(",
    ")",
    "->",
    ";",
    "[",
    "]",
    "<",
    ">",
    ",",
    "=",
    "tensor<fp16, [4, 6]>",
    "tensor<int32, [2]>",
    "fp16",
    "int32",
    "bool",
    "string",
    "x",
    "y",
    "a",
    "const()",
    "val",
    "name",
    "BLOBFILE",
    "path",
    "offset",
    "uint64(64)",
    "string(\"@model_path/weights.bin\")",
    "0x1.8p+3",
    "-1",
    "99999999999999999999",
    "1e999",
    "nan",
    "inf",
    "true",
    "\"EXACT\"",
    "reshape",
    "shape",
    "split",
    "num_splits",
    "axis",
    "concat",
    "values",
    "matmul",
    "relu",
    "x = x",
    "tensor",
    "tensor_buffer",
    "//",
    "\n",
    "2147483647",
    "[2147483647, 2147483647, 2147483647]",
    "reduce_sum",
    "axes",
    "expand_dims",
    "slice_by_size",
];

/// A program of a random graph, or of a sample of some op beside a constant in the weight file.
fn program(choices: &[u8]) -> Program {
    let samples = all_samples();
    let pick = usize::from(choices[0]) * 256 + usize::from(choices[1]);
    if pick % 2 == 0 {
        return print_module(&Module::main(testing::random_graph(choices)));
    }
    let sample = &samples[pick / 2 % samples.len()];
    let mut g = Graph::new();
    let xs: Vec<Value> = sample
        .operands
        .iter()
        .enumerate()
        .map(|(i, (ty, _))| g.input(&format!("x{i}"), ty.clone()).unwrap())
        .collect();
    let c = g
        .constant(Literal::splat(TensorType::fp16([3, 40]), 0.5))
        .unwrap();
    let c = g.relu(c).unwrap();
    let y = g
        .push_segments(sample.op.clone(), &xs, &sample.segments)
        .unwrap()[0];
    g.output("y", y).unwrap();
    g.output("c", c).unwrap();
    print_module(&Module::main(g))
}

fn config(seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    }
}

/// Whether the text is refused, with an excerpt that can be shown.
fn is_refused(text: &str, blobs: &dyn BlobSource) -> bool {
    parse(text, blobs).is_err_and(|e| !e.excerpt().is_empty())
}

#[test]
fn random_text_is_refused() {
    for seed in testing::seeds() {
        proptest!(config(seed), |(text in ".{0,200}")| {
            prop_assert!(is_refused(&text, &NoBlobs), "{}", text);
        });
    }
}

#[test]
fn random_bytes_are_refused() {
    for seed in testing::seeds() {
        proptest!(config(seed), |(bytes in proptest::collection::vec(any::<u8>(), 0..300))| {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(is_refused(&text, &NoBlobs), "{}", text);
        });
    }
}

#[test]
fn random_bodies_are_refused() {
    for seed in testing::seeds() {
        proptest!(config(seed), |(pieces in proptest::collection::vec(0..PIECES.len(), 0..60))| {
            let body: Vec<&str> = pieces.iter().map(|&i| PIECES[i]).collect();
            let text = format!(
                "program(1.3) {{ func main<ios18>(tensor<fp16, [4, 6]> x) {{ {} }} -> (y); }}",
                body.join(" ")
            );
            for text in [text, body.join(" ")] {
                prop_assert!(is_refused(&text, &NoBlobs), "{}", text);
            }
        });
    }
}

#[test]
fn mutated_programs_are_read_or_refused() {
    let (read, refused) = (Cell::new(0), Cell::new(0));
    for seed in testing::seeds() {
        proptest!(config(seed), |(
            choices in proptest::collection::vec(any::<u8>(), 3..60),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, 0..PIECES.len()), 1..6),
            broken in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        )| {
            let mut program = program(&choices);
            let mut text: Vec<char> = program.text.chars().collect();
            for (at, what, piece) in edits {
                if text.is_empty() {
                    break;
                }
                let i = at.index(text.len());
                match what {
                    0 => { text.remove(i); }
                    1 => { text.splice(i..i, PIECES[piece].chars()); }
                    2 => { text.truncate(i.max(1)); }
                    _ => { let j = (i + 7 * piece) % text.len(); text.swap(i, j); }
                }
            }
            for (at, byte) in broken {
                if !program.weights.is_empty() {
                    let i = at.index(program.weights.len());
                    program.weights[i] = byte;
                }
            }
            let text: String = text.into_iter().collect();
            let blobs = MemoryBlobs::new().with(WEIGHTS_PATH, program.weights.as_slice());
            let outcome = if is_refused(&text, &blobs) { &refused } else { &read };
            outcome.set(outcome.get() + 1);
        });
    }
    assert!(read.get() > 0 && refused.get() > 0, "{read:?} {refused:?}");
}

#[test]
fn mutated_numbers_are_read_or_refused() {
    let (read, refused) = (Cell::new(0), Cell::new(0));
    for seed in testing::seeds() {
        proptest!(config(seed), |(
            choices in proptest::collection::vec(any::<u8>(), 3..40),
            at in any::<prop::sample::Index>(),
            number in prop_oneof![any::<i64>().prop_map(|i| i.to_string()), any::<i32>().prop_map(|i| i.to_string()),
                Just("0".to_owned()), Just("18446744073709551615".to_owned())],
        )| {
            let program = program(&choices);
            let digits: Vec<usize> = program.text.match_indices(|c: char| c.is_ascii_digit()).map(|(i, _)| i).collect();
            let i = digits[at.index(digits.len())];
            let mut text = program.text.clone();
            text.replace_range(i..=i, &number);
            let outcome = if is_refused(&text, &program.blobs()) { &refused } else { &read };
            outcome.set(outcome.get() + 1);
        });
    }
    assert!(read.get() > 0 && refused.get() > 0, "{read:?} {refused:?}");
}

#[test]
fn brackets_within_brackets_are_bounded() {
    let deep = "[".repeat(200_000);
    let text =
        format!("program(1.3) {{ func main<ios18>() {{ tensor<fp16, [1]> y = const()[val = {deep}");
    assert!(parse(&text, &NoBlobs).is_err());
    let calls = "const()[val = ".repeat(100_000);
    assert!(
        parse(
            &format!("program(1.3) {{ func main<ios18>() {{ fp16 y = {calls}"),
            &NoBlobs
        )
        .is_err()
    );
    assert!(parse(&format!("program(1.3) [{}", "(".repeat(200_000)), &NoBlobs).is_err());
}

#[test]
fn sizes_beyond_memory_are_refused_before_they_are_allocated() {
    let body = |param: &str, statement: &str| {
        format!("program(1.3) {{ func main<ios18>({param} x) {{ {statement} }} -> (y); }}")
    };
    for text in [
        body("tensor<fp16, [4294967296, 4294967296, 4294967296]>", ""),
        body(
            "tensor<fp16, [1099511627776]>",
            "tensor<fp16, [1]> a, tensor<fp16, [1]> y = split(x = x, num_splits = 2147483647, axis = 0);",
        ),
        body(
            "tensor<fp16, [1099511627776, 1]>",
            "tensor<fp16, [1, 1]> y = matmul(x = x, y = x, transpose_y = true);",
        ),
        body(
            "tensor<fp16, [1]>",
            "tensor<fp16, [1]> y = reshape(x = x, shape = [2147483647, 2147483647, 2147483647]);",
        ),
        body(
            "tensor<fp16, [1]>",
            r#"tensor<fp16, [1099511627776]> y = const()[val = tensor<fp16, [1099511627776]>(BLOBFILE(path = "@model_path/w", offset = 64))];"#,
        ),
    ] {
        let blobs = MemoryBlobs::new().with("@model_path/w", vec![0; 64]);
        assert!(parse(&text, &blobs).is_err(), "{text}");
    }
}
