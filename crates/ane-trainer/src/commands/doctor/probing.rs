//! The probes, each in a process of its own.

use crate::{commands::selftest::Place, ended::Ended, failure::Failure, isolated, output::say};
use ane_device::{
    Settings,
    probe::{Answer, Finding, PROBES, Probe, SYSTEM_PROBES},
};
use ane_train::config::{APPLE, RunConfig};
use serde::Serialize;

/// What the probes found.
#[derive(Debug, Serialize)]
pub(super) struct Probing {
    device: String,
    /// The target that the device was opened for, which may have another route than was asked for.
    target: String,
    notes: Vec<String>,
    probes: Vec<Probed>,
}

#[derive(Debug, Serialize)]
struct Probed {
    name: &'static str,
    settles: &'static str,
    assumes: &'static str,
    answers: Vec<Answer>,
}

impl Probing {
    pub(super) fn run(
        place: &Place,
        config: &RunConfig,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let device = ane_device::open(&config.device, settings)?;
        let mut probing = Self {
            device: config.device.clone(),
            target: device.target().to_string(),
            notes: device.notes().to_vec(),
            probes: Vec::new(),
        };
        drop(device);
        let of_system = SYSTEM_PROBES.iter().filter(|_| config.device == APPLE);
        let of_system = of_system.map(|p| (p.name, p.settles, p.assumes));
        let of_chip = PROBES.iter().map(|p| (p.name, p.settles, p.assumes));
        for (name, settles, assumes) in of_system.chain(of_chip) {
            let mut arguments = vec!["doctor".into(), "--alone".into(), name.to_owned()];
            arguments.extend(place.again(config));
            let answers = isolated::answer(&arguments, place.deadline())?;
            probing.probes.push(Probed {
                name,
                settles,
                assumes,
                answers: answers.unwrap_or_else(|how| {
                    vec![Answer {
                        case: "all".into(),
                        finding: Finding::Died { how },
                    }]
                }),
            });
        }
        Ok(probing)
    }

    pub(super) fn print(&self) {
        say!("\nprobes on `{}` for {}", self.device, self.target);
        for note in &self.notes {
            say!("  warning: {note}");
        }
        let mut counts = [0, 0];
        for probe in &self.probes {
            say!("  {}: {}", probe.name, probe.assumes);
            say!("    settles {}", probe.settles);
            for answer in &probe.answers {
                say!("    {}: {}", answer.case, answer.finding);
                counts[usize::from(answer.finding != Finding::Held)] += 1;
            }
        }
        let [held, others] = counts;
        say!("  {held} answers held, {others} did not");
    }
}

/// One probe in this process.
pub(super) fn alone(name: &str, device: &str, settings: &Settings) -> Result<Ended, Failure> {
    if let Some(probe) = SYSTEM_PROBES.iter().find(|p| p.name == name) {
        let answers = (probe.ask)(&settings.apple);
        say!("{}", serde_json::to_string(&answers).unwrap_or_default());
        return Ok(Ended::Done);
    }
    let probe = Probe::named(name).ok_or_else(|| {
        let of_system = SYSTEM_PROBES.iter().map(|p| p.name);
        let known: Vec<&str> = of_system.chain(PROBES.iter().map(|p| p.name)).collect();
        Failure::usage(
            format!("there is no probe called `{name}`"),
            format!("there are {}", known.join(", ")),
        )
    })?;
    let device = ane_device::open(device, settings)?;
    let answers = probe
        .ask(&*device)
        .map_err(|e| Failure::new(e.to_string(), "this is a bug of the probe: report it"))?;
    say!("{}", serde_json::to_string(&answers).unwrap_or_default());
    Ok(Ended::Done)
}
