//! The tool's entry.

use std::process::ExitCode;

fn main() -> ExitCode {
    geolocated::no_telemetry::ensure();
    geolocate::cli::main()
}
