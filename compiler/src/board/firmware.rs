//! The program for the other side: where its sources are, and how it is built.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use super::{BoardError, tool};

/// Longest time that a build takes.
const BUILD_SECONDS: u64 = 1800;

/// Folder of the firmware in a checkout.
const FOLDER: &str = "examples/cortex-m";

/// Where the sources of the firmware are: what was asked for, or `examples/cortex-m` of the checkout
/// that the current folder or this program is in.
pub fn sources(given: Option<&Path>) -> Result<PathBuf, BoardError> {
    let is_firmware = |folder: &PathBuf| folder.join("icnt/Cargo.toml").is_file();
    if let Some(path) = given {
        let path = path.to_path_buf();
        return if is_firmware(&path) { Ok(path) } else { Err(BoardError::Sources { path }) };
    }
    let starts = [env::current_dir(), env::current_exe()];
    let starts: Vec<PathBuf> = starts.into_iter().flatten().collect();
    let mut folders = starts.iter().flat_map(|start| start.ancestors()).map(|folder| folder.join(FOLDER));
    folders.find(is_firmware).ok_or_else(|| BoardError::Sources { path: FOLDER.into() })
}

/// What to build.
#[derive(Debug)]
pub(super) struct Build<'a> {
    /// Package of the workspace.
    pub(super) package: &'a str,
    /// Rust's name of the target; that of this machine if `None`.
    pub(super) target: Option<&'a str>,
    /// What the compiler is told of the processor.
    pub(super) cpu: Option<&'a str>,
    /// Features of the package.
    pub(super) features: &'a str,
    /// Variables of the build.
    pub(super) variables: &'a [(&'a str, &'a str)],
}

impl Build<'_> {
    /// Builds in the folder of a workspace; returns the folder with the programs.
    pub(super) fn run(&self, workspace: &Path) -> Result<PathBuf, BoardError> {
        let cargo = tool::find("cargo", "https://rustup.rs")?;
        let mut command = Command::new(cargo);
        command.current_dir(workspace).args(["build", "--release", "--locked", "--quiet"]);
        command
            .args(["--package", self.package, "--features", self.features])
            .args(["--target-dir", "target"]);
        // They would replace what the workspace says.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        command.envs(self.variables.iter().copied());
        let mut built = workspace.join("target");
        if let Some(target) = self.target {
            require_target(target)?;
            command.args(["--target", target]);
            built.push(target);
            if let Some(cpu) = self.cpu {
                let name = target.to_uppercase().replace(['-', '.'], "_");
                command.env(format!("CARGO_TARGET_{name}_RUSTFLAGS"), format!("-Ctarget-cpu={cpu}"));
            }
        }
        tool::output(&mut command, BUILD_SECONDS)?;
        built.push("release");
        fs::canonicalize(&built).map_err(|error| BoardError::Io { path: built, error })
    }
}

/// Fails where the compiler has no standard library for the target and is not told to build one.
fn require_target(target: &str) -> Result<(), BoardError> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(&rustc);
    let folder = tool::output(command.args(["--print", "target-libdir", "--target", target]), 60)?;
    if Path::new(folder.trim()).is_dir() || env::var_os("CARGO_UNSTABLE_BUILD_STD").is_some() {
        return Ok(());
    }
    Err(BoardError::Missing {
        what: format!("Rust's core library for {target}"),
        install: format!("rustup target add {target}"),
    })
}

/// What is known of a program from its file.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// First address and length of the flash that the model is put into.
    pub(super) model: (u64, u64),
    /// Bytes of flash that it takes.
    pub(super) code: u64,
    /// Bytes of its variables.
    pub(super) statics: u64,
}

impl Program {
    /// Reads a program for a board.
    pub(super) fn open(path: PathBuf) -> Result<Self, BoardError> {
        let bytes = fs::read(&path).map_err(|error| BoardError::Io { path: path.clone(), error })?;
        let failed =
            |reason: &str| BoardError::Failed { program: path.display().to_string(), reason: reason.into() };
        let file = object::File::parse(&*bytes).map_err(|error| failed(&error.to_string()))?;
        let symbol = |name| file.symbols().find(|symbol| symbol.name() == Ok(name)).map(|s| s.address());
        let missing = || failed("its linker script does not say where the model is");
        let symbol = |name| symbol(name).ok_or_else(missing);
        let (start, end) = (symbol("_model")?, symbol("_model_end")?);
        let statics = symbol("__sheap")?.saturating_sub(symbol("_ram")?);
        let kinds = [SectionKind::Text, SectionKind::ReadOnlyData, SectionKind::Data];
        let code = file.sections().filter(|section| kinds.contains(&section.kind()));
        let code = code.map(|section| section.size()).sum();
        Ok(Self { path, model: (start, end.saturating_sub(start)), code, statics })
    }

    /// Fails if the image of a model is longer than the flash for it.
    pub(super) fn check_fits(&self, board: &str, image: &[u8]) -> Result<(), BoardError> {
        let (needed, given) = (image.len() as u64, self.model.1);
        if needed <= given {
            return Ok(());
        }
        Err(BoardError::Flash { board: board.to_owned(), needed, given })
    }
}
