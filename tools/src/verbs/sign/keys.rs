//! Pairs of keys.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use serde::Serialize;

use crate::cli::Status;
use crate::output::{JsonTarget, say};

#[derive(Debug, Serialize)]
struct Made {
    secret_key: PathBuf,
    public_key: PathBuf,
    /// For `index.keys`.
    key: String,
}

/// Makes a pair of keys; neither file may be there already.
pub(super) fn make(name: &Path, password: Option<&Path>, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let beside = |ending: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let (secret_path, public_path) = (beside(".key"), beside(".pub"));
    for path in [&secret_path, &public_path] {
        ensure!(!path.exists(), "{}: is there already; keys are not overwritten", path.display());
    }
    let pair = match password.map(read_password).transpose()? {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password))?,
        None => KeyPair::generate_unencrypted_keypair()?,
    };
    let secret = pair.sk.to_box(Some("geolocated secret key"))?.into_string();
    let public = pair.pk.to_box()?.into_string();
    write_new(&secret_path, &secret, 0o600)?;
    write_new(&public_path, &public, 0o644)?;
    let key = pair.pk.to_base64();
    let text = format!(
        "{}: keep it secret{}\n{}: for devices: index.keys = [\"{key}\"]\n",
        secret_path.display(),
        if password.is_some() { "" } else { "; it is not encrypted" },
        public_path.display()
    );
    say(json, &text)?;
    if let Some(json) = json {
        json.write(&Made { secret_key: secret_path, public_key: public_path, key })?;
    }
    Ok(Status::Done)
}

/// Reads a secret key, with its password where it has one.
pub(super) fn read_secret(path: &Path, password: Option<&Path>) -> anyhow::Result<SecretKey> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let boxed = SecretKeyBox::from_string(&text).with_context(|| format!("{}: no secret key", path.display()))?;
    let opened = match password.map(read_password).transpose()? {
        Some(password) => boxed.into_secret_key(Some(password)),
        None => boxed.into_unencrypted_secret_key(),
    };
    opened.with_context(|| format!("{}: expected a minisign secret key that this password opens", path.display()))
}

fn read_password(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let options = OpenOptions::new().write(true).create_new(true).mode(mode).to_owned();
    let mut file: File = options.open(path).with_context(|| format!("{}: cannot be made", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{}: cannot be written", path.display()))?;
    file.sync_all().with_context(|| format!("{}: cannot be written", path.display()))
}
