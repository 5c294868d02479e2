//! OSDP's packets from the reader's side (OSDP 2.2 §5.9): commands in, replies out.

/// Start of message.
const START: u8 = 0x53;
const REPLY: u8 = 0x80;
const WITH_CRC: u8 = 0x04;
const WITH_BLOCK: u8 = 0x08;
/// What a device says it has room for.
pub const ROOM: usize = 512;

/// A command as it stands on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub address: u8,
    pub sequence: u8,
    /// The type of its security block and the block's data.
    pub block: Option<(u8, Vec<u8>)>,
    pub code: u8,
    /// As it came: enciphered, where the block says so. With the MAC.
    pub data: Vec<u8>,
    /// From the start up to the CRC.
    pub bytes: Vec<u8>,
}

/// Takes the first whole command with a right CRC off the front, and everything before it.
pub fn take(buffer: &mut Vec<u8>) -> Option<Command> {
    loop {
        let start = buffer.iter().position(|&byte| byte == START).unwrap_or(buffer.len());
        buffer.drain(..start);
        let &[_, _, low, high, ..] = buffer.as_slice() else { return None };
        let length = usize::from(low) | usize::from(high) << 8;
        if !(8..=ROOM).contains(&length) {
            buffer.remove(0);
            continue;
        }
        let whole = buffer.get(..length)?;
        match parse(whole) {
            Some(command) => {
                buffer.drain(..length);
                return Some(command);
            }
            None => _ = buffer.remove(0),
        }
    }
}

fn parse(whole: &[u8]) -> Option<Command> {
    let (bytes, check) = whole.split_at_checked(whole.len().checked_sub(2)?)?;
    let [_, address, _, _, control, rest @ ..] = bytes else { return None };
    if control & WITH_CRC == 0 || check != crc(bytes).to_le_bytes() || address & REPLY != 0 {
        return None;
    }
    let (block, rest) = if control & WITH_BLOCK == 0 {
        (None, rest)
    } else {
        let (block, rest) = rest.split_at_checked(usize::from(*rest.first()?))?;
        let [_, kind, data @ ..] = block else { return None };
        (Some((*kind, data.to_vec())), rest)
    };
    let (code, data) = rest.split_first()?;
    Some(Command {
        address: *address,
        sequence: control & 3,
        block,
        code: *code,
        data: data.to_vec(),
        bytes: bytes.to_vec(),
    })
}

/// A reply up to where the MAC or the CRC comes; its length counts `behind` bytes more.
pub fn reply(
    address: u8,
    sequence: u8,
    block: Option<&[u8]>,
    code: u8,
    data: &[u8],
    behind: usize,
) -> Vec<u8> {
    let block_length = block.map_or(0, |block| block.len() + 1);
    let length = 5 + block_length + 1 + data.len() + behind + 2;
    let control = sequence | WITH_CRC | if block.is_some() { WITH_BLOCK } else { 0 };
    let mut bytes = vec![START, address | REPLY, (length & 0xFF) as u8, (length >> 8) as u8, control];
    if let Some(block) = block {
        bytes.push(u8::try_from(block_length).unwrap_or(u8::MAX));
        bytes.extend(block);
    }
    bytes.push(code);
    bytes.extend(data);
    bytes
}

/// Puts the CRC behind it.
pub fn close(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = crc(&bytes);
    bytes.extend(check.to_le_bytes());
    bytes
}

/// CRC-16 with polynomial 1021, beginning from 1D0F (Annex C).
pub fn crc(bytes: &[u8]) -> u16 {
    let mut crc: u16 = 0x1D0F;
    for &byte in bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_among_noise() {
        // The standard's example of an identity request, with a mark before it.
        let id = [0x53, 0x00, 0x09, 0x00, 0x04, 0x61, 0x00, 0xC0, 0x66];
        let mut buffer = [&[0x00, 0x53, 0x53, 0xFF, 0xFF][..], &id, &[0xFF, 0x53]].concat();
        let command = take(&mut buffer).unwrap();
        assert_eq!((command.address, command.sequence, command.code), (0, 0, 0x61));
        assert_eq!((command.data, command.block), (vec![0], None));
        assert_eq!((take(&mut buffer), buffer), (None, vec![0x53]));
    }

    #[test]
    fn a_reply_and_a_damaged_command_are_no_commands() {
        let mut reply = close(reply(5, 1, None, 0x40, &[], 0));
        assert_eq!(take(&mut reply), None);
        let mut damaged = vec![0x53, 0x00, 0x09, 0x00, 0x04, 0x61, 0x01, 0xC0, 0x66];
        assert_eq!(take(&mut damaged), None);
        assert!(damaged.is_empty());
    }

    #[test]
    fn a_reply_carries_its_length_its_block_and_its_crc() {
        let bytes = close(reply(1, 2, Some(&[0x12, 1]), 0x76, &[9, 9], 0));
        assert_eq!(bytes[..11], [0x53, 0x81, 13, 0, 0x0E, 3, 0x12, 1, 0x76, 9, 9]);
        assert_eq!(bytes.len(), 13);
    }
}
