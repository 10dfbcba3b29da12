//! The end of a run whose epochs are done: the state that is kept, and its one look at the test set.

use super::report::{say_placement, tell, tell_finished, test_line, write_placement};
use crate::{
    commands::curves,
    ended::Ended,
    failure::Failure,
    output::{self, say},
};
use ane_device::Power;
use ane_train::{
    Trainer,
    checkpoint::{Best, Checkpoint},
    config::RunConfig,
    fit::{Ending, Examples, Fit, evaluate},
    recovery::Faults,
    run_dir::RunEnding,
};
use std::time::Instant;

/// Evaluates the best state, or the last one, on the test set, and reports.
pub(super) fn finish(
    mut fit: Fit,
    config: &RunConfig,
    test: Option<Examples>,
    since: Instant,
    (ending, power): (Ending, Option<Power>),
) -> Result<Ended, Failure> {
    let seconds = since.elapsed().as_secs_f64();
    let mut faults = Faults::new(fit.recovery);
    let mut chosen = "last".to_owned();
    let metrics = fit.trainer.config().metrics.clone();
    if let Some(Best { value, epoch, .. }) = fit.best {
        let value = match metrics.first() {
            Some(metric) => metric.show(value),
            None => format!("loss {value:.4}"),
        };
        let best = Checkpoint::read(&fit.run.checkpoint("best"))?;
        faults.restore(&mut fit.trainer, best.record.progress, &best.state)?;
        chosen = format!("best, epoch {epoch} with {value} on validation");
    }
    let result = match &test {
        Some(examples) => {
            let judge = |t: &mut Trainer| evaluate(t, examples, &mut faults);
            Some(fit.trainer.with_average(judge)?)
        }
        None => None,
    };
    tell(&mut faults);
    let placement = write_placement(&fit, config, power)?;
    fit.run.write_json("result.json", &result)?;
    fit.run.end(&match ending {
        Ending::OutOfTime => RunEnding::stopped("its time was over"),
        Ending::Interrupted => RunEnding::stopped("interrupted"),
        Ending::NoBetter => RunEnding::no_better(config.patience.unwrap_or_default()),
        Ending::Finished => RunEnding::finished(),
    })?;
    tell_finished(&fit, ending, result.as_ref(), seconds);
    match result {
        Some(result) => say!("{}", test_line(&result, &metrics, &chosen)),
        None => say!("test: none was held out ({chosen})"),
    }
    curves::leave(&fit.run);
    if !output::is_quiet() {
        say!("trained for {seconds:.1} s");
        say_placement(&placement);
    }
    Ok(Ended::Done)
}
