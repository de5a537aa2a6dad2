//! How the broker is spoken to: one client and one stream of events for both versions of MQTT, by TCP, TLS or a unix
//! socket.
//!
//! The rest of the service knows MQTT 5 alone. What 3.1.1 says is told in its words, without properties
//! ([`older`]); what 3.1.1 cannot say is left out.

mod client;
mod events;
mod older;
mod options;
mod tls;
mod tunnel;

use thiserror::Error;

pub(super) use self::client::Client;
pub(super) use self::events::Events;
pub(super) use self::options::connect;
pub use self::tls::TlsFiles;
pub(super) use self::tunnel::Tunnel;

/// Seconds that an attempt to connect may take.
pub(super) const CONNECT_TIMEOUT_S: u64 = 10;

/// Why a connection was not made, or ended.
#[derive(Debug, Error)]
pub(super) enum LinkError {
    /// TLS, or the TCP connection below it.
    #[error("{0}")]
    Tls(String),
    /// As the client of MQTT 5 says it.
    #[error("{0}")]
    V5(Box<rumqttc::v5::ConnectionError>),
    /// As the client of MQTT 3.1.1 says it.
    #[error("{0}")]
    V311(Box<rumqttc::ConnectionError>),
}
