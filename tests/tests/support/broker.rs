//! A real mosquitto on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::wait_for;

/// Name and password for the unix socket.
pub const CREDENTIALS: (&str, &str) = ("drone-7", "correct horse");

const SOCKET: &str = "mqtt.sock";

/// A running broker; killed when dropped.
pub struct Broker {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Broker {
    /// Starts a broker that keeps nothing on disk. By TCP anybody may connect; by its unix socket who knows
    /// [`CREDENTIALS`].
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines in its configuration.
    pub fn start_with(more: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let passwords = folder.path().join("passwords");
        let (name, password) = CREDENTIALS;
        let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args([name, password]).status();
        assert!(made.expect("mosquitto_passwd comes with mosquitto").success());
        let configuration = format!(
            "user root\npersistence false\nper_listener_settings true\n{more}\
             listener {port} 127.0.0.1\nallow_anonymous true\n\
             listener 0 {}\nallow_anonymous false\npassword_file {}\n",
            folder.path().join(SOCKET).display(),
            passwords.display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), configuration).unwrap();
        let mut broker = Self { port, folder, process: None };
        broker.restart();
        broker
    }

    /// Kills the broker, if it runs, and starts it again without memory on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let program =
            if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let process = Command::new(program)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("mosquitto does not start ({error}): `make test` installs it"));
        self.process = Some(process);
        let port = self.port;
        wait_for("mosquitto to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    }

    /// Kills the broker without a chance to say goodbye.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }

    /// `unix:///path/to/socket`.
    pub fn socket_url(&self) -> String {
        format!("unix://{}", self.folder.path().join(SOCKET).display())
    }

    /// `mqtt://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
