//! TLS 1.3 to the broker: rumqttc speaks plainly to a private Unix socket, and a task carries it on to the broker.
//!
//! ```text
//!   rumqttc ── Unix socket in a private folder ── Bridge ══ TCP, TLS ══ broker
//! ```
//!
//! rumqttc's own TLS pins a rustls-webpki with advisories, and a Unix socket is the one transport of it that leads anywhere
//! else. The server's certificate is always checked. Files are read for each connection, so that renewed ones count at the
//! next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::address::Address;
use super::lock;

/// What a broker may take to answer in full; a silent one is tried again.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// The files that say whom to trust and who we are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The authority of the broker's certificate, as PEM.
    pub ca: PathBuf,
    /// Our certificate and its key, as PEM, for a broker that asks for them.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is no PEM.
    #[error("{path} can't be used: it should hold {what} as PEM")]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The files don't go together.
    #[error("the TLS files can't be used together")]
    Config(#[source] rustls::Error),
    /// The host is no name a certificate could be for.
    #[error("{host} is no name a certificate could be for; give the broker's host name or address")]
    Name {
        /// From the URL.
        host: String,
    },
    /// `mqtts://` alone or files alone.
    #[error(
        "mqtts:// needs the file of the authority that vouches for the broker, and mqtt:// can't have one: give --ca with mqtts://"
    )]
    Half,
    /// No private socket to be had.
    #[error("there is no room for the private socket between MQTT and TLS")]
    Local(#[source] io::Error),
    /// The handshake, or what came after it.
    #[error("the TLS connection to {host} failed")]
    Connection {
        /// From the URL.
        host: String,
        /// As rustls or the system says.
        source: io::Error,
    },
}

impl TlsFiles {
    /// Reads them all.
    ///
    /// # Errors
    /// A file that can't be read, is no PEM, or does not go with the others.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.ca)? {
            roots.add(authority).map_err(TlsError::Config)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(TlsError::Config)?;
        let builder = builder.with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key_file)) => {
                let wrong = |source| TlsError::File { path: key_file.clone(), what: "a private key", source };
                let key = PrivateKeyDer::from_pem_file(key_file).map_err(wrong)?;
                builder.with_client_auth_cert(certificates(certificate)?, key).map_err(TlsError::Config)?
            }
        };
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::File { path: path.to_owned(), what: "certificates", source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(wrong(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// One connection's way through TLS; dropping it ends it.
#[derive(Debug)]
pub(super) struct Bridge {
    socket: PathBuf,
    carry: JoinHandle<()>,
    why: Arc<Mutex<Option<TlsError>>>,
    _folder: tempfile::TempDir,
}

impl Bridge {
    /// Waits for rumqttc at a private socket, then connects to the broker.
    ///
    /// # Errors
    /// The files, or no room for the socket. What goes wrong with the broker is in [`Bridge::why`].
    pub fn open(files: &TlsFiles, to: &Address) -> Result<Bridge, TlsError> {
        let config = files.config()?;
        let name = ServerName::try_from(to.host.clone());
        let name = name.map_err(|_| TlsError::Name { host: to.host.clone() })?;
        let folder = tempfile::Builder::new().prefix("latch-central-").tempdir().map_err(TlsError::Local)?;
        let socket = folder.path().join("broker");
        let listener = UnixListener::bind(&socket).map_err(TlsError::Local)?;
        let why = Arc::new(Mutex::new(None));
        let (told, to) = (Arc::clone(&why), to.clone());
        let carry = tokio::spawn(async move {
            if let Err(source) = carry(&listener, config, name, &to).await {
                *lock(&told) = Some(TlsError::Connection { host: to.host, source });
            }
        });
        Ok(Bridge { socket, carry, why, _folder: folder })
    }

    /// What rumqttc connects to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What went wrong, once something has.
    pub fn why(&self) -> Option<TlsError> {
        lock(&self.why).take()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.carry.abort();
    }
}

async fn carry(
    listener: &UnixListener,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    to: &Address,
) -> io::Result<()> {
    let (mut inner, _) = listener.accept().await?;
    let connect = async {
        let tcp = TcpStream::connect((to.host.as_str(), to.port)).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, tcp).await
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the broker does not answer");
    let connected = tokio::time::timeout(HANDSHAKE_WITHIN, connect).await.map_err(|_| late())?;
    let mut outer = connected?;
    match tokio::io::copy_bidirectional(&mut inner, &mut outer).await {
        // Who hangs up without a word has nothing to say.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
