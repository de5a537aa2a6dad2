//! The half of a connection that takes what is to be sent. Nothing here waits.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;

use super::older;

/// A client of either version.
#[derive(Debug, Clone)]
pub(in crate::service) enum Client {
    /// MQTT 5.
    V5(rumqttc::v5::AsyncClient),
    /// MQTT 3.1.1.
    V311(rumqttc::AsyncClient),
}

impl Client {
    /// Hands over a message. 3.1.1 leaves its properties out.
    ///
    /// # Errors
    /// The client takes none just now.
    pub(in crate::service) fn try_publish(
        &self,
        topic: &str,
        qos: QoS,
        retain: bool,
        payload: Vec<u8>,
        properties: PublishProperties,
    ) -> Result<(), String> {
        match self {
            Self::V5(client) => client
                .try_publish_with_properties(topic, qos, retain, payload, properties)
                .map_err(|error| error.to_string()),
            Self::V311(client) => {
                client.try_publish(topic, older::qos(qos), retain, payload).map_err(|error| error.to_string())
            }
        }
    }

    /// Hands over a subscription.
    ///
    /// # Errors
    /// The client takes none just now.
    pub(in crate::service) fn try_subscribe(&self, topic: &str, qos: QoS) -> Result<(), String> {
        match self {
            Self::V5(client) => client.try_subscribe(topic, qos).map_err(|error| error.to_string()),
            Self::V311(client) => client.try_subscribe(topic, older::qos(qos)).map_err(|error| error.to_string()),
        }
    }

    /// Hands over the end of the connection.
    ///
    /// # Errors
    /// The client takes nothing just now.
    pub(in crate::service) fn try_disconnect(&self) -> Result<(), String> {
        match self {
            Self::V5(client) => client.try_disconnect().map_err(|error| error.to_string()),
            Self::V311(client) => client.try_disconnect().map_err(|error| error.to_string()),
        }
    }
}
