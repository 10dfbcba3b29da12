//! Running a program once, with values in and values out: what probes and comparisons of devices are made of.

use crate::{Buffer, Device, DeviceError, Port};
use ane_ir::Graph;
use ane_mil::LegalGraph;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Elements by port name.
pub type Values = BTreeMap<String, Vec<f32>>;

/// What came of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Every output after the last execution.
    pub outputs: Values,
    /// How long each execution took.
    pub latencies: Vec<Duration>,
    /// The first execution, counted from 1, that gave other bits than the one before.
    pub unsteady: Option<usize>,
}

/// Where a program ended that did not come to its outputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The device's compiler refused the program, though the target's rules allow it.
    #[error("refused: {0}")]
    Refused(#[source] DeviceError),
    /// Buffers could not be had or bound, or the execution failed.
    #[error("failed: {0}")]
    Failed(#[from] DeviceError),
    /// The caller left an input without values.
    #[error("input `{port}` has no values")]
    NoValues {
        /// The input.
        port: String,
    },
}

/// Compiles `legal`, gives it `inputs`, and executes it `times` times.
///
/// `graph` is what `legal` was made of: its ports have the types that values are counted by, whereas those of `legal` may
/// be padded.
///
/// # Errors
/// When the device refuses the program or fails, or an input has no values or too few.
pub fn run(
    device: &dyn Device,
    graph: &Graph,
    legal: &LegalGraph,
    inputs: &Values,
    times: usize,
) -> Result<Trial, TrialError> {
    let program = device.compile(legal).map_err(TrialError::Refused)?;
    let (ins, outs) = Port::of(graph);
    let allocate = |ports: &[Port]| -> Result<Vec<(String, Buffer)>, DeviceError> {
        let buffer = |p: &Port| Ok((p.name.clone(), device.allocate(&p.ty)?));
        ports.iter().map(buffer).collect()
    };
    let (inputs_to, outputs_of) = (allocate(&ins)?, allocate(&outs)?);
    for (name, buffer) in &inputs_to {
        let values = inputs
            .get(name)
            .ok_or_else(|| TrialError::NoValues { port: name.clone() })?;
        buffer.copy_in(values)?;
    }
    let ports: Vec<(&str, &Buffer)> = inputs_to
        .iter()
        .chain(&outputs_of)
        .map(|(name, buffer)| (name.as_str(), buffer))
        .collect();
    let mut bound = program.bind(&ports)?;
    let mut latencies = Vec::with_capacity(times);
    let (mut unsteady, mut before) = (None, None);
    for number in 1..=times {
        let since = Instant::now();
        bound.execute()?;
        latencies.push(since.elapsed());
        let now: Vec<Vec<u8>> = outputs_of.iter().map(|(_, b)| b.copy_out_bytes()).collect();
        if before.is_some_and(|before| before != now) {
            unsteady = unsteady.or(Some(number));
        }
        before = Some(now);
    }
    let outputs = outputs_of
        .iter()
        .map(|(name, buffer)| (name.clone(), buffer.copy_out()))
        .collect();
    Ok(Trial {
        outputs,
        latencies,
        unsteady,
    })
}
