//! Probes against the software engine, under policies that hold and that do not hold what is assumed.

use super::*;
use crate::{Settings, open};
use ane_ir::{Chip, Numerics, Route};

fn ask(name: &str, target: Target, numerics: Numerics) -> Vec<Answer> {
    let settings = Settings {
        target,
        numerics,
        ..Settings::default()
    };
    let device = open("software", &settings).unwrap();
    Probe::named(name).unwrap().ask(&*device).unwrap()
}

fn h16() -> Target {
    Target::new(Chip::H16, Route::E5rt)
}

#[test]
fn the_list_is_in_order_and_names_rules_that_exist() {
    assert!(PROBES.is_sorted_by_key(|p| p.name));
    for p in PROBES {
        for rule in p.waives {
            assert!(ane_mil::RULES.iter().any(|r| r.id == *rule), "{rule}");
        }
        if let Some(rest) = p.settles.strip_prefix("rule ") {
            let rule = rest.split([' ', ',', ':']).next().unwrap();
            assert!(ane_mil::RULES.iter().any(|r| r.id == rule), "{rule}");
        }
    }
}

#[test]
fn what_is_assumed_of_every_target_holds_on_the_engine_that_models_it() {
    for chip in Chip::ALL {
        for route in Route::ALL {
            let target = Target::new(chip, route);
            for p in PROBES {
                for a in ask(p.name, target, Numerics::of(&target)) {
                    assert_eq!(a.finding, Finding::Held, "{target} {}: {}", p.name, a.case);
                }
            }
        }
    }
}

#[test]
fn other_habits_are_found_and_read() {
    let found = |name: &str, numerics: Numerics| -> String {
        let answers = ask(name, h16(), numerics);
        let all: Vec<String> = answers.iter().map(|a| a.finding.to_string()).collect();
        all.join("\n")
    };
    let usual = || Numerics::of(&h16());
    let narrow = found("sum_width", usual().pessimistic());
    assert!(
        narrow.contains("`y`[0] is 2048.0, expected 2110.0"),
        "{narrow}"
    );
    assert!(narrow.contains("running sums are fp16"), "{narrow}");
    assert!(narrow.ends_with("held"), "matmul is wide: {narrow}");
    let flushed = found("subnormals", usual().pessimistic());
    assert!(flushed.contains("subnormals are flushed"), "{flushed}");
    let silicon = found("non_finite", usual().silicon());
    assert!(silicon.contains("a finite value hides it"), "{silicon}");
    let wide = found("wide_chain", usual().silicon());
    assert!(
        wide.contains("the low part of a pair would be lost"),
        "{wide}"
    );
    assert!(
        wide.contains("sums stay wide until they are scaled"),
        "{wide}"
    );
    let no_cliff = found("matmul_cliff", Numerics::ieee());
    assert!(no_cliff.contains("no limit below fp16's own"), "{no_cliff}");
    let clamp = Numerics {
        slice_limit: Some(4_094.0),
        ..usual()
    };
    let clamp = found("slice_offset", clamp);
    assert!(
        clamp.contains("clamps slices and was not known to"),
        "{clamp}"
    );
}

#[test]
fn loading_is_no_evidence_where_nothing_is_stated() {
    let settings = Settings {
        target: Target::new(Chip::H16, Route::Client),
        ..Settings::default()
    };
    let device = open("null", &settings).unwrap();
    let probe = Probe::named("narrow_rows").unwrap();
    for answer in probe.ask(&*device).unwrap() {
        assert_eq!(answer.finding, Finding::NotStated, "{}", answer.case);
        assert!(answer.finding.to_string().contains("says nothing of it"));
    }
}
