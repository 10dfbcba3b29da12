//! `encodings`: the types of every Objective-C method that a route calls, class by class.

use super::{Answer, Finding, SystemProbe};
use crate::apple::{AppleOptions, encodings};

pub(super) const PROBE: SystemProbe = SystemProbe {
    name: "encodings",
    settles: "whether methods are called as this system has them: the encodings known are of macOS 27 on M2 and M4",
    assumes: "classes and methods are there with the types that they had",
    ask,
};

fn ask(options: &AppleOptions) -> Vec<Answer> {
    let classes = match encodings(&options.neural_engine) {
        Ok(classes) => classes,
        Err(e) => {
            return vec![Answer {
                case: "framework".into(),
                finding: Finding::Refused {
                    words: e.to_string(),
                },
            }];
        }
    };
    let answer = |(class, differences): (&str, Vec<String>)| Answer {
        case: class.to_owned(),
        finding: if differences.is_empty() {
            Finding::Held
        } else {
            Finding::DidNotHold {
                found: differences.join("; "),
            }
        },
    };
    classes.into_iter().map(answer).collect()
}
