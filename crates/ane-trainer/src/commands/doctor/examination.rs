//! What can be said without running a program.

use crate::{
    output::say,
    reachable::{Reachable, Replaced},
};
use ane_device::{AppleOptions, EngineInfo, EngineLock, Hardware, Settings};
use ane_engine::simd::Isa;
use ane_ir::{Chip, Route, Target};
use ane_train::config::{APPLE, RunConfig};
use serde::Serialize;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// The chip that is assumed where nothing says which.
const OLDEST: Chip = Chip::HARDWARE[0];

/// What there is, and what is missing.
#[derive(Debug, Serialize)]
pub(super) struct Examination {
    ane_trainer: &'static str,
    pub(super) apple_hardware: bool,
    pub(super) hardware: String,
    /// What `train` would use without flags.
    verdict: String,
    system: SystemReport,
    /// Files that are opened instead of Apple's frameworks.
    replaced: Vec<Replaced>,
    devices: Vec<Reachable>,
    instruction_set: &'static str,
    instruction_sets: Vec<&'static str>,
    threads: usize,
    places: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct SystemReport {
    os: &'static str,
    processor: &'static str,
    brand: Option<String>,
    model: Option<String>,
    macos: Option<String>,
    /// What the engine says of itself.
    engine: Option<EngineInfo>,
    /// Why the engine could not be asked.
    engine_unasked: Option<String>,
    neural_engine: bool,
    chip: &'static str,
    /// How the chip was found.
    chip_by: String,
}

/// A folder that something is kept in.
#[derive(Debug, Serialize)]
struct Place {
    what: &'static str,
    path: Option<PathBuf>,
    usable: bool,
    /// Why not.
    why: Option<String>,
}

impl Examination {
    pub(super) fn of(config: &RunConfig, settings: &Settings) -> Self {
        let options = AppleOptions::default();
        let hardware = Hardware::of(&config.device, &options.replaced());
        let system = SystemReport::of();
        let devices = Reachable::all(settings);
        let cache = ane_train::data::default_root();
        let cache = match cache {
            Ok(path) => Place::of("data sets", path.clone(), writable(&path)),
            Err(e) => Place {
                what: "data sets",
                path: None,
                usable: false,
                why: Some(e.to_string()),
            },
        };
        let programs = options.programs.clone();
        let places = vec![
            cache,
            Place::of("programs", programs.clone(), writable(&programs)),
            engine_lock(),
            Place::of("locks of programs", programs.clone(), lockable(&programs)),
            Place::of(
                "temporary files",
                std::env::temp_dir(),
                writable(&std::env::temp_dir()),
            ),
        ];
        Self {
            ane_trainer: env!("CARGO_PKG_VERSION"),
            apple_hardware: hardware.is_apple(),
            hardware: hardware.to_string(),
            verdict: verdict(&system, &devices),
            system,
            replaced: Replaced::all(&options),
            devices,
            instruction_set: Isa::name(settings.isa),
            instruction_sets: Isa::ALL
                .into_iter()
                .filter(|i| i.available())
                .map(Isa::name)
                .collect(),
            threads: settings.pool.as_ref().map_or(1, |p| p.threads()),
            places,
        }
    }

    pub(super) fn print(&self) {
        let s = &self.system;
        say!("{}", self.hardware);
        say!("{}", self.verdict);
        say!("\nsystem");
        say!("  {} {}: {}", s.os, s.processor, ane_device::detect());
        say!("  chip {}: {}", s.chip, s.chip_by);
        if let Some(why) = &s.engine_unasked {
            say!("  the engine could not be asked: {why}");
        }
        say!(
            "  instruction set {} of {}, {} threads",
            self.instruction_set,
            self.instruction_sets.join(", "),
            self.threads
        );
        for r in &self.replaced {
            say!("  {} replaces a framework by `{}`", r.variable, r.file);
        }
        say!("\ndevices");
        for d in &self.devices {
            let route = d.route.map_or(String::new(), |r| format!(" by {r}"));
            let state = d.why.as_deref().unwrap_or("can be opened");
            say!("  {}{route}: {state}", d.device);
        }
        say!("\nplaces");
        for p in &self.places {
            let path = p
                .path
                .as_deref()
                .map_or("none".into(), Path::to_string_lossy);
            say!(
                "  {}: {path}: {}",
                p.what,
                p.why.as_deref().unwrap_or("usable")
            );
        }
    }
}

impl SystemReport {
    fn of() -> Self {
        let found = ane_device::detect();
        let named = found.system.engine.as_ref().ok();
        let named = named.and_then(|info| info.architecture.as_ref());
        let chip_by = match (&found.warning, named, &found.system.brand) {
            (Some(warning), ..) => warning.clone(),
            (None, Some(named), _) => format!("`_ANEDeviceInfo` calls the engine `{named}`"),
            // A virtual machine's processor is called by its generation too, though there is no engine to reach.
            (None, None, Some(brand)) if found.engine || found.chip != OLDEST => {
                format!("the processor is called `{brand}`")
            }
            _ => "nothing says which, so the oldest is assumed; --target names another".into(),
        };
        Self {
            os: std::env::consts::OS,
            processor: std::env::consts::ARCH,
            neural_engine: found.engine,
            chip: found.chip.name(),
            chip_by,
            brand: found.system.brand,
            model: found.system.model,
            macos: found.system.version,
            engine_unasked: found.system.engine.as_ref().err().cloned(),
            engine: found.system.engine.ok(),
        }
    }
}

/// What `train` would use without flags, and why.
fn verdict(system: &SystemReport, devices: &[Reachable]) -> String {
    let best = ane_device::best();
    if best == APPLE {
        return format!(
            "`train` would use `{APPLE}` for {} by {}: there is a Neural Engine and its frameworks can be opened",
            system.chip,
            opened_route(),
        );
    }
    let why = if !system.neural_engine {
        "the system reports no Neural Engine".to_owned()
    } else {
        let by_default = Some(Route::E5rt.name());
        devices
            .iter()
            .find(|d| d.device == APPLE && d.route == by_default)
            .and_then(|d| d.why.clone())
            .unwrap_or_else(|| "its frameworks cannot be opened".into())
    };
    format!("`train` would use `{best}`: {why}")
}

/// The route of the device `apple` when no flag names one: where the first cannot be taken, another is.
fn opened_route() -> Route {
    let settings = Settings {
        target: Target::new(ane_device::detect().chip, Route::E5rt),
        ..Settings::default()
    };
    ane_device::open(APPLE, &settings).map_or(Route::E5rt, |device| device.target().route)
}

impl Place {
    fn of(what: &'static str, path: PathBuf, tried: io::Result<()>) -> Self {
        Self {
            what,
            path: Some(path),
            usable: tried.is_ok(),
            why: tried.err().map(|e| e.to_string()),
        }
    }
}

/// The folder itself, or the nearest one above it that exists: where it would be made.
fn existing(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|f| f.exists())
        .unwrap_or(Path::new("."))
}

/// Whether a file can be made in a folder, which itself is not made.
fn writable(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(existing(folder)).map(drop)
}

/// Whether another training has the engine. Nobody has it where there is no file yet, and none is made.
fn engine_lock() -> Place {
    let path = EngineLock::path();
    let why = path
        .exists()
        .then(|| EngineLock::acquire(&path).err())
        .flatten()
        .map(|e| e.to_string());
    Place {
        what: "the engine, one training at a time",
        path: Some(path),
        usable: why.is_none(),
        why,
    }
}

/// Whether a file there can be locked, which keeps one process from removing the programs of another.
fn lockable(folder: &Path) -> io::Result<()> {
    let file = tempfile::NamedTempFile::new_in(existing(folder))?;
    File::open(file.path())?.try_lock().map_err(io::Error::from)
}
