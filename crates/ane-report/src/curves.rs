//! What the files of a run say of its course: losses and metrics by epoch, and losses of single steps.

use ane_train::{
    checkpoint::CheckpointError,
    run_dir::{Row, RunDir},
};

/// The course of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// What the run is called: the name of its directory.
    pub name: String,
    /// By epoch: the loss, then the metrics.
    pub courses: Vec<Course>,
    /// Losses of single steps, by fractions of epochs.
    pub steps: Vec<(f64, Option<f64>)>,
    /// What the horizontal axis is of: epochs, or steps where no epoch has ended.
    pub unit: &'static str,
}

/// A quantity over the epochs of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Its name: `loss`, or that of a metric.
    pub quantity: String,
    /// Over the training examples; a value that is none was not finite.
    pub training: Vec<(f64, Option<f64>)>,
    /// Over the validation examples; empty without any.
    pub validation: Vec<(f64, Option<f64>)>,
}

/// The curves of a run cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CurvesError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// The directory holds no metrics.
    #[error(
        "`{run}` has no curves: there is neither a line in `metrics.jsonl` nor in `steps.jsonl`"
    )]
    Nothing {
        /// The directory.
        run: String,
    },
}

impl Curves {
    /// The course of the run in a directory.
    ///
    /// # Errors
    /// When its files cannot be read, or hold nothing.
    pub fn read(run: &RunDir) -> Result<Self, CurvesError> {
        let (metrics, steps) = (run.read_metrics()?, run.read_steps()?);
        let root = run.root();
        let resolved = root.canonicalize();
        let named = resolved.as_deref().unwrap_or(root).file_name();
        let name = named.unwrap_or(root.as_os_str()).to_string_lossy();
        let curves = Self::of(name.into_owned(), &metrics, &steps);
        if curves.courses.is_empty() && curves.steps.is_empty() {
            return Err(CurvesError::Nothing {
                run: root.display().to_string(),
            });
        }
        Ok(curves)
    }

    /// The course that lines of metrics and of steps tell.
    fn of(name: String, metrics: &[Row], steps: &[Row]) -> Self {
        let ends: Vec<(f64, f64)> = metrics
            .iter()
            .filter_map(|row| Some((row.number("step")?, row.number("epoch")?)))
            .collect();
        let steps = steps.iter().filter_map(|row| {
            let step = row.number("step")?;
            Some((epochs_at(step, &ends), row.number("loss")))
        });
        Self {
            name,
            courses: courses(metrics),
            steps: steps.collect(),
            unit: if ends.is_empty() { "step" } else { "epoch" },
        }
    }

    /// The end of the horizontal axis.
    pub fn end(&self) -> f64 {
        let of_courses = self.courses.iter().flat_map(|c| &c.training);
        let all = of_courses.chain(&self.steps).map(|(x, _)| *x);
        all.fold(0.0, f64::max)
    }
}

/// How many epochs were done after a step, given the steps after which epochs ended; the step itself where none did.
fn epochs_at(step: f64, ends: &[(f64, f64)]) -> f64 {
    let at = ends.partition_point(|(s, _)| *s < step);
    let before = match at {
        0 => (0.0, 0.0),
        i => ends[i - 1],
    };
    let after = match (ends.get(at), at) {
        (Some(end), _) => *end,
        (None, 0) => return step,
        // As fast as the epoch before.
        (None, 1) => (2.0 * before.0, 2.0 * before.1),
        (None, i) => {
            let earlier = ends[i - 2];
            (2.0 * before.0 - earlier.0, 2.0 * before.1 - earlier.1)
        }
    };
    if after.0 <= before.0 {
        return before.1;
    }
    before.1 + (after.1 - before.1) * (step - before.0) / (after.0 - before.0)
}

fn courses(metrics: &[Row]) -> Vec<Course> {
    let Some(first) = metrics.first() else {
        return Vec::new();
    };
    let quantities = first
        .texts()
        .filter_map(|(name, _)| name.strip_prefix("train_"));
    let course = |quantity: &str| {
        let points = |prefix: &str| -> Vec<(f64, Option<f64>)> {
            let name = format!("{prefix}_{quantity}");
            let has = metrics.iter().any(|row| row.number(&name).is_some());
            let at = |row: &Row| Some((row.number("epoch")?, row.number(&name)));
            match has {
                true => metrics.iter().filter_map(at).collect(),
                false => Vec::new(),
            }
        };
        Course {
            quantity: quantity.to_owned(),
            training: points("train"),
            validation: points("validation"),
        }
    };
    quantities.map(course).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_courses_by_quantity_and_steps_fractions_of_epochs() {
        let metrics = r#"{"epoch":1,"step":10,"train_loss":0.5,"train_accuracy":0.8,"validation_loss":null,"lr":0.1}
{"epoch":2,"step":20,"train_loss":null,"train_accuracy":0.9,"validation_loss":null,"lr":0.1}
"#;
        let steps = r#"{"step":5,"loss":0.7}
{"step":15,"loss":null}
{"step":25,"loss":0.3}
"#;
        let curves = Curves::of("run".into(), &Row::all(metrics), &Row::all(steps));
        assert_eq!(curves.unit, "epoch");
        let names: Vec<_> = curves.courses.iter().map(|c| c.quantity.as_str()).collect();
        assert_eq!(names, ["loss", "accuracy"]);
        let loss = &curves.courses[0];
        assert_eq!(loss.training, [(1.0, Some(0.5)), (2.0, None)]);
        assert_eq!(loss.validation, []);
        assert_eq!(
            curves.steps,
            [(0.5, Some(0.7)), (1.5, None), (2.5, Some(0.3))]
        );
        assert_eq!(curves.end(), 2.5);
    }

    #[test]
    fn before_the_first_epoch_has_ended_steps_are_counted() {
        let curves = Curves::of("run".into(), &[], &Row::all("{\"step\":5,\"loss\":0.7}\n"));
        assert_eq!((curves.unit, curves.end()), ("step", 5.0));
    }

    #[test]
    fn an_epoch_after_the_first_may_be_shorter() {
        let ends = [(10.0, 1.0), (14.0, 2.0)];
        assert_eq!(epochs_at(12.0, &ends), 1.5);
        assert_eq!(epochs_at(16.0, &ends), 2.5);
        assert_eq!(epochs_at(5.0, &ends[..1]), 0.5);
        assert_eq!(epochs_at(20.0, &ends[..1]), 2.0);
    }
}
