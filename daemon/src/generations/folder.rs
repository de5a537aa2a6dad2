//! A folder `gen-N` on the disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use index_shards::{Disk, ShardSet};
use quantized_models::sha256_of_reader;
use sha2::{Digest, Sha256};

use super::manifest::MOST_MANIFEST_BYTES;
use super::{
    FileRole, GenerationError, GenerationManifest, KeyId, KeyRing, MANIFEST_NAME, ManifestFile, SIGNATURE_NAME,
};
use crate::assemble::AssembleError;
use crate::stamps::{FileIdentity, Stamps};

/// Longest signature that is read, bytes.
const MOST_SIGNATURE_BYTES: u64 = 16 << 10;

/// Is told of the bytes of each piece that is read while files are verified; an error ends it.
pub type Watch<'a> = dyn FnMut(u64) -> io::Result<()> + 'a;

/// A file whose reading is watched.
struct Watched<'a, 'b> {
    file: File,
    watch: &'a mut Watch<'b>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        (self.watch)(bytes as u64)?;
        Ok(bytes)
    }
}

/// A folder whose manifest was signed by a key that counts. Its files were not looked at yet.
#[derive(Debug, Clone)]
pub struct Generation {
    folder: PathBuf,
    manifest: GenerationManifest,
    sha256: String,
    signer: Option<KeyId>,
}

impl Generation {
    /// Reads manifest and signature of a folder.
    ///
    /// # Errors
    /// They cannot be read, the signature does not count, the manifest makes no sense, speaks of another generation than
    /// the folder's name, or revokes keys that its signer may not revoke.
    pub fn open(folder: &Path, ring: &KeyRing) -> Result<Self, GenerationError> {
        let (path, signature_path) = (folder.join(MANIFEST_NAME), folder.join(SIGNATURE_NAME));
        let body = read(&path, MOST_MANIFEST_BYTES)?;
        let signature = read(&signature_path, MOST_SIGNATURE_BYTES)?;
        let signature = String::from_utf8_lossy(&signature);
        // What nobody who is trusted has signed is not even parsed.
        let signer = ring.verify(&signature_path, &body, &signature)?;
        let manifest = GenerationManifest::parse(&path, &body)?;
        match counter_of_name(folder) {
            Some(expected) if expected != manifest.counter => {
                return Err(GenerationError::Mixed { path, expected, found: manifest.counter });
            }
            _ => {}
        }
        for revoked in &manifest.revokes {
            if !revoked.parse().is_ok_and(|id| ring.may_revoke(signer, id)) {
                return Err(GenerationError::Revokes { path, signer, revoked: revoked.clone() });
            }
        }
        let sha256 = hex(&Sha256::digest(&body));
        Ok(Self { folder: folder.to_owned(), manifest, sha256, signer: Some(signer) })
    }

    /// Reads the manifest of a folder that was accepted before, when its SHA-256 was `sha256`. Who signed it does not
    /// matter any more: what serves goes on serving when its key is taken out of the settings.
    ///
    /// # Errors
    /// The manifest cannot be read, or is not the one that was accepted.
    pub fn open_accepted(folder: &Path, sha256: &str) -> Result<Self, GenerationError> {
        let path = folder.join(MANIFEST_NAME);
        let body = read(&path, MOST_MANIFEST_BYTES)?;
        let found = hex(&Sha256::digest(&body));
        if found != sha256 {
            return Err(GenerationError::Digest { path, expected: sha256.to_owned(), found });
        }
        let manifest = GenerationManifest::parse(&path, &body)?;
        let signature = read(&folder.join(SIGNATURE_NAME), MOST_SIGNATURE_BYTES).unwrap_or_default();
        let signer = KeyId::of_signature(&String::from_utf8_lossy(&signature));
        Ok(Self { folder: folder.to_owned(), manifest, sha256: found, signer })
    }

    #[cfg(test)]
    pub(super) fn stand_in(folder: &Path, manifest: GenerationManifest) -> Self {
        let sha256 = format!("{:064x}", manifest.counter);
        Self { folder: folder.to_owned(), manifest, sha256, signer: None }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its manifest lies.
    pub fn path(&self) -> PathBuf {
        self.folder.join(MANIFEST_NAME)
    }

    /// What was signed.
    pub fn manifest(&self) -> &GenerationManifest {
        &self.manifest
    }

    /// SHA-256 of the manifest, 64 lower-case hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Who signed it, as far as its signature tells.
    pub fn signer(&self) -> Option<KeyId> {
        self.signer
    }

    /// Ids of keys that count no more from it on.
    pub fn revokes(&self) -> impl Iterator<Item = KeyId> {
        self.manifest.revokes.iter().filter_map(|id| id.parse().ok())
    }

    /// Where a file lies.
    pub fn path_of(&self, file: &ManifestFile) -> PathBuf {
        self.folder.join(&file.path)
    }

    /// The shards, in the order of the manifest.
    pub fn shards(&self) -> Vec<PathBuf> {
        self.manifest.of(FileRole::Shard).map(|file| self.path_of(file)).collect()
    }

    /// The manifest of its encoder, where it brings one.
    pub fn model(&self) -> Option<PathBuf> {
        let mut files = self.manifest.of(FileRole::Model);
        files.find(|file| file.name() == "model.toml").map(|file| self.path_of(file))
    }

    /// Its calibration, where it brings one: the file `calibration.toml` of that role.
    pub fn calibration(&self) -> Option<PathBuf> {
        let mut files = self.manifest.of(FileRole::Calibration);
        files.find(|file| file.name() == "calibration.toml").map(|file| self.path_of(file))
    }

    /// What tells whether two generations bring the same encoder.
    pub fn model_files(&self) -> Vec<ManifestFile> {
        self.manifest.of(FileRole::Model).cloned().collect()
    }

    /// Compares lengths, without reading any content.
    ///
    /// # Errors
    /// The first file that is missing, no file, or of another length.
    pub fn check_lengths(&self) -> Result<(), GenerationError> {
        for file in &self.manifest.files {
            let path = self.path_of(file);
            let found =
                fs::symlink_metadata(&path).map_err(|source| GenerationError::Read { path: path.clone(), source })?;
            if !found.is_file() {
                let found = if found.is_symlink() { "a symbolic link" } else { "something else" };
                return Err(GenerationError::Kind { path, found: found.to_owned() });
            }
            if found.len() != file.length {
                return Err(GenerationError::Length { path, expected: file.length, found: found.len() });
            }
        }
        Ok(())
    }

    /// Compares every byte of every file with the manifest; files that `stamps` knows, and that were not touched since,
    /// are not read again.
    ///
    /// # Errors
    /// The first file that is not what was signed, or what `watch` says.
    pub fn verify(&self, stamps: &mut Stamps, watch: &mut Watch<'_>) -> Result<(), GenerationError> {
        self.check_lengths()?;
        for file in &self.manifest.files {
            let path = self.path_of(file);
            let read = || sha256_of_reader(Watched { file: File::open(&path)?, watch: &mut *watch }, |_| {});
            let checked: io::Result<_> = stamps.check(&path, read);
            let found = checked.map_err(|source| GenerationError::Read { path: path.clone(), source })?.digest;
            if found != file.sha256 {
                return Err(GenerationError::Digest { path, expected: file.sha256.clone(), found });
            }
        }
        Ok(())
    }

    /// Verifies all files and opens the shards, which are then the files that were verified.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); or a shard does not open, or was replaced meanwhile.
    pub fn open_shards(&self, stamps: &mut Stamps, watch: &mut Watch<'_>) -> Result<ShardSet, GenerationError> {
        let paths = self.shards();
        let before: Vec<Option<FileIdentity>> = paths.iter().map(|path| FileIdentity::of(path).ok()).collect();
        self.verify(stamps, watch)?;
        let shards = ShardSet::open(&paths).map_err(AssembleError::from)?;
        for (path, before) in paths.iter().zip(before) {
            if before.is_none() || before != FileIdentity::of(path).ok() {
                return Err(AssembleError::Changed { path: path.clone() }.into());
            }
        }
        Ok(shards)
    }

    /// Bytes of the files that `stamps` does not know, or that were touched since: what verifying it reads.
    pub fn unread_bytes(&self, stamps: &Stamps) -> u64 {
        let is_known = |file: &&ManifestFile| {
            let path = self.path_of(file);
            FileIdentity::of(&path).is_ok_and(|identity| stamps.digest(&path, &identity).is_some())
        };
        let unknown = self.manifest.files.iter().filter(|file| !is_known(file));
        unknown.fold(0, |sum, file| sum.saturating_add(file.length))
    }

    /// Gives its folder another name once everything in it is durable, and returns when the name is. The content of its
    /// files is so already.
    ///
    /// # Errors
    /// What the disk says; then it has the old name or the new one.
    pub fn place(&self, disk: &dyn Disk, to: &Path) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for file in &self.manifest.files {
            let above = Path::new(&file.path).ancestors().skip(1);
            folders.extend(above.map(|folder| self.folder.join(folder)));
        }
        folders.insert(self.folder.clone());
        // The innermost first.
        folders.iter().rev().try_for_each(|folder| disk.sync_folder(folder))?;
        disk.rename(&self.folder, to)?;
        disk.sync_folder(to.parent().unwrap_or_else(|| Path::new(".")))
    }

    /// What changes when somebody touches any of its files.
    pub fn identities(&self) -> Vec<Option<FileIdentity>> {
        let names = [self.path(), self.folder.join(SIGNATURE_NAME)].into_iter();
        let files = self.manifest.files.iter().map(|file| self.path_of(file));
        names.chain(files).map(|path| FileIdentity::of(&path).ok()).collect()
    }
}

/// All folders `gen-N` below `folder`, by their numbers, highest first. None where there is no such folder.
///
/// # Errors
/// It cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(counter) = counter_of_name(&path).filter(|_| path.is_dir()) {
            found.push((counter, path));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

/// The number in the name of a folder `gen-N`; without leading zeros, so that no two names mean the same.
pub fn counter_of_name(folder: &Path) -> Option<u64> {
    let digits = folder.file_name()?.to_str()?.strip_prefix("gen-")?;
    let counter = digits.parse::<u64>().ok()?;
    (counter.to_string() == digits).then_some(counter)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, GenerationError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|source| GenerationError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > most {
        let message = format!("expected at most {most} bytes, found more");
        return Err(GenerationError::Manifest { path: path.to_owned(), message });
    }
    Ok(bytes)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_known_by_their_numbers() {
        for (name, counter) in [("gen-1", Some(1)), ("a/gen-18", Some(18)), ("gen-0", Some(0))] {
            assert_eq!(counter_of_name(Path::new(name)), counter);
        }
        for other in ["gen-", "gen-01", "gen-1.part", "gen--1", "gen-+1", "generation-1", ".gen-1", "1"] {
            assert_eq!(counter_of_name(Path::new(other)), None, "{other}");
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["gen-2", "gen-10", "gen-9", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("gen-11"), "a file").unwrap();
        let counters: Vec<u64> = list(folder.path()).unwrap().iter().map(|(counter, _)| *counter).collect();
        assert_eq!(counters, [10, 9, 2]);
        assert!(list(Path::new("/no/such/folder")).unwrap().is_empty());
    }
}
