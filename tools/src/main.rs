//! The tool's entry.

use std::process::ExitCode;

fn main() -> ExitCode {
    geolocated::environment::ensure(&[geolocated::environment::NO_TELEMETRY]);
    geolocate::cli::main()
}
