//! How much memory this process may still take.
//!
//! Nothing says exactly. Linux names what it could give without swapping, a control group what is left of its share, and
//! a process has a limit on its addresses; the least of them counts. Elsewhere it is what the machine has.

use crate::apple::physical_memory;
use rustix::process::{Resource, getrlimit};
use std::{fs, path::Path};

/// Bytes that can still be taken; `None` where the system does not say.
pub fn available_memory() -> Option<u64> {
    let free = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| named_kilobytes(&text, "MemAvailable:"))
        .or_else(physical_memory);
    [free, left_of_group(), left_of_addresses()]
        .into_iter()
        .flatten()
        .min()
}

/// The number of bytes of a line such as `MemAvailable:   23445028 kB`.
fn named_kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// What the control group of this process, and those around it, leave (Linux, `cgroup v2`).
fn left_of_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(own);
    own.ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(left_of)
        .min()
}

/// What one group leaves, if it has a limit.
fn left_of(group: &Path) -> Option<u64> {
    let number = |file: &str| -> Option<u64> {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.trim().parse().ok()
    };
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

/// What the limit on addresses, `ulimit -v`, leaves.
fn left_of_addresses() -> Option<u64> {
    let limit = getrlimit(Resource::As).current?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Some(limit.saturating_sub(named_kilobytes(&status, "VmSize:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory_to_take_and_not_more_than_a_machine_has() {
        let bytes = available_memory().unwrap();
        assert!((1 << 20..1 << 50).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_system_counts_in_kilobytes() {
        let text = "MemTotal:       24665648 kB\nMemAvailable:   23445028 kB\n";
        let expected = Some(23_445_028 * 1024);
        assert_eq!(named_kilobytes(text, "MemAvailable:"), expected);
        assert_eq!(named_kilobytes(text, "VmSize:"), None);
    }

    #[test]
    fn a_group_leaves_what_its_processes_have_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("memory.current"), "30\n").unwrap();
        assert_eq!(left_of(dir.path()), None);
        fs::write(dir.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(left_of(dir.path()), None);
        fs::write(dir.path().join("memory.max"), "100\n").unwrap();
        assert_eq!(left_of(dir.path()), Some(70));
    }
}
