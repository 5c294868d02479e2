//! The broker: each step on the way to it, so that the one that fails is named.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use latchd::{
    control::event::CertificateEnd,
    daemon::config::Config,
    domain::At,
    drivers::{
        clock,
        uplink::{certificates::Files, tls::TlsError},
    },
};
use tokio_rustls::rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    Finding, Patient,
    mqtt::{self, Answer},
};

const CHECK: &str = "broker";
const CERTIFICATE: &str = "certificate";
const STEP_WITHIN: Duration = Duration::from_secs(4);
/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 3;
/// Soon enough to get a new one.
const SOON_S: u64 = 30 * 86_400;

pub fn look(patient: &Patient) -> Vec<Finding> {
    let Some(config) = &patient.config else { return Vec::new() };
    let mut found = certificates(config.mqtt.broker.tls.as_ref(), clock::wall());
    let url = &config.mqtt.broker.url;
    match &patient.status {
        Ok(status) if status.sync.connected => {
            found.push(Finding::good(CHECK, format!("connected to {url}, says latchd")));
        }
        Ok(status) => {
            let why =
                status.sync.detail.as_deref().map(|why| format!("; latchd says: {why}")).unwrap_or_default();
            found.push(knock(config, &why));
        }
        Err(_) => found.push(knock(config, "")),
    }
    found
}

/// How long certificates hold. What else is wrong with the files, `latchd check` says, and the configuration's look.
fn certificates(files: Option<&Files>, now: At) -> Vec<Finding> {
    let Some(loaded) = files.and_then(|files| files.load().ok()) else { return Vec::new() };
    let judge = |CertificateEnd { of, not_after }: CertificateEnd| {
        let whose = match of.as_str() {
            "controller" => "this controller's certificate",
            "authority" => "the certificate of the broker's authority",
            _ => "the broker's certificate",
        };
        let day = not_after.utc().format("%Y-%m-%d");
        let advice = "have a new one made, and replace the file: latchd takes it up by itself";
        if not_after <= now {
            Finding::problem(CERTIFICATE, format!("{whose} ended on {day}"), advice)
        } else if not_after.since(now).as_secs() < SOON_S {
            let days = not_after.since(now).as_secs() / 86_400;
            Finding::warning(CERTIFICATE, format!("{whose} ends in {days} days, on {day}"), advice)
        } else {
            Finding::good(CERTIFICATE, format!("{whose} holds until {day}"))
        }
    };
    loaded.ends(None).into_iter().map(judge).collect()
}

/// Goes the whole way, and says where it ended.
fn knock(config: &Config, more: &str) -> Finding {
    let broker = &config.mqtt.broker;
    let (host, port) = (&broker.address.host, broker.address.port);
    let failed = |what: String, advice: &str| Finding::problem(CHECK, format!("{what}{more}"), advice);
    let addresses: Vec<SocketAddr> = match (host.as_str(), port).to_socket_addrs() {
        Ok(addresses) => addresses.take(MOST_ADDRESSES).collect(),
        Err(error) => {
            let advice =
                "is the name right, and does the box have a name server? (getent hosts, resolvectl status)";
            return failed(format!("{host}: the name is not known here: {error}"), advice);
        }
    };
    let mut why = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut line = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, STEP_WITHIN) {
            Ok(stream) => {
                line = Some(stream);
                break;
            }
            Err(error) => why = error,
        }
    }
    let Some(line) = line else {
        let advice =
            "does the broker run, is the port right, does a firewall let it through? (nc -vz HOST PORT)";
        return failed(format!("{}: {why}", broker.address), advice);
    };
    let limited =
        line.set_read_timeout(Some(STEP_WITHIN)).and_then(|()| line.set_write_timeout(Some(STEP_WITHIN)));
    if let Err(error) = limited {
        return Finding::note(CHECK, format!("{}: {error}", broker.address));
    }
    ask(config, line, more)
}

/// By TLS where that is configured, then MQTT.
fn ask(config: &Config, line: TcpStream, more: &str) -> Finding {
    let broker = &config.mqtt.broker;
    let failed = |what: String, advice: &str| Finding::problem(CHECK, format!("{what}{more}"), advice);
    let login = match config.mqtt.account.as_ref().map(|account| account.login()) {
        None => None,
        Some(Ok(login)) => Some(login),
        Some(Err(error)) => {
            let kind = if error.is_unseen() {
                Finding::note
            } else {
                |c, s: String| Finding::problem(c, s, PASSWORD)
            };
            return kind(CHECK, format!("{}: it was not tried to log in: {error}", broker.address));
        }
    };
    let login = login.as_ref().map(|login| (login.username.as_str(), login.password.as_str()));
    // Another name than the daemon's, which must not be thrown out; and it may be nobody's.
    let client = format!("{}-doctor", config.controller);
    let answer = match &broker.tls {
        None => mqtt::knock(&mut { line }, &client, login),
        Some(files) => match secure(files, &broker.address.host, line) {
            Ok(mut stream) => mqtt::knock(&mut stream, &client, login),
            Err(Unsecured::Unseen(why)) => return Finding::note(CHECK, format!("TLS was not tried: {why}")),
            Err(Unsecured::Failed(why)) => return failed(format!("{}: {why}", broker.address), TLS),
        },
    };
    match answer {
        Ok(Answer::Welcome) if more.is_empty() => Finding::good(CHECK, format!("{} lets us in", broker.url)),
        Ok(Answer::Welcome) => failed(
            format!("{} lets us in, but latchd is not connected", broker.url),
            "it tries again by itself within a minute; else journalctl -u latchd",
        ),
        Ok(Answer::Refused(code)) => {
            failed(format!("{} refuses us: {} (0x{code:02x})", broker.url, mqtt::reason(code)), PASSWORD)
        }
        Ok(Answer::Strange) => {
            let advice = "is the port a broker's, and is TLS on both sides or on none (mqtts:// or mqtt://)?";
            failed(format!("what answers at {} is no MQTT broker", broker.address), advice)
        }
        Err(error) => match TlsError::within(&error, &broker.address.host) {
            Some(error) => failed(format!("{}: {error}", broker.address), TLS),
            None => failed(format!("{}: connected, but no answer to MQTT: {error}", broker.address), ANSWER),
        },
    }
}

const PASSWORD: &str =
    "look at mqtt.username and the password's file, and at what the broker's own log says of us";
const TLS: &str =
    "look at mqtt.ca_file, cert_file and key_file, at the name in the broker's certificate, and at the clock";
const ANSWER: &str =
    "is TLS on both sides or on none (mqtts:// or mqtt://)? The broker's log says why it hung up";

enum Unsecured {
    /// Files that who asks may not read.
    Unseen(String),
    Failed(String),
}

fn secure(
    files: &Files,
    host: &str,
    line: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Unsecured> {
    let loaded = files.load().map_err(|error| {
        let text = error.to_string();
        if error.is_unseen() { Unsecured::Unseen(text) } else { Unsecured::Failed(text) }
    })?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Unsecured::Failed(error.to_string()))?;
    let connection = ClientConnection::new(Arc::clone(&loaded.client), name)
        .map_err(|error| Unsecured::Failed(TlsError::of(&error, host).to_string()))?;
    Ok(StreamOwned::new(connection, line))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener, thread};

    use super::{super::samples::*, *};

    /// A broker that says these bytes to whoever comes, or nothing.
    fn said_by(bytes: Option<&'static [u8]>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            match bytes {
                Some(bytes) => stream.write_all(bytes).unwrap(),
                // Until the other side has had enough.
                None => drop(io::copy(&mut stream, &mut io::sink())),
            }
        };
        let server = thread::Builder::new().spawn(serve).unwrap();
        let (_folder, patient) =
            patient(&[], Some(&SITE.replace("127.0.0.1:1\"\nallow", &format!("127.0.0.1:{port}\"\nallow"))));
        let found = said(&look(&patient)).join("\n");
        server.join().unwrap();
        found
    }

    #[test]
    fn the_step_that_fails_is_named() {
        let (_folder, nobody) = patient(&[], Some(SITE));
        assert!(said(&look(&nobody))[0].contains("127.0.0.1:1: Connection refused"));
        let unknown = SITE.replace("mqtt://127.0.0.1:1", "mqtt://no-such-host.invalid");
        let (_folder, unknown) = patient(&[], Some(&unknown));
        assert!(said(&look(&unknown))[0].contains("no-such-host.invalid: the name is not known here"));
        assert!(said_by(Some(&[0x20, 3, 0, 0, 0])).starts_with("Good broker: mqtt://127.0.0.1:"));
        assert!(said_by(Some(&[0x20, 3, 0, 0x87, 0])).contains("refuses us: not authorised (0x87)"));
        assert!(said_by(Some(b"SSH-2.0-x")).contains("is no MQTT broker"));
        assert!(said_by(None).contains("connected, but no answer to MQTT"));
    }
}
