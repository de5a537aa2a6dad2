//! Asks servers: connections, certificates, redirects, and who gets to see the token.

use std::fmt;
use std::io;
use std::sync::Arc;

use thiserror::Error;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};
use url::{Host, Origin, Url};

use super::answer::Answer;
use super::error::shown;
use super::{DownloadError, Patience};

/// Redirects that are followed for one file.
const MAX_REDIRECTS: usize = 8;
/// Longest head of an answer in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A secret for one origin (scheme, host and port). It is sent there and nowhere else, whatever a redirect says.
#[derive(Clone)]
pub struct Token {
    origin: Origin,
    header: String,
}

/// Why a token cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// It holds what no header can hold.
    #[error("the token holds spaces, control characters or letters beyond ASCII")]
    Characters,
    /// Anybody on the way could read it.
    #[error("the token is not sent to {0}: without https anybody on the way could read it")]
    Plain(String),
}

impl Token {
    /// A bearer token for the origin of `url`: one by `https`, or on this machine.
    ///
    /// # Errors
    /// The token is no token, or it would be sent in the clear.
    pub fn new(url: &Url, token: &str) -> Result<Self, TokenError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        let is_here = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !is_here {
            return Err(TokenError::Plain(shown(url)));
        }
        Ok(Self { origin: url.origin(), header: format!("Bearer {token}") })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token for {}", self.origin.ascii_serialization())
    }
}

/// The rest of a file.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    /// Where it begins.
    pub(super) byte: u64,
    /// The entity tag of what is there already: should the file have another by now, all of it is wanted.
    pub(super) if_tag: Option<String>,
}

#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    token: Option<Token>,
    /// How many of the system's certificates were found.
    certificates: usize,
}

/// How servers are known: by the system's certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR`). Also how many were found.
pub fn tls_config() -> (TlsConfig, usize) {
    let found = rustls_native_certs::load_native_certs().certs;
    let certificates: Vec<_> = found.iter().map(|found| Certificate::from_der(found).to_owned()).collect();
    let count = certificates.len();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    (tls.build(), count)
}

impl Client {
    pub(super) fn new(patience: &Patience, token: Option<Token>) -> Self {
        let (tls, count) = tls_config();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEAD_BYTES)
            .user_agent(concat!("geolocated/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            // A compressed body could not be resumed, and its digest would be another.
            .accept_encoding("identity")
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall));
        Self { agent: config.build().new_agent(), token, certificates: count }
    }

    /// Asks for a file, or its rest. The answer is 200, 206 or 416; all others are errors.
    pub(super) fn get(&self, url: &Url, rest: Option<&Rest>) -> Result<Answer, DownloadError> {
        let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
        if !plain || !matches!(url.scheme(), "http" | "https") {
            return Err(DownloadError::Address { url: shown(url) });
        }
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask(&at, rest)?;
            match answer.redirect()? {
                Some(to) => at = to,
                None if matches!(answer.status, 200 | 206 | 416) => return Ok(answer),
                None => return Err(answer.refusal()),
            }
        }
        Err(DownloadError::Redirects { url: shown(url), most: MAX_REDIRECTS })
    }

    fn ask(&self, url: &Url, rest: Option<&Rest>) -> Result<Answer, DownloadError> {
        let mut request = self.agent.get(url.as_str());
        if let Some(token) = self.token.as_ref().filter(|token| token.origin == url.origin()) {
            request = request.header("Authorization", &token.header);
        }
        if let Some(Rest { byte, if_tag }) = rest {
            request = request.header("Range", format!("bytes={byte}-"));
            if let Some(tag) = if_tag {
                request = request.header("If-Range", tag);
            }
        }
        let response = request.call().map_err(|error| self.refused(url, &error))?;
        Ok(Answer::new(url.clone(), response))
    }

    fn refused(&self, url: &Url, error: &ureq::Error) -> DownloadError {
        let no_certificates = url.scheme() == "https" && self.certificates == 0;
        let reason = match error {
            _ if no_certificates => {
                "the system has no certificates to know servers by: install ca-certificates, or set SSL_CERT_FILE"
                    .into()
            }
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => "no connection in time".to_owned(),
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::HostNotFound => "the host's name is not known".to_owned(),
            error => format!("no answer: {error}"),
        };
        let passing = match error {
            _ if no_certificates => false,
            // What rustls says against a certificate.
            ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
            ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
            ureq::Error::Protocol(_) | ureq::Error::BodyStalled | ureq::Error::ConnectProxyFailed(_) => true,
            _ => false,
        };
        DownloadError::Connection { url: shown(url), reason, passing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_for_https_or_this_machine_and_is_not_shown() {
        for good in ["https://hub.example", "http://127.0.0.1:8080", "http://[::1]", "http://localhost"] {
            let token = Token::new(&url(good), "hf_secret").unwrap();
            assert!(!format!("{token:?}").contains("secret"), "{token:?}");
        }
        assert!(matches!(Token::new(&url("http://hub.example"), "hf_secret"), Err(TokenError::Plain(_))));
        for bad in ["", "two words", "line\nbreak", "schlüssel"] {
            assert_eq!(Token::new(&url("https://hub.example"), bad).err(), Some(TokenError::Characters), "{bad}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_asked_for_are_refused_before_asking() {
        let client = Client::new(&Patience::default(), None);
        for bad in ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://name:word@127.0.0.1/a"] {
            let error = client.get(&url(bad), None).err().unwrap();
            assert!(matches!(error, DownloadError::Address { .. }), "{bad}: {error}");
        }
    }
}
