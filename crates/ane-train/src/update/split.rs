//! The update on the host: fp32 masters, and fp32 sums of gradients where several batches make an update.

use super::{Groups, ParameterGroup, Settings, Update};
use crate::{
    error::TrainerError,
    model::Parameter,
    optim::{HostUpdate, OptimizerConfig, StepInfo},
    program::Program,
    store::{EntryId, Store},
};
use ane_device::Buffer;
use ane_engine::{
    ForEach, Gradient, MOST_STATE, Pool, SharedBuffer, Strided,
    simd::{Isa, Lanes},
};
use ane_ir::DType;

/// A parameter as the host updates it.
pub(crate) struct Updated<'a> {
    /// Its position in the model.
    pub(crate) position: usize,
    pub(crate) parameter: &'a Parameter,
    /// Its weight, then the optimizer's state.
    pub(crate) entries: Vec<EntryId>,
    /// Port of its gradient.
    pub(crate) gradient: Buffer,
}

/// The update of the split plan.
#[derive(Debug)]
pub(crate) struct Split {
    groups: Vec<Bound>,
    /// Every parameter by its position in the model, with the buffers that it is updated in.
    parameters: Vec<(usize, ane_engine::Parameter)>,
    isa: Isa,
    accumulator: Option<ForEach<Add>>,
    max_norm: Option<f64>,
    entries: Vec<EntryId>,
}

/// The parameters of a group.
#[derive(Debug)]
struct Bound {
    update: Box<dyn HostUpdate>,
    lr: f64,
    /// Updates made of these parameters, where that is not the trainer's count.
    updates: Option<u64>,
}

impl Split {
    /// Binds the update to its parameters; `accumulates` when several batches may make an update.
    pub(crate) fn new(
        optimizer: &OptimizerConfig,
        groups: &Groups,
        max_norm: Option<f64>,
        accumulates: bool,
        parameters: &[Updated<'_>],
        store: &Store,
        isa: Isa,
    ) -> Self {
        let mut of_settings: Vec<(Settings, Vec<ane_engine::Parameter>)> = Vec::new();
        let mut all = Vec::new();
        let mut sums = Vec::new();
        for p in parameters {
            let len = p.parameter.shape.numel();
            // A host stage leaves its gradients in fp32, in memory of the host's own.
            let port = match p.gradient.ty().dtype {
                DType::Fp32 => Gradient::Full(p.gradient.memory().clone()),
                _ => Gradient::Half(p.gradient.strided()),
            };
            let gradient = if accumulates {
                let sum = SharedBuffer::new(4 * len);
                sums.push(ane_engine::Parameter {
                    len,
                    gradient: port,
                    weight: None,
                    state: vec![sum.clone()],
                });
                Gradient::Full(sum)
            } else {
                port
            };
            let weight: Option<Strided> = store.readable(p.entries[0]).first().map(Buffer::strided);
            let memory = |&id: &EntryId| store.memory(id).expect("the host owns it").clone();
            let bound = ane_engine::Parameter {
                len,
                gradient,
                weight,
                state: p.entries.iter().map(memory).collect(),
            };
            all.push((p.position, bound.clone()));
            let settings = groups.of(p.parameter);
            match of_settings.iter_mut().find(|(s, _)| *s == settings) {
                Some((_, alike)) => alike.push(bound),
                None => of_settings.push((settings, vec![bound])),
            }
        }
        let groups = of_settings.into_iter().map(|(settings, parameters)| {
            let mut optimizer = optimizer.clone();
            if let Some(decay) = settings.weight_decay {
                optimizer.set_weight_decay(decay);
            }
            Bound {
                update: optimizer.as_dyn().host(isa, parameters),
                lr: settings.lr.unwrap_or(1.0),
                updates: None,
            }
        });
        Self {
            groups: groups.collect(),
            parameters: all,
            isa,
            accumulator: accumulates.then(|| ForEach::new(isa, sums)),
            max_norm,
            entries: parameters.iter().flat_map(|p| p.entries.clone()).collect(),
        }
    }
}

impl Update for Split {
    fn prepare(&self, _: &StepInfo, _: &Program) -> Result<(), TrainerError> {
        Ok(())
    }

    fn overflows(&self, _: &StepInfo, _: f32, _: &Program) -> bool {
        false
    }

    fn accumulate(&self, pool: &Pool, batch: usize) {
        if let Some(sums) = &self.accumulator {
            sums.apply(
                pool,
                Add {
                    is_first: batch == 0,
                },
            );
        }
    }

    fn apply(&mut self, pool: &Pool, mut at: StepInfo, store: &mut Store) -> Option<f64> {
        let mut grad_norm = None;
        if let Some(max_norm) = self.max_norm {
            let squares = self.groups.iter().map(|g| g.update.sum_of_squares(pool));
            let norm = squares.sum::<f64>().sqrt() / at.loss_scale;
            // As torch.nn.utils.clip_grad_norm_.
            at.clip = (max_norm / (norm + 1e-6)).min(1.0);
            grad_norm = Some(norm);
        }
        for group in &mut self.groups {
            let t = match &mut group.updates {
                Some(made) => {
                    *made += 1;
                    *made
                }
                None => at.t,
            };
            let at = StepInfo {
                lr: at.lr * group.lr,
                t,
                ..at
            };
            group.update.apply(pool, &at);
        }
        store.wrote(&self.entries);
        grad_norm
    }

    fn regroup(&mut self, groups: &[ParameterGroup]) -> Result<(), TrainerError> {
        let bound = groups.iter().map(|group| {
            let optimizer = group.optimizer.as_dyn();
            let buffers = 1 + optimizer.state().len();
            let of_group = self.parameters.iter();
            let of_group = of_group.filter(|(at, _)| group.parameters.contains(at));
            let parameters = of_group.map(|(_, parameter)| {
                let mut parameter = parameter.clone();
                if parameter.state.len() < buffers {
                    return Err(TrainerError::NotKept {
                        optimizer: optimizer.name(),
                        state: optimizer.state(),
                    });
                }
                parameter.state.truncate(buffers);
                Ok(parameter)
            });
            Ok(Bound {
                update: optimizer.host(self.isa, parameters.collect::<Result<_, _>>()?),
                lr: group.lr,
                updates: Some(group.updates),
            })
        });
        self.groups = bound.collect::<Result<_, TrainerError>>()?;
        Ok(())
    }
}

/// The first gradient, or the sum so far and another.
#[derive(Debug, Clone, Copy)]
struct Add {
    is_first: bool,
}

impl ane_engine::Update for Add {
    const STATE: usize = 1;

    #[inline(always)]
    fn step<S: Lanes>(&self, s: S, gradient: S::V, state: &mut [S::V; MOST_STATE]) {
        state[0] = if self.is_first {
            gradient
        } else {
            s.add(state[0], gradient)
        };
    }
}
