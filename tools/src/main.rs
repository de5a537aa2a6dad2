//! The tool's entry.

use std::process::ExitCode;

fn main() -> ExitCode {
    geolocate::cli::main()
}
