//! Whose signature counts.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use minisign_verify::{PublicKey, Signature};

use super::{GenerationError, KeyError};

/// Characters of a public key.
const KEY_CHARACTERS: usize = 56;
/// Keys that may be valid at a time.
const MOST_KEYS: usize = 2;

/// The id of a minisign key, shown as minisign shows it: 16 upper-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    /// The key that a minisign signature says it was made with. Nothing is verified.
    pub fn of_signature(signature: &str) -> Option<Self> {
        id_in(signature.lines().nth(1)?.trim())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_id = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u64::from_str_radix(text, 16).ok().filter(|_| is_id);
        id.map(Self).ok_or_else(|| KeyError::NoId(text.to_owned()))
    }
}

/// The one or two public keys whose signatures count, and those that count no more.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: Vec<(KeyId, PublicKey)>,
    revoked: BTreeSet<KeyId>,
}

impl KeyRing {
    /// A ring of one or two public keys, each as minisign writes it: its line, or the whole file. `revoked` are ids of
    /// keys that count no more, whoever names them.
    ///
    /// # Errors
    /// What is no key, or no id, or too many.
    pub fn new(keys: &[String], revoked: &[String]) -> Result<Self, KeyError> {
        if keys.is_empty() || keys.len() > MOST_KEYS {
            return Err(KeyError::Count(keys.len()));
        }
        let keys = keys.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
        if let [(first, _), (second, _)] = keys.as_slice()
            && first == second
        {
            return Err(KeyError::Twice(*first));
        }
        Ok(Self { keys, revoked: revoked.iter().map(|id| id.parse()).collect::<Result<_, _>>()? })
    }

    /// The same ring, on which these keys count no more either.
    pub fn without(&self, revoked: impl IntoIterator<Item = KeyId>) -> Self {
        let mut ring = self.clone();
        ring.revoked.extend(revoked);
        ring
    }

    /// Whether a key counts no more.
    pub fn is_revoked(&self, key: KeyId) -> bool {
        self.revoked.contains(&key)
    }

    /// Whether `signer` may revoke `other`: keys revoke those that stand before them, so that the last one, whose
    /// secret half is kept away from where manifests are signed, can revoke the one that was stolen, and not the other
    /// way round.
    pub fn may_revoke(&self, signer: KeyId, other: KeyId) -> bool {
        let place = |id| self.keys.iter().position(|(key, _)| *key == id);
        match (place(signer), place(other)) {
            (Some(signer), Some(other)) => other < signer,
            (Some(_), None) => true,
            _ => false,
        }
    }

    /// Who signed `body`, by the minisign signature `signature`; `path` is the file that the signature was read from.
    ///
    /// # Errors
    /// [`GenerationError::Signature`] and [`GenerationError::Revoked`].
    pub fn verify(&self, path: &Path, body: &[u8], signature: &str) -> Result<KeyId, GenerationError> {
        let refused = |message: String| GenerationError::Signature { path: path.to_owned(), message };
        let found =
            KeyId::of_signature(signature).ok_or_else(|| refused("expected a minisign signature".to_owned()))?;
        if self.revoked.contains(&found) {
            return Err(GenerationError::Revoked { path: path.to_owned(), key: found });
        }
        let Some((_, key)) = self.keys.iter().find(|(id, _)| *id == found) else {
            let trusted: Vec<String> = self.keys.iter().map(|(id, _)| id.to_string()).collect();
            return Err(refused(format!("expected a signature by key {}, found one by {found}", trusted.join(" or "))));
        };
        let decoded = Signature::decode(signature).map_err(|error| refused(error.to_string()))?;
        let wrong = |error| refused(format!("wrong signature by key {found}: not what it signed ({error})"));
        // Legacy signatures cover the content itself and were made by versions of many years ago.
        key.verify(body, &decoded, false).map_err(wrong)?;
        Ok(found)
    }
}

/// A key as its line or its file has it.
fn key(text: &str) -> Result<(KeyId, PublicKey), KeyError> {
    let line = text.lines().map(str::trim).find(|line| line.len() == KEY_CHARACTERS && line.starts_with("RW"));
    let refused = || KeyError::NoKey(text.lines().next().unwrap_or_default().chars().take(80).collect());
    let line = line.ok_or_else(refused)?;
    let id = id_in(line).ok_or_else(refused)?;
    Ok((id, PublicKey::from_base64(line).map_err(|_| refused())?))
}

/// Keys and signatures begin with two bytes for the algorithm and eight for the id, in base64.
fn id_in(base64: &str) -> Option<KeyId> {
    let mut bits: u128 = 0;
    for letter in base64.bytes().take(14) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u128::from(value);
    }
    // 14 letters are 84 bits: 16 of the algorithm, 64 of the id, 4 of what follows.
    (base64.len() >= 14).then(|| KeyId(((bits >> 4) as u64).swap_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of minisign's own releases.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const ID: &str = "E7620F1842B4E81F";

    #[test]
    fn ids_are_those_that_minisign_shows() {
        let ring = KeyRing::new(&[KEY.to_owned()], &[]).unwrap();
        assert_eq!(ring.keys[0].0.to_string(), ID);
        let file = format!("untrusted comment: minisign public key {ID}\n{KEY}\n");
        assert_eq!(KeyRing::new(&[file], &[]).unwrap().keys[0].0, ID.parse().unwrap());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "RWQ", &KEY.replace('+', "!")[..40], "untrusted comment: x\n"] {
            assert!(matches!(KeyRing::new(&[bad.to_owned()], &[]), Err(KeyError::NoKey(_))), "{bad}");
        }
        let three = vec![KEY.to_owned(); 3];
        assert_eq!(KeyRing::new(&three, &[]).unwrap_err(), KeyError::Count(3));
        assert_eq!(KeyRing::new(&[], &[]).unwrap_err(), KeyError::Count(0));
        assert!(matches!(KeyRing::new(&three[..2], &[]), Err(KeyError::Twice(_))));
        assert!(matches!(KeyRing::new(&three[..1], &["12".to_owned()]), Err(KeyError::NoId(_))));
    }

    #[test]
    fn who_is_not_trusted_or_revoked_is_named() {
        let ring = KeyRing::new(&[KEY.to_owned()], &[]).unwrap();
        let path = Path::new("gen-1/manifest.json.minisig");
        let other = "untrusted comment: x\nRUQAAAAAAAAAAAAAAAAAAAAA\ntrusted comment: \nAAAA\n";
        let error = ring.verify(path, b"{}", other).unwrap_err().to_string();
        assert!(error.contains(&format!("by key {ID}, found one by 0000000000000000")), "{error}");
        let error = ring.without(["0000000000000000".parse().unwrap()]).verify(path, b"{}", other).unwrap_err();
        assert!(matches!(error, GenerationError::Revoked { .. }), "{error}");
        assert!(ring.verify(path, b"{}", "nothing").is_err());
        assert!(!ring.may_revoke(ID.parse().unwrap(), ID.parse().unwrap()));
    }
}
