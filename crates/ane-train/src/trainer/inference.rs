//! The inference programs of a trainer: they read its store and change nothing.

use super::{
    Trainer, TrainerConfig,
    batch_ports::{BatchPorts, Divisor, upload_inputs},
    homes,
};
use crate::{
    data::Batch,
    error::TrainerError,
    memory::{self, Footprint},
    metric::Tally,
    program::{Compiled, HostEngine, Program, Stored},
    stage::Staged,
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
    /// The model's outputs, by name and row by row, padding left out.
    pub outputs: Vec<(String, Vec<f32>)>,
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

/// What inference programs are compiled for and from.
struct Context<'a> {
    config: &'a TrainerConfig,
    training: &'a Step,
    device: &'a dyn Device,
    host: &'a HostEngine,
    store: &'a Store,
    stored: &'a Stored,
    requires_ane: bool,
    /// What is held before.
    footprint: Footprint,
}

impl Trainer {
    /// Loss and metrics of a batch, changing nothing, by the inference program. The loss is NaN where it was made of
    /// infinite numbers, whatever the engine made of them.
    ///
    /// # Errors
    /// When the batch does not fit, or the device fails.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<Evaluated, TrainerError> {
        if self.evaluation.is_none() {
            let Self { config, device, .. } = &*self;
            let step = config.evaluation_step(&self.step, device.target())?;
            let (compiled, footprint) = Inference::compile(step, &self.context())?;
            (self.evaluation, self.footprint) = (Some(compiled), footprint);
        }
        let evaluation = self.evaluation.as_mut().expect("it was just compiled");
        let result = evaluation.evaluate(&self.config, &self.store, batch)?;
        self.device.health()?;
        self.done.evaluations += 1;
        Ok(result)
    }

    /// The model's outputs for a batch, by name and row by row, padding left out.
    ///
    /// # Errors
    /// When the batch does not fit, or the device fails.
    pub fn predict(&mut self, batch: &Batch) -> Result<Vec<(String, Vec<f32>)>, TrainerError> {
        if self.prediction.is_none() {
            let target = self.device.target();
            let mut step = Step::predict(&self.config.model, target)?;
            step.lower(&self.config.lowerings, target)?;
            homes::pack_inference(&mut step, &self.step, &self.config)?;
            let (compiled, footprint) = Inference::compile(step, &self.context())?;
            (self.prediction, self.footprint) = (Some(compiled), footprint);
        }
        let prediction = self.prediction.as_mut().expect("it was just compiled");
        let outputs = prediction.predict(&self.store, batch)?;
        self.device.health()?;
        Ok(outputs)
    }

    fn context(&self) -> Context<'_> {
        Context {
            config: &self.config,
            training: &self.step,
            device: &*self.device,
            host: &self.host,
            store: &self.store,
            stored: &self.stored,
            requires_ane: self.requires_ane,
            footprint: self.footprint,
        }
    }
}

impl Inference {
    /// Compiles a step without gradients; gives what is held with it.
    fn compile(step: Step, context: &Context<'_>) -> Result<(Self, Footprint), TrainerError> {
        let Context {
            config,
            training,
            device,
            host,
            store,
            stored,
            ..
        } = *context;
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
        let staged = Staged::of(&step.graph, device.target())?;
        if context.requires_ane {
            staged.require_ane()?;
        }
        let mut footprint = context.footprint;
        memory::of_inference(config, training, &staged, device, &mut footprint);
        let compiled = Compiled::new(staged, device, host)?;
        let keeping = memory::inference_ports(config, training);
        compiled.add_to(&mut footprint, host, keeping);
        footprint.must_fit()?;
        let inference = Self {
            buffers: buffers.collect(),
            program: compiled.bind(device, host, &read)?,
            io: BatchPorts::new(&config.objective, &config.model.infer, &step),
            step,
        };
        Ok((inference, footprint))
    }

    fn evaluate(
        &mut self,
        config: &TrainerConfig,
        store: &Store,
        batch: &Batch,
    ) -> Result<Evaluated, TrainerError> {
        self.refresh(store)?;
        let weight = batch.weights().iter().map(|&w| f64::from(w)).sum();
        let divisor = match config.objective.is_own() {
            true => Divisor::of(1.0, 1),
            false => Divisor::of(weight, 1),
        };
        self.io.upload(&self.step, &self.program, batch, divisor)?;
        self.program.execute(store.current())?;
        self.io.read_outputs(&self.step, &self.program);
        let finite = self.io.forward_is_finite(&self.step, &self.program, batch);
        let of_engine = || f64::from(self.program.scalar(step::LOSS)) / divisor.left();
        let loss = self.io.mean_of_tokens(batch).unwrap_or_else(of_engine);
        let mut tallies = vec![Tally::default(); config.metrics.len()];
        self.io.measure(config, batch, &mut tallies);
        Ok(Evaluated {
            loss: if finite { loss as f32 } else { f32::NAN },
            tallies,
            outputs: self.io.outputs(&self.step, batch),
        })
    }

    fn predict(
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
