//! The entries of the store that a training needs, the ports that they are bound to, and who updates them.

use super::{
    TrainerConfig,
    homes::{self, Homes},
};
use crate::{
    error::TrainerError,
    model::Parameter,
    program::{Program, Stored},
    step::{PlanKind, Step},
    store::{AVERAGE, BUFFER, EntryId, Store, WEIGHT},
    update::{Fused, Split, Update, Updated},
};
use ane_device::{Buffer, Device};
use ane_engine::simd::Isa;

/// Entries for everything that the step reads and writes, the weights' by position, and the ports that they are bound to.
pub(super) fn make_store(
    config: &TrainerConfig,
    step: &Step,
    device: &dyn Device,
) -> Result<(Store, Vec<EntryId>, Stored), TrainerError> {
    let sets = match config.plan {
        PlanKind::Split => 1,
        PlanKind::Fused => 2,
    };
    let homes = Homes::new(device, step, sets)?;
    let mut store = Store::default();
    let mut ports = homes.ports();
    let pair = |store: &mut Store, role: &'static str, p: &Parameter, old: &str| {
        let half = |set, suffix: &str| homes.of(&format!("{old}{suffix}"), &p.shape, set);
        let of_set =
            |set| -> Result<[Buffer; 2], TrainerError> { Ok([half(set, "")?, half(set, "_lo")?]) };
        Ok::<_, TrainerError>(store.add_pair(role, &p.path, &p.shape, [of_set(0)?, of_set(1)?]))
    };
    let mut weights = Vec::new();
    for (i, p) in config.model.parameters.iter().enumerate() {
        weights.push(
            if config.plan == PlanKind::Fused && step.trained.contains(&i) {
                pair(&mut store, WEIGHT, p, &p.port())?
            } else {
                let rounded = homes.of(&p.port(), &p.shape, 0)?;
                if !homes.packs(&p.port()) {
                    ports.insert(p.port(), vec![rounded.clone()]);
                }
                store.add_host(WEIGHT, &p.path, &p.shape, Some(rounded))
            },
        );
    }
    for role in config.optimizer.as_dyn().state() {
        for &i in &step.trained {
            let p = &config.model.parameters[i];
            match config.plan {
                PlanKind::Fused => {
                    pair(&mut store, role, p, &format!("{role}_{}", p.identifier()))?
                }
                PlanKind::Split => store.add_host(role, &p.path, &p.shape, None),
            };
        }
    }
    for &i in step.trained.iter().filter(|_| config.ema.is_some()) {
        let p = &config.model.parameters[i];
        store.add_host(AVERAGE, &p.path, &p.shape, None);
    }
    for b in &config.model.buffers {
        store.add_host(BUFFER, &b.path, &b.shape, None);
    }
    for s in step.state.iter().filter(|s| !homes.packs(&s.old)) {
        let path = &config.model.parameters[s.parameter].path;
        let id = store.find(s.role, path);
        if let Some([a, b]) = id.and_then(|id| store.halves(id, s.low)) {
            ports.insert(s.old.clone(), vec![a.clone(), b.clone()]);
            ports.insert(s.new.clone(), vec![b, a]);
        }
    }
    Ok((store, weights, ports))
}

/// Who makes weights of gradients, bound to the entries and to the ports of the gradients.
pub(super) fn make_update(
    config: &TrainerConfig,
    step: &Step,
    program: &Program,
    store: &Store,
    weights: &[EntryId],
    isa: Isa,
) -> Box<dyn Update> {
    if config.plan == PlanKind::Fused {
        return Box::new(Fused {
            optimizer: config.optimizer.clone(),
            max_norm: config.max_norm,
        });
    }
    let updated = step.trained.iter().zip(&step.gradients).map(|(&i, port)| {
        let parameter = &config.model.parameters[i];
        let state = config.optimizer.as_dyn().state().iter();
        let state = state.filter_map(|role| store.find(role, &parameter.path));
        Updated {
            position: i,
            parameter,
            entries: std::iter::once(weights[i]).chain(state).collect(),
            gradient: homes::view(step, program, port),
        }
    });
    Box::new(Split::new(
        &config.optimizer,
        &config.groups,
        config.max_norm,
        config.accumulate > 1,
        &updated.collect::<Vec<_>>(),
        store,
        isa,
    ))
}

/// Draws the weights, one after the other, and sets the running statistics to what they begin with.
pub(super) fn write_initial(
    config: &TrainerConfig,
    store: &mut Store,
    weights: &[EntryId],
) -> Result<(), TrainerError> {
    let parameters = config.model.parameters.iter().zip(weights);
    for (i, (p, &id)) in parameters.enumerate() {
        store.write(id, &p.initial(config.seed, i))?;
    }
    for buffer in &config.model.buffers {
        if let Some(id) = store.find(BUFFER, &buffer.path) {
            store.write(id, &buffer.initial())?;
        }
    }
    Ok(())
}
