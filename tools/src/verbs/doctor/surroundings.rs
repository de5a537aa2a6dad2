//! What the daemon finds around it: a folder to write to, room on its disk, a broker.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use geolocated::download::free_bytes;
use geolocated::service::{Broker, BrokerAddress};
use rustix::fs::{Access, access};

use super::finding::Finding;
use crate::verbs::models::shown_bytes;

/// Less than this is too little even for the number of the start and for stamps.
const LEAST_BYTES: u64 = 16 << 20;
/// Less than this is soon too little.
const FEW_BYTES: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(3);

/// The folder of the state, and the disk that it is on.
pub(super) fn state(folder: &Path) -> Vec<Finding> {
    let shown = folder.display();
    let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else {
        return vec![Finding::wrong("state", format!("{shown}: no such folder"), "make it, for the service's user")];
    };
    let mend = "give it to the service's user, or run this as that user";
    let writable = match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if there == folder => Finding::good("state", format!("{shown} can be written")),
        Ok(()) => Finding::good("state", format!("{shown} is not there yet and can be made")),
        Err(error) => Finding::wrong("state", format!("{}: cannot be written: {error}", there.display()), mend),
    };
    let disk = match free_bytes(there) {
        Err(error) => Finding::warning("disk", format!("{}: cannot be asked: {error}", there.display()), "look at it"),
        Ok(free) => {
            let what = format!("{}: {} free for this user", there.display(), shown_bytes(free));
            match free {
                free if free < LEAST_BYTES => Finding::wrong("disk", what, "make room"),
                free if free < FEW_BYTES => Finding::warning("disk", what, "make room"),
                _ => Finding::good("disk", what),
            }
        }
    };
    vec![writable, disk]
}

/// Whether anybody listens where the broker should.
pub(super) fn broker(broker: &Broker) -> Finding {
    let (shown, reached) = match &broker.address {
        BrokerAddress::Tcp { host, port } | BrokerAddress::Tls { host, port } => {
            (format!("{host}:{port}"), reach(host, *port))
        }
        BrokerAddress::Unix(path) => (path.display().to_string(), UnixStream::connect(path).map(drop)),
    };
    match reached {
        Ok(()) => Finding::good("broker", format!("{shown} listens")),
        Err(error) => {
            let mend = "start it, or correct mqtt.url; until then fixes wait and frames do not come";
            Finding::warning("broker", format!("{shown}: not reached: {error}"), mend)
        }
    }
}

fn reach(host: &str, port: u16) -> io::Result<()> {
    let mut last = io::Error::other("its name leads to no address");
    // An address in brackets is one of version 6.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
