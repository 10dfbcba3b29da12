//! Steps that go wrong are traced to the first tensor that does.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/small_network.rs"]
mod small_network;

use ane_ir::{Numerics, Target};
use ane_train::{
    data::Values,
    forensics::{Finding, Pass, What},
    loss_scale::LossScale,
    model::{Input, Model},
    nn::{Dropout, Linear},
    step::PlanKind,
};
use half::f16;
use small_network::{
    BATCH, CLASSES, DEAD, Filled, HUGE, INPUTS, STEEP, batch, fill, inputs, near, trainer,
    trainer_of,
};
use std::collections::BTreeSet;

#[test]
fn a_forward_overflow_is_found_in_its_layer_with_its_magnitude() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan);
        assert!(!t.train_step(&batch()).unwrap().overflow);
        assert_eq!(t.take_findings(), []);
        fill(&mut t, &HUGE);
        assert!(t.train_step(&batch()).unwrap().overflow);
        let found = t.take_findings();
        let [finding] = &found[..] else {
            panic!("{found:?}")
        };
        let sums = inputs();
        let sums = sums
            .chunks(INPUTS)
            .map(|x| x.iter().map(|&x| f64::from(x)).sum::<f64>());
        let weight = f16::from_f32(50_000.0).to_f64();
        let largest = sums.map(|sum| (sum * weight).abs()).fold(0.0, f64::max);
        assert!(largest > 65_504.0, "the test's own weights do not overflow");
        near(finding.magnitude, largest);
        let expected = Finding {
            step: 2,
            layer: "0".into(),
            op: finding.op.clone(),
            pass: Pass::Forward,
            what: What::Overflow,
            magnitude: finding.magnitude,
            limit: 65_504.0,
            loss_scale: 1024.0,
            parameter: None,
        };
        assert_eq!(*finding, expected);
        assert!(["linear", "matmul"].contains(&finding.op.as_str()));
    }
}

#[test]
fn a_backward_overflow_is_found_behind_a_forward_pass_that_is_finite() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan);
        fill(&mut t, &STEEP);
        let before = *t.progress();
        let outcome = t.train_step(&batch()).unwrap();
        assert!(outcome.overflow && outcome.loss.is_finite(), "{outcome:?}");
        let found = t.take_findings();
        let [finding] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (finding.pass, finding.what, finding.layer.as_str()),
            (Pass::Backward, What::Overflow, "2")
        );
        assert_eq!((finding.step, finding.limit), (1, 16_376.0));
        assert!(finding.magnitude.unwrap() > 16_376.0);
        // Its magnitude is that of the loss scale. Without it the backward pass is finite; only a fused update has a unit
        // of its own, in which such gradients are too large.
        let mut small = before;
        small.loss_scale = LossScale::starting_at(1);
        let other = t.examine(&small, &batch(), &Numerics::ieee()).unwrap();
        assert_eq!(
            other.map(|f| (f.pass, f.layer)),
            (plan == PlanKind::Fused).then(|| (Pass::Update, "0.weight".to_owned()))
        );
        let again = t.examine(&before, &batch(), &Numerics::ieee()).unwrap();
        assert_eq!(again.as_ref(), Some(finding));
    }
}

#[test]
fn an_update_of_several_batches_is_traced_in_the_batch_that_overflows() {
    let mut t = trainer(PlanKind::Split);
    let mut large = batch()[0].clone();
    let bits = f16::from_f32(60_000.0).to_bits();
    large.set("x", Values::Fp16(vec![bits; BATCH * INPUTS]));
    let mut batches = [batch()[0].clone(), large, batch()[0].clone()];
    ane_train::data::share_divisor(&mut batches);
    fill(&mut t, &[("0.weight", |_| 1.0)]);
    let before = *t.progress();
    assert!(t.train_step(&batches).unwrap().overflow);
    let found = t.take_findings();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].layer.as_str(), found[0].pass),
        ("0", Pass::Forward)
    );
    near(found[0].magnitude, 20.0 * f16::from_f32(60_000.0).to_f64());
    let again = t.examine(&before, &batches, &Numerics::ieee()).unwrap();
    assert_eq!(again.as_ref(), found.first());
    assert_eq!(t.repeat(&before, &batches).unwrap().len(), 3);
}

#[test]
fn a_loss_that_is_not_finite_though_the_step_is_accepted_is_told_once() {
    let mut t = trainer(PlanKind::Split);
    // Logits that fp16 holds, and differences of them that it does not.
    let far_apart: Filled = ("2.bias", |i| if i == 0 { 40_000.0 } else { -40_000.0 });
    fill(&mut t, &[far_apart]);
    let mut found = Vec::new();
    for _ in 0..3 {
        let outcome = t.train_step(&batch()).unwrap();
        assert!(
            !outcome.overflow && !outcome.loss.is_finite(),
            "{outcome:?}"
        );
        found.extend(t.take_findings());
    }
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((finding.step, finding.layer.as_str()), (1, "loss"));
    assert_eq!(
        (finding.pass, finding.what),
        (Pass::Forward, What::Overflow)
    );
    assert!(
        (finding.magnitude.unwrap() - 80_000.0).abs() < 200.0,
        "{finding}"
    );
}

#[test]
fn dead_units_are_found_where_they_let_nothing_through_once_per_parameter() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan);
        fill(&mut t, &DEAD);
        let mut found = Vec::new();
        for _ in 0..8 {
            assert!(!t.train_step(&batch()).unwrap().overflow);
            found.extend(t.take_findings());
        }
        let seen: Vec<(u64, &str, &str)> = found
            .iter()
            .map(|f| (f.step, f.parameter.as_deref().unwrap(), f.layer.as_str()))
            .collect();
        let expected = [
            (3, "0.weight", "1"),
            (3, "0.bias", "1"),
            (3, "2.weight", "2"),
        ];
        assert_eq!(seen, expected, "{}", plan.name());
        for finding in &found {
            assert_eq!(
                (finding.pass, finding.what),
                (Pass::Backward, What::Vanished)
            );
            assert_eq!(
                finding.magnitude,
                Some(0.0),
                "nothing is lost to fp16: {finding}"
            );
        }
        // A run that goes on does not say it again.
        let told = found.into_iter().filter_map(|f| f.parameter).collect();
        t.watch(Numerics::ieee(), true, &told);
        for _ in 0..4 {
            t.train_step(&batch()).unwrap();
        }
        assert_eq!(t.take_findings(), []);
    }
}

#[test]
fn only_what_does_not_end_is_looked_into_unless_all_is_asked_for() {
    let mut t = trainer(PlanKind::Split);
    t.watch(Numerics::ieee(), false, &BTreeSet::new());
    fill(&mut t, &HUGE);
    let mut steps = Vec::new();
    while !t.progress().loss_scale.has_diverged() {
        t.train_step(&batch()).unwrap();
        steps.extend(
            t.take_findings()
                .into_iter()
                .map(|f| (f.step, f.loss_scale)),
        );
    }
    // The third in a row, the one that brings the scale to 1, and the last.
    assert_eq!(steps, [(3, 256.0), (10, 2.0), (20, 1.0)]);
}

#[test]
fn a_step_repeats_its_bits_with_what_was_drawn_for_it_and_changes_nothing() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let x = Input::fp16("x", [INPUTS]);
        let model = Model::build("dropping", BATCH, &[x], |cx, x| {
            let x = cx.layer("0", Linear::new(INPUTS, 32), x[0])?;
            let x = cx.layer("drop", Dropout::new(0.5), x)?;
            Ok([("logits", cx.layer("2", Linear::new(32, CLASSES), x)?)])
        });
        let ieee = Numerics::ieee();
        let mut t = trainer_of(model.unwrap(), Target::SOFTWARE, &ieee, plan);
        t.train_step(&batch()).unwrap();
        for overflows in [false, true] {
            if overflows {
                fill(&mut t, &HUGE);
            }
            let (before, state) = (*t.progress(), t.state().unwrap());
            let first = t.repeat(&before, &batch()).unwrap();
            assert_eq!(t.repeat(&before, &batch()).unwrap(), first);
            assert_eq!(t.state().unwrap(), state);
            let [[loss, _]] = t
                .evaluate_step(&before, &batch(), &Numerics::ieee())
                .unwrap()[..]
            else {
                panic!("one batch has one loss")
            };
            let mut other = before;
            other.loss_scale = LossScale::starting_at(1);
            let scaled = t.repeat(&other, &batch()).unwrap();
            let outcome = t.train_step(&batch()).unwrap();
            assert_eq!(outcome.overflow, overflows);
            assert_eq!(first[0].loss, outcome.loss.to_bits());
            if overflows {
                assert!(!loss.is_finite() && !outcome.loss.is_finite());
            } else {
                assert!((loss / outcome.loss - 1.0).abs() < 1e-3);
                assert_eq!(scaled[0].loss, first[0].loss);
                assert_ne!(scaled[0].outputs, first[0].outputs);
                other.step += 1;
                let drawn_anew = t.repeat(&other, &batch()).unwrap();
                assert_ne!(drawn_anew[0].loss, first[0].loss);
            }
        }
    }
}
