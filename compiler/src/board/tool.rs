//! Other programs: whether they are there, what they print, and an end to those that have none.

use std::env;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::BoardError;

/// Where a program is; where it is missing, `install` is how to get it.
pub(super) fn find(program: &str, install: &str) -> Result<PathBuf, BoardError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| BoardError::Missing { what: program.to_owned(), install: install.to_owned() })
}

/// What a program that ended well printed on stdout. A program that does not end within `seconds` is
/// killed; one that fails is an error with the last thing that it said.
pub(super) fn output(command: &mut Command, seconds: u64) -> Result<String, BoardError> {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed =
        |error: std::io::Error| BoardError::Failed { program: program.clone(), reason: error.to_string() };
    // Files rather than pipes, which fill up while nobody reads them.
    let mut stdout = tempfile::tempfile().map_err(failed)?;
    let mut stderr = tempfile::tempfile().map_err(failed)?;
    command.stdin(Stdio::null());
    command.stdout(stdout.try_clone().map_err(failed)?).stderr(stderr.try_clone().map_err(failed)?);
    let mut child = command.spawn().map_err(failed)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if Instant::now() > end {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Err(BoardError::Endless { program, seconds });
        }
        sleep(Duration::from_millis(5));
    };
    let printed = text(&mut stdout).map_err(failed)?;
    if status.success() {
        return Ok(printed);
    }
    let said = text(&mut stderr).map_err(failed)?;
    let last = |text: &str| text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    // A compiler's first error tells more than its last line.
    let error = said.lines().find(|line| line.starts_with("error")).map(str::to_owned);
    let both = || {
        let lines: Vec<String> = [last(&said), last(&printed)].into_iter().flatten().collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    };
    let reason = error.or_else(both);
    Err(BoardError::Failed { program, reason: reason.unwrap_or_else(|| status.to_string()) })
}

fn text(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_end_and_say_why() {
        let shell = |script| output(Command::new("sh").args(["-c", script]), 1);
        assert_eq!(shell("echo fine").unwrap(), "fine\n");
        let error = shell("echo out; echo wrong >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "sh: wrong; out");
        assert_eq!(shell("echo out; exit 3").unwrap_err().to_string(), "sh: out");
        assert!(matches!(shell("sleep 60"), Err(BoardError::Endless { seconds: 1, .. })));
        let missing = find("no-such-program", "apt-get install it").unwrap_err();
        assert_eq!(missing.to_string(), "no-such-program is not installed: apt-get install it");
    }
}
