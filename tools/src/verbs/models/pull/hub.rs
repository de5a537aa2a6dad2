//! A server that speaks Hugging Face's HTTP layout.

use std::collections::BTreeSet;
use std::env;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use geolocated::download::{DownloadError, Downloader, Patience, Token};
use serde::Deserialize;
use url::Url;

use super::super::names::{is_digest, is_folder_name, is_inner_path};

const USUAL_ENDPOINT: &str = "https://huggingface.co";
/// Longest list of files in bytes.
const MAX_LISTING_BYTES: u64 = 16 << 20;
/// Most files of a repository.
const MAX_FILES: usize = 100_000;

/// A server, and how to ask it.
pub(super) struct Hub {
    endpoint: Url,
    pub(super) downloader: Downloader,
    has_token: bool,
}

/// The files of a repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    /// Usually 40 hexadecimal digits; a plain name.
    pub(super) commit: String,
    pub(super) files: Vec<ListedFile>,
    /// As the model card states it.
    pub(super) licence: Option<String>,
}

/// A file as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedFile {
    pub(super) path: String,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// The server's answer; keys that are not needed are passed over.
#[derive(Deserialize)]
struct Answer {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData")]
    card: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    /// Some servers name it as the list of a folder does.
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

/// Whether the environment forbids to go out: `HF_HUB_OFFLINE` is `1`, `ON`, `YES` or `TRUE`.
pub(super) fn is_offline() -> bool {
    let value = env::var("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_uppercase();
    matches!(&*value, "1" | "ON" | "YES" | "TRUE")
}

impl Hub {
    /// The server of `HF_ENDPOINT`, with the token of `HF_TOKEN` or `HUGGING_FACE_HUB_TOKEN`.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(super) fn from_environment(stall: Duration) -> anyhow::Result<Self> {
        let variable =
            |name: &str| env::var(name).ok().map(|value| value.trim().to_owned()).filter(|it| !it.is_empty());
        let given = variable("HF_ENDPOINT").unwrap_or_else(|| USUAL_ENDPOINT.to_owned());
        let expected = "HF_ENDPOINT: expected http:// or https:// with a host";
        let endpoint = Url::parse(&given).with_context(|| format!("{expected}, found {given:?}"))?;
        let plain = endpoint.query().is_none() && endpoint.fragment().is_none() && endpoint.has_host();
        ensure!(plain && matches!(endpoint.scheme(), "http" | "https"), "{expected}, found {given:?}");
        let names = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
        let token = names.into_iter().find_map(|name| variable(name).map(|token| (name, token)));
        let token = match token.map(|(name, token)| (name, Token::new(&endpoint, &token))) {
            Some((name, Err(error))) => {
                // Without it the server may still answer; what it then says is clear.
                eprintln!("geolocate: {name} is not used: {error}");
                None
            }
            Some((_, Ok(token))) => Some(token),
            None => None,
        };
        let has_token = token.is_some();
        let patience = Patience { stall, answer: stall.max(Patience::default().answer), ..Patience::default() };
        Ok(Self { endpoint, downloader: Downloader::new(patience, token), has_token })
    }

    /// The address of the server, without a slash at its end.
    pub(super) fn endpoint(&self) -> String {
        self.endpoint.as_str().trim_end_matches('/').to_owned()
    }

    /// The files of a repository at a branch, tag or commit. Every path stays inside the folder that it will be put in.
    ///
    /// # Errors
    /// The server does not answer, says no, or lists what no folder could hold.
    pub(super) fn listing(&self, repo: &str, revision: &str) -> anyhow::Result<Listing> {
        let mut url = self.url(["api", "models"], repo, ["revision", revision])?;
        url.set_query(Some("blobs=true"));
        let answer = self.downloader.fetch_document(&url, MAX_LISTING_BYTES);
        let answer = answer.map_err(|error| self.explained(error, &format!("{repo} at {revision}")))?;
        url.set_query(None);
        let answer: Answer = serde_json::from_slice(&answer)
            .with_context(|| format!("{url}: expected a list of files in JSON, found something else"))?;
        listing(answer).with_context(|| url.to_string())
    }

    /// Where a file lies.
    ///
    /// # Errors
    /// The endpoint can have no path, which it can.
    pub(super) fn file_url(&self, repo: &str, commit: &str, path: &str) -> anyhow::Result<Url> {
        self.url([], repo, ["resolve", commit].into_iter().chain(path.split('/')))
    }

    fn url<'a>(
        &self,
        before: impl IntoIterator<Item = &'a str>,
        repo: &'a str,
        after: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Url> {
        let mut url = self.endpoint.clone();
        {
            let Ok(mut path) = url.path_segments_mut() else { bail!("{}: has no path", self.endpoint) };
            path.pop_if_empty().extend(before).extend(repo.split('/')).extend(after);
        }
        Ok(url)
    }

    /// An error with what to do about it.
    pub(super) fn explained(&self, error: DownloadError, what: &str) -> anyhow::Error {
        let hint = match (error.status(), self.has_token) {
            (Some(401), false) => "there is no such model, or it wants a token: set HF_TOKEN",
            (Some(401 | 403), true) => "the token does not open it: accept the model's terms on its page first",
            (Some(403), false) => "it wants a token (HF_TOKEN) of somebody who accepted its terms on its page",
            (Some(404), _) => "there is no such model, revision or file",
            (Some(429), _) => "the server wants fewer requests: try again later",
            _ => return anyhow::Error::new(error).context(what.to_owned()),
        };
        anyhow::Error::new(error).context(format!("{what}: {hint}"))
    }
}

fn listing(answer: Answer) -> anyhow::Result<Listing> {
    let commit = answer.sha.unwrap_or_default();
    ensure!(is_folder_name(&commit), "sha: expected the name of a commit, found {commit:?}");
    ensure!(answer.siblings.len() <= MAX_FILES, "siblings: expected at most {MAX_FILES}, found more");
    let mut seen = BTreeSet::new();
    let mut files = Vec::with_capacity(answer.siblings.len());
    for Sibling { rfilename: path, size, lfs } in answer.siblings {
        let inner = is_inner_path(&path);
        ensure!(inner, "siblings: expected paths inside the repository, found {path:?}: the whole list is refused");
        ensure!(seen.insert(path.clone()), "siblings: expected no path twice, found {path:?} again");
        let (sha256, lfs_bytes) = lfs.map_or((None, None), |lfs| (lfs.sha256, lfs.size));
        let sha256 = sha256.map(|digest| digest.trim_start_matches("sha256:").to_ascii_lowercase());
        if let Some(digest) = sha256.as_deref() {
            ensure!(is_digest(digest), "{path}: lfs.sha256: expected 64 hexadecimal digits, found {digest:?}");
        }
        files.push(ListedFile { path, bytes: lfs_bytes.or(size), sha256 });
    }
    let licence = answer.card.as_ref().and_then(|card| card.get("license")?.as_str()).map(str::to_owned);
    let is_plain = |text: &String| text.len() <= 128 && !text.chars().any(char::is_control);
    Ok(Listing { commit, files, licence: licence.filter(is_plain) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed";

    fn read(siblings: &str) -> anyhow::Result<Listing> {
        listing(
            serde_json::from_str(&format!("{{\"sha\": \"{SHA}\", \"siblings\": {siblings}, \"likes\": 3}}")).unwrap(),
        )
    }

    #[test]
    fn a_list_gives_sizes_and_digests_where_the_server_has_them() {
        let digest = "AB".repeat(32);
        let list = read(&format!(
            "[{{\"rfilename\": \"config.json\", \"size\": 12}}, \
             {{\"rfilename\": \"a/model.safetensors\", \"size\": 1, \"lfs\": {{\"sha256\": \"{digest}\", \"size\": 9}}}}, \
             {{\"rfilename\": \"README.md\"}}]"
        ));
        let list = list.unwrap();
        assert_eq!(list.commit, SHA);
        let sizes: Vec<Option<u64>> = list.files.iter().map(|file| file.bytes).collect();
        assert_eq!(sizes, [Some(12), Some(9), None]);
        assert_eq!(list.files[1].sha256, Some("ab".repeat(32)));
    }

    #[test]
    fn lists_that_lead_out_or_contradict_themselves_are_refused() {
        for (siblings, part) in [
            ("[{\"rfilename\": \"../../etc/passwd\"}]", "../../etc/passwd"),
            ("[{\"rfilename\": \"/etc/passwd\"}]", "inside the repository"),
            ("[{\"rfilename\": \"a\\\\b\"}]", "inside the repository"),
            ("[{\"rfilename\": \"a\"}, {\"rfilename\": \"a\"}]", "no path twice"),
            ("[{\"rfilename\": \"a\", \"lfs\": {\"sha256\": \"12\"}}]", "lfs.sha256"),
        ] {
            let error = read(siblings).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = listing(serde_json::from_str("{\"sha\": \"../main\"}").unwrap()).unwrap_err().to_string();
        assert!(error.contains("name of a commit"), "{error}");
    }
}
