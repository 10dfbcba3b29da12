//! `has_engine`: whether `_ANEDeviceInfo` says that there is an engine, and of which generation.

use super::{Answer, Finding, SystemProbe};
use crate::apple::{AppleOptions, detect_in};

pub(super) const PROBE: SystemProbe = SystemProbe {
    name: "has_engine",
    settles: "which limits programs keep to: the generation is the engine's own word, or a guess from the processor's name",
    assumes: "there is an engine, and its generation is known here",
    ask,
};

fn ask(options: &AppleOptions) -> Vec<Answer> {
    let found = detect_in(options);
    let finding = match (&found.system.engine, &found.warning) {
        (Err(why), _) => Finding::Refused { words: why.clone() },
        (Ok(info), _) if !info.has_engine => Finding::DidNotHold {
            found: info.to_string(),
        },
        (Ok(_), Some(warning)) => Finding::DidNotHold {
            found: warning.clone(),
        },
        (Ok(_), None) => Finding::Held,
    };
    vec![Answer {
        case: "hasANE".into(),
        finding,
    }]
}
