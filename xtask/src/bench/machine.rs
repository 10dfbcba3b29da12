//! What kind of machine this is, as far as a reader of measurements needs to know.

use std::fs;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

/// The facts about this machine.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    system: String,
    load: Option<String>,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn this() -> Machine {
        Machine {
            cpu: cpu_model().unwrap_or_else(|| "unknown".to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            load: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split(' ').next().map(str::to_owned)),
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let load = self
            .load
            .as_ref()
            .map_or_else(String::new, |load| format!(", load {load}"));
        format!("{}, {} cores, {}{load}", self.cpu, self.cores, self.system)
    }

    /// The same for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "cpu": self.cpu, "cores": self.cores, "system": self.system, "load": self.load })
    }
}

fn cpu_model() -> Option<String> {
    let listed = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| model_name(&text));
    listed.or_else(|| {
        let output = Command::new("sysctl")
            .args(["-n", "machdep.cpu.brand_string"])
            .output()
            .ok()?;
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !name.is_empty()).then_some(name)
    })
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_model_from_the_kernels_list() {
        let list =
            "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Other\n";
        assert_eq!(model_name(list).as_deref(), Some("Some CPU @ 3 GHz"));
        assert_eq!(model_name("processor : 0\n"), None);
    }

    #[test]
    fn describes_this_machine() {
        let machine = Machine::this();
        assert!(machine.cores >= 1 && machine.describe().contains("cores"));
    }
}
