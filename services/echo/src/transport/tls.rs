//! TLS, and clients that prove by a certificate who they are.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use cli::Failure;
use runtime::Stream;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use tls::files;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::rewound::Rewound;

mod certificate;
mod session;

use certificate::Certificate;
pub use session::Session;

/// What a client hears that speaks no TLS.
const NO_TLS: &str = "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n\
                      Client sent an HTTP request to an HTTPS server.\n";

/// The flags for it.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsArgs {
    /// Certificate to show to clients, then those up to its root, as PEM: clients speak TLS. Read anew when it changes
    #[arg(long, env = "SERVICE_CERT", value_name = "PATH", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The certificate's private key, as PEM: P-256, RSA or Ed25519
    #[arg(long, env = "SERVICE_KEY", value_name = "PATH", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Certificates of who issues clients' ones, as PEM: clients have to show one then
    #[arg(long, env = "SERVICE_CACERT", value_name = "PATH", requires = "cert")]
    pub cacert: Option<PathBuf>,
}

/// TLS as the flags have it.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads the files; nothing where none is given.
    pub fn load(args: &TlsArgs) -> Result<Option<Self>, Failure> {
        let (Some(cert), Some(key)) = (&args.cert, &args.key) else { return Ok(None) };
        let provider = tls::provider();
        let certificate = Certificate::load(cert, key, Arc::clone(&provider))?;
        let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Failure::new(format_args!("preparing TLS: {error}")))?;
        let clients = match &args.cacert {
            None => versions.with_no_client_auth(),
            Some(path) => {
                let roots = files::roots("the clients' root certificates", path)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier =
                    verifier.map_err(|error| Failure::new(format_args!("preparing TLS: {error}")))?;
                versions.with_client_cert_verifier(verifier)
            }
        };
        let mut config = clients.with_cert_resolver(Arc::new(certificate));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Self(Arc::new(config).into())))
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, mut stream: Rewound) -> io::Result<(Stream, Session)> {
        if stream.early().is_empty() && stream.more().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // No TLS begins with a letter, and each method does.
        if stream.early().first().is_some_and(u8::is_ascii_uppercase) {
            stream.write_all(NO_TLS.as_bytes()).await?;
            stream.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a request without TLS"));
        }
        let stream = self.0.accept(stream).await?;
        let session = Session::of(stream.get_ref().1);
        Ok((Stream::layered(stream), session))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
