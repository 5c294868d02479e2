//! Where the broker is: a URL as people write it, taken apart.

use super::CentralError;

/// A broker's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
    /// `mqtts://`.
    pub tls: bool,
}

impl Address {
    /// `mqtt://host[:port]` or `mqtts://host[:port]`.
    ///
    /// # Errors
    /// Anything else.
    pub fn of(url: &str) -> Result<Address, CentralError> {
        let bad = |why| CentralError::Url { url: url.to_owned(), why };
        let (rest, tls) = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            (None, None) => return Err(bad("it begins with neither mqtt:// nor mqtts://")),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().map_err(|_| bad("its port is not a number up to 65535"))?)
            }
            None => (rest, if tls { 8883 } else { 1883 }),
        };
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        Ok(Address { host: host.to_owned(), port, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_url_has_a_host_and_perhaps_a_port() {
        let address = |host: &str, port, tls| Address { host: host.to_owned(), port, tls };
        assert_eq!(Address::of("mqtt://127.0.0.1:4100").unwrap(), address("127.0.0.1", 4100, false));
        assert_eq!(Address::of("mqtt://broker.example/").unwrap(), address("broker.example", 1883, false));
        assert_eq!(Address::of("mqtts://broker.example").unwrap(), address("broker.example", 8883, true));
        for wrong in ["http://broker.example", "mqtt://", "mqtts://", "mqtt://host:99999"] {
            assert!(matches!(Address::of(wrong), Err(CentralError::Url { .. })), "{wrong}");
        }
    }
}
