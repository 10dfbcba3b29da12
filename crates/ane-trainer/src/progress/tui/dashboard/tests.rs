//! Pictures of runs that are told of by hand.

use super::*;
use ane_train::{StepOutcome, fit::Values, metric};
use ratatui::{Terminal, backend::TestBackend};
use std::{path::Path, time::Duration};

fn dashboard(step: u64) -> Dashboard {
    let metrics = ["accuracy", "top5"].map(|name| metric::named(name).unwrap());
    Dashboard::new(&Started {
        run: Path::new("runs/2026-11-30-mnist-quiet-otter"),
        model: "784-512-512-10",
        dataset: "mnist",
        data: "MNIST",
        plan: "split",
        device: "software",
        target: "h16".to_owned(),
        threads: 2,
        seed: 0,
        batch: 128,
        epochs: 20,
        steps: 2000,
        step,
        parameters: 669_706,
        metrics: &metrics,
        layers: "",
        placement: vec![
            "engine: 42 nodes in 1 program, 513.2 MFLOP a step (100.0 %)".to_owned(),
            "host: the update of 669706 parameters".to_owned(),
        ],
    })
}

/// An epoch of so many steps, whose loss falls by a half.
fn epoch(dashboard: &mut Dashboard, epoch: u64, steps: u64) {
    let values = |accuracy: f64| -> Values { vec![("accuracy", accuracy), ("top5", 0.99)] };
    for i in 0..steps {
        let part = (epoch * steps + i) as f64 / (2 * steps) as f64;
        let tally = |sum| Tally { sum, count: 128.0 };
        dashboard.take(&Event::Step {
            epoch,
            batch: i as usize,
            outcome: StepOutcome {
                loss: 2.3 * 0.25f64.powf(part) as f32,
                examples: 128,
                tallies: vec![tally(12.0 + 100.0 * part), tally(64.0 + 60.0 * part)],
                overflow: i == 0 && epoch == 0,
                lr: 1e-3 * (1.0 - part / 2.0),
                loss_scale: 32_768.0,
                grad_norm: Some(1.25),
            },
            phases: Phases {
                engine_ms: 2.5,
                host_ms: 1.25,
                data_ms: 0.05,
            },
        });
    }
    dashboard.take(&Event::Epoch(EpochMetrics {
        epoch: epoch + 1,
        step: (epoch + 1) * steps,
        train_loss: Some(1.5),
        train: values(0.5),
        validation_loss: Some(1.25 / (epoch + 1) as f64),
        validation: values(0.6 + 0.2 * epoch as f64),
        lr: 1e-3,
        loss_scale: 32_768.0,
        skipped: 1,
        examples_per_second: 33_684.0,
    }));
    dashboard.take(&Event::Checkpoint {
        name: "best".to_owned(),
        step: (epoch + 1) * steps,
        path: "runs/2026-11-30-mnist-quiet-otter/checkpoints/best.ckpt".into(),
    });
}

fn picture(dashboard: &Dashboard, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let since = Duration::from_secs(83);
    terminal.draw(|frame| dashboard.draw(frame, since)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_run_on_small_and_large_terminals() {
    let mut run = dashboard(0);
    insta::assert_snapshot!("before_the_first_step_80x24", picture(&run, 80, 24));
    epoch(&mut run, 0, 100);
    epoch(&mut run, 1, 100);
    run.log("note: a sentence that is far too long for a line of the log, so that it goes on in a second one".into());
    insta::assert_snapshot!("after_two_epochs_80x24", picture(&run, 80, 24));
    insta::assert_snapshot!("after_two_epochs_120x40", picture(&run, 120, 40));
}

#[test]
fn no_terminal_is_too_small() {
    let mut run = dashboard(0);
    epoch(&mut run, 0, 10);
    for (width, height) in [(1, 1), (5, 3), (20, 8), (40, 12), (79, 23), (300, 2)] {
        picture(&run, width, height);
    }
}

#[test]
fn every_curve_has_its_turn() {
    let mut run = dashboard(0);
    epoch(&mut run, 0, 10);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(run.curves[run.chosen].name);
        let name = format!(" {} ", run.curves[run.chosen].name);
        assert!(picture(&run, 80, 24).contains(&name), "{name}");
        run.next_curve();
    }
    let names = [
        "accuracy",
        "top5",
        "learning rate",
        "loss scale",
        "accuracy",
    ];
    assert_eq!(seen, names);
}

#[test]
fn a_fault_takes_the_curves_back() {
    let mut run = dashboard(0);
    epoch(&mut run, 0, 10);
    let message = "the device did not answer".to_owned();
    run.take(&Event::Fault { step: 4, message });
    assert_eq!(run.step, 4);
    assert_eq!(run.curves[0].train.points().len(), 4);
    assert!(run.curves[0].validation.is_empty());
    let said = "the device did not answer; started again, going on from step 4";
    assert_eq!(run.take_remarks(), [said]);
    assert!(run.take_remarks().is_empty());
}

#[test]
fn what_is_asked_shows_at_once_and_what_is_done_when_it_is() {
    let mut run = dashboard(0);
    let state = |run: &Dashboard| picture(run, 80, 24).lines().nth(2).unwrap().to_owned();
    assert!(state(&run).contains("training"));
    run.asked_to_pause(true);
    assert!(state(&run).contains("pausing"));
    run.take(&Event::Paused);
    assert!(state(&run).contains("PAUSED"));
    assert!(picture(&run, 80, 24).contains(" go on "));
    run.take(&Event::Resumed);
    assert!(state(&run).contains("training"));
    run.asked_to_stop();
    run.asked_to_pause(true);
    assert!(state(&run).contains("stopping"));
}
