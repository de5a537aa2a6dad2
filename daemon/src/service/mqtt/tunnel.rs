//! TLS for a client that has none: a unix socket whose bytes go to the broker through TLS.
//!
//! The client's own TLS pulls libraries with known faults. So the connection is made here, and what it carries is
//! handed to the client through an abstract unix socket: it has a name and no file, lives until the client has
//! connected, and takes this process alone. The buffers on the way mean nothing to what is lost: only a PUBACK counts.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{CONNECT_TIMEOUT_S, LinkError, TlsFiles};

/// How long the broker may take to close after the client said goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// Names that are tried before giving up: another process may have taken one.
const NAMES: usize = 16;

/// A TLS connection to the broker, and the unix socket that leads there. Dropped, it is cut.
pub(in crate::service) struct Tunnel {
    socket: String,
    work: JoinHandle<()>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Tunnel {
    /// Connects to the broker and opens the socket. A clock below `clock_floor_ms` is not believed.
    ///
    /// # Errors
    /// Certificates that cannot be used, no connection, or a broker that is not who it should be.
    pub(in crate::service) async fn open(
        host: &str,
        port: u16,
        files: &TlsFiles,
        clock_floor_ms: i64,
    ) -> Result<Self, LinkError> {
        let failed = |problem: String| LinkError::Tls(format!("no TLS connection to {host}:{port}: {problem}"));
        let config = files.client_config(clock_floor_ms).map_err(|error| failed(error.to_string()))?;
        let name = files.server_name.as_deref().unwrap_or_else(|| host.trim_matches(['[', ']']));
        let server = ServerName::try_from(name.to_owned()).map_err(|error| failed(format!("{name}: {error}")))?;
        let handshake = async {
            let tcp = TcpStream::connect(format!("{host}:{port}")).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(config).connect(server, tcp).await
        };
        let tls = match timeout(Duration::from_secs(CONNECT_TIMEOUT_S), handshake).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return Err(failed(in_words(files, name, &error))),
            Err(_) => return Err(failed(format!("no answer within {CONNECT_TIMEOUT_S} s"))),
        };
        let (listener, socket) = listen().map_err(|error| failed(format!("no unix socket: {error}")))?;
        let failure = Arc::new(Mutex::new(None));
        let (files, name, said) = (files.clone(), name.to_owned(), Arc::clone(&failure));
        let work = tokio::spawn(async move {
            if let Err(error) = forward(listener, tls).await {
                let problem = in_words(&files, &name, &error);
                *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            }
        });
        Ok(Self { socket, work, failure })
    }

    /// The path of the socket for the client.
    pub(in crate::service) fn socket(&self) -> &str {
        &self.socket
    }

    /// Why the connection broke, where TLS or TCP knows: the client sees only its end.
    pub(in crate::service) fn failure(&self) -> Option<LinkError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(LinkError::Tls(format!("the TLS connection broke: {failure}")))
    }

    /// Lets the last bytes of a client that said goodbye reach the broker.
    pub(in crate::service) async fn finish(mut self) {
        if timeout(GOODBYE, &mut self.work).await.is_err() {
            self.work.abort();
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// A socket under an abstract name of its own.
fn listen() -> io::Result<(UnixListener, String)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..NAMES {
        let name = format!("\0geolocated-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        match UnixListener::bind(Path::new(&name)) {
            Ok(listener) => return Ok((listener, name)),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Anybody on this machine may find the name, so only this process is let in; then nobody any more.
async fn accept(listener: UnixListener) -> io::Result<UnixStream> {
    let own = i32::try_from(std::process::id()).ok();
    loop {
        let (stream, _) = listener.accept().await?;
        if stream.peer_cred()?.pid() == own && own.is_some() {
            drop(listener);
            return Ok(stream);
        }
    }
}

async fn forward(listener: UnixListener, mut tls: TlsStream<TcpStream>) -> io::Result<()> {
    let mut client = timeout(Duration::from_secs(CONNECT_TIMEOUT_S), accept(listener)).await??;
    copy_bidirectional(&mut client, &mut tls).await?;
    Ok(())
}

fn in_words(files: &TlsFiles, name: &str, error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    of_tls.map_or_else(|| error.to_string(), |error| files.explain(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_has_no_file_and_takes_this_process() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, name) = listen().unwrap();
            assert!(name.starts_with('\0'));
            let (accepted, connected) = tokio::join!(accept(listener), UnixStream::connect(Path::new(&name)));
            assert!(accepted.is_ok() && connected.is_ok());
            assert!(UnixStream::connect(Path::new(&name)).await.is_err(), "one is let in, then nobody");
        });
    }
}
