//! One file from its first byte to its last, over as many connections as that takes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use super::answer::Answer;
use super::client::{Client, Rest};
use super::error::shown;
use super::part::Part;
use super::retry::Retry;
use super::{Download, DownloadError, Downloaded, OnProgress, Patience, Progress, free_bytes};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 128 << 10;
/// An attempt that brings so many new bytes was worth it.
const WORTH_BYTES: u64 = 64 << 10;
/// Bytes that are left free on the disk, for whoever else needs some.
const SPARE_BYTES: u64 = 16 << 20;
/// How often is asked during a wait whether the file is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// A download under way.
pub(super) struct Transfer<'a> {
    client: &'a Client,
    patience: &'a Patience,
    download: &'a Download<'a>,
    on_progress: OnProgress<'a>,
    /// Length of the file, once it is known.
    total_bytes: Option<u64>,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(
        client: &'a Client,
        patience: &'a Patience,
        download: &'a Download<'a>,
        on_progress: OnProgress<'a>,
    ) -> Self {
        Self { client, patience, download, on_progress, total_bytes: download.bytes }
    }

    pub(super) fn run(mut self) -> Result<Downloaded, DownloadError> {
        let mut part = Part::open(self.download)?;
        let mut resumed_bytes = part.written();
        loop {
            if let Err(error) = self.complete(&mut part) {
                match error {
                    DownloadError::Length { .. } | DownloadError::TooLarge { .. } => part.delete(),
                    // The error that ended it matters more than that what is there could not be kept.
                    _ => drop(part.keep()),
                }
                return Err(error);
            }
            let found = part.sha256();
            match self.download.sha256 {
                Some(expected) if expected != found && resumed_bytes > 0 => {
                    // What was resumed may be what is wrong.
                    tracing::warn!(file = %self.download.to.display(), "the digest differs after resuming; starting anew");
                    part.restart()?;
                    resumed_bytes = 0;
                }
                Some(expected) if expected != found => {
                    part.delete();
                    let (url, path) = (shown(self.download.url), self.download.to.to_owned());
                    return Err(DownloadError::Digest { url, path, expected: expected.to_owned(), found });
                }
                _ => {
                    let bytes = part.written();
                    part.finish()?;
                    return Ok(Downloaded { bytes, sha256: found, resumed_bytes });
                }
            }
        }
    }

    /// Fetches what is missing, attempt after attempt.
    fn complete(&mut self, part: &mut Part<'_>) -> Result<(), DownloadError> {
        let mut retry = Retry::new(self.patience);
        let mut best = part.written();
        loop {
            self.report(part.written(), None)?;
            let is_complete = part.written() > 0 && self.total_bytes == Some(part.written());
            if is_complete {
                return Ok(());
            }
            let Err(error) = self.attempt(part) else { return Ok(()) };
            // Only what was never there before counts: a server that always begins again gets nowhere.
            if part.written() >= best.saturating_add(WORTH_BYTES) {
                retry.reset();
            }
            best = best.max(part.written());
            let wait = retry.after(error, spread())?;
            self.wait(part.written(), wait)?;
        }
    }

    fn attempt(&mut self, part: &mut Part<'_>) -> Result<(), DownloadError> {
        // With a known digest no tag is needed: were it another file, its digest would tell.
        let tag = if self.download.sha256.is_some() { None } else { part.tag().map(str::to_owned) };
        if self.download.sha256.is_none() && tag.is_none() && part.written() > 0 {
            part.restart()?;
        }
        let rest = (part.written() > 0).then(|| Rest { byte: part.written(), if_tag: tag });
        let mut answer = self.client.get(self.download.url, rest.as_ref())?;
        if let Some(encoding) = answer.encoding() {
            return Err(self.nonsense("the file as it is", format!("content-encoding {encoding}")));
        }
        let total_bytes = match (answer.status, &rest) {
            (206, Some(rest)) => match rest_of(&answer, rest, part.tag()) {
                Ok(total_bytes) => total_bytes,
                Err(reason) => return Err(self.begin_again(part, reason)),
            },
            (200, _) => {
                part.restart()?;
                answer.body_bytes
            }
            (416, Some(_)) => return Err(self.begin_again(part, "the server does not know this range".to_owned())),
            (status, _) => return Err(self.nonsense("the whole file (status 200)", format!("status {status}"))),
        };
        self.check_total(&answer, total_bytes)?;
        self.check_space(part.written())?;
        part.begin(answer.strong_tag())?;
        self.stream(&mut answer, part)
    }

    /// Nothing of what is there can be used: an error after which the next attempt begins with the first byte.
    fn begin_again(&mut self, part: &mut Part<'_>, reason: String) -> DownloadError {
        let found = part.written();
        self.total_bytes = self.download.bytes;
        match part.restart() {
            Ok(()) => DownloadError::Cut { url: shown(self.download.url), expected: self.total_bytes, found, reason },
            Err(error) => error,
        }
    }

    /// The length that the server announces must be the expected one, and not too large.
    fn check_total(&mut self, answer: &Answer, total_bytes: Option<u64>) -> Result<(), DownloadError> {
        let url = || shown(self.download.url);
        if let (Some(expected), Some(found)) = (self.download.bytes, total_bytes)
            && expected != found
        {
            return Err(DownloadError::Length { url: url(), expected, found });
        }
        self.total_bytes = total_bytes.or(self.download.bytes);
        let limit = self.download.max_bytes;
        match self.total_bytes {
            Some(found) if found > limit => Err(DownloadError::TooLarge { url: url(), limit, found }),
            None if !answer.has_end => {
                Err(self.nonsense("an answer whose end can be told from a cut", "neither length nor chunks".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn check_space(&self, written: u64) -> Result<(), DownloadError> {
        let Some(total_bytes) = self.total_bytes else { return Ok(()) };
        let path = self.download.to.to_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let free = match free_bytes(folder) {
            Ok(free) => free,
            Err(source) => return Err(DownloadError::Disk { path, action: "ask for free space beside it", source }),
        };
        let needed = total_bytes.saturating_sub(written);
        if needed > free.saturating_sub(SPARE_BYTES.min(free / 16)) {
            return Err(DownloadError::Space { path, needed, free });
        }
        Ok(())
    }

    fn stream(&mut self, answer: &mut Answer, part: &mut Part<'_>) -> Result<(), DownloadError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let url = || shown(self.download.url);
        let cut = |found, expected, reason| DownloadError::Cut { url: url(), expected, found, reason };
        loop {
            let read = answer.read(&mut buffer).map_err(|reason| cut(part.written(), self.total_bytes, reason))?;
            let found = part.written() + read as u64;
            match self.total_bytes {
                Some(expected) if found > expected => {
                    return Err(DownloadError::Length { url: url(), expected, found });
                }
                Some(expected) if read == 0 && found < expected => {
                    return Err(cut(found, self.total_bytes, "the connection ended".to_owned()));
                }
                None if found > self.download.max_bytes => {
                    return Err(DownloadError::TooLarge { url: url(), limit: self.download.max_bytes, found });
                }
                _ if read == 0 => return Ok(()),
                _ => {}
            }
            part.append(buffer.get(..read).unwrap_or_default())?;
            let progress = Progress { bytes: found, total_bytes: self.total_bytes, waiting: None };
            if (self.on_progress)(progress).is_break() {
                return Err(DownloadError::Cancelled { path: self.download.to.to_owned() });
            }
        }
    }

    fn wait(&mut self, written: u64, wait: Duration) -> Result<(), DownloadError> {
        let start = Instant::now();
        while let Some(left) = wait.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            self.report(written, Some(left))?;
            thread::sleep(left.min(TICK));
        }
        Ok(())
    }

    fn report(&mut self, bytes: u64, waiting: Option<Duration>) -> Result<(), DownloadError> {
        match (self.on_progress)(Progress { bytes, total_bytes: self.total_bytes, waiting }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(DownloadError::Cancelled { path: self.download.to.to_owned() }),
        }
    }

    fn nonsense(&self, expected: &str, found: String) -> DownloadError {
        DownloadError::Answer { url: shown(self.download.url), expected: expected.to_owned(), found }
    }
}

/// The length of the whole file, when an answer holds the rest that was asked for; otherwise why it does not.
fn rest_of(answer: &Answer, rest: &Rest, tag: Option<&str>) -> Result<Option<u64>, String> {
    let range = answer.content_range().ok_or("the server answers with a part and does not say which")?;
    if range.first != rest.byte {
        return Err(format!(
            "asked for the bytes from {} on, the server sends those from {} on",
            rest.byte, range.first
        ));
    }
    // Only without a digest: some servers give the same bytes another tag on another host.
    if let (Some(before), Some(now)) = (rest.if_tag.as_deref().and(tag), answer.strong_tag())
        && before != now
    {
        return Err("the file has changed meanwhile".to_owned());
    }
    Ok(range.total_bytes.or(answer.body_bytes.map(|bytes| rest.byte + bytes)))
}

/// A small document, whole or not at all.
pub(super) fn document(
    client: &Client,
    patience: &Patience,
    url: &Url,
    max_bytes: u64,
) -> Result<Vec<u8>, DownloadError> {
    let mut retry = Retry::new(patience);
    loop {
        match client.get(url, None).and_then(|answer| whole(answer, url, max_bytes)) {
            Ok(document) => return Ok(document),
            Err(error) => thread::sleep(retry.after(error, spread())?),
        }
    }
}

fn whole(mut answer: Answer, url: &Url, max_bytes: u64) -> Result<Vec<u8>, DownloadError> {
    let (mut document, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
    let url = || shown(url);
    let expected = answer.body_bytes;
    if answer.status != 200 {
        let (expected, found) = ("a document (status 200)".to_owned(), format!("status {}", answer.status));
        return Err(DownloadError::Answer { url: url(), expected, found });
    }
    loop {
        let found = document.len() as u64;
        let cut = |reason| DownloadError::Cut { url: url(), expected, found, reason };
        match answer.read(&mut buffer).map_err(cut)? {
            0 if expected.is_some_and(|expected| found < expected) => {
                return Err(cut("the connection ended".to_owned()));
            }
            0 => return Ok(document),
            read => document.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
        if document.len() as u64 > max_bytes {
            return Err(DownloadError::TooLarge { url: url(), limit: max_bytes, found: document.len() as u64 });
        }
    }
}

/// A number in [0, 1], another one every time.
fn spread() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
