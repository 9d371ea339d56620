//! Linux on Arm by the system's ssh: a Raspberry Pi.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BoardError, Measured, lines, tool, write_image};

/// Longest time of one command.
const SECONDS: u64 = 600;

/// Runs whose median counts.
const RUNS: &str = "30";

/// Prints what is worth knowing of the machine, as lines of a name and a value: see [`condition`].
const CONDITIONS: &str = "\
    cpu=/sys/devices/system/cpu/cpu0/cpufreq; \
    echo machine $(tr -d '\\0' < /proc/device-tree/model); \
    echo kernel $(uname -sr); \
    echo governor $(cat $cpu/scaling_governor); \
    echo clock $(cat $cpu/scaling_cur_freq); \
    echo limit $(cat $cpu/scaling_max_freq); \
    echo temperature $(cat /sys/class/thermal/thermal_zone0/temp); \
    echo throttling $(vcgencmd get_throttled | cut -d = -f 2)";

/// Bits of the firmware's `get_throttled`; 16 bits above each is whether it was so since the start.
const THROTTLING: [&str; 4] = ["under-voltage", "clock capped", "throttled", "temperature limit"];

/// A folder on another machine with the program in it.
#[derive(Debug)]
pub(super) struct Ssh {
    host: String,
    ssh: PathBuf,
    scp: PathBuf,
    folder: String,
}

impl Ssh {
    pub(super) fn prepare(host: &str, sources: &Path) -> Result<Self, BoardError> {
        let ssh = tool::find("ssh", "apt-get install openssh-client")?;
        let scp = tool::find("scp", "apt-get install openssh-client")?;
        let mut remote = Self { host: host.to_owned(), ssh, scp, folder: String::new() };
        let machine = remote.shell("uname -m")?;
        let target = match machine.trim() {
            "aarch64" => "aarch64-unknown-linux-musl",
            "armv7l" | "armv8l" => "armv7-unknown-linux-gnueabihf",
            other => {
                let reason = format!("{host} is {other:?}; there are programs for aarch64 and armv7l");
                return Err(BoardError::Failed { program: "ssh".to_owned(), reason });
            }
        };
        let program = super::linux(target, sources)?;
        let folder = remote.shell("mktemp -d")?;
        let folder = folder.trim();
        // It becomes part of commands.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !folder.starts_with('/') || !folder.chars().all(plain) {
            let (program, found) = ("mktemp".to_owned(), folder.to_owned());
            return Err(BoardError::Lines { program, expected: "the path of a folder", found });
        }
        remote.folder = folder.to_owned();
        remote.copy(&program)?;
        Ok(remote)
    }

    /// What is known of the machine now.
    pub(super) fn conditions(&self) -> Result<Vec<(String, String)>, BoardError> {
        let printed = self.shell(&format!("({CONDITIONS}) 2>/dev/null; true"))?;
        let pairs = printed.lines().filter_map(|line| line.split_once(' '));
        let known = pairs.map(|(name, value)| (name, value.trim())).filter(|(_, value)| !value.is_empty());
        Ok(known.map(|(name, value)| (name.to_owned(), condition(name, value))).collect())
    }

    pub(super) fn run(&self, image: &[u8]) -> Result<Measured, BoardError> {
        let folder = tempfile::tempdir().map_err(|error| BoardError::Io { path: "/tmp".into(), error })?;
        self.copy(&write_image(folder.path(), image)?)?;
        let printed = self.shell(&format!("cd {} && ./linux model.bin {RUNS}", self.folder))?;
        lines::read("linux", &printed, None)
    }

    /// What a command there prints.
    fn shell(&self, command: &str) -> Result<String, BoardError> {
        let mut ssh = Command::new(&self.ssh);
        // Nobody is there to be asked for a password.
        tool::output(ssh.args(["-o", "BatchMode=yes", &self.host, command]), SECONDS)
    }

    /// Copies a file into the folder there.
    fn copy(&self, file: &Path) -> Result<(), BoardError> {
        let mut scp = Command::new(&self.scp);
        scp.args(["-q", "-o", "BatchMode=yes"]).arg(file).arg(format!("{}:{}/", self.host, self.folder));
        tool::output(&mut scp, SECONDS).map(drop)
    }
}

/// What a machine says of itself, for people; as it is where it is of no known form.
fn condition(name: &str, value: &str) -> String {
    let thousandths = || value.parse::<u32>().ok().map(|n| f64::from(n) / 1e3);
    let known = match name {
        "clock" | "limit" => thousandths().map(|mhz| format!("{mhz:.0} MHz")),
        "temperature" => thousandths().map(|degrees| format!("{degrees:.1} C")),
        "throttling" => {
            value.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()).map(throttling)
        }
        _ => None,
    };
    known.unwrap_or_else(|| value.to_owned())
}

fn throttling(bits: u32) -> String {
    let bit = |at: usize| bits >> at & 1 == 1;
    let told = THROTTLING.iter().enumerate().filter_map(|(at, name)| match (bit(at), bit(at + 16)) {
        (true, _) => Some(format!("{name} now")),
        (false, true) => Some(format!("{name} before")),
        (false, false) => None,
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if !self.folder.is_empty() {
            // What is left there is small, and whoever restarts the machine removes it.
            let _ = self.shell(&format!("rm -r {}", self.folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::condition;

    #[test]
    fn conditions_are_for_people() {
        for (name, value, shown) in [
            ("clock", "1800000", "1800 MHz"),
            ("temperature", "48212", "48.2 C"),
            ("throttling", "0x0", "none"),
            ("throttling", "0x50005", "under-voltage now, throttled now"),
            ("throttling", "0x20000", "clock capped before"),
            ("throttling", "sudo: not found", "sudo: not found"),
            ("governor", "ondemand", "ondemand"),
        ] {
            assert_eq!(condition(name, value), shown);
        }
    }
}
