//! `devices`: what there is to run on.

use crate::failure::Failure;
use ane_engine::simd::Isa;
use ane_ir::{Chip, Route, Target};
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    println!("devices");
    for d in ane_device::DEVICES {
        let best = if d.name == ane_device::BEST {
            " (the default)"
        } else {
            ""
        };
        println!("  {:<10} {}{best}", d.name, d.summary);
    }
    println!("\ntargets, the limits and quirks a program is held to");
    println!("  {:<10} no hardware limits", Target::SOFTWARE.to_string());
    for chip in Chip::HARDWARE {
        let t = Target::new(chip, Route::E5rt);
        let axis = t.max_axis().map_or("any".to_owned(), |a| a.to_string());
        let slice = t.slice_limit().map_or(String::new(), |l| {
            format!(", slices inside the last axis up to {l}")
        });
        println!(
            "  {:<10} axes up to {axis}, matmul results up to 32752{slice}",
            t.to_string()
        );
    }
    let isas: Vec<&str> = Isa::ALL
        .into_iter()
        .filter(|i| i.available())
        .map(Isa::name)
        .collect();
    println!(
        "\nthis machine: {} threads, instruction sets {} (ANE_TRAINER_ISA chooses; {} is the default)",
        std::thread::available_parallelism().map_or(1, usize::from),
        isas.join(", "),
        Isa::detect()
    );
    println!("no Apple Neural Engine is driven by this build");
    Ok(ExitCode::SUCCESS)
}
