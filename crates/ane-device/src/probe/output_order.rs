//! `output_order`: two outputs whose order by name is not the order of declaration, of one size and of two.

use super::{Case, Probe, ProbeError, SQUARE, first, square, values};
use ane_ir::{Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "output_order",
    settles: "rule names, and the contradictions on the order of outputs and on uniform sizes: Orion and libane against ANE-LM, whiskey and splash",
    assumes: "each output is bound by its name, and outputs may differ in size",
    waives: &[],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let double = graph.add(x, x)?;
    let square_of = graph.mul(x, x)?;
    graph.output("zulu", double)?;
    graph.output("alpha", square_of)?;
    let same = Case {
        name: "two outputs of one size",
        graph,
        inputs: values([("x", vec![3.0; SQUARE])]),
        expected: values([("alpha", vec![9.0; SQUARE]), ("zulu", vec![6.0; SQUARE])]),
        ulps: 0,
        reading: |found| {
            let exchanged = first(found, "alpha")? == 6.0 && first(found, "zulu")? == 9.0;
            exchanged.then_some("the outputs are exchanged")
        },
    };
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let double = graph.add(x, x)?;
    let largest = graph.reduce_max(x, &[1], true)?;
    graph.output("zulu", double)?;
    graph.output("alpha", largest)?;
    let different = Case {
        name: "two outputs of two sizes",
        graph,
        inputs: values([("x", vec![3.0; SQUARE])]),
        expected: values([("alpha", vec![3.0; 32]), ("zulu", vec![6.0; SQUARE])]),
        ulps: 0,
        reading: |_| None,
    };
    Ok(vec![same, different])
}
