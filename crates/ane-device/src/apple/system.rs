//! Which chip and system this is.
//!
//! macOS answers through `sysctlbyname`, which is looked up like everything of Apple's: where it is missing, nothing is
//! known. The engine answers through `_ANEDeviceInfo`, where the framework is there. What the answers mean is decided by
//! functions of text.

use super::{AppleOptions, objc};
use ane_ir::Chip;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char, c_int, c_void},
    fmt,
    path::PathBuf,
    ptr,
    sync::{Mutex, PoisonError},
};

/// What the system says about itself; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// The processor, such as `Apple M4 Max`.
    pub brand: Option<String>,
    /// The machine, such as `Mac16,1`.
    pub model: Option<String>,
    /// The version of macOS, such as `26.1`.
    pub version: Option<String>,
    /// What the engine says, or why it could not be asked.
    pub engine: Result<EngineInfo, String>,
}

/// What `_ANEDeviceInfo` says of the engine (ane-reference §1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// Whether there is one.
    pub has_engine: bool,
    /// Its architecture: the generation and a letter for the size of the chip, such as `h16g`.
    pub architecture: Option<String>,
    /// The architecture without the letter.
    pub sub_type: Option<String>,
    /// Cores of an engine.
    pub cores: u32,
    /// Engines.
    pub engines: u32,
    /// The product.
    pub product: Option<String>,
    /// The build of the system.
    pub build: Option<String>,
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

/// Asks the system, and the engine through the framework that is opened by default.
pub fn detect() -> Detection {
    detect_in(&AppleOptions::default())
}

/// Asks the system, and the engine through the framework of `options`, once in the life of the process for each.
pub(crate) fn detect_in(options: &AppleOptions) -> Detection {
    static ENGINES: Mutex<BTreeMap<PathBuf, Result<EngineInfo, String>>> =
        Mutex::new(BTreeMap::new());
    let framework = &options.neural_engine;
    let engine = {
        let mut known = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = || objc::engine_info(framework).map_err(|e| e.to_string());
        known.entry(framework.clone()).or_insert_with(ask).clone()
    };
    System {
        brand: sysctl(c"machdep.cpu.brand_string"),
        model: sysctl(c"hw.model"),
        version: sysctl(c"kern.osproductversion"),
        engine,
    }
    .detection()
}

impl Default for System {
    /// A system that says nothing.
    fn default() -> Self {
        Self {
            brand: None,
            model: None,
            version: None,
            engine: Err("nothing was asked".into()),
        }
    }
}

impl System {
    /// What the answers mean. The engine's own word on its generation counts more than the processor's name, which it
    /// is guessed from where the engine is silent. That there is an engine the system must say, and the engine must not
    /// deny it: a file in the framework's place would claim anything.
    pub fn detection(self) -> Detection {
        let brand = self.brand.as_deref().unwrap_or("");
        let apple = brand.strip_prefix("Apple ");
        // Virtual machines on Apple's processors have no Neural Engine.
        let virtual_machine = brand.contains("Virtual")
            || self.model.as_deref().is_some_and(|m| m.contains("Virtual"));
        let info = self.engine.as_ref().ok();
        let engine = apple.is_some() && !virtual_machine && info.is_none_or(|info| info.has_engine);
        let named = info.and_then(|info| info.architecture.as_deref());
        let by_name = apple.and_then(chip);
        let known = named.map_or(by_name, generation);
        let oldest = Chip::H13;
        // Without an engine its generation is nobody's concern, unless a stand-in is there to be asked.
        let named_here = named.filter(|_| engine || self.brand.is_none());
        let warning = match (named_here, known) {
            (Some(named), None) => Some(format!(
                "the engine calls itself `{named}`, which is not known here; programs keep to the limits of {oldest}, the oldest generation, and --target says otherwise"
            )),
            (Some(named), Some(own)) if by_name.is_some_and(|by_name| by_name != own) => {
                Some(format!(
                    "the engine calls itself `{named}`, `{brand}` is known with another; programs keep to the limits of {own}, and --target says otherwise"
                ))
            }
            (None, None) if engine => Some(format!(
                "`{brand}` is not known here; programs keep to the limits of {oldest}, the oldest generation, and --target says otherwise"
            )),
            _ => None,
        };
        Detection {
            known: known.filter(|_| engine),
            chip: known.unwrap_or(oldest),
            engine,
            warning,
            system: self,
        }
    }
}

/// The generation in an architecture such as `h16g`.
fn generation(architecture: &str) -> Option<Chip> {
    let architecture = architecture.to_ascii_lowercase();
    let is_own = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
    Chip::HARDWARE
        .into_iter()
        .find(|chip| architecture.strip_prefix(chip.name()).is_some_and(is_own))
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
            engine: info,
        } = &self.system;
        if brand.is_none() {
            f.write_str("no Apple system")?;
            return match info {
                Ok(info) => write!(f, "; what is in the framework's place says: {info}"),
                Err(_) => Ok(()),
            };
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
        )?;
        match info {
            Ok(info) => write!(f, "; the engine says: {info}"),
            Err(_) => Ok(()),
        }
    }
}

impl fmt::Display for EngineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unnamed = |x: &Option<String>| x.clone().unwrap_or_else(|| "unnamed".into());
        if !self.has_engine {
            return f.write_str("no Neural Engine");
        }
        write!(
            f,
            "{}, {} engine of {} cores, {}, build {}",
            or_unnamed(&self.architecture),
            self.engines,
            self.cores,
            or_unnamed(&self.product),
            or_unnamed(&self.build)
        )
    }
}

type SysctlByName =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;

/// Bytes of memory that the machine has, where `sysctlbyname` tells it.
pub(crate) fn physical_memory() -> Option<u64> {
    let bytes = sysctl_bytes(c"hw.memsize")?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// The text that the system has under `name`.
fn sysctl(name: &CStr) -> Option<String> {
    let value = sysctl_bytes(name)?;
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    let text = CString::new(&value[..end]).ok()?.into_string().ok()?;
    Some(text.trim().to_owned())
}

/// What the system has under `name`.
fn sysctl_bytes(name: &CStr) -> Option<Vec<u8>> {
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
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(brand: &str, model: &str) -> Detection {
        System {
            brand: Some(brand.into()),
            model: Some(model.into()),
            version: Some("26.1".into()),
            ..System::default()
        }
        .detection()
    }

    fn with_engine(brand: Option<&str>, has_engine: bool, architecture: &str) -> Detection {
        System {
            brand: brand.map(str::to_owned),
            engine: Ok(EngineInfo {
                has_engine,
                architecture: Some(architecture.into()),
                sub_type: None,
                cores: 16,
                engines: 1,
                product: None,
                build: None,
            }),
            ..System::default()
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
    fn the_engine_knows_its_generation_best() {
        let d = with_engine(Some("Apple M9 Max"), true, "h17s");
        assert_eq!(
            (d.chip, d.known, d.warning),
            (Chip::H17, Some(Chip::H17), None)
        );
        let d = with_engine(Some("Apple M4"), true, "H15g");
        assert_eq!((d.chip, d.engine), (Chip::H15, true));
        let warning = d.warning.unwrap();
        assert!(
            warning.contains("H15g") && warning.contains("Apple M4"),
            "{warning}"
        );
        let d = with_engine(Some("Apple M4"), true, "h18g");
        assert_eq!((d.chip, d.known), (Chip::H13, None));
        assert!(d.warning.unwrap().contains("h18g"));
        // A number that only begins like a known one.
        assert_eq!(generation("h160"), None);
    }

    #[test]
    fn an_engine_that_denies_itself_is_none() {
        let d = with_engine(Some("Apple M4"), false, "h16g");
        assert!(!d.engine && d.known.is_none());
        assert!(
            d.to_string().contains("the engine says: no Neural Engine"),
            "{d}"
        );
    }

    #[test]
    fn a_file_in_the_frameworks_place_makes_no_engine() {
        let d = with_engine(None, true, "h16g");
        assert_eq!((d.engine, d.known, d.chip), (false, None, Chip::H16));
        assert!(
            d.to_string()
                .starts_with("no Apple system; what is in the framework's place says: h16g"),
            "{d}"
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
