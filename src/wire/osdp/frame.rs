//! Whole packets out of what a line delivers (OSDP 2.2 §5.9), whatever comes between them.
//!
//! A line loses and invents bytes, and the crate's parser believes any length. So nothing before a start counts, no
//! length is believed beyond [`PACKET_MAX`], and a packet whose CRC is wrong is looked through for another start.

use osdp::packet::ParsedPacket;

/// The longest packet taken from a line. The standard lets a device send up to 1,440 bytes to a panel that says it has
/// room for them; ours does not say so, and no answer to what we ask is longer than this.
pub const PACKET_MAX: usize = 256;
/// Start, address, length, control, a code, CRC.
const PACKET_MIN: usize = 8;
const START: u8 = 0x53;

/// Gathers bytes, and gives whole packets.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    damaged: u64,
}

impl Framer {
    /// Forgets what is no whole packet yet.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next packet with a correct CRC, of any address and direction. To be called until there is none: then less
    /// than [`PACKET_MAX`] bytes are kept.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(start) = self.bytes.iter().position(|&byte| byte == START) else {
                self.bytes.clear();
                return None;
            };
            self.bytes.drain(..start);
            let &[_, _, low, high, ..] = self.bytes.as_slice() else { return None };
            let length = usize::from(u16::from_le_bytes([low, high]));
            if !(PACKET_MIN..=PACKET_MAX).contains(&length) {
                self.bytes.drain(..1);
                continue;
            }
            let whole = self.bytes.get(..length)?;
            if ParsedPacket::parse(whole).is_ok_and(|(packet, _)| packet.ctrl.use_crc()) {
                return Some(self.bytes.drain(..length).collect());
            }
            self.damaged = self.damaged.saturating_add(1);
            self.bytes.drain(..1);
        }
    }

    /// No more bytes come: what has begun is none, and a whole packet may lie behind its start, as noise that looks like
    /// one may come before an answer.
    pub fn packet_behind(&mut self) -> Option<Vec<u8>> {
        while !self.bytes.is_empty() {
            self.bytes.drain(..1);
            if let Some(packet) = self.packet() {
                return Some(packet);
            }
        }
        None
    }

    /// Whether something that may be a packet has begun.
    pub fn is_within(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Packets that did not add up, since this was last asked.
    pub fn take_damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// POLL to address 5.
    const POLL: [u8; 8] = [0x53, 0x05, 0x08, 0x00, 0x04, 0x60, 0xBC, 0x89];

    fn packets(framer: &mut Framer, bytes: &[u8]) -> Vec<Vec<u8>> {
        framer.push(bytes);
        std::iter::from_fn(|| framer.packet()).collect()
    }

    #[test]
    fn a_packet_is_found_among_noise_and_in_pieces() {
        let mut framer = Framer::default();
        assert_eq!(packets(&mut framer, &[0xFF, 0x00, 0x53, 0x53]), [[0; 0]; 0]);
        for byte in &POLL[..7] {
            assert!(packets(&mut framer, &[*byte]).is_empty());
        }
        assert_eq!(packets(&mut framer, &POLL[7..]), [POLL]);
        assert_eq!(packets(&mut framer, &[&POLL[..], &[0xFF], &POLL[..]].concat()), [POLL, POLL]);
    }

    #[test]
    fn a_packet_whose_crc_is_wrong_is_none_and_one_inside_it_is_found() {
        let mut framer = Framer::default();
        let mut damaged = POLL;
        damaged[6] ^= 1;
        assert!(packets(&mut framer, &damaged).is_empty());
        assert_eq!((framer.take_damaged(), framer.take_damaged()), (1, 0));
        let torn = [&[0x53, 0x85, 0x0C, 0x00][..], &POLL].concat();
        assert_eq!(packets(&mut framer, &torn), [POLL]);
    }

    #[test]
    fn a_packet_behind_noise_that_looks_like_a_beginning_is_found_when_no_more_comes() {
        let mut framer = Framer::default();
        assert!(packets(&mut framer, &[&[0x53, 0x11][..], &[0x53, 0x00, 0x53], &POLL].concat()).is_empty());
        assert!(framer.is_within());
        assert_eq!((framer.packet_behind(), framer.packet_behind()), (Some(POLL.to_vec()), None));
        assert!(!framer.is_within());
    }

    #[test]
    fn a_checksum_in_place_of_a_crc_is_not_taken() {
        let mut bytes = vec![0x53, 0x85, 0x08, 0x00, 0x01, 0x40, 0x00];
        bytes.push(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte)));
        assert!(ParsedPacket::parse(&bytes).is_ok(), "it is a good packet, as far as that goes");
        assert!(packets(&mut Framer::default(), &bytes).is_empty());
    }

    #[test]
    fn a_length_beyond_the_limit_keeps_nothing_waiting() {
        let mut framer = Framer::default();
        let long = [&[0x53, 0x85, 0x01, 0x01, 0x04][..], &POLL].concat();
        assert_eq!(packets(&mut framer, &long), [POLL]);
        assert_eq!(packets(&mut framer, &[&[0x53, 0x85, 0xFF, 0xFF][..], &POLL].concat()), [POLL]);
        assert_eq!(packets(&mut framer, &[&[0x53, 0x85, 0x00, 0x00][..], &POLL].concat()), [POLL]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it_or_make_it_grow(
            chunks in prop::collection::vec(prop::collection::vec(
                prop_oneof![Just(0x53_u8), Just(0x00), Just(0x01), Just(0x08), any::<u8>()], 0..400), 0..12)
        ) {
            let mut framer = Framer::default();
            for chunk in chunks {
                for packet in packets(&mut framer, &chunk) {
                    prop_assert!(ParsedPacket::parse(&packet).is_ok());
                }
                prop_assert!(framer.bytes.len() < PACKET_MAX);
            }
        }
    }
}
