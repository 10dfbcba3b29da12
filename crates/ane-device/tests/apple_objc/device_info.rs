//! What the engine says of itself decides which chip programs are made for.

use crate::{
    alone,
    opening::changed,
    standin::{library, settings},
};
use ane_device::{
    AppleOptions, detect, open,
    probe::{Finding, SYSTEM_PROBES},
};
use ane_ir::{Chip, Route, Target};

/// The chip that the device takes when none is named.
fn chip_of_the_device() -> Chip {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Route::Memory, dir.path());
    settings.target = Target {
        chip: Chip::Software,
        ..settings.target
    };
    open("apple", &settings).unwrap().target().chip
}

#[test]
fn programs_are_for_the_generation_that_the_engine_names() {
    const NAME: &str = "device_info::programs_are_for_the_generation_that_the_engine_names";
    if !alone::is_alone(NAME) {
        let standin = library();
        let variables = [
            ("ANE_TRAINER_NEURALENGINE", standin.to_str().unwrap()),
            ("ANE_STANDIN_CHIP", "h15"),
        ];
        alone::pass(NAME, &variables);
        return;
    }
    let found = detect();
    let info = found.system.engine.as_ref().unwrap();
    assert_eq!(info.architecture.as_deref(), Some("h15g"));
    assert_eq!(info.product.as_deref(), Some("ane-trainer stand-in"));
    assert_eq!((info.has_engine, info.cores, info.engines), (true, 16, 1));
    // It is the stand-in that says so: nothing else here speaks of an engine.
    assert_eq!((found.chip, found.engine), (Chip::H15, false));
    assert_eq!(chip_of_the_device(), Chip::H15);
}

#[test]
fn an_engine_that_cannot_be_asked_is_no_obstacle() {
    const NAME: &str = "device_info::an_engine_that_cannot_be_asked_is_no_obstacle";
    if !alone::is_alone(NAME) {
        let dir = tempfile::tempdir().unwrap();
        // Read as an object, a number of cores would be an address.
        let framework = changed(dir.path(), "_ANEDeviceInfo", "+numANECores", "@16@0:8");
        let variables = [("ANE_TRAINER_NEURALENGINE", framework.to_str().unwrap())];
        alone::pass(NAME, &variables);
        return;
    }
    let why = detect().system.engine.unwrap_err();
    for part in ["`+numANECores` of `_ANEDeviceInfo`", "`@@:`", "`I@:`"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let ask = |name: &str| {
        let probe = SYSTEM_PROBES.iter().find(|p| p.name == name).unwrap();
        (probe.ask)(&AppleOptions::default())
    };
    for answer in ask("encodings") {
        let expected = if answer.case == "_ANEDeviceInfo" {
            Finding::DidNotHold { found: why.clone() }
        } else {
            Finding::Held
        };
        assert_eq!(answer.finding, expected, "{}", answer.case);
    }
    assert_eq!(
        ask("has_engine")[0].finding,
        Finding::Refused { words: why }
    );
    assert_eq!(chip_of_the_device(), Chip::H13);
}
