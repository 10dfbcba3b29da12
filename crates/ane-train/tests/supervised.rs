//! Training on a device in a worker: the same bits as without, whatever happens to the worker.

#![allow(clippy::unwrap_used)]

#[path = "supervised/controlled.rs"]
mod controlled;
#[path = "supervised/deadlines.rs"]
mod deadlines;
#[path = "supervised/faulty.rs"]
mod faulty;
#[path = "supervised/killed.rs"]
mod killed;
#[path = "supervised/padded.rs"]
mod padded;
#[path = "supervised/run.rs"]
mod run;
#[path = "supervised/stages.rs"]
mod stages;

use ane_device::{Device, DeviceError, Settings, Supervised, SupervisedError, Supervision, Worker};
use ane_ir::{Graph, TensorType};
use ane_standin::{Event, Fault, Faults};
use ane_train::{
    checkpoint::Checkpoint,
    fit::{self, Control, FitError},
    step::PlanKind,
};
use run::{EPOCHS, OFTEN, disturbed, finish, fired, plain, plan_of, run_of, settings, undisturbed};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// Not a test: what the others start as their worker. Started by hand it does nothing.
#[test]
fn serves() {
    faulty::serve_if_started_as_worker();
}

#[test]
fn a_worker_computes_the_same_bits_and_counts_what_it_runs() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        let supervision = faulty::supervision(dir.path(), "serves");
        assert!(disturbed(plan, &[], supervision, dir.path()) == undisturbed(plan));
        assert_eq!(fired(dir.path()), []);
        let done = Faults::directory(dir.path()).unwrap().counts().unwrap();
        // One program to train, one to evaluate.
        assert_eq!(done.of(Event::Compile), 2);
        // Ten steps and two batches of validation an epoch, a batch at each of the checkpoints after steps 7, 14, 21
        // and 28, and twelve batches of the last evaluation.
        assert_eq!(done.of(Event::Execute), EPOCHS * 12 + 4 + 12);
        let loads = if plan == PlanKind::Fused { 4 } else { 2 };
        assert_eq!(done.of(Event::Load), loads);
        assert_eq!(done.of(Event::Unload), loads, "closing is orderly");
    }
}

#[test]
fn faults_of_every_kind_change_no_bit() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        let lines = [
            "compile 1 fail",
            "compile 2 crash",
            "load 2 crash",
            "execute 3 fail",
            // The rebuilding fails as well.
            "compile 5 fail",
            "load 6 fail",
            "execute 9 geometry",
            "execute 14 crash",
            "execute 22 unwritten",
            "execute 31 corrupt",
            "execute 35 zeros",
            "execute 40 leak",
            "execute 55 hang",
            "execute 56 crash",
            "execute 57 fail",
        ];
        let supervision = Supervision {
            execute_deadline: Duration::from_millis(1500),
            verify_every: Some(1),
            ..faulty::supervision(dir.path(), "serves")
        };
        let found = disturbed(plan, &lines.map(str::to_owned), supervision, dir.path());
        assert!(found == undisturbed(plan), "{plan:?}");
        let planned: BTreeSet<String> = lines.map(str::to_owned).into();
        let fired: BTreeSet<String> = fired(dir.path()).iter().map(ToString::to_string).collect();
        assert_eq!(fired, planned);
    }
}

/// Every kind of fault at every event that can suffer it, `rounds` times over, far enough apart that snapshots are reached.
fn many_faults(rounds: u64, apart: impl Fn(Event) -> u64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = BTreeMap::from(Event::ALL.map(|e| (e.name(), 1)));
    for _ in 0..rounds {
        for fault in Fault::ALL {
            for event in [Event::Execute, Event::Compile, Event::Load] {
                // A compile that hangs takes the whole of its long deadline.
                if !fault.fits(event) || (fault == Fault::Hang && event != Event::Execute) {
                    continue;
                }
                let number = at.entry(event.name()).or_insert(1);
                *number += apart(event);
                lines.push(format!("{} {number} {}", event.name(), fault.name()));
            }
        }
    }
    lines.push("unload 1 crash".to_owned());
    lines
}

/// Rounds of faults and the epochs in which they find room, in the long form and in the short one.
fn length() -> (u64, u64) {
    match std::env::var_os("ANE_TRAINER_SOAK") {
        Some(_) => (50, 360),
        None => (1, 8),
    }
}

/// A run of both devices to the same bits, the second full of faults.
fn suffer_all(plan: PlanKind, undisturbed: Box<dyn Device>, worker: &Supervised, dir: &Path) {
    let (_, epochs) = length();
    let expected = {
        let mut fit = run_of(undisturbed, plan, &dir.join("plain"), None);
        fit.epochs = epochs;
        finish(fit, &mut |_| {})
    };
    let run = dir.join("run");
    let mut fit = run_of(Box::new(worker.clone()), plan, &run, Some(OFTEN));
    fit.epochs = epochs;
    let (mut killed, mut during) = (BTreeSet::new(), BTreeSet::new());
    let found = finish(fit, &mut |event| match event {
        fit::Event::Step { epoch, batch, .. } => {
            let step = epoch * 10 + *batch as u64 + 1;
            // Besides the plan, the worker dies before some reads of the state for checkpoints, which every seventh step has.
            if step.is_multiple_of(14) && killed.insert(step) {
                kill(worker);
            }
        }
        fit::Event::Fault { message, .. } => {
            for what in ["executing", "compiling", "binding", "reading a buffer"] {
                if message.contains(what) {
                    during.insert(what);
                }
            }
        }
        _ => {}
    });
    assert!(found == expected, "{plan:?}");
    // In the split plan the host has the state, and no buffer is read for a checkpoint.
    let kinds = if plan == PlanKind::Fused { 4 } else { 3 };
    assert_eq!(during.len(), kinds, "{plan:?}: {during:?}");
}

fn assert_fired(lines: &[String], dir: &Path) {
    let fired: BTreeSet<String> = fired(dir).iter().map(ToString::to_string).collect();
    let missing: Vec<&String> = lines.iter().filter(|l| !fired.contains(*l)).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} of {} did not fire",
        lines.len()
    );
}

#[test]
fn a_run_full_of_faults_ends_with_the_bits_of_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    // Every execution is run twice, every snapshot is four steps from the last, and a device that starts again compiles once
    // and loads twice. How often it starts again depends on which kills meet a fault, so the last load planned is well
    // before the last one there is.
    let lines = many_faults(length().0, |event| match event {
        Event::Execute => 13,
        Event::Compile => 3,
        Event::Load | Event::Unload => 5,
    });
    plan_of(dir.path(), &lines);
    let supervision = Supervision {
        execute_deadline: Duration::from_millis(1500),
        verify_every: Some(1),
        ..faulty::supervision(dir.path(), "serves")
    };
    let worker = Supervised::open("software", &settings(), supervision).unwrap();
    suffer_all(PlanKind::Fused, plain(), &worker, dir.path());
    // The worker is asked to close, and waited for.
    drop(worker);
    assert_fired(&lines, dir.path());
}

#[test]
fn a_run_on_apples_interface_full_of_faults_ends_with_the_bits_of_the_software_device() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        // A device that starts again compiles twice, the first time to warm up, and loads once or twice.
        let lines = many_faults(length().0, |event| match event {
            Event::Execute => 13,
            Event::Compile => 5,
            Event::Load | Event::Unload => 3,
        });
        plan_of(dir.path(), &lines);
        let target = "h16".parse().unwrap();
        let mut settings = Settings {
            target,
            numerics: ane_ir::Numerics::of(&target),
            ..settings()
        };
        settings.apple.espresso = espresso_standin::library_path().unwrap();
        settings.apple.programs = dir.path().join("programs");
        let supervision = Supervision {
            execute_deadline: Duration::from_millis(1500),
            verify_every: Some(1),
            ..faulty::supervision_of_standin(dir.path(), "serves")
        };
        let software = ane_device::open("software", &settings).unwrap();
        let worker = Supervised::open("apple", &settings, supervision).unwrap();
        suffer_all(plan, software, &worker, dir.path());
        drop(worker);
        assert_fired(&lines, dir.path());
    }
}

#[test]
fn a_worker_killed_between_step_and_checkpoint_changes_no_bit() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        let supervision = faulty::supervision(dir.path(), "serves");
        let device = Supervised::open("software", &settings(), supervision).unwrap();
        let worker = device.clone();
        let run = dir.path().join("run");
        let fit = run_of(Box::new(device), plan, &run, Some(OFTEN));
        let (mut steps, mut faults) = (0, 0);
        let found = finish(fit, &mut |event| match event {
            fit::Event::Step { .. } => {
                steps += 1;
                // Steps 7 and 14 are followed by a checkpoint, 8 by a snapshot, 10 by a validation.
                if [7, 12, 17, 22].contains(&steps) {
                    kill(&worker);
                }
            }
            fit::Event::Fault { message, .. } => {
                assert!(message.contains("signal: 9"), "{message}");
                faults += 1;
            }
            _ => {}
        });
        assert!(found == undisturbed(plan), "{plan:?}");
        // After step 7 the program of evaluation is compiled, and in the split plan nothing is lost with the worker that
        // was to do it: another one does, without a word.
        let silent = u32::from(plan == PlanKind::Split);
        assert_eq!(faults + silent, 4);
    }
}

fn kill(worker: &Supervised) {
    let id = worker.worker_id().unwrap().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-9", &id])
        .status();
    assert!(killed.unwrap().success());
}

#[test]
fn a_device_that_does_not_come_back_ends_the_run_with_its_state_saved() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (21..200).map(|n| format!("execute {n} fail")).collect();
    plan_of(dir.path(), &lines);
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let run = dir.path().join("run");
    let mut fit = run_of(Box::new(device), PlanKind::Fused, &run, Some(OFTEN));
    let error = fit.run(&Control::default(), &mut |_| {}).unwrap_err();
    let text = error.to_string();
    let FitError::GaveUp { saved, source, .. } = error else {
        panic!("{error}")
    };
    assert!(
        text.contains("last.ckpt") && text.contains("step 16"),
        "{text}"
    );
    assert!(source.to_string().contains("6 times"), "{source}");
    assert_eq!(saved, 16);
    // Execution 21 is step 17: besides sixteen steps there were two batches of validation and one at each of the
    // checkpoints after steps 7 and 14. Go on without faults from what was saved.
    let saved = Checkpoint::read(&fit.run.checkpoint("last")).unwrap();
    drop(fit);
    let mut resumed = run_of(plain(), PlanKind::Fused, &run, None);
    resumed
        .trainer
        .restore(saved.record.progress, &saved.state)
        .unwrap();
    resumed.position = saved.record.position;
    resumed.sums = saved.record.epoch_sums;
    resumed.best = saved.record.best;
    assert!(finish(resumed, &mut |_| {}) == undisturbed(PlanKind::Fused));
}

#[test]
fn without_recovery_a_fault_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    plan_of(dir.path(), &["execute 2 fail".to_owned()]);
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let mut fit = run_of(
        Box::new(device),
        PlanKind::Split,
        &dir.path().join("run"),
        None,
    );
    let error = fit.run(&Control::default(), &mut |_| {}).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("executing") && text.contains("as_planned"),
        "{text}"
    );
}

/// The error of a program's first run, under one fault.
fn error_of(line: &str, supervision: impl FnOnce(Supervision) -> Supervision) -> SupervisedError {
    let dir = tempfile::tempdir().unwrap();
    plan_of(dir.path(), &[line.to_owned()]);
    let supervision = supervision(faulty::supervision(dir.path(), "serves"));
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let (mut bound, _y) = doubling(&device);
    let error = bound.execute().unwrap_err();
    let DeviceError::Supervised(error) = error else {
        panic!("{error}")
    };
    // Until it recovers the device says that it is lost; then it computes.
    assert!(matches!(
        bound.execute(),
        Err(DeviceError::Supervised(SupervisedError::Lost { .. }))
    ));
    assert!(device.health().is_err());
    device.recover().unwrap();
    device.health().unwrap();
    bound.execute().unwrap();
    error
}

fn doubling(device: &dyn Device) -> (Box<dyn ane_device::Bound>, ane_device::Buffer) {
    let ty = TensorType::fp16([4]);
    let mut g = Graph::new();
    let x = g.input("x", ty.clone()).unwrap();
    let y = g.add(x, x).unwrap();
    g.output("y", y).unwrap();
    let legal = ane_mil::check(g, device.target()).unwrap();
    let program = device.compile(&legal).unwrap();
    let (x, y) = (device.allocate(&ty).unwrap(), device.allocate(&ty).unwrap());
    x.copy_in(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    (program.bind(&[("x", &x), ("y", &y)]).unwrap(), y)
}

#[test]
fn errors_say_how_the_worker_ended() {
    let crash = error_of("execute 1 crash", |s| s).to_string();
    assert!(
        crash.contains("executing") && crash.contains("SIGABRT"),
        "{crash}"
    );
    let hang = error_of("execute 1 hang", |s| Supervision {
        execute_deadline: Duration::from_millis(1500),
        ..s
    });
    let hang = hang.to_string();
    assert!(
        hang.contains("more than 1.5 s") && hang.contains("executing"),
        "{hang}"
    );
    let twice = |s| Supervision {
        verify_every: Some(1),
        ..s
    };
    let corrupt = error_of("execute 2 corrupt", twice).to_string();
    assert!(
        corrupt.contains("output `y`") && corrupt.contains("1 bytes"),
        "{corrupt}"
    );
    // Whatever is left in a fresh output is not what the program computes.
    let unwritten = error_of("execute 1 unwritten", twice).to_string();
    assert!(unwritten.contains("output `y`"), "{unwritten}");
}

#[test]
fn buffers_keep_what_the_host_wrote_when_the_device_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let (mut bound, y) = doubling(&device);
    bound.execute().unwrap();
    assert_eq!(y.copy_out(), [2.0, 4.0, 6.0, 8.0]);
    kill(&device);
    // A read of what is already here needs no worker.
    assert_eq!(y.copy_out(), [2.0, 4.0, 6.0, 8.0]);
    assert!(bound.execute().unwrap_err().is_fault());
    device.recover().unwrap();
    y.copy_in(&[0.0; 4]).unwrap();
    bound.execute().unwrap();
    assert_eq!(y.copy_out(), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(device.counts().compiles, 2);
}

#[test]
fn a_worker_that_opens_something_else_is_a_fault_with_both_named() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join(faulty::NOTE);
    std::fs::write(&note, "by the first way").unwrap();
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    assert_eq!(device.notes(), ["by the first way"]);
    let (mut bound, y) = doubling(&device);
    std::fs::write(&note, "by the second way").unwrap();
    kill(&device);
    let error = device.recover().unwrap_err();
    assert!(error.is_fault());
    let text = error.to_string();
    assert!(
        text.contains("by the first way") && text.contains("by the second way"),
        "{text}"
    );
    assert!(bound.execute().is_err());
    std::fs::write(&note, "by the first way").unwrap();
    device.recover().unwrap();
    bound.execute().unwrap();
    assert_eq!(y.copy_out(), [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn a_trainer_counts_what_it_had_done_and_what_it_did_again() {
    let dir = tempfile::tempdir().unwrap();
    // The eighth execution belongs to a checkpoint, the twelfth and thirteenth are a validation, so this is step 12, and
    // the snapshot is one of step 10.
    plan_of(dir.path(), &["execute 15 fail".to_owned()]);
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let run = dir.path().join("run");
    let mut fit = run_of(Box::new(device), PlanKind::Fused, &run, Some(OFTEN));
    fit.run(&Control::default(), &mut |_| {}).unwrap();
    let done = *fit.trainer.done();
    assert_eq!(done.faults, 1);
    assert_eq!(done.repeated_steps, 1);
    assert_eq!(done.train_steps, EPOCHS * 10 + 1);
    assert_eq!(done.evaluations, EPOCHS * 2 + 4);
    let dispatches = fit.trainer.device().counts().dispatches;
    assert_eq!(dispatches, done.train_steps + done.evaluations);
}

#[test]
fn a_read_that_fails_shows_at_the_next_look_at_the_health() {
    let dir = tempfile::tempdir().unwrap();
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let (mut bound, y) = doubling(&device);
    bound.execute().unwrap();
    kill(&device);
    device.health().unwrap();
    y.copy_out();
    let error = device.health().unwrap_err();
    assert!(error.to_string().contains("reading a buffer"), "{error}");
}

#[test]
fn state_in_place_is_the_workers_own_and_is_verified_from_its_old_value() {
    let dir = tempfile::tempdir().unwrap();
    let supervision = Supervision {
        verify_every: Some(1),
        ..faulty::supervision(dir.path(), "serves")
    };
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let ty = TensorType::fp16([4]);
    let mut g = Graph::new();
    let w = g.input("w", ty.clone()).unwrap();
    let next = g.add(w, w).unwrap();
    g.output("next", next).unwrap();
    g.declare_in_place("w", "next").unwrap();
    let legal = ane_mil::check(g, device.target()).unwrap();
    let program = device.compile(&legal).unwrap();
    let state = device.allocate(&ty).unwrap();
    let mut bound = program.bind(&[("w", &state), ("next", &state)]).unwrap();
    state.copy_in(&[1.0; 4]).unwrap();
    for after in [2.0, 4.0, 8.0] {
        bound.execute().unwrap();
        assert_eq!(state.copy_out(), [after; 4]);
    }
}

#[test]
fn wrong_uses_are_refused_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let supervision = || faulty::supervision(dir.path(), "serves");
    let open = |s| Supervised::open("software", &settings(), s);
    assert!(matches!(
        Supervised::open("abacus", &settings(), supervision()),
        Err(DeviceError::Unknown { .. })
    ));
    let nobody = Supervision::new(Worker {
        program: "/nowhere/worker".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
    });
    let error = open(nobody).unwrap_err().to_string();
    assert!(error.contains("/nowhere/worker"), "{error}");
    let mut mute = supervision();
    mute.worker.program = "true".into();
    let error = open(mute).unwrap_err().to_string();
    assert!(
        error.contains("opening") && error.contains("exit status: 0"),
        "{error}"
    );

    let device = open(supervision()).unwrap();
    let (mut bound, _y) = doubling(&device);
    let ty = TensorType::fp16([4]);
    let mut g = Graph::new();
    let x = g.input("x", ty.clone()).unwrap();
    let y = g.abs(x).unwrap();
    g.output("y", y).unwrap();
    let program = device
        .compile(&ane_mil::check(g, device.target()).unwrap())
        .unwrap();
    let (own, foreign) = (
        device.allocate(&ty).unwrap(),
        plain().allocate(&ty).unwrap(),
    );
    let error = program.bind(&[("x", &own), ("y", &foreign)]).unwrap_err();
    assert!(
        matches!(error, DeviceError::ForeignBuffer { .. }),
        "{error}"
    );
    // More than any machine has: the message says how much, and the device goes on.
    let error = device
        .allocate(&TensorType::fp16([1 << 30, 1 << 20]))
        .unwrap_err()
        .to_string();
    assert!(error.contains(&(1_u64 << 51).to_string()), "{error}");
    device.health().unwrap();
    bound.execute().unwrap();
    assert_eq!(
        Fault::ALL.len(),
        8,
        "a new kind of fault needs its place in these tests"
    );
}
