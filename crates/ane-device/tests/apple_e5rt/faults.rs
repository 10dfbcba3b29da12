//! What goes wrong in the framework arrives as an error that says what and where.
//!
//! The stand-in reads its plan of faults once per process, so every case runs this test again in a process of its own.

use super::devices::{H16, allocate, apple, scale};
use ane_ir::TensorType;
use std::{
    path::Path,
    process::{Command, Output},
};

/// Set in the processes that run a case.
const CASE: &str = "ANE_TEST_CASE";

/// Runs the test called `test` again, with a plan of faults and more of the stand-in's variables.
fn again(test: &str, case: &str, plan: &str, variables: &[(&str, &str)]) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan"), plan).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CASE, case)
        .env("ANE_STANDIN_FAULTS", dir.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let fired = std::fs::read_to_string(dir.path().join("fired")).unwrap_or_default();
    (output, fired)
}

fn passes(test: &str, case: &str, plan: &str, variables: &[(&str, &str)]) {
    let (output, fired) = again(test, case, plan, variables);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {said}");
    assert!(said.contains("1 passed"), "{case} did not run: {said}");
    assert_eq!(fired.trim(), plan.trim(), "{case}");
}

/// Compiles, binds and executes twice; what came out, or the error.
fn two_steps(programs: &Path) -> Result<Vec<f32>, String> {
    let device = apple(programs);
    let program = device.compile(&scale(H16, 2)).map_err(|e| e.to_string())?;
    let (x, y) = allocate(&*device, &TensorType::fp16([2, 32]));
    x.copy_in(&[3.0; 64]).unwrap();
    let mut bound = program
        .bind(&[("x", &x), ("y", &y)])
        .map_err(|e| e.to_string())?;
    for _ in 0..2 {
        bound.execute().map_err(|e| e.to_string())?;
    }
    Ok(y.copy_out())
}

#[test]
fn every_fault_is_an_error_that_names_it() {
    let Ok(case) = std::env::var(CASE) else {
        let test = "faults::every_fault_is_an_error_that_names_it";
        for plan in [
            "compile 1 fail",
            "compile 1 leak",
            "execute 1 fail",
            "execute 2 corrupt",
            "execute 2 geometry",
            "execute 2 unwritten",
            "load 1 fail",
            "load 1 leak",
            "unload 1 fail",
        ] {
            passes(test, plan, plan, &[]);
        }
        return;
    };
    let programs = tempfile::tempdir().unwrap();
    let outcome = two_steps(programs.path());
    let said = |words: &[&str]| {
        let e = outcome.as_ref().unwrap_err();
        for word in words {
            assert!(e.contains(word), "`{word}` is not in: {e}");
        }
    };
    let left: Vec<_> = std::fs::read_dir(programs.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    match case.as_str() {
        "compile 1 fail" => {
            let [kept] = &left[..] else {
                panic!("the refused program is not kept: {left:?}")
            };
            let mil = kept.join("model.mil").display().to_string();
            let replay = format!("ane-trainer inspect {mil} --device apple --route e5rt");
            said(&[
                "e5rt_e5_compiler_compile",
                "12",
                "fails as planned",
                &replay,
            ]);
            let text = std::fs::read_to_string(mil).unwrap();
            assert!(text.starts_with("program(1.3)"), "{text}");
            return;
        }
        "load 1 fail" => said(&[
            "e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options",
            "model.mil",
        ]),
        "execute 1 fail" => said(&["e5rt_execution_stream_execute_sync", "model.mil", "--route"]),
        "execute 2 geometry" => said(&["e5rt_execution_stream_execute_sync", "0x1d"]),
        "execute 2 unwritten" => said(&["port `y`", "not written"]),
        "execute 2 corrupt" => assert_ne!(outcome.unwrap(), [6.0; 64]),
        _ => assert_eq!(outcome.unwrap(), [6.0; 64]),
    }
    assert!(left.is_empty(), "directories are left: {left:?}");
}

#[test]
fn a_full_engine_makes_room_or_says_so() {
    if std::env::var(CASE).is_err() {
        let test = "faults::a_full_engine_makes_room_or_says_so";
        return passes(test, "full", "", &[("ANE_STANDIN_MAX_LOADED", "2")]);
    }
    let programs = tempfile::tempdir().unwrap();
    let ty = TensorType::fp16([2, 32]);
    let device = apple(programs.path());
    let mut all: Vec<_> = (2..7)
        .map(|factor| {
            let program = device.compile(&scale(H16, factor)).unwrap();
            let (x, y) = allocate(&*device, &ty);
            x.copy_in(&[1.0; 64]).unwrap();
            (factor, program.bind(&[("x", &x), ("y", &y)]).unwrap(), y)
        })
        .collect();
    for (factor, bound, y) in &mut all {
        bound.execute().unwrap();
        assert_eq!(y.copy_out(), [f32::from(*factor); 64]);
    }
    // Another device's programs are not for us to unload.
    let other = apple(programs.path());
    let (x, y) = allocate(&*other, &ty);
    let program = other.compile(&scale(H16, 9)).unwrap();
    let e = program.bind(&[("x", &x), ("y", &y)]).unwrap_err();
    assert!(e.to_string().contains("2 programs are loaded"), "{e}");
    drop(all);
    program.bind(&[("x", &x), ("y", &y)]).unwrap();
}
