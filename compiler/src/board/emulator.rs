//! Programs in QEMU, their instructions counted by the plugin `icnt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tfc_formats::artifact::Needs;

use super::firmware::{Build, Program};
use super::{Board, BoardError, Measured, lines, linux, tool, write_image};

/// Longest time that a model may run.
const RUN_SECONDS: u64 = 600;

/// A board with the program that runs on it.
#[derive(Debug)]
pub(super) struct Emulator {
    board: &'static Board,
    qemu: PathBuf,
    plugin: PathBuf,
    program: Runs,
}

/// What runs in QEMU.
#[derive(Debug)]
enum Runs {
    /// Without an operating system.
    Bare(Program),
    /// Under Linux.
    Linux(PathBuf),
}

impl Emulator {
    pub(super) fn prepare(board: &'static Board, sources: &Path, needs: Needs) -> Result<Self, BoardError> {
        let package = match board.qemu {
            "qemu-system-arm" => "qemu-system-arm",
            "qemu-system-riscv32" => "qemu-system-misc",
            _ => "qemu-user",
        };
        let qemu = tool::find(board.qemu, &format!("apt-get install {package}"))?;
        let version = tool::output(Command::new(&qemu).arg("--version"), 10)?;
        // The plugin's interface changed with QEMU 9.1.
        let api = (major(&version) >= 9).then_some(("ICNT_API", "4"));
        let plugin =
            Build { package: "icnt", target: None, cpu: None, features: "", variables: api.as_slice() };
        let plugin = plugin.run(&sources.join("icnt"))?.join("libicnt.so");
        let program = if board.linux {
            Runs::Linux(linux(board.target, sources)?)
        } else {
            let build = Build {
                package: "bench",
                target: Some(board.target),
                cpu: board.cpu,
                features: "",
                variables: &[("BOARD", board.name), ("NEEDS", &needs.bits().to_string())],
            };
            Runs::Bare(Program::open(build.run(sources)?.join("bench"))?)
        };
        Ok(Self { board, qemu, plugin, program })
    }

    /// The program, if it is a board's.
    pub(super) fn program(&self) -> Option<&Program> {
        match &self.program {
            Runs::Bare(program) => Some(program),
            Runs::Linux(_) => None,
        }
    }

    pub(super) fn run(&self, image: &[u8]) -> Result<Measured, BoardError> {
        let folder = tempfile::tempdir().map_err(|error| BoardError::Io { path: "/tmp".into(), error })?;
        let model = write_image(folder.path(), image)?;
        let counts = folder.path().join("counts");
        let mut command = Command::new(&self.qemu);
        command.arg("-plugin").arg(format!("{},out={}", option(&self.plugin), option(&counts)));
        match &self.program {
            Runs::Linux(program) => {
                command.args(["-cpu", self.board.machine]).arg(program).arg(&model);
            }
            Runs::Bare(program) => {
                program.check_fits(self.board.name, image)?;
                let place =
                    format!("loader,file={},addr={:#x},force-raw=on", option(&model), program.model.0);
                command.args(["-machine", self.board.machine, "-display", "none", "-monitor", "none"]);
                command.args(["-serial", "null", "-semihosting-config", "enable=on,target=native"]);
                command.args(["-device", &place]).arg("-kernel").arg(&program.path);
                if self.board.qemu == "qemu-system-riscv32" {
                    command.args(["-bios", "none"]);
                }
            }
        }
        let printed = tool::output(&mut command, RUN_SECONDS)?;
        let counts = fs::read_to_string(&counts).map_err(|error| BoardError::Io { path: counts, error })?;
        let counts: Vec<u64> = counts.lines().filter_map(|line| line.parse().ok()).collect();
        lines::read(self.board.qemu, &printed, Some(&counts))
    }
}

/// A path in one of QEMU's options, where a comma is written twice.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Of "QEMU emulator version 7.2.22 (Debian ...)" the 7.
fn major(version: &str) -> u32 {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.and_then(|number| number.split('.').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_of_qemu() {
        assert_eq!(super::major("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\n"), 7);
        assert_eq!(super::major("qemu-aarch64 version 10.0.2\n"), 10);
        assert_eq!(super::major(""), 0);
    }
}
