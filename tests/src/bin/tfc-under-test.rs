//! The command line, built for the tests of this package whatever else is built.

fn main() -> std::process::ExitCode {
    tfc::cli::main()
}
