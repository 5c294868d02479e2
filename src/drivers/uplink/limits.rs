//! What the broker takes: a packet beyond its limits ends the connection, and the next one, for ever.

use rumqttc::v5::mqttbytes::v5::ConnAckProperties;

/// About how large a message with events gets: below the limits hosted brokers set.
const MAX_EVENTS_BYTES: usize = 100 * 1024;
/// What a packet has beside the topic and the payload, in bytes: header, length, packet id, properties; and what
/// `events` has around the events.
const PACKET_OVERHEAD_BYTES: usize = 16;
const EVENTS_OVERHEAD_BYTES: usize = 256;

/// What the broker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub packet_bytes: usize,
    pub retains: bool,
}

impl Limits {
    pub fn of(answer: Option<&ConnAckProperties>) -> Self {
        let packet = answer.and_then(|p| p.max_packet_size).and_then(|n| usize::try_from(n).ok());
        Limits {
            packet_bytes: packet.unwrap_or(usize::MAX),
            retains: answer.and_then(|p| p.retain_available) != Some(0),
        }
    }

    pub fn takes(&self, topic: &str, payload: &str) -> bool {
        topic.len() + payload.len() + PACKET_OVERHEAD_BYTES <= self.packet_bytes
    }

    /// Bytes of events that fit into one message.
    pub fn events_bytes(&self, topic: &str) -> usize {
        let around = topic.len() + PACKET_OVERHEAD_BYTES + EVENTS_OVERHEAD_BYTES;
        MAX_EVENTS_BYTES.min(self.packet_bytes.saturating_sub(around))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(max_packet_size: Option<u32>, retain_available: Option<u8>) -> Limits {
        let properties = ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available,
            max_packet_size,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        Limits::of(Some(&properties))
    }

    #[test]
    fn what_the_broker_takes_follows_from_its_answer() {
        let topic = "latch/v1/oslo-1/events";
        let unlimited = Limits { packet_bytes: usize::MAX, retains: true };
        assert_eq!([Limits::of(None), limited(None, None)], [unlimited; 2]);
        assert_eq!(unlimited.events_bytes(topic), MAX_EVENTS_BYTES);
        let small = limited(Some(2048), Some(0));
        assert!(
            !small.retains && small.takes(topic, &"x".repeat(2010)) && !small.takes(topic, &"x".repeat(2011))
        );
        assert_eq!(small.events_bytes(topic), 2048 - topic.len() - 272);
        assert_eq!(limited(Some(10), None).events_bytes(topic), 0);
    }
}
