//! Whom to trust and who to be: certificates and keys in PEM files, and in words what is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use thiserror::Error as ThisError;

/// Files for TLS to the broker. They are read again for every connection, so that renewed ones count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that may have signed the broker's; the system's without it.
    pub ca: Option<PathBuf>,
    /// The device's own certificate, with what leads to its authority, and the key for it.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name that the broker's certificate must be for; the name in its URL without it.
    pub server_name: Option<String>,
}

/// Why a file cannot be used: which setting, which file, what was expected or found.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{key}: {problem}")]
pub(in crate::service) struct TlsFilesError {
    /// The setting.
    pub(in crate::service) key: &'static str,
    /// The file and what is wrong with it.
    pub(in crate::service) problem: String,
}

/// The setting that names the authorities.
const CA_KEY: &str = "mqtt.ca_file";
const CERTIFICATE_KEY: &str = "mqtt.certificate_file";
const KEY_KEY: &str = "mqtt.key_file";

impl TlsFiles {
    /// Reads the files. A clock below `clock_floor_ms`, in Unix milliseconds, is not believed: certificates are judged
    /// as of then.
    ///
    /// # Errors
    /// A file that cannot be read, holds nothing of its kind, or does not fit the other.
    pub(in crate::service) fn client_config(&self, clock_floor_ms: i64) -> Result<Arc<ClientConfig>, TlsFilesError> {
        let roots = self.roots()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clock = Arc::new(FlooredClock { floor_ms: u64::try_from(clock_floor_ms).unwrap_or(0) });
        let builder = ClientConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFilesError { key: CA_KEY, problem: error.to_string() })?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.identity else { return Ok(Arc::new(builder.with_no_client_auth())) };
        let chain = certificates(CERTIFICATE_KEY, certificate)?;
        let secret =
            PrivateKeyDer::from_pem_file(key).map_err(|error| pem_problem(KEY_KEY, key, "private key", &error))?;
        let config = builder.with_client_auth_cert(chain, secret).map_err(|error| {
            let problem = match error {
                Error::InconsistentKeys(_) => {
                    format!("{}: is not the key of the certificate {}", key.display(), certificate.display())
                }
                other => format!("{}: {other}", key.display()),
            };
            TlsFilesError { key: KEY_KEY, problem }
        })?;
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, TlsFilesError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in certificates(CA_KEY, path)? {
                    roots.add(certificate).map_err(|error| TlsFilesError {
                        key: CA_KEY,
                        problem: format!("{}: {error}", path.display()),
                    })?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            let problem = "the system has no certificates of authorities: expected a file that holds them".to_owned();
            return Err(TlsFilesError { key: CA_KEY, problem });
        }
        Ok(roots)
    }

    /// What went wrong in talking to the broker `name`, in words and with the file to look at.
    pub(super) fn explain(&self, name: &str, error: &Error) -> String {
        let trusted =
            self.ca.as_ref().map_or("the system's certificates".to_owned(), |path| path.display().to_string());
        match error {
            Error::InvalidCertificate(problem) => {
                format!("the broker's certificate {}", judged(problem, name, &trusted))
            }
            Error::AlertReceived(AlertDescription::CertificateRequired) => {
                format!("the broker asks for a certificate: set {CERTIFICATE_KEY} and {KEY_KEY}")
            }
            Error::AlertReceived(alert) => match &self.identity {
                Some((certificate, _)) => {
                    format!("the broker refuses the connection or the certificate {}: {alert:?}", certificate.display())
                }
                None => format!("the broker refuses the connection: {alert:?}"),
            },
            Error::InvalidMessage(_) => format!("the broker speaks no TLS there: {error}"),
            other => other.to_string(),
        }
    }
}

fn judged(problem: &CertificateError, name: &str, trusted: &str) -> String {
    let date = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
    };
    match problem {
        CertificateError::UnknownIssuer => format!("is signed by nobody in {trusted}"),
        CertificateError::BadSignature => {
            format!("is not signed by {trusted}: an authority of that name is there, with another key")
        }
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("expired at {}; the device's clock says {}", date(not_after), date(time))
        }
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("is valid from {}; the device's clock says {}", date(not_before), date(time))
        }
        CertificateError::NotValidForName => format!("is not for the name {name}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("is not for the name {name}, but for {}", presented.join(", "))
        }
        other => format!("is refused: {other}"),
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let problem = match read {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => PemError::NoItemsFound,
        Err(problem) => problem,
    };
    Err(pem_problem(key, path, "certificate", &problem))
}

fn pem_problem(key: &'static str, path: &Path, expected: &str, error: &PemError) -> TlsFilesError {
    let path = path.display();
    let problem = match error {
        PemError::Io(error) => format!("{path}: cannot be read: {error}"),
        PemError::NoItemsFound => format!("{path}: expected a {expected} in PEM form, found none"),
        other => format!("{path}: expected a {expected} in PEM form: {other}"),
    };
    TlsFilesError { key, problem }
}

/// A clock that shows a time before the index was built is wrong for sure, and no certificate would be valid yet.
#[derive(Debug)]
struct FlooredClock {
    floor_ms: u64,
}

impl TimeProvider for FlooredClock {
    fn current_time(&self) -> Option<UnixTime> {
        let floor = Duration::from_millis(self.floor_ms);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Some(UnixTime::since_unix_epoch(now.max(floor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_nothing_of_their_kind_are_named_with_their_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let files = |ca: &Path| TlsFiles { ca: Some(ca.to_owned()), ..TlsFiles::default() };
        let absent = files(&folder.path().join("absent.pem")).client_config(0).unwrap_err().to_string();
        assert!(absent.starts_with("mqtt.ca_file: ") && absent.contains("absent.pem: cannot be read"), "{absent}");
        std::fs::write(&path, "no certificate").unwrap();
        let empty = files(&path).client_config(0).unwrap_err().to_string();
        assert!(empty.contains("ca.pem: expected a certificate in PEM form, found none"), "{empty}");
    }

    #[test]
    fn what_is_wrong_with_a_brokers_certificate_is_said_in_words() {
        let files = TlsFiles { ca: Some(PathBuf::from("ca.pem")), ..TlsFiles::default() };
        let said = |problem: CertificateError| files.explain("hub", &Error::InvalidCertificate(problem));
        assert_eq!(said(CertificateError::UnknownIssuer), "the broker's certificate is signed by nobody in ca.pem");
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: at(86_400), not_after: at(0) };
        let expected = "expired at 1970-01-01T00:00:00Z; the device's clock says 1970-01-02T00:00:00Z";
        assert_eq!(said(expired), format!("the broker's certificate {expected}"));
        assert!(files.explain("hub", &Error::AlertReceived(AlertDescription::CertificateRequired)).contains(KEY_KEY));
    }

    #[test]
    fn a_clock_of_1970_is_not_believed() {
        let floor_ms = 4_000_000_000_000;
        let time = FlooredClock { floor_ms }.current_time().unwrap();
        assert_eq!(time.as_secs(), floor_ms / 1000);
        assert!(FlooredClock { floor_ms: 0 }.current_time().unwrap().as_secs() > 1_700_000_000);
    }
}
