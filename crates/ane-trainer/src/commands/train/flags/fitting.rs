//! Whether what flags name is there, and whether it is for what is learned: classes, numbers, or the input itself.

use super::{super::optimizer_flags::known_optimizer, ConfigArgs};
use crate::{failure::Failure, model_file};
use ane_ir::Shape;
use ane_train::{
    config::{ConfigError, RunConfig},
    data::{
        Content, catalog,
        own::{self, TaskSetting},
    },
    loss::Loss,
    metric,
    models::{Examples, ModelSpec, Outputs, Task, is_model_file},
};

impl ConfigArgs {
    /// Refuses what no data could make right, before any is fetched or read: names that nothing has, and what contradicts
    /// the task that is known already.
    pub(super) fn check_before_data(&self, base: &RunConfig) -> Result<(), Failure> {
        let model = self.model.as_deref();
        model.map_or(Ok(()), must_be_a_model)?;
        if let Some(name) = &self.optimizer.optimizer {
            known_optimizer(name)?;
        }
        if let Some(name) = &self.metric {
            metric::named(name).map_err(ConfigError::from)?;
        }
        let Some(outputs) = declared(base)? else {
            return Ok(());
        };
        let examples = Examples {
            shape: Shape::new(&[1]),
            outputs,
        };
        let spec = model.unwrap_or(&base.model).parse::<ModelSpec>();
        let task = spec.map_or_else(|_| task_of(outputs), |spec| spec.task(&examples));
        self.must_fit(task, base)
    }

    /// Refuses flags that mean nothing to what is learned.
    pub(super) fn must_fit(&self, task: Task, base: &RunConfig) -> Result<(), Failure> {
        let learned = match task {
            Task::Classification => "classes are",
            Task::Regression => "numbers are",
            Task::Reconstruction => "the input itself is",
            Task::Language => "the next token is",
        };
        let refused = |flag: &str, of: &str, help: &str| {
            let message = format!("{flag} is for {of}, and {learned} learned");
            Err(Failure::usage(message, help))
        };
        let are_classes = matches!(task, Task::Classification | Task::Language);
        if !are_classes && self.label_smoothing.is_some() {
            return refused("--label-smoothing", "classes", "leave it out");
        }
        if !are_classes && matches!(self.loss, Some(Loss::CrossEntropy { .. })) {
            let help = "leave --loss out for mse, or pass l1 or huber";
            return refused("--loss cross-entropy", "classes", help);
        }
        if task == Task::Regression && self.loss == Some(Loss::BceWithLogits) {
            return refused(
                "--loss bce-with-logits",
                "targets from 0 to 1",
                "leave --loss out for mse; two classes as texts, or --task classes, are learned as classes",
            );
        }
        if are_classes && base.data.log {
            let help = "leave it out, or pass --task values where the label is a number";
            return refused("--log-target", "numbers", help);
        }
        if !are_classes && base.augment.mixup().is_some() {
            return refused("--augment mixup", "classes", "leave mixup out");
        }
        if task == Task::Regression && base.data.class_weights.is_some() {
            return refused("--class-weights", "classes", "leave it out");
        }
        Ok(())
    }
}

fn task_of(outputs: Outputs) -> Task {
    match outputs {
        Outputs::Classes(_) => Task::Classification,
        Outputs::Values(_) => Task::Regression,
        Outputs::Tokens(_) => Task::Language,
    }
}

/// What is learned, as far as it is known without the data.
fn declared(base: &RunConfig) -> Result<Option<Outputs>, Failure> {
    let settings = &base.data;
    Ok(match settings.task {
        Some(TaskSetting::Classes) => Some(Outputs::Classes(1)),
        Some(TaskSetting::Values) => Some(Outputs::Values(1)),
        None if settings.log => Some(Outputs::Values(1)),
        None if own::is_path(&base.dataset) => None,
        None => {
            let spec = catalog::find(&base.dataset)?;
            match &spec.content {
                Content::Images(images) => Some(Outputs::Classes(images.classes())),
                Content::Corpus(_) => Some(Outputs::Tokens(1)),
                Content::Undivided(_) => None,
            }
        }
    })
}

/// Refuses a model that there is not, and data in its place.
fn must_be_a_model(asked: &str) -> Result<(), Failure> {
    if is_model_file(asked) {
        return model_file::must_be_there(asked);
    }
    let Err(unknown) = asked.parse::<ModelSpec>() else {
        return Ok(());
    };
    let (what, flag) = match catalog::find(asked) {
        Ok(_) => ("a data set", "--dataset"),
        Err(_) if own::is_path(asked) => ("data", "--data"),
        Err(_) => return Err(ConfigError::from(unknown).into()),
    };
    Err(Failure::usage(
        format!("`{asked}` is {what}, where a model is expected"),
        format!("did you mean {flag} {asked}?"),
    ))
}
