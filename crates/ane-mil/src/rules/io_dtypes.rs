//! `io_dtypes`: ports have types that the route carries.
//!
//! Sources contradict each other. fp32 ports that the program casts at once: run through `_ANEInMemoryModel` and
//! `_ANEClient` on M3 to M5 (maderix, Espresso, ironmill, ane-infer), refused on M1 and M2 (maderix), on macOS 27 (qwen-ane)
//! and by e5rt (aneforge). The rule follows the chips on which they ran; a system that refuses them says so when it
//! compiles. int8 inputs: refused on
//! macOS 27 (qwen-ane), carried by e5rt (aneforge) and as `tensor_buffer` (splash), which we do not print. int8 outputs:
//! refused on an M3 Pro (ironmill), not mentioned elsewhere; the rule refuses them on M3 only. fp16 is what all accept.

use super::{Evidence, Rule, Violation};
use ane_ir::{
    Chip, DType, Graph, Target, Value,
    ops::{Op, cast::Cast},
};
use std::collections::HashSet;

/// The values that something else than a cast to fp16 reads.
fn read_as_they_are(graph: &Graph) -> HashSet<Value> {
    const HALF: Op = Op::Cast(Cast { dtype: DType::Fp16 });
    let others = graph.nodes().iter().filter(|node| node.op != HALF);
    others.flat_map(|node| &node.operands).copied().collect()
}

/// Whether an fp32 port touches nothing but casts: all its readers, or the op that makes it.
fn is_cast(graph: &Graph, port: Value, read: &HashSet<Value>) -> bool {
    match graph.node_of(port) {
        Some(node) => {
            let is_cast = matches!(node.op, Op::Cast(_));
            is_cast && graph.ty(node.operands[0]).dtype == DType::Fp16
        }
        None => !read.contains(&port),
    }
}

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let read = read_as_they_are(graph);
    let of = |values: &[Value], carried: &[DType], port: &str| -> Vec<Violation> {
        let names: Vec<&str> = carried.iter().map(|d| d.name()).collect();
        let names = names.join(", ");
        values
            .iter()
            .filter_map(|&v| {
                let dtype = graph.ty(v).dtype;
                let may_be_cast = dtype == DType::Fp32 && target.carries_fp32_for_casts();
                if carried.contains(&dtype) || (may_be_cast && is_cast(graph, v, &read)) {
                    return None;
                }
                let what = if may_be_cast {
                    format!("is an {port} of fp32 that is not cast, expected {names}, or fp32 next to a cast")
                } else {
                    format!("is an {port} of {dtype}, expected {names}")
                };
                Some(RULE.by_value(graph, v, &what))
            })
            .collect()
    };
    let mut violations = of(graph.inputs(), target.input_dtypes(), "input");
    violations.extend(of(graph.outputs(), target.output_dtypes(), "output"));
    violations
}

pub(super) const RULE: Rule = Rule {
    id: "io_dtypes",
    title: "element types of ports",
    forbids: "ports of fp32, int32 and bool; on the client and memory routes all but fp16 and, from M3, fp32 that is cast at once; on M3 int8 outputs",
    otherwise: "the compiler refuses the program, depending on the version of the system",
    fix: "make the port fp16 and let the host convert",
    evidence: &[
        Evidence {
            source: "aneforge:docs/capabilities.md (e5rt: fp16, int8, uint8, int16, uint16)",
            chips: &[Chip::H13, Chip::H14, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile cast and relu with each type as input and as output",
        },
        Evidence {
            source: "qwen-ane:ANE-MIL-COST-MODEL.md (fp32 and int8 signatures fail)",
            chips: &[Chip::H17],
            os: "macOS 27",
            date: "not stated",
            probe: "as above, through the memory route",
        },
        Evidence {
            source: "maderix:inmem_peak.m (fp32 ports with casts inside; its fallback without them is for M1 and M2)",
            chips: &[Chip::H13, Chip::H14, Chip::H16],
            os: "macOS 15 to 26",
            date: "2026",
            probe: "compile and run cast to fp16, add, cast to fp32 with fp32 ports, through the memory and client routes",
        },
        Evidence {
            source: "Espresso, ironmill, ane-infer (fp32 ports with casts inside run)",
            chips: &[Chip::H15, Chip::H17],
            os: "macOS 15 to 26.3",
            date: "not stated",
            probe: "as above",
        },
        Evidence {
            source: "ironmill:docs (int32 ports and int8 outputs are refused)",
            chips: &[Chip::H15],
            os: "macOS 15.4",
            date: "not stated",
            probe: "as above, through both routes on an M3",
        },
    ],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    fn relu_of(dtype: &str) -> String {
        format!(
            "func main<ios18>(tensor<{dtype}, [2, 32]> x) {{
                tensor<{dtype}, [2, 32]> y = relu(x = x);
            }} -> (y);"
        )
    }

    const CASTS: &str = "func main<ios18>(tensor<fp32, [2, 32]> x) {
        tensor<fp16, [2, 32]> a = cast(x = x, dtype = \"fp16\");
        tensor<fp16, [2, 32]> b = relu(x = a);
        tensor<fp32, [2, 32]> y = cast(x = b, dtype = \"fp32\");
    } -> (y);";

    #[test]
    fn fp32_is_carried_by_surfaces_from_m3_where_it_is_cast_at_once() {
        for target in ["h15:client", "h16:memory", "h17:client"] {
            accepts("io_dtypes", target, CASTS);
            let used = CASTS
                .replace("relu(x = a)", "cast(x = c, dtype = \"fp16\")")
                .replace(
                    "tensor<fp16, [2, 32]> b",
                    "tensor<fp32, [2, 32]> c = relu(x = x); tensor<fp16, [2, 32]> b",
                );
            rejects("io_dtypes", target, &used);
            let made = CASTS.replace("tensor<fp32, [2, 32]> y = cast(x = b, dtype = \"fp32\")",
                "tensor<fp32, [2, 32]> d = cast(x = b, dtype = \"fp32\"); tensor<fp32, [2, 32]> y = relu(x = d)");
            rejects("io_dtypes", target, &made);
        }
        for target in ["h16", "h13:client", "h14:memory"] {
            rejects("io_dtypes", target, CASTS);
        }
    }

    #[test]
    fn fp16_is_carried_everywhere_and_fp32_is_not_computed_on() {
        for target in ["h13", "h17:client", "h17:memory"] {
            accepts("io_dtypes", target, &relu_of("fp16"));
            rejects("io_dtypes", target, &relu_of("fp32"));
        }
    }

    #[test]
    fn bytes_enter_by_e5rt_only_and_do_not_leave_an_m3() {
        let bytes = "func main<ios18>(tensor<int8, [2, 64]> x) {
            tensor<int8, [64, 2]> y = transpose(x = x, perm = [1, 0]);
        } -> (y);";
        accepts("io_dtypes", "h16", bytes);
        rejects("io_dtypes", "h16:client", bytes);
        rejects("io_dtypes", "h15", bytes);
    }
}
