//! Certificates for a broker and a device, made by the openssl command.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Days that a certificate is valid, as openssl takes them.
const LONG: (&str, &str) = ("20200101000000Z", "20991231235959Z");
/// Days that are over.
pub const OVER: (&str, &str) = ("20200101000000Z", "20200201000000Z");

/// An authority in a folder of its own, and what it signed.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes an authority below `folder`, and of its name.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let configuration = "[ca]\ndefault_ca = here\n[here]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\n\
                             default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n";
        std::fs::write(folder.join("ca.cnf"), configuration).unwrap();
        std::fs::write(folder.join("index.txt"), "").unwrap();
        let authority = Self { folder: folder.to_owned() };
        authority.key("ca");
        let name = format!("/CN={}", folder.file_name().unwrap().to_string_lossy());
        authority.openssl(&["req", "-x509", "-new", "-key", "ca.key", "-subj", &name, "-days", "9", "-out", "ca.pem"]);
        authority
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for names as openssl writes them (`DNS:localhost,IP:127.0.0.1`), and its key.
    pub fn sign(&self, file: &str, names: &str) -> (PathBuf, PathBuf) {
        self.sign_for(file, names, LONG)
    }

    /// The same for days of one's own.
    pub fn sign_for(&self, file: &str, names: &str, (from, to): (&str, &str)) -> (PathBuf, PathBuf) {
        self.key(file);
        let [key, request, certificate, names_file] =
            ["key", "csr", "pem", "ext"].map(|extension| format!("{file}.{extension}"));
        std::fs::write(self.folder.join(&names_file), format!("subjectAltName = {names}\n")).unwrap();
        self.openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={file}"), "-out", &request]);
        let fixed = ["ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"];
        let asked =
            ["-in", &request, "-out", &certificate, "-extfile", &names_file, "-startdate", from, "-enddate", to];
        self.openssl(&[&fixed[..], &asked[..]].concat());
        (self.folder.join(certificate), self.folder.join(key))
    }

    fn key(&self, file: &str) {
        let out = format!("{file}.key");
        self.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &out]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.folder).output();
        let output = output.unwrap_or_else(|error| panic!("openssl does not start ({error}): `make test` installs it"));
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
