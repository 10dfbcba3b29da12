//! Gradients are held to those that nothing rounds.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/small_network.rs"]
mod small_network;

use ane_ir::{Chip, Numerics, Route, Target};
use ane_train::{
    fidelity::{ParameterFidelity, Verdict},
    forensics::Pass,
    loss_scale::LossScale,
    step::PlanKind,
};
use small_network::{batch, fill, judged, trainer, trainer_on};

#[test]
fn cotangents_that_fp16_loses_are_told_from_those_that_are_zero() {
    let mut t = trainer(PlanKind::Split);
    t.set_loss_scale(LossScale::starting_at(1));
    // Were they the same for all classes, nothing would flow back at all.
    let smallest: fn(usize) -> f32 = |i| match i / 32 % 3 {
        0 => 6e-8,
        _ => -6e-8,
    };
    // What flows back is at most a sixteenth of one, times 2⁻²⁴.
    fill(&mut t, &[("2.weight", smallest)]);
    let lost = judged(&mut t, &batch()[0], &Numerics::ieee());
    let of = |path: &str| lost.iter().find(|p| p.path == path).unwrap();
    assert!(of("0.weight").exact_norm > 0.0, "{lost:?}");
    assert_eq!(of("0.weight").norm, 0.0);
    assert!(of("0.weight").vanished > 0.9, "{lost:?}");
    assert_eq!(of("0.weight").verdict, Verdict::Lost);
    assert_eq!(of("2.weight").verdict, Verdict::Right);
    let mut found = Vec::new();
    for _ in 0..3 {
        // The update would lift them.
        fill(&mut t, &[("2.weight", smallest)]);
        t.train_step(&batch()).unwrap();
        found.extend(t.take_findings());
    }
    let seen: Vec<_> = found
        .iter()
        .map(|f| f.parameter.as_deref().unwrap())
        .collect();
    assert_eq!(seen, ["0.weight", "0.bias"]);
    for finding in &found {
        assert_eq!(
            (finding.layer.as_str(), finding.pass),
            ("2", Pass::Backward)
        );
        let magnitude = finding.magnitude.unwrap();
        assert!(magnitude > 0.0 && magnitude < finding.limit, "{finding}");
        assert!(
            finding
                .to_string()
                .contains("is the smallest that there is")
        );
    }
}

#[test]
fn gradients_are_right_on_every_target_and_wrong_where_something_else_computes() {
    let h16 = Target::new(Chip::H16, Route::E5rt);
    let h13 = Target::new(Chip::H13, Route::E5rt);
    for (target, numerics) in [
        (Target::SOFTWARE, Numerics::ieee()),
        (h16, Numerics::of(&h16)),
        (h13, Numerics::of(&h13).silicon()),
        (h16, Numerics::of(&h16).silicon().pessimistic()),
    ] {
        let mut t = trainer_on(target, &numerics, PlanKind::Split);
        let all = judged(&mut t, &batch()[0], &numerics);
        assert_eq!(all.len(), 4);
        for p in &all {
            assert_eq!(p.verdict, Verdict::Right, "{target}, {numerics:?}: {p:?}");
            assert!(p.cosine > 0.999 && p.error.unwrap() < 0.01, "{p:?}");
            assert!(p.exact_norm > 0.0 && p.vanished < 0.05, "{p:?}");
        }
        let weight = all.iter().find(|p| p.path == "0.weight").unwrap();
        assert!(weight.rounding > 0.0 && weight.bound >= 4.0 * weight.rounding * 0.999);
    }
    // An engine that flushes, held to one that does not.
    let flushes = Numerics::ieee().pessimistic();
    let mut t = trainer_on(Target::SOFTWARE, &flushes, PlanKind::Split);
    t.set_loss_scale(LossScale::starting_at(1));
    fill(
        &mut t,
        &[("2.weight", |i| if i / 32 % 3 == 0 { 1e-3 } else { -1e-3 })],
    );
    let as_it_is = judged(&mut t, &batch()[0], &flushes);
    let held_to_another = judged(&mut t, &batch()[0], &Numerics::ieee());
    let wrong = |all: &[ParameterFidelity]| all.iter().any(|p| p.verdict == Verdict::Wrong);
    assert!(!wrong(&as_it_is), "{as_it_is:?}");
    assert!(wrong(&held_to_another), "{held_to_another:?}");
    assert!(held_to_another[0].subnormal > 0.0);
}
