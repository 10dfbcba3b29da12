//! `io_dtypes`: ports have types that the route carries.
//!
//! Sources contradict each other. fp32 ports: compiled with casts inside through `_ANEInMemoryModel` on macOS 15 to 26
//! (crate-ane, Espresso, ironmill), refused on macOS 27 (qwen-ane) and by e5rt (aneforge). int8 inputs: refused on
//! macOS 27 (qwen-ane), carried by e5rt (aneforge) and as `tensor_buffer` (splash), which we do not print. int8 outputs:
//! refused on an M3 Pro (ironmill), not mentioned elsewhere; the rule refuses them on M3 only. fp16 is what all accept.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, DType, Graph, Target, Value};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let of = |values: &[Value], carried: &[DType], port: &str| -> Vec<Violation> {
        let names: Vec<&str> = carried.iter().map(|d| d.name()).collect();
        let names = names.join(", ");
        values
            .iter()
            .filter(|&&v| !carried.contains(&graph.ty(v).dtype))
            .map(|&v| {
                let what = format!("is an {port} of {}, expected {names}", graph.ty(v).dtype);
                RULE.by_value(graph, v, &what)
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
    forbids: "ports of fp32, int32 and bool; on the client and memory routes all but fp16; on M3 int8 outputs",
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

    #[test]
    fn fp16_is_carried_everywhere_and_fp32_nowhere() {
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
