//! Steps are traced where chips have limits of their own, pack ports, and leave a part to the host.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/small_network.rs"]
mod small_network;

use ane_ir::{Chip, DType, Numerics, Route, Target};
use ane_train::{
    data::{Batch, Values},
    fidelity::Verdict,
    forensics::{Pass, What},
    loss_scale::LossScale,
    model::{Init, Input, Model, Tags},
    models::Mlp,
    nn::Linear,
    step::PlanKind,
};
use half::f16;
use small_network::{
    BATCH, CLASSES, Filled, HUGE, STEEP, batch, fill, judged, near, trainer_of, trainer_on,
};
use std::collections::BTreeSet;

/// Ways in which chips are reported to compute.
fn chips() -> Vec<(Target, Numerics)> {
    let [h13, h16] = [Chip::H13, Chip::H16].map(|chip| Target::new(chip, Route::Client));
    vec![
        (h13, Numerics::of(&h13)),
        (h16, Numerics::of(&h16).silicon()),
        (h16, Numerics::of(&h16).silicon().pessimistic()),
    ]
}

#[test]
fn chips_overflow_in_the_same_places_at_limits_of_their_own() {
    for (target, numerics) in chips() {
        for plan in [PlanKind::Split, PlanKind::Fused] {
            let of = |begin: &[Filled]| {
                let mut t = trainer_on(target, &numerics, plan);
                t.watch(numerics.clone(), true, &BTreeSet::new());
                fill(&mut t, begin);
                assert!(t.train_step(&batch()).unwrap().overflow);
                let mut found = t.take_findings();
                assert_eq!(found.len(), 1, "{target}, {numerics:?}");
                found.remove(0)
            };
            let forward = of(&HUGE);
            assert_eq!((forward.pass, forward.layer.as_str()), (Pass::Forward, "0"));
            assert_eq!((forward.what, forward.limit), (What::Overflow, 32_752.0));
            let backward = of(&STEEP);
            assert_eq!(
                (backward.pass, backward.layer.as_str()),
                (Pass::Backward, "2")
            );
            assert_eq!((backward.what, backward.limit), (What::Overflow, 16_376.0));
        }
    }
}

/// So deep that its ports are packed where a request holds few.
const DEEP: usize = 36;

#[test]
fn layers_keep_their_names_where_ports_are_packed() {
    let widths = vec!["16"; DEEP].join("-");
    let target = Target::new(Chip::H16, Route::Client);
    let numerics = Numerics::of(&target);
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let model: Mlp = format!("20-{widths}-10").parse().unwrap();
        let mut t = trainer_of(model.model(BATCH).unwrap(), target, &numerics, plan);
        assert!(
            !t.step().packed.is_empty(),
            "the test's own network is too small"
        );
        t.watch(numerics.clone(), true, &BTreeSet::new());
        // Layers that hand on what they get: 1 everywhere.
        let weights = t.weights().unwrap().into_iter();
        let ones: Vec<Vec<f32>> = weights
            .map(|(name, _, old)| {
                let value = match name.as_str() {
                    "0.weight" => 0.0,
                    "0.bias" => 1.0,
                    _ if name.ends_with("bias") => 0.0,
                    _ => 1.0 / 16.0,
                };
                vec![value; old.len()]
            })
            .collect();
        t.set_weights(&ones).unwrap();
        let (overflowing, dead) = (40, 60);
        let mut broken = ones.clone();
        // Weights and biases take turns, as layers and activations do.
        broken[overflowing].fill(60_000.0);
        t.set_weights(&broken).unwrap();
        assert!(t.train_step(&batch()).unwrap().overflow);
        let found = t.take_findings();
        assert_eq!(found[0].layer, overflowing.to_string(), "{}", found[0]);
        near(found[0].magnitude, 16.0 * f16::from_f32(60_000.0).to_f64());
        let mut broken = ones;
        broken[dead + 1].fill(-1000.0);
        // What follows is alive.
        for bias in broken.iter_mut().skip(dead + 3).step_by(2) {
            bias.fill(1.0);
        }
        t.set_weights(&broken).unwrap();
        let mut found = Vec::new();
        for _ in 0..3 {
            assert!(!t.train_step(&batch()).unwrap().overflow);
            found.extend(t.take_findings());
        }
        let of = |path: &str| {
            let path = Some(path.to_owned());
            let found = found.iter().find(|f| f.parameter == path);
            found.map(|f| f.layer.clone())
        };
        // Whatever is before the layer that died, its activation is to blame.
        for path in ["0.bias".to_owned(), format!("{dead}.weight")] {
            assert_eq!(of(&path), Some((dead + 1).to_string()), "{path}: {found:?}");
        }
        assert_eq!(of(&format!("{}.bias", 2 * DEEP)), None);
    }
}

#[test]
fn what_the_host_computes_is_judged_as_the_host_computes_it() {
    let embedding = Tags {
        bias: false,
        norm: false,
        embedding: true,
    };
    let tokens = Input::new("tokens", DType::Int32, [3]);
    let model = Model::build("embedding", BATCH, &[tokens], |cx, x| {
        let rows = cx.scope("embedding", |cx| {
            let table = cx.parameter("weight", [50, 8], Init::Uniform(0.5), embedding)?;
            Ok(cx.graph().gather(table, x[0], 0)?)
        })?;
        let mean = cx.scope("mean", |cx| {
            Ok(cx.graph().reduce_mean(rows, &[1], false)?)
        })?;
        Ok([("logits", cx.layer("fc", Linear::new(8, CLASSES), mean)?)])
    });
    let mut of_tokens = Batch::new(BATCH, BATCH);
    let all = (0..BATCH * 3).map(|i| (i % 50) as i32);
    of_tokens.set("tokens", Values::Int32(all.collect()));
    let labels = (0..BATCH).map(|i| (i % CLASSES) as i32);
    of_tokens.set("label", Values::Int32(labels.collect()));
    let of_tokens = [of_tokens];
    let target = Target::new(Chip::H16, Route::Client);
    let numerics = Numerics::of(&target);
    let mut t = trainer_of(model.unwrap(), target, &numerics, PlanKind::Split);
    assert!(!t.stages().host.is_empty());
    t.watch(numerics.clone(), true, &BTreeSet::new());
    let all = judged(&mut t, &of_tokens[0], &numerics);
    assert!(all.iter().all(|p| p.verdict == Verdict::Right), "{all:?}");
    fill(
        &mut t,
        &[("embedding.weight", |_| 60_000.0), ("fc.weight", |_| 1.0)],
    );
    assert!(t.train_step(&of_tokens).unwrap().overflow);
    let found = t.take_findings();
    assert_eq!(
        (found[0].layer.as_str(), found[0].pass),
        ("fc", Pass::Forward),
        "{found:?}"
    );
    near(found[0].magnitude, 8.0 * f16::from_f32(60_000.0).to_f64());
    // Nothing flows through weights that are zero, to the table least of all.
    fill(
        &mut t,
        &[("embedding.weight", |_| 0.5), ("fc.weight", |_| 0.0)],
    );
    let mut found = Vec::new();
    for _ in 0..3 {
        fill(&mut t, &[("fc.weight", |_| 0.0)]);
        assert!(!t.train_step(&of_tokens).unwrap().overflow);
        found.extend(t.take_findings());
    }
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(finding.parameter.as_deref(), Some("embedding.weight"));
    assert_eq!((finding.layer.as_str(), finding.step), ("fc", 4));
    // Sums of a row that every token has are larger than fp16, and the host adds in fp32.
    let mut alike = of_tokens;
    alike[0].set("tokens", Values::Int32(vec![7; BATCH * 3]));
    alike[0].set("label", Values::Int32(vec![0; BATCH]));
    let one_sided: Filled = ("fc.weight", |i| if i < 8 { 100.0 } else { -100.0 });
    fill(
        &mut t,
        &[
            ("embedding.weight", |_| 0.0),
            one_sided,
            ("fc.bias", |_| 0.0),
        ],
    );
    t.set_loss_scale(LossScale::default());
    let before = *t.progress();
    let outcome = t.train_step(&alike).unwrap();
    assert!(!outcome.overflow, "{outcome:?}");
    assert_eq!(t.gradient(0).unwrap().len(), 50 * 8);
    let row = &t.gradient(0).unwrap()[7 * 8..8 * 8];
    assert!(row.iter().all(|g| g.abs() * 1024.0 > 65_520.0), "{row:?}");
    assert_eq!(t.examine(&before, &alike, &numerics).unwrap(), None);
}
