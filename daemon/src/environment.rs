//! What libraries read from the environment of the process, set before they do.
//!
//! ONNX Runtime's builds from 1.29 on send reports about models and runs over the network unless a variable says no
//! before the library is loaded; and the C library gives memory back to the system sooner when it is told to at the
//! start. A process cannot change its own environment safely, so it starts itself again with the variables set. The
//! systemd unit sets them, which spares that.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A variable and its value.
pub type Variable = (&'static str, &'static str);

/// Keeps ONNX Runtime from reporting to its maker. Any value but this one is replaced.
pub const NO_TELEMETRY: Variable = ("ORT_DISABLE_TELEMETRY", "1");
/// Has the C library give back what lies free at the end of the heap from so many bytes on, and take large pieces from
/// the system each by itself: less memory while nothing happens. A value that was set by somebody stays.
pub const TRIM_MEMORY: Variable = ("MALLOC_TRIM_THRESHOLD_", "131072");

/// Returns at once where `wanted` are set. Else replaces this process, with the same arguments and under the same
/// process id, by one where they are. To be called first thing in `main`.
pub fn ensure(wanted: &[Variable]) {
    let missing: Vec<Variable> = wanted.iter().copied().filter(is_missing).collect();
    if !missing.is_empty()
        && let Err(error) = start_again(&missing)
    {
        // What depends on a variable says so when it is used.
        eprintln!("cannot start again with {missing:?} in the environment: {error}");
    }
}

fn is_missing(variable: &Variable) -> bool {
    match std::env::var_os(variable.0) {
        None => true,
        Some(found) => *variable == NO_TELEMETRY && found != variable.1,
    }
}

fn start_again(variables: &[Variable]) -> io::Result<Infallible> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).envs(variables.iter().copied()).exec())
}
