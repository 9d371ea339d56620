use core::fmt;

/// What the program prints: to the emulator's stdout by semihosting, or to a debug probe by RTT.
#[derive(Clone, Copy, Debug)]
pub struct Output;

#[cfg(feature = "rtt")]
pub(crate) fn init() {
    rtt_target::rtt_init_print!(rtt_target::ChannelMode::BlockIfFull, 1024);
}

#[cfg(not(feature = "rtt"))]
pub(crate) fn init() {}

impl fmt::Write for Output {
    #[cfg(feature = "rtt")]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        rtt_target::rprint!("{}", text);
        Ok(())
    }

    #[cfg(not(feature = "rtt"))]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        use semihosting::io::Write;
        let mut stdout = semihosting::io::stdout().map_err(|_| fmt::Error)?;
        stdout.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
