//! Which settings an update inside a program refuses, and that what it takes arrives there.

use super::*;

fn with_decay(weight_decay: f64, betas: (f64, f64)) -> [OptimizerConfig; 3] {
    [
        OptimizerConfig::Adam(Adam {
            weight_decay,
            betas,
            ..Adam::default()
        }),
        OptimizerConfig::AdamW(AdamW {
            weight_decay,
            betas,
            ..AdamW::default()
        }),
        OptimizerConfig::Sgd(Sgd {
            weight_decay,
            ..Sgd::default()
        }),
    ]
}

#[test]
fn a_decay_too_small_for_its_scalar_is_refused_by_the_smallest_that_is_not() {
    let betas = Adam::default().betas;
    let refusals = with_decay(1e-9, betas).map(|o| o.as_dyn().refuses_fusion().unwrap());
    let adam =
        "a fused update holds a weight_decay of 0, or of 2.384185791015625e-7 and more, found 1e-9";
    let adamw =
        "a fused update holds a weight_decay of 0, or of 6.103515625e-5 and more, found 1e-9";
    assert_eq!(refusals, [adam, adamw, adam]);
    for decay in [0.0, 6.103_515_625e-5, 1e-4, 0.01] {
        for o in with_decay(decay, betas) {
            assert_eq!(o.as_dyn().refuses_fusion(), None, "{o:?}");
        }
    }
    for o in OptimizerConfig::all() {
        assert_eq!(o.as_dyn().refuses_fusion(), None, "{o:?}");
    }
}

#[test]
fn the_smallest_decay_reaches_every_update_as_it_is() {
    for betas in [
        (0.9, 0.999),
        (0.9, 0.95),
        (0.95, 0.99),
        (0.9, 0.85),
        (0.0, 0.9),
    ] {
        let (c1, c2) = (1.0 - betas.0, 1.0_f64 - betas.1);
        let adamw = SMALLEST_NORMAL / (c1 / c2.sqrt()).min(1.0);
        for o in with_decay(adamw * 1.000_001, betas) {
            let o = o.as_dyn();
            assert_eq!(o.refuses_fusion(), None);
            for t in 1..20_000 {
                let at = StepInfo {
                    t,
                    lr: 1e-3,
                    loss_scale: 1.0,
                    clip: 1.0,
                };
                let decay = *o.scalar_values(&at).last().unwrap();
                assert!(decay >= SMALLEST_NORMAL, "{o:?} at {t}: {decay:e}");
            }
        }
    }
}
