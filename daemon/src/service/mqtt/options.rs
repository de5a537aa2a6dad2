//! What is said to the broker when a connection is made.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::LastWill;
use rumqttc::{LastWill as OldLastWill, MqttOptions as OldOptions, NetworkOptions, Transport};

use super::super::BrokerAddress;
use super::super::link::Shared;
use super::super::settings::MqttVersion;
use super::super::status::Status;
use super::{CONNECT_TIMEOUT_S, Client, Events, older};

/// Requests that the client may hold; more than the window and all that is sent beside it.
const CLIENT_QUEUE: usize = 256;
/// MQTT adds topic, properties and headers to a frame.
const FRAME_PACKET_EXTRA: usize = 64 << 10;
/// Packet ids that the client has in turn; many more than messages may be on their way.
const PACKET_IDS: u16 = 1024;

/// A client and its event loop, not yet connected. `socket` is the unix socket to use instead of the broker's address:
/// the near end of a [`Tunnel`](super::Tunnel).
pub(in crate::service) fn connect(shared: &Shared, socket: Option<&str>) -> (Client, Events) {
    let broker = &shared.settings.broker;
    let (host, port) = match (socket, &broker.address) {
        (Some(socket), _) => (socket.to_owned(), None),
        (None, BrokerAddress::Unix(path)) => (path.to_string_lossy().into_owned(), None),
        (None, BrokerAddress::Tcp { host, port } | BrokerAddress::Tls { host, port }) => (host.clone(), Some(*port)),
    };
    let transport = if port.is_some() { Transport::Tcp } else { Transport::Unix };
    let client_id = format!("{}-{}-{}", shared.settings.topic_prefix, shared.settings.site, shared.settings.device);
    // A frame a little over its limit still comes in, so that its sender gets an answer; the broker keeps larger ones.
    let most = shared.settings.decode.max_bytes.saturating_mul(2).saturating_add(FRAME_PACKET_EXTRA);
    let keep_alive = Duration::from_secs(u64::from(broker.keep_alive_s));
    let will = (shared.topics.status(), Status::offline("connection lost").json());
    // Small messages must not wait for the acknowledgement of the one before (Nagle's algorithm): that costs 40 ms each.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT_S);
    match broker.version {
        MqttVersion::V5 => {
            let mut options = rumqttc::v5::MqttOptions::new(client_id, host, port.unwrap_or(0));
            if let Some((username, password)) = &broker.credentials {
                options.set_credentials(username.as_str(), password.as_str());
            }
            options
                .set_transport(transport)
                .set_network_options(network)
                .set_keep_alive(keep_alive)
                .set_connection_timeout(CONNECT_TIMEOUT_S)
                .set_clean_start(false)
                .set_session_expiry_interval(Some(broker.session_expiry_s))
                .set_max_packet_size(Some(u32::try_from(most).unwrap_or(u32::MAX)))
                .set_outgoing_inflight_upper_limit(PACKET_IDS)
                .set_last_will(LastWill::new(will.0, will.1, QoS::AtLeastOnce, true, None));
            let (client, events) = rumqttc::v5::AsyncClient::new(options, CLIENT_QUEUE);
            (Client::V5(client), Events::V5(Box::new(events)))
        }
        MqttVersion::V311 => {
            let mut options = OldOptions::new(client_id, host, port.unwrap_or(0));
            if let Some((username, password)) = &broker.credentials {
                options.set_credentials(username.as_str(), password.as_str());
            }
            options
                .set_transport(transport)
                .set_keep_alive(keep_alive)
                .set_clean_session(false)
                .set_max_packet_size(most, usize::MAX)
                .set_inflight(PACKET_IDS)
                .set_last_will(OldLastWill::new(will.0, will.1, older::qos(QoS::AtLeastOnce), true));
            let (client, mut events) = rumqttc::AsyncClient::new(options, CLIENT_QUEUE);
            events.set_network_options(network);
            (Client::V311(client), Events::V311(Box::new(events)))
        }
    }
}
