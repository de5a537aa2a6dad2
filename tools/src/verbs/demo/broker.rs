//! A mosquitto for the time of the demo.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::process::{find, kill};

const START_WITHIN: Duration = Duration::from_secs(10);

/// A broker on a free port of the loopback interface; killed when dropped.
#[derive(Debug)]
pub(super) struct Broker {
    process: Child,
    port: u16,
}

impl Broker {
    /// Starts it; its configuration goes to `out`.
    ///
    /// # Errors
    /// mosquitto is not installed, or does not start.
    pub(super) fn start(out: &Path) -> anyhow::Result<Self> {
        let program =
            find("mosquitto").context("mosquitto: not in PATH; install it, as `apt-get install mosquitto` does")?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr())?.port();
        let configuration = out.join("mosquitto.conf");
        fs::write(
            &configuration,
            format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"),
        )?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().with_context(|| format!("{} cannot be run", program.display()))?;
        let mut broker = Self { process, port };
        broker.wait_until_listening()?;
        Ok(broker)
    }

    /// The port on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its address for settings.
    pub(super) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + START_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("mosquitto ended with {status}");
            }
            if Instant::now() > end {
                bail!("mosquitto does not listen on port {} after {START_WITHIN:?}", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        kill(&mut self.process);
    }
}
