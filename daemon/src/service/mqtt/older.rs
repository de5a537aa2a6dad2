//! What MQTT 3.1.1 says, in the words of MQTT 5.
//!
//! 3.1.1 has no properties: a frame's metadata comes by its `meta` topic alone, a command's answer goes to its `reply`
//! topic, the broker tells no limits, and a PUBACK is always a success.

use rumqttc::v5::Event;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode};
use rumqttc::{Event as OldEvent, Packet as OldPacket, QoS as OldQoS, SubscribeReasonCode as OldReason};

/// An event that matters here; `None` for signs of life and acknowledgements that nobody waits for.
pub(super) fn in_words_of_5(event: OldEvent) -> Option<Event> {
    let packet = match event {
        OldEvent::Outgoing(outgoing) => return Some(Event::Outgoing(outgoing)),
        OldEvent::Incoming(packet) => packet,
    };
    let packet = match packet {
        OldPacket::ConnAck(old) => {
            // A refusal is an error of the event loop, not an event.
            let (session_present, code) = (old.session_present, ConnectReturnCode::Success);
            Packet::ConnAck(ConnAck { session_present, code, properties: None })
        }
        OldPacket::Publish(old) => Packet::Publish(Publish {
            dup: old.dup,
            qos: newer_qos(old.qos),
            retain: old.retain,
            topic: old.topic.into_bytes().into(),
            pkid: old.pkid,
            payload: old.payload,
            properties: None,
        }),
        OldPacket::PubAck(old) => Packet::PubAck(PubAck::new(old.pkid, None)),
        OldPacket::SubAck(old) => {
            let return_codes = old.return_codes.into_iter().map(|code| match code {
                OldReason::Success(qos) => SubscribeReasonCode::Success(newer_qos(qos)),
                OldReason::Failure => SubscribeReasonCode::Failure,
            });
            Packet::SubAck(SubAck { pkid: old.pkid, return_codes: return_codes.collect(), properties: None })
        }
        _ => return None,
    };
    Some(Event::Incoming(packet))
}

/// The same quality of service for the older client.
pub(super) fn qos(qos: QoS) -> OldQoS {
    match qos {
        QoS::AtMostOnce => OldQoS::AtMostOnce,
        QoS::AtLeastOnce => OldQoS::AtLeastOnce,
        QoS::ExactlyOnce => OldQoS::ExactlyOnce,
    }
}

fn newer_qos(qos: OldQoS) -> QoS {
    match qos {
        OldQoS::AtMostOnce => QoS::AtMostOnce,
        OldQoS::AtLeastOnce => QoS::AtLeastOnce,
        OldQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::v5::mqttbytes::v5::PubAckReason;
    use rumqttc::{PubAck as OldPubAck, Publish as OldPublish, SubAck as OldSubAck};

    #[test]
    fn a_message_of_3_1_1_is_one_of_5_without_properties() {
        let mut old = OldPublish::new("a/cam/b/frame", OldQoS::AtLeastOnce, b"picture".to_vec());
        (old.retain, old.pkid) = (true, 7);
        let Some(Event::Incoming(Packet::Publish(publish))) =
            in_words_of_5(OldEvent::Incoming(OldPacket::Publish(old)))
        else {
            panic!("expected a message");
        };
        assert_eq!((&publish.topic[..], &publish.payload[..]), (&b"a/cam/b/frame"[..], &b"picture"[..]));
        assert_eq!((publish.retain, publish.pkid, publish.qos), (true, 7, QoS::AtLeastOnce));
        assert_eq!(publish.properties, None);
    }

    #[test]
    fn an_acknowledgement_of_3_1_1_is_a_success_and_a_refused_subscription_a_failure() {
        let acknowledged = in_words_of_5(OldEvent::Incoming(OldPacket::PubAck(OldPubAck::new(3))));
        let Some(Event::Incoming(Packet::PubAck(puback))) = acknowledged else { panic!("expected a PUBACK") };
        assert_eq!((puback.pkid, puback.reason), (3, PubAckReason::Success));
        let codes = vec![OldReason::Success(OldQoS::AtMostOnce), OldReason::Failure];
        let Some(Event::Incoming(Packet::SubAck(suback))) =
            in_words_of_5(OldEvent::Incoming(OldPacket::SubAck(OldSubAck::new(4, codes))))
        else {
            panic!("expected a SUBACK");
        };
        let expected = [SubscribeReasonCode::Success(QoS::AtMostOnce), SubscribeReasonCode::Failure];
        assert_eq!(suback.return_codes, expected);
        assert!(in_words_of_5(OldEvent::Incoming(OldPacket::PingResp)).is_none());
    }
}
