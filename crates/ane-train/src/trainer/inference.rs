//! The inference programs of a trainer: they read its store and change nothing.

use super::{
    TrainerConfig,
    batch_ports::{BatchPorts, Divisor, upload_inputs},
    homes,
};
use crate::{
    data::Batch,
    error::TrainerError,
    memory::Footprint,
    metric::Tally,
    program::{Compiled, Program, Stored},
    step::{self, Step},
    store::{BUFFER, EntryId, Store},
};
use ane_device::Device;

/// What came of the evaluation of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Mean loss of its examples.
    pub loss: f32,
    /// Of the metrics, in the trainer's order.
    pub tallies: Vec<Tally>,
}

/// A compiled inference program.
#[derive(Debug)]
pub(super) struct Inference {
    step: Step,
    program: Program,
    io: BatchPorts,
    /// By buffer of the step: its entry, and the generation that its port holds.
    buffers: Vec<(EntryId, Option<u64>)>,
}

impl Inference {
    /// Loss and outputs.
    pub(super) fn evaluation(
        config: &TrainerConfig,
        training: &Step,
        device: &dyn Device,
        store: &Store,
        stored: &Stored,
    ) -> Result<Self, TrainerError> {
        let step = Step::evaluate(&config.model, &config.objective, device.target())?;
        Self::compile(step, config, training, device, store, stored)
    }

    /// Outputs alone.
    pub(super) fn prediction(
        config: &TrainerConfig,
        training: &Step,
        device: &dyn Device,
        store: &Store,
        stored: &Stored,
    ) -> Result<Self, TrainerError> {
        let step = Step::predict(&config.model, device.target())?;
        Self::compile(step, config, training, device, store, stored)
    }

    fn compile(
        mut step: Step,
        config: &TrainerConfig,
        training: &Step,
        device: &dyn Device,
        store: &Store,
        stored: &Stored,
    ) -> Result<Self, TrainerError> {
        homes::pack_inference(&mut step, training, config)?;
        let ports = step.graph.inputs().iter().map(|&v| step.graph.port(v));
        let read: Stored = ports
            .filter_map(|port| Some((port.to_owned(), stored.get(port)?.clone())))
            .collect();
        let entry = |path: &str| {
            let id = store.find(BUFFER, path);
            id.expect("the store has every buffer of the model")
        };
        let buffers = step.buffers.iter().map(|(port, _)| {
            let path = &config.model.buffers[port.buffer].path;
            (entry(path), None)
        });
        let mut footprint = Footprint::of(&step.graph, 0, true);
        let compiled = Compiled::new(&step.graph, device, &mut footprint)?;
        Ok(Self {
            buffers: buffers.collect(),
            program: compiled.bind(&step.graph, device, &read)?,
            io: BatchPorts::new(&config.objective, &step),
            step,
        })
    }

    pub(super) fn evaluate(
        &mut self,
        config: &TrainerConfig,
        store: &Store,
        batch: &Batch,
    ) -> Result<Evaluated, TrainerError> {
        self.refresh(store)?;
        let weight = batch.weights().iter().map(|&w| f64::from(w)).sum();
        let divisor = Divisor::of(weight, 1);
        self.io.upload(&self.step, &self.program, batch, divisor)?;
        self.program.execute(store.current())?;
        self.io.read_outputs(&self.step, &self.program);
        let finite = self.io.forward_is_finite(&self.step, &self.program, batch);
        let loss = f64::from(self.program.scalar(step::LOSS)) / divisor.left();
        let mut tallies = vec![Tally::default(); config.metrics.len()];
        self.io.measure(config, batch, &mut tallies);
        Ok(Evaluated {
            loss: if finite { loss as f32 } else { f32::NAN },
            tallies,
        })
    }

    pub(super) fn predict(
        &mut self,
        store: &Store,
        batch: &Batch,
    ) -> Result<Vec<(String, Vec<f32>)>, TrainerError> {
        self.refresh(store)?;
        upload_inputs(&self.step, &self.program, batch)?;
        self.program.execute(store.current())?;
        let outputs = self.step.outputs.iter().map(|port| {
            let mut values = self.program.port(&port.name).copy_out();
            values.truncate(batch.present() * port.width);
            (port.name.clone(), values)
        });
        Ok(outputs.collect())
    }

    /// Writes the running statistics that have changed since.
    fn refresh(&mut self, store: &Store) -> Result<(), TrainerError> {
        for ((port, name), (id, held)) in self.step.buffers.iter().zip(&mut self.buffers) {
            let generation = store.generation(*id);
            if *held == Some(generation) {
                continue;
            }
            let values: Vec<f32> = store
                .read(*id)
                .into_iter()
                .map(|x| port.form.of(x))
                .collect();
            self.program.port(name).copy_in(&values)?;
            *held = Some(generation);
        }
        Ok(())
    }
}
