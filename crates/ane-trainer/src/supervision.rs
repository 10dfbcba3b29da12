//! How a run's device is opened: here or in a worker, and alone on its engine.

use crate::{
    failure::Failure,
    numbers,
    output::{detail, remark},
    program::Program,
};
use ane_device::{Device, EngineLock, Supervised, Supervision, Worker};
use ane_engine::{Pool, simd::Isa};
use ane_train::{
    config::{APPLE, RunConfig},
    recovery::{Faults, Recovery},
};
use std::{sync::Arc, time::Duration};

/// Compiling may take so many times as long as executing.
const COMPILE_FACTOR: f64 = 10.0;

/// Flags that decide how a device is watched; they change no number.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SupervisionArgs {
    /// Run the device in a process of its own, which may crash or hang [default: true for apple]
    #[arg(long, value_name = "BOOL", help_heading = "Device")]
    supervised: Option<bool>,
    /// Seconds that the device may take for a step; ten times as long to compile [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Device")]
    deadline: Option<Duration>,
    /// Run every N-th step twice and compare the results; needs --supervised true
    #[arg(long, value_name = "N", value_parser = numbers::whole(1..=u64::MAX), help_heading = "Device")]
    verify_every: Option<u64>,
    /// Use the engine though another training does
    #[arg(long, help_heading = "Device")]
    share_engine: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|&s| s > 0.0 && s <= 1e6)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}` is not a number of seconds above 0 and up to 1000000"))
}

/// An open device, with what must live as long as it.
pub(crate) struct Opened {
    pub(crate) device: Box<dyn Device>,
    /// How its faults are survived.
    pub(crate) recovery: Option<Recovery>,
    /// Held until the run ends.
    pub(crate) lock: Option<EngineLock>,
}

impl Opened {
    /// A count of faults for work outside of a run.
    pub(crate) fn faults(&self) -> Faults {
        Faults::new(self.recovery)
    }
}

/// Opens a device in a process of its own, to see what it says of a program: its first word counts. Another training may
/// have the engine meanwhile, as nothing is executed.
pub(crate) fn open_in_worker(
    config: &RunConfig,
    pool: &Arc<Pool>,
    isa: Isa,
) -> Result<Supervised, Failure> {
    let settings = config.settings(pool, isa);
    let supervision = Supervision {
        attempts: 1,
        ..SupervisionArgs::default().supervision()?
    };
    let device = Supervised::open(&config.device, &settings, supervision)?;
    warn(&device, config);
    Ok(device)
}

/// What the user should know about how a device was opened.
fn warn(device: &dyn Device, config: &RunConfig) {
    for warning in device.notes().iter().chain(&config.replaced()) {
        remark!("warning: {warning}");
    }
}

impl SupervisionArgs {
    /// Opens the device of a run.
    pub(crate) fn open_device(
        &self,
        config: &RunConfig,
        pool: &Arc<Pool>,
        isa: Isa,
    ) -> Result<Opened, Failure> {
        let is_apple = config.device == APPLE;
        let supervised = self.supervised.unwrap_or(is_apple);
        if !supervised && (self.deadline.is_some() || self.verify_every.is_some()) {
            return Err(Failure::usage(
                format!(
                    "--deadline and --verify-every need a supervised device, `{}` is not",
                    config.device
                ),
                "add --supervised true",
            ));
        }
        let lock = if is_apple && !self.share_engine {
            Some(EngineLock::acquire(&EngineLock::path())?)
        } else {
            None
        };
        detail!(
            "opening device `{}` for {}, {}",
            config.device,
            config.target,
            match supervised {
                true => "in a process of its own",
                false => "in this process",
            }
        );
        let settings = config.settings(pool, isa);
        let (device, recovery): (Box<dyn Device>, _) = if supervised {
            let device = Supervised::open(&config.device, &settings, self.supervision()?)?;
            (Box::new(device), Some(Recovery::default()))
        } else {
            (ane_device::open(&config.device, &settings)?, None)
        };
        warn(&*device, config);
        Ok(Opened {
            device,
            recovery,
            lock,
        })
    }

    /// This program again, as a worker.
    fn supervision(&self) -> Result<Supervision, Failure> {
        let (program, mut arguments) = Program::again().map_err(|e| {
            Failure::new(
                format!("cannot find this program to start it as a worker: {e}"),
                "pass --supervised false",
            )
        })?;
        arguments.push("worker".into());
        let mut supervision = Supervision::new(Worker {
            program,
            arguments,
            environment: Vec::new(),
        });
        if let Some(deadline) = self.deadline {
            supervision.execute_deadline = deadline;
            supervision.compile_deadline = deadline.mul_f64(COMPILE_FACTOR);
        }
        supervision.verify_every = self.verify_every;
        Ok(supervision)
    }
}
