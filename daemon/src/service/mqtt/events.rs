//! The half of a connection that drives it and tells what it saw.

use rumqttc::v5::Event;

use super::{LinkError, older};

/// An event loop of either version. It connects when it is polled for the first time.
pub(in crate::service) enum Events {
    /// MQTT 5.
    V5(Box<rumqttc::v5::EventLoop>),
    /// MQTT 3.1.1.
    V311(Box<rumqttc::EventLoop>),
}

impl Events {
    /// The next event. The future must be kept until it is ready: the event loop must not be cancelled halfway.
    ///
    /// # Errors
    /// No connection was made, or it is gone. Each connection needs an event loop of its own.
    pub(in crate::service) async fn poll(&mut self) -> Result<Event, LinkError> {
        match self {
            Self::V5(events) => events.poll().await.map_err(|error| LinkError::V5(Box::new(error))),
            Self::V311(events) => loop {
                let event = events.poll().await.map_err(|error| LinkError::V311(Box::new(error)))?;
                if let Some(event) = older::in_words_of_5(event) {
                    return Ok(event);
                }
            },
        }
    }

    /// What was read before the connection ended and not yet told.
    pub(in crate::service) fn pop_late(&mut self) -> Option<Event> {
        match self {
            Self::V5(events) => events.state.events.pop_front(),
            Self::V311(events) => std::iter::from_fn(|| events.state.events.pop_front()).find_map(older::in_words_of_5),
        }
    }
}
