//! Compilations and bindings that never return, when a run begins and when its device starts again.

use super::{OFTEN, faulty, finish, fired, plan_of, run_of, settings, undisturbed};
use ane_device::{Supervised, Supervision};
use ane_train::{fit, step::PlanKind};
use std::time::Duration;

#[test]
fn compilations_and_bindings_that_hang_are_ended_at_their_deadline_and_change_no_bit() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        // The first two are met before the run begins. After the crash the compilation of the training program hangs, and
        // then its first binding; either program has two in the fused plan.
        let bindings = if plan == PlanKind::Fused { 2 } else { 1 };
        let lines = [
            "compile 1 hang".to_owned(),
            "load 1 hang".to_owned(),
            "execute 9 crash".to_owned(),
            "compile 5 hang".to_owned(),
            format!("load {} hang", 2 + 2 * bindings),
        ];
        plan_of(dir.path(), &lines);
        let supervision = Supervision {
            compile_deadline: Duration::from_millis(1500),
            ..faulty::supervision(dir.path(), "serves")
        };
        let device = Supervised::open("software", &settings(), supervision).unwrap();
        let run = dir.path().join("run");
        let fit = run_of(Box::new(device), plan, &run, Some(OFTEN));
        let mut told = Vec::new();
        let found = finish(fit, &mut |event| {
            if let fit::Event::Fault { message, .. } = event {
                told.push(message.clone());
            }
        });
        assert!(found == undisturbed(plan), "{plan:?}");
        let of = |during: &str| {
            let expected = format!("more than 1.5 s for {during}");
            told.iter().filter(|m| m.contains(&expected)).count()
        };
        assert!(of("compiling") >= 1 && of("binding") >= 1, "{told:?}");
        let fired: Vec<String> = fired(dir.path()).iter().map(ToString::to_string).collect();
        assert_eq!(fired, lines, "{plan:?}");
    }
}
