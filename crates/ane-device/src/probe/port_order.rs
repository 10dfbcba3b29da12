//! `port_order`: inputs whose order by name is not the order of declaration.

use super::{Case, Probe, ProbeError, SQUARE, first, square, values};
use ane_ir::{Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "port_order",
    settles: "rule names, and the contradiction on alphabetical binding: Orion, vmlx and libane against qwen-ane, turbocider and maderix",
    assumes: "each input is bound by its name, whatever the order",
    waives: &[],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let case = |name, first_name: &str, second_name: &str| -> Result<Case, ProbeError> {
        let mut graph = Graph::new();
        let a = graph.input(first_name, square())?;
        let b = graph.input(second_name, square())?;
        let y = graph.sub(a, b)?;
        graph.output("y", y)?;
        Ok(Case {
            name,
            graph,
            inputs: values([
                (first_name, vec![5.0; SQUARE]),
                (second_name, vec![2.0; SQUARE]),
            ]),
            expected: values([("y", vec![3.0; SQUARE])]),
            ulps: 0,
            reading: |found| (first(found, "y")? == -3.0).then_some("the inputs are exchanged"),
        })
    };
    Ok(vec![
        case("declared against the alphabet", "zulu", "alpha")?,
        case("declared by the alphabet", "alpha", "zulu")?,
        case("numbers", "in10", "in9")?,
        case("capitals", "b", "A")?,
    ])
}
