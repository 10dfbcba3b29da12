//! `devices`: what there is to run on.

use crate::{ended::Ended, failure::Failure, output::say};
use ane_device::{AppleOptions, Settings};
use ane_engine::simd::Isa;
use ane_ir::{Chip, Route, Target};
use ane_train::config::APPLE;

pub(crate) fn run() -> Result<Ended, Failure> {
    say!("devices");
    let found = ane_device::detect();
    let best = ane_device::best();
    for d in ane_device::DEVICES {
        let best = if d.name == best { " (the default)" } else { "" };
        say!("  {:<10} {}{best}", d.name, d.summary);
        if d.name == APPLE {
            routes(found.chip);
        }
    }
    say!("\ntargets, the limits and quirks a program is held to");
    say!("  {:<10} no hardware limits", Target::SOFTWARE.to_string());
    for chip in Chip::HARDWARE {
        let t = Target::new(chip, Route::E5rt);
        let axis = t.max_axis().map_or("any".to_owned(), |a| a.to_string());
        let slice = t.slice_limit().map_or(String::new(), |l| {
            format!(", slices inside the last axis up to {l}")
        });
        say!(
            "  {:<10} axes up to {axis}, matmul results up to 32752{slice}",
            t.to_string()
        );
    }
    let isas: Vec<&str> = Isa::ALL
        .into_iter()
        .filter(|i| i.available())
        .map(Isa::name)
        .collect();
    say!(
        "\nthis machine: {} threads, instruction sets {} (ANE_TRAINER_ISA chooses; {} is the default)",
        std::thread::available_parallelism().map_or(1, usize::from),
        isas.join(", "),
        Isa::detect()
    );
    say!("system: {found}");
    if let Some(warning) = found.warning {
        say!("warning: {warning}");
    }
    for (variable, path) in AppleOptions::default().replaced() {
        say!(
            "{variable} replaces Apple's framework by `{}`: what runs there may not be Apple's engine",
            path.display()
        );
    }
    Ok(Ended::Done)
}

/// Whether each route to the engine can be taken, and why not.
fn routes(chip: Chip) {
    for route in Route::ALL {
        let settings = Settings {
            target: Target::new(chip, route),
            ..Settings::default()
        };
        match ane_device::open(APPLE, &settings) {
            Ok(d) if d.target().route == route => {
                say!("    {:<8} can be opened", route.name());
            }
            Ok(d) => say!("    {:<8} {}", route.name(), d.notes().join("; ")),
            Err(e) => say!("    {:<8} {e}", route.name()),
        }
    }
}
