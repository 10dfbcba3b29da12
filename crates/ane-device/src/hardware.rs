//! Whether Apple's hardware is what computes.

use crate::{apple, detect, null};
use std::{fmt, path::Path};

/// What computes on a device, as far as can be known from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    /// A Neural Engine, through the frameworks of macOS.
    Apple,
    /// Nothing computes.
    Nothing,
    /// The software engine.
    Software,
    /// Files take the place of Apple's frameworks, or there is no Neural Engine under them.
    StandIn,
}

impl Hardware {
    /// What is behind the device called `name`, while `replaced` files are opened instead of Apple's frameworks.
    ///
    /// No word of a framework makes hardware: a stand-in answers for itself as the framework does. A Neural Engine is
    /// believed in when the system says that this is a Mac with one, nothing is replaced, and the engine does not deny
    /// itself.
    pub fn of(name: &str, replaced: &[(&'static str, &Path)]) -> Self {
        if name == null::ENTRY.name {
            Self::Nothing
        } else if name != apple::ENTRY.name {
            Self::Software
        } else if replaced.is_empty() && detect().engine {
            Self::Apple
        } else {
            Self::StandIn
        }
    }

    /// Whether Apple's hardware computes.
    pub fn is_apple(self) -> bool {
        self == Self::Apple
    }
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Apple => return f.write_str("this is Apple's Neural Engine"),
            Self::Nothing => "a device that computes nothing,",
            Self::Software => "the software engine",
            Self::StandIn => "a stand-in",
        };
        let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
        write!(
            f,
            "NO APPLE HARDWARE WAS INVOLVED: this is {what} on {system} {processor}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_apples_says_so() {
        let replaced = [("ANE_TRAINER_ESPRESSO", Path::new("/there/libe.so"))];
        assert_eq!(Hardware::of("software", &replaced), Hardware::Software);
        assert_eq!(Hardware::of("null", &[]), Hardware::Nothing);
        let stand_in = Hardware::of("apple", &replaced);
        assert_eq!(stand_in, Hardware::StandIn);
        let said = stand_in.to_string();
        assert!(
            said.starts_with("NO APPLE HARDWARE WAS INVOLVED: this is a stand-in on "),
            "{said}"
        );
        // Without anything replaced, the machine decides.
        assert_eq!(Hardware::of("apple", &[]).is_apple(), detect().engine);
    }
}
