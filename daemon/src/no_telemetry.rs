//! Keeps ONNX Runtime from reporting to its maker.
//!
//! Its builds from 1.29 on send reports about models and runs over the network unless a variable in the environment of
//! the process says no, before the library is loaded. A process cannot change its own environment safely, so it starts
//! itself again with the variable set. The systemd unit sets it, which spares that.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What the library heeds.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Returns at once where the variable is set. Else replaces this process, with the same arguments and under the same
/// process id, by one where it is. To be called first thing in `main`.
pub fn ensure() {
    if std::env::var_os(VARIABLE).is_none_or(|value| value != "1")
        && let Err(error) = start_again()
    {
        // The runtime is refused later on for want of the variable.
        eprintln!("cannot start again with {VARIABLE}=1: {error}");
    }
}

fn start_again() -> io::Result<Infallible> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).env(VARIABLE, "1").exec())
}
