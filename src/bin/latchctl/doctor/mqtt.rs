//! One question to a broker: would it let us in? The first packet of MQTT 5 and the first byte that matters of its answer,
//! by hand: a client library would go on to be a client.

use std::io::{self, Read, Write};

/// What a broker made of a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Welcome,
    /// The reason code of MQTT 5 §3.2.2.2.
    Refused(u8),
    /// What answers is no broker of this protocol.
    Strange,
}

/// CONNECT with a clean start, so that nothing that is kept for anybody is touched (MQTT 5 §3.1).
fn connect(client: &str, login: Option<(&str, &str)>) -> Vec<u8> {
    let mut flags = 0b0000_0010;
    let mut body = Vec::new();
    let text = |body: &mut Vec<u8>, text: &str| {
        body.extend((text.len().min(0xFFFF) as u16).to_be_bytes());
        body.extend(text.bytes().take(0xFFFF));
    };
    let mut payload = Vec::new();
    text(&mut payload, client);
    if let Some((name, password)) = login {
        flags |= 0b1100_0000;
        text(&mut payload, name);
        text(&mut payload, password);
    }
    text(&mut body, "MQTT");
    // Version 5; a keep-alive of 30 s; no properties.
    body.extend([5, flags, 0, 30, 0]);
    body.extend(payload);
    let mut packet = vec![0x10];
    let mut length = body.len();
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Asks, and leaves again.
pub fn knock(
    line: &mut (impl Read + Write),
    client: &str,
    login: Option<(&str, &str)>,
) -> io::Result<Answer> {
    line.write_all(&connect(client, login))?;
    line.flush()?;
    // CONNACK: its kind, a length of one byte or two, flags, the reason.
    let mut head = [0; 2];
    line.read_exact(&mut head)?;
    let [kind, mut length] = head;
    if kind != 0x20 {
        return Ok(Answer::Strange);
    }
    if length & 0x80 != 0 {
        let mut more = [0; 1];
        line.read_exact(&mut more)?;
        length = 0x7F;
    }
    if length < 2 {
        return Ok(Answer::Strange);
    }
    let mut start = [0; 2];
    line.read_exact(&mut start)?;
    let [_, reason] = start;
    if reason != 0 {
        return Ok(Answer::Refused(reason));
    }
    // DISCONNECT. That it is not heard harms nobody.
    drop(line.write_all(&[0xE0, 0]).and_then(|()| line.flush()));
    Ok(Answer::Welcome)
}

/// A reason code in words.
pub fn reason(code: u8) -> &'static str {
    match code {
        0x01 | 0x84 => "it does not speak MQTT 5",
        0x02 | 0x85 => "it takes no client of this name",
        0x86 => "bad user name or password",
        0x87 | 0x05 => "not authorised",
        0x88 | 0x03 => "it is unavailable",
        0x89 => "it is busy",
        0x8A => "this client is banned",
        0x8C => "it wants another way of logging in",
        0x97 => "over its quota",
        0x9F => "too many connections in a short time",
        _ => "for a reason of its own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with these bytes whatever it is told.
    struct Line(Vec<u8>, io::Cursor<Vec<u8>>);

    impl Read for Line {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1.read(into)
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answered(bytes: &[u8]) -> io::Result<Answer> {
        knock(&mut Line(Vec::new(), io::Cursor::new(bytes.to_vec())), "a", None)
    }

    #[test]
    fn a_connect_is_as_the_standard_has_it() {
        let expected = b"\x10\x14\x00\x04MQTT\x05\xC2\x00\x1E\x00\x00\x01a\x00\x01u\x00\x01p";
        let mut length_fixed = expected.to_vec();
        length_fixed[1] = (expected.len() - 2) as u8;
        assert_eq!(connect("a", Some(("u", "p"))), length_fixed);
        let long = "x".repeat(200);
        let packet = connect(&long, None);
        assert_eq!(usize::from(packet[1] & 0x7F) + 128 * usize::from(packet[2]), packet.len() - 3);
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(answered(&[0x20, 3, 0, 0, 0]).unwrap(), Answer::Welcome);
        assert_eq!(answered(&[0x20, 3, 0, 0x86, 0]).unwrap(), Answer::Refused(0x86));
        assert_eq!(answered(&[0x20, 0x90, 0x01, 0, 0x87]).unwrap(), Answer::Refused(0x87));
        assert_eq!(answered(b"HTTP/1.1 400").unwrap(), Answer::Strange);
        assert!(answered(&[]).is_err());
    }
}
