//! rumqttc's event loop, polled in a task of its own: a poll that is cancelled can leave a session half made.
//!
//! It adds what rumqttc does not look after: whether the broker is alive (the bridge says so), and whether it still
//! acknowledges what we publish.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rumqttc::{
    Outgoing,
    v5::{Event as Happening, EventLoop, Incoming, StateError, mqttbytes::v5::ConnAck},
};
use tokio::{sync::mpsc::Sender, time::Instant};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{
    bridge::{Bridge, Link},
    ended::LinkError,
    transport::TransportError,
};
use crate::drivers::clock;

/// How long the broker may take to acknowledge a publish while it answers pings and has nothing else to say. One that
/// does not is of no use to us, and nobody would notice.
pub const PUBACK_PATIENCE: Duration = Duration::from_secs(60);

/// The certificates the broker showed, once it has.
pub type Shown = Arc<OnceLock<Arc<Vec<CertificateDer<'static>>>>>;

pub async fn poll(
    bridge: Result<Bridge, TransportError>,
    event_loop: EventLoop,
    packets: Sender<Result<Incoming, LinkError>>,
    shown: Shown,
) {
    if let Err(end) = converse(bridge, event_loop, &packets, shown).await {
        // Nobody listens any more when the connection was given up.
        let _heard = packets.send(Err(end)).await;
    }
}

/// Until the connection ends, or nobody takes its packets.
async fn converse(
    bridge: Result<Bridge, TransportError>,
    mut event_loop: EventLoop,
    packets: &Sender<Result<Incoming, LinkError>>,
    shown: Shown,
) -> Result<(), LinkError> {
    let mut link = bridge?.open().await?;
    if let Some(certificates) = link.certificates.take() {
        let _only_once = shown.set(certificates);
    }
    let mut unanswered = Unanswered::default();
    loop {
        // The bridge says when a broker is silent; rumqttc would give up one whose answer to its ping comes late.
        event_loop.state.await_pingresp = false;
        let packet = match event_loop.poll().await {
            Ok(Happening::Incoming(packet)) => packet,
            Ok(Happening::Outgoing(sent)) => {
                // Pings are sent too, so this is looked at each keep-alive at least.
                unanswered.sent(&sent, clock::instant())?;
                continue;
            }
            Err(error) => {
                return Err(match link.why(error).await {
                    Err(TransportError::TakenOver) => LinkError::TakenOver,
                    Err(seen) => LinkError::Transport(seen),
                    Ok(error) if is_take_over(&error) => LinkError::TakenOver,
                    Ok(error) => LinkError::Connection(Box::new(error)),
                });
            }
        };
        unanswered.heard(&packet, clock::instant());
        if let Incoming::ConnAck(answer) = &packet {
            agree(&mut link, &mut event_loop, answer);
        }
        if packets.send(Ok(packet)).await.is_err() {
            return Ok(());
        }
    }
}

/// The broker says that another client has connected under our id.
fn is_take_over(error: &rumqttc::v5::ConnectionError) -> bool {
    use rumqttc::v5::{ConnectionError::MqttState, mqttbytes::v5::DisconnectReasonCode::SessionTakenOver};
    matches!(error, MqttState(StateError::ServerDisconnect { reason_code: SessionTakenOver, .. }))
}

/// The broker may want to be pinged more often. rumqttc has taken that up, and 0 too, which would be all the time.
fn agree(link: &mut Link, event_loop: &mut EventLoop, answer: &ConnAck) {
    let asked = answer.properties.as_ref().and_then(|p| p.server_keep_alive);
    let agreed = link.agree(asked);
    // It takes nothing below this, but from a broker.
    if agreed >= Duration::from_secs(5) {
        event_loop.options.set_keep_alive(agreed);
    }
}

/// Publishes the broker has not acknowledged, and since when.
#[derive(Debug, Default)]
struct Unanswered(BTreeMap<u16, Instant>);

impl Unanswered {
    fn sent(&mut self, sent: &Outgoing, now: Instant) -> Result<(), LinkError> {
        if let Outgoing::Publish(id) = sent {
            self.0.insert(*id, now);
        }
        match self.0.values().min() {
            Some(oldest) if now - *oldest > PUBACK_PATIENCE => Err(LinkError::Unanswered),
            _ => Ok(()),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others say nothing about publishes")]
    fn heard(&mut self, packet: &Incoming, now: Instant) {
        match packet {
            Incoming::PubAck(answer) => _ = self.0.remove(&answer.pkid),
            // Its answers stand in a line with what it pours out.
            Incoming::Publish(_) => self.0.values_mut().for_each(|since| *since = now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::{
        QoS,
        v5::{PubAck, PubAckReason, Publish},
    };

    use super::*;

    #[test]
    fn a_publish_the_broker_never_acknowledges_ends_the_connection() {
        let start = clock::instant();
        let at = |s| start + Duration::from_secs(s);
        let mut unanswered = Unanswered::default();
        let ack = |pkid| Incoming::PubAck(PubAck { pkid, reason: PubAckReason::Success, properties: None });
        assert!(unanswered.sent(&Outgoing::Publish(1), at(0)).is_ok());
        assert!(unanswered.sent(&Outgoing::Publish(2), at(30)).is_ok());
        assert!(unanswered.sent(&Outgoing::PingReq, at(60)).is_ok());
        unanswered.heard(&ack(1), at(60));
        assert!(unanswered.sent(&Outgoing::PingReq, at(61)).is_ok());
        assert!(matches!(unanswered.sent(&Outgoing::PingReq, at(91)), Err(LinkError::Unanswered)));
        unanswered.heard(&Incoming::Publish(Publish::new("feed", QoS::AtLeastOnce, "", None)), at(91));
        assert!(unanswered.sent(&Outgoing::PingReq, at(151)).is_ok(), "it had other things to say");
        unanswered.heard(&ack(2), at(151));
        assert!(unanswered.sent(&Outgoing::PingReq, at(1000)).is_ok());
    }
}
