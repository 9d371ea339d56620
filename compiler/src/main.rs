//! The `tfc` binary.

fn main() -> std::process::ExitCode {
    tfc::cli::main()
}
