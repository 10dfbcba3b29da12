//! Which chip and system this is.
//!
//! macOS answers through `sysctlbyname`, which is looked up like everything of Apple's: where it is missing, nothing is
//! known. What the answers mean is decided by functions of text.

use ane_ir::Chip;
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fmt, ptr,
};

/// What the system says about itself; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct System {
    /// The processor, such as `Apple M4 Max`.
    pub brand: Option<String>,
    /// The machine, such as `Mac16,1`.
    pub model: Option<String>,
    /// The version of macOS, such as `26.1`.
    pub version: Option<String>,
}

/// The Neural Engine of this machine, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// What the system says.
    pub system: System,
    /// Whether there is a Neural Engine.
    pub engine: bool,
    /// Its generation, when it is known.
    pub known: Option<Chip>,
    /// The generation whose limits programs keep to: its own, or the oldest when it is not known.
    pub chip: Chip,
    /// Why the generation may be wrong.
    pub warning: Option<String>,
}

/// Asks the system.
pub fn detect() -> Detection {
    System {
        brand: sysctl(c"machdep.cpu.brand_string"),
        model: sysctl(c"hw.model"),
        version: sysctl(c"kern.osproductversion"),
    }
    .detection()
}

impl System {
    /// What the answers mean.
    pub fn detection(self) -> Detection {
        let brand = self.brand.as_deref().unwrap_or("");
        let apple = brand.strip_prefix("Apple ");
        // Virtual machines on Apple's processors have no Neural Engine.
        let virtual_machine = brand.contains("Virtual")
            || self.model.as_deref().is_some_and(|m| m.contains("Virtual"));
        let known = apple.and_then(chip);
        let engine = apple.is_some() && !virtual_machine;
        let warning = (engine && known.is_none()).then(|| {
            format!(
                "`{brand}` is not known here; programs keep to the limits of {}, the oldest generation, and --target says otherwise",
                Chip::H13
            )
        });
        Detection {
            known: known.filter(|_| engine),
            chip: known.unwrap_or(Chip::H13),
            engine,
            warning,
            system: self,
        }
    }
}

/// The generation of a processor's engine. aneforge: that of M(n) is H(n + 12); slavko: an A17 Pro says h16, the A18 is
/// taken for the same generation.
fn chip(name: &str) -> Option<Chip> {
    match name.split_whitespace().next()? {
        "M1" => Some(Chip::H13),
        "M2" => Some(Chip::H14),
        "M3" => Some(Chip::H15),
        "M4" | "A17" | "A18" => Some(Chip::H16),
        "M5" => Some(Chip::H17),
        _ => None,
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |x: &Option<String>| x.clone().unwrap_or_else(|| "unknown".into());
        let System {
            brand,
            model,
            version,
        } = &self.system;
        if brand.is_none() {
            return f.write_str("no Apple system");
        }
        let engine = if self.engine {
            format!("Neural Engine of generation {}", self.chip)
        } else {
            "no Neural Engine".to_owned()
        };
        write!(
            f,
            "{} ({}), macOS {}, {engine}",
            or_unknown(brand),
            or_unknown(model),
            or_unknown(version)
        )
    }
}

type SysctlByName =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;

/// The text that the system has under `name`.
fn sysctl(name: &CStr) -> Option<String> {
    let process = libloading::os::unix::Library::this();
    // SAFETY: the type is the function's prototype on every system that has it.
    let call = unsafe { process.get::<SysctlByName>("sysctlbyname") }.ok()?;
    let mut size = 0;
    // SAFETY: the name is terminated; without a place for the value the call writes its size alone.
    let failed = unsafe {
        call(
            name.as_ptr(),
            ptr::null_mut(),
            &raw mut size,
            ptr::null(),
            0,
        )
    } != 0;
    if failed || size == 0 {
        return None;
    }
    let mut value = vec![0_u8; size];
    // SAFETY: the value has room for `size` bytes.
    let failed = unsafe {
        call(
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            &raw mut size,
            ptr::null(),
            0,
        )
    } != 0;
    if failed {
        return None;
    }
    value.truncate(size);
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    let text = CString::new(&value[..end]).ok()?.into_string().ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(brand: &str, model: &str) -> Detection {
        System {
            brand: Some(brand.into()),
            model: Some(model.into()),
            version: Some("26.1".into()),
        }
        .detection()
    }

    #[test]
    fn chips_are_known_by_their_processors() {
        for (brand, chip) in [
            ("Apple M1", Chip::H13),
            ("Apple M2 Pro", Chip::H14),
            ("Apple M3 Ultra", Chip::H15),
            ("Apple M4 Max", Chip::H16),
            ("Apple A18 Pro", Chip::H16),
            ("Apple M5", Chip::H17),
        ] {
            let d = detect(brand, "Mac16,1");
            assert_eq!((d.chip, d.engine, d.warning), (chip, true, None), "{brand}");
        }
    }

    #[test]
    fn an_unknown_chip_is_taken_for_the_oldest_with_a_warning() {
        let d = detect("Apple M9 Max", "Mac40,1");
        assert_eq!((d.chip, d.known, d.engine), (Chip::H13, None, true));
        let warning = d.warning.unwrap();
        assert!(
            warning.contains("M9 Max") && warning.contains("--target"),
            "{warning}"
        );
    }

    #[test]
    fn machines_without_an_engine_are_told_apart() {
        for (brand, model) in [
            ("Apple M1 (Virtual)", "VirtualMac2,1"),
            ("Apple M2", "VirtualMac2,1"),
            (
                "Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz",
                "MacBookPro16,1",
            ),
        ] {
            let d = detect(brand, model);
            assert!(!d.engine, "{brand}");
            assert!(d.to_string().ends_with("no Neural Engine"), "{d}");
        }
        let nowhere = System::default().detection();
        assert!(!nowhere.engine);
        assert_eq!(nowhere.to_string(), "no Apple system");
    }

    #[test]
    fn asking_the_system_fails_nowhere() {
        let d = super::detect();
        assert!(d.system.brand.is_some() || !d.engine);
        assert_eq!(sysctl(c"no.such.name"), None);
    }
}
