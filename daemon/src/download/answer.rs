//! What a server answered.

use std::io::Read;
use std::time::Duration;

use jiff::Timestamp;
use ureq::BodyReader;
use ureq::http::{HeaderMap, Response};
use url::Url;

use super::DownloadError;
use super::error::shown;
use super::retry::retry_after;

/// Most characters of a server's own words that are repeated.
const MAX_WORDS: usize = 200;

/// An answer whose body is still to be read.
pub(super) struct Answer {
    pub(super) url: Url,
    pub(super) status: u16,
    headers: HeaderMap,
    /// Bytes that the body will have, where the server says so.
    pub(super) body_bytes: Option<u64>,
    /// Whether the end of the body can be told from a cut.
    pub(super) has_end: bool,
    pub(super) body: BodyReader<'static>,
}

/// Which bytes a partial answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) total_bytes: Option<u64>,
}

impl Answer {
    pub(super) fn new(url: Url, response: Response<ureq::Body>) -> Self {
        let (head, body) = response.into_parts();
        let chunked = head.headers.get("transfer-encoding").is_some();
        // Of the header: the client says nothing of a body of 0 bytes.
        let length = head.headers.get("content-length").filter(|_| !chunked);
        let body_bytes = length.and_then(|length| length.to_str().ok()?.trim().parse().ok());
        Self {
            url,
            status: head.status.as_u16(),
            headers: head.headers,
            body_bytes,
            has_end: chunked || body_bytes.is_some(),
            body: body.into_reader(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where it redirects to, if it does.
    pub(super) fn redirect(&self) -> Result<Option<Url>, DownloadError> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let refused =
            |to: &str, reason| DownloadError::Redirect { url: shown(&self.url), to: words(place(to)), reason };
        let location = self.header("location").ok_or_else(|| refused("", "it names no place"))?;
        let to = self.url.join(location).map_err(|_| refused(location, "it is no address"))?;
        match (self.url.scheme(), to.scheme()) {
            ("https", "http") => Err(refused(location, "it leads from https to http")),
            (_, "http" | "https") => Ok(Some(to)),
            _ => Err(refused(location, "it is neither http nor https")),
        }
    }

    /// The entity tag, if equal ones mean equal bytes.
    pub(super) fn strong_tag(&self) -> Option<String> {
        let tag = self.header("etag")?;
        (tag.len() > 2 && tag.len() <= 256 && tag.starts_with('"') && tag.ends_with('"')).then(|| tag.to_owned())
    }

    /// Which bytes a partial answer holds.
    pub(super) fn content_range(&self) -> Option<ContentRange> {
        content_range(self.header("content-range")?)
    }

    /// Whether the body is other than the file, compressed for example.
    pub(super) fn encoding(&self) -> Option<&str> {
        self.header("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    }

    /// The answer as an error.
    pub(super) fn refusal(&self) -> DownloadError {
        let said = [self.header("x-error-code"), self.header("x-error-message")];
        let said: Vec<String> = said.into_iter().flatten().map(words).filter(|words| !words.is_empty()).collect();
        DownloadError::Status {
            url: shown(&self.url),
            status: self.status,
            message: said.join(": "),
            retry_after: self.retry_after(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header("retry-after")?, Timestamp::now())
    }

    /// The next bytes of the body; none at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        self.body.read(buffer).map_err(|error| error.to_string())
    }
}

/// An address as a server wrote it, without its query.
fn place(text: &str) -> &str {
    text.split('?').next().unwrap_or_default()
}

/// The first of a server's words, on one line.
fn words(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_WORDS).collect()
}

/// `bytes 10-19/20` or `bytes 10-19/*` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let [first, last] = [first, last].map(|number| number.trim().parse::<u64>().ok());
    let (first, last) = first.zip(last)?;
    let total_bytes = if total.trim() == "*" { None } else { Some(total.trim().parse::<u64>().ok()?) };
    let fits = first <= last && total_bytes.is_none_or(|total| last < total);
    fits.then_some(ContentRange { first, total_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_and_impossible_ones_are_not() {
        let range = |first, total_bytes| Some(ContentRange { first, total_bytes });
        assert_eq!(content_range("bytes 10-19/20"), range(10, Some(20)));
        assert_eq!(content_range("bytes 0-0/*"), range(0, None));
        for bad in ["bytes */20", "bytes 10-9/20", "bytes 10-20/20", "items 1-2/3", "bytes 1-2", "bytes -1/2", ""] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
