//! The flags that say how gradients become weights, and how the learning rate moves.

use crate::{
    failure::Failure,
    numbers::{not_negative, positive, share},
};
use ane_train::{config::RunConfig, optim::OptimizerConfig, schedule::Schedule, update::Group};

/// How gradients become weights.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Optimizer")]
pub(crate) struct OptimizerArgs {
    /// Peak learning rate [default: 1.5e-3 for adamw and adam; 1e-2 for sgd]
    #[arg(long, value_parser = positive)]
    pub(super) lr: Option<f64>,
    /// Optimizer: adam, adamw or sgd [default: adamw]
    #[arg(long)]
    pub(super) optimizer: Option<String>,
    /// Momentum of sgd [default: 0]
    #[arg(long, value_parser = share)]
    momentum: Option<f64>,
    /// Nesterov's variant of sgd with momentum
    #[arg(long)]
    nesterov: bool,
    /// Decay rates of the moments of adam and adamw [default: 0.9,0.999]
    #[arg(long, value_name = "A,B", value_parser = betas)]
    betas: Option<(f64, f64)>,
    /// What adam and adamw add to the denominator [default: 1e-8]
    #[arg(long, value_parser = positive)]
    eps: Option<f64>,
    /// Weight decay [default: 0.01 for adamw; 0 for adam and sgd]
    #[arg(long, value_parser = not_negative)]
    weight_decay: Option<f64>,
    /// Schedule of the learning rate: constant, cosine, linear, exponential, one-cycle or step [default: cosine]
    #[arg(long)]
    pub(super) schedule: Option<Schedule>,
    /// How long the learning rate rises: a share of the run, or a number of steps from 1 on [default: 0.05; 0.3 of one-cycle]
    #[arg(long, value_name = "SHARE|STEPS", value_parser = not_negative)]
    warmup: Option<f64>,
    /// Learning rate at the end of cosine, linear and exponential, as a share of its peak [default: 0.01]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    lr_floor: Option<f64>,
    /// Share of the run between the falls of the schedule step [default: 0.333]
    #[arg(long, value_name = "SHARE", value_parser = positive)]
    step_every: Option<f64>,
    /// Factor of a fall of the schedule step [default: 0.1]
    #[arg(long, value_parser = positive)]
    gamma: Option<f64>,
    /// Largest global norm of the gradients
    #[arg(long, value_parser = positive)]
    max_norm: Option<f64>,
    /// Judge and keep a moving average of the weights with this decay, such as 0.999
    #[arg(long, value_name = "DECAY", value_parser = share)]
    ema: Option<f64>,
    /// Parameters without weight decay, named as those of --freeze
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    no_decay: Vec<String>,
    /// Factor of the learning rate of some parameters, such as fc3.*=0.1, named as those of --freeze
    #[arg(long, value_name = "GLOB=FACTOR", value_delimiter = ',', value_parser = factor)]
    group_lr: Vec<Group>,
}

/// Two decay rates.
fn betas(text: &str) -> Result<(f64, f64), String> {
    let (a, b) = text
        .split_once(',')
        .ok_or("expected two numbers, such as 0.9,0.999")?;
    Ok((share(a.trim())?, share(b.trim())?))
}

/// Parameters and the factor of their learning rate.
fn factor(text: &str) -> Result<Group, String> {
    let (parameters, factor) = text
        .rsplit_once('=')
        .filter(|(parameters, _)| !parameters.is_empty())
        .ok_or("expected parameters and a factor, such as fc3.*=0.1")?;
    Ok(Group {
        parameters: parameters.to_owned(),
        lr: Some(positive(factor)?),
        weight_decay: None,
    })
}

/// The optimizer of this name, as it is by default.
pub(super) fn known_optimizer(name: &str) -> Result<OptimizerConfig, Failure> {
    OptimizerConfig::named(name).ok_or_else(|| {
        let known: Vec<&str> = OptimizerConfig::all()
            .iter()
            .map(|o| o.as_dyn().name())
            .collect();
        Failure::usage(
            format!(
                "no optimizer is called `{name}`; there are {}",
                known.join(", ")
            ),
            "see --optimizer in `ane-trainer train --help`",
        )
    })
}

/// A flag that means nothing to what was chosen.
fn foreign(flag: &str, to: &str, chosen: &str, help: &str) -> Failure {
    Failure::usage(format!("{flag} belongs to {to}, not to {chosen}"), help)
}

impl OptimizerArgs {
    /// The flag --optimizer alone.
    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self {
            optimizer: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Whether none of them says how the learning rate rises.
    pub(super) fn leaves_schedule(&self) -> bool {
        self.schedule.is_none() && self.warmup.is_none()
    }

    /// What is left of these flags over `base`, whose run has so many updates where that is known.
    pub(super) fn over(&self, base: &mut RunConfig, updates: Option<u64>) -> Result<(), Failure> {
        base.max_norm = self.max_norm.or(base.max_norm);
        base.ema = self.ema.or(base.ema);
        self.groups(base);
        base.schedule = self.schedule.unwrap_or(base.schedule);
        self.rate(base, updates)?;
        self.update(base)
    }

    /// Groups of the kinds that are given take the place of those of their kind.
    fn groups(&self, base: &mut RunConfig) {
        let without_decay = |parameters: &String| Group {
            parameters: parameters.clone(),
            lr: None,
            weight_decay: Some(0.0),
        };
        let groups = &mut base.groups.0;
        if !self.no_decay.is_empty() {
            groups.retain(|g| g.weight_decay.is_none());
            groups.extend(self.no_decay.iter().map(without_decay));
        }
        if !self.group_lr.is_empty() {
            groups.retain(|g| g.lr.is_none());
            groups.extend(self.group_lr.iter().cloned());
        }
    }

    /// How the learning rate moves.
    fn rate(&self, base: &mut RunConfig, updates: Option<u64>) -> Result<(), Failure> {
        let name = base.schedule.name();
        if let Some(warmup) = self.warmup {
            let share = if warmup < 1.0 {
                warmup
            } else {
                (warmup / updates.unwrap_or(1).max(1) as f64).min(1.0)
            };
            base.schedule = base.schedule.with_warmup(share).ok_or_else(|| {
                foreign(
                    "--warmup",
                    "every other schedule",
                    name,
                    "leave it out, or pass another --schedule",
                )
            })?;
        }
        if let Some(floor) = self.lr_floor {
            base.schedule = base.schedule.with_floor(floor).ok_or_else(|| {
                let to = "cosine, linear and exponential";
                foreign(
                    "--lr-floor",
                    to,
                    name,
                    "leave it out, or pass another --schedule",
                )
            })?;
        }
        match &mut base.schedule {
            Schedule::Step { every, gamma } => {
                *every = self.step_every.unwrap_or(*every);
                *gamma = self.gamma.unwrap_or(*gamma);
            }
            _ if self.step_every.is_some() || self.gamma.is_some() => {
                return Err(foreign(
                    "--step-every or --gamma",
                    "the schedule step",
                    name,
                    "add --schedule step",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn update(&self, base: &mut RunConfig) -> Result<(), Failure> {
        if let Some(name) = &self.optimizer
            && base.optimizer.as_dyn().name() != name
        {
            base.optimizer = known_optimizer(name)?;
            base.lr = base.optimizer.default_lr();
        }
        base.lr = self.lr.unwrap_or(base.lr);
        let name = base.optimizer.as_dyn().name();
        let moments = |betas: &mut (f64, f64), eps: &mut f64| {
            *betas = self.betas.unwrap_or(*betas);
            *eps = self.eps.unwrap_or(*eps);
        };
        match &mut base.optimizer {
            OptimizerConfig::Sgd(o) => {
                o.momentum = self.momentum.unwrap_or(o.momentum);
                o.nesterov |= self.nesterov;
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay);
                if o.nesterov && o.momentum == 0.0 {
                    return Err(Failure::usage(
                        "--nesterov needs --momentum above 0",
                        "try --momentum 0.9",
                    ));
                }
                if self.betas.is_some() || self.eps.is_some() {
                    return Err(foreign(
                        "--betas or --eps",
                        "adam and adamw",
                        name,
                        "add --optimizer adamw",
                    ));
                }
                return Ok(());
            }
            OptimizerConfig::Adam(o) => {
                moments(&mut o.betas, &mut o.eps);
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay);
            }
            OptimizerConfig::AdamW(o) => {
                moments(&mut o.betas, &mut o.eps);
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay);
            }
        }
        if self.momentum.is_some() || self.nesterov {
            return Err(Failure::usage(
                format!("--momentum and --nesterov belong to sgd, the optimizer is {name}"),
                "add --optimizer sgd",
            ));
        }
        Ok(())
    }
}
