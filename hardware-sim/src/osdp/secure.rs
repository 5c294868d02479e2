//! The secure channel from the reader's side (OSDP 2.2 Annex D): keys, cryptograms, MACs, cipher.

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};

pub type Block = [u8; 16];

/// What the reader has when nobody gave it a key: everybody knows it.
pub const DEFAULT_KEY: Block =
    [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F];

fn encrypted(key: &Block, block: Block) -> Block {
    let mut block = block.into();
    Aes128::new(key.into()).encrypt_block(&mut block);
    block.into()
}

fn decrypted(key: &Block, block: Block) -> Block {
    let mut block = block.into();
    Aes128::new(key.into()).decrypt_block(&mut block);
    block.into()
}

fn xor(a: &Block, b: &Block) -> Block {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(byte, other)| *byte ^= other);
    out
}

fn joined(a: [u8; 8], b: [u8; 8]) -> Block {
    let mut block = [0; 16];
    block[..8].copy_from_slice(&a);
    block[8..].copy_from_slice(&b);
    block
}

/// A handshake that waits for the host's proof, or a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    cipher: Block,
    mac_1: Block,
    mac_2: Block,
    host: [u8; 8],
    own: [u8; 8],
    /// The last MAC in either direction: what the next one begins from.
    last: Block,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// From the host's random bytes and the reader's own.
    pub fn new(key: &Block, host: [u8; 8], own: [u8; 8]) -> Self {
        let derived = |a: u8, b: u8| {
            let mut block = [0; 16];
            block[0] = a;
            block[1] = b;
            block[2..8].copy_from_slice(&host[..6]);
            encrypted(key, block)
        };
        let (cipher, mac_1, mac_2) = (derived(1, 0x82), derived(1, 1), derived(1, 2));
        Self { cipher, mac_1, mac_2, host, own, last: [0; 16] }
    }

    /// Proves to the host that the reader has the key.
    pub fn cryptogram(&self) -> Block {
        encrypted(&self.cipher, joined(self.host, self.own))
    }

    /// Whether the host has the key too. If so, the first R-MAC: the channel is open.
    pub fn open(&mut self, proof: &[u8]) -> Option<Block> {
        let expected = encrypted(&self.cipher, joined(self.own, self.host));
        (proof == expected).then(|| {
            self.last = encrypted(&self.mac_2, encrypted(&self.mac_1, expected));
            self.last
        })
    }

    /// The MAC of a packet so far; the next begins from it.
    pub fn mac(&mut self, bytes: &[u8]) -> [u8; 4] {
        let mut padded = bytes.to_vec();
        if !padded.len().is_multiple_of(16) {
            padded.push(0x80);
            padded.resize(padded.len().next_multiple_of(16), 0);
        }
        let mut state = self.last;
        let (blocks, _) = padded.as_chunks::<16>();
        for (n, block) in blocks.iter().enumerate() {
            let key = if n + 1 == blocks.len() { &self.mac_2 } else { &self.mac_1 };
            state = encrypted(key, xor(&state, block));
        }
        self.last = state;
        [state[0], state[1], state[2], state[3]]
    }

    /// What ciphers begin from now; to be asked before the MAC of the same packet.
    pub fn vector(&self) -> Block {
        self.last.map(|byte| !byte)
    }

    pub fn encipher(&self, data: &[u8]) -> Vec<u8> {
        let mut padded = data.to_vec();
        padded.push(0x80);
        padded.resize(padded.len().next_multiple_of(16), 0);
        let mut before = self.vector();
        let mut out = Vec::with_capacity(padded.len());
        for block in padded.as_chunks::<16>().0 {
            before = encrypted(&self.cipher, xor(&before, block));
            out.extend(before);
        }
        out
    }

    pub fn decipher(&self, vector: Block, data: &[u8]) -> Option<Vec<u8>> {
        let (mut before, mut out) = (vector, Vec::with_capacity(data.len()));
        for chunk in data.chunks(16) {
            let block: Block = chunk.try_into().ok()?;
            out.extend(xor(&before, &decrypted(&self.cipher, block)));
            before = block;
        }
        let end = out.iter().rposition(|&byte| byte != 0).filter(|&at| out.get(at) == Some(&0x80))?;
        out.truncate(end);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cipher_is_aes_128() {
        let block = encrypted(&[0; 16], [0; 16]);
        assert_eq!(block[..4], [0x66, 0xE9, 0x4B, 0xD4]);
        assert_eq!(decrypted(&[0; 16], block), [0; 16]);
    }

    #[test]
    fn what_is_enciphered_is_deciphered_and_a_wrong_proof_opens_nothing() {
        let mut session = Session::new(&[7; 16], [1; 8], [2; 8]);
        assert_eq!(session.open(&[0; 16]), None);
        let proof = encrypted(&session.cipher, joined([2; 8], [1; 8]));
        assert!(session.open(&proof).is_some());
        for length in 0..40 {
            let data: Vec<u8> = (0..length).collect();
            let secret = session.encipher(&data);
            assert_eq!(session.decipher(session.vector(), &secret), Some(data));
        }
        assert_eq!(session.decipher([0; 16], &[0; 15]), None);
    }
}
