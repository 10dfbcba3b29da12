//! A run that is paused, asked for a checkpoint and resumed has the same bits.

use super::{finish, plain, run_of};
use ane_train::{
    checkpoint::Checkpoint,
    fit::{Control, Ending, Event},
    step::PlanKind,
};

#[test]
fn a_pause_and_a_checkpoint_on_demand_change_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    let [left, asked] = ["left", "asked"].map(|name| dir.path().join(name));
    let expected = finish(run_of(plain(), PlanKind::Fused, &left, None), &mut |_| {});
    let control = Control::default();
    let mut fit = run_of(plain(), PlanKind::Fused, &asked, None);
    let (mut steps, mut pauses, mut told) = (0, 0, Vec::new());
    // While it waits, a checkpoint is asked for; once that is written, the run goes on.
    let ending = fit.run(&control, &mut |event| match event {
        Event::Step { .. } => {
            steps += 1;
            if steps == 3 {
                control.pause_or_resume();
            }
            if steps == 5 {
                control.stop();
            }
        }
        Event::Paused => {
            pauses += 1;
            control.write_checkpoint();
        }
        Event::Checkpoint { name, step, path } => {
            let written = Checkpoint::read(path).unwrap();
            assert_eq!(written.record.progress.step, *step);
            told.push((name.clone(), *step));
            if steps == 3 {
                control.pause_or_resume();
            }
        }
        _ => {}
    });
    assert_eq!(ending.unwrap(), Ending::Interrupted);
    assert_eq!(
        (pauses, told),
        (1, [3, 5].map(|step| ("last".to_owned(), step)).to_vec())
    );
    let saved = Checkpoint::read(&fit.run.checkpoint("last")).unwrap();
    drop(fit);
    let mut resumed = run_of(plain(), PlanKind::Fused, &asked, None);
    let trainer = &mut resumed.trainer;
    trainer
        .restore(saved.record.progress, &saved.state)
        .unwrap();
    resumed.position = saved.record.position;
    resumed.sums = saved.record.epoch_sums;
    resumed.best = saved.record.best;
    assert!(finish(resumed, &mut |_| {}) == expected);
}
