//! The downloader against a server that misbehaves.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use geolocated::download::{Download, DownloadError, Downloaded, Downloader, Patience, Token};
use tempfile::TempDir;
use url::Url;

use crate::server::{Deed, Server};
use crate::{content, sha256};

/// Quick to give up, so that tests are.
fn patience() -> Patience {
    Patience {
        stall: Duration::from_millis(300),
        answer: Duration::from_millis(600),
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_secs(5),
        ..Patience::default()
    }
}

/// One file on one server, and where it is to go.
struct Case {
    server: Server,
    folder: TempDir,
    bytes: Vec<u8>,
}

impl Case {
    fn new(length: usize) -> Self {
        let (server, bytes) = (Server::start(), content(length));
        server.put("/f", &bytes);
        Self { server, folder: TempDir::new().unwrap(), bytes }
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("f")
    }

    fn fetch_as(
        &self,
        sha256: Option<&str>,
        bytes: Option<u64>,
        downloader: &Downloader,
    ) -> Result<Downloaded, DownloadError> {
        let url = self.server.url("/f").parse().unwrap();
        let download = Download { url: &url, to: &self.to(), bytes, sha256, max_bytes: 1 << 30 };
        downloader.fetch(&download, &mut |_| ControlFlow::Continue(()))
    }

    /// Fetches it with a known digest.
    fn fetch(&self) -> Result<Downloaded, DownloadError> {
        self.fetch_as(Some(&sha256(&self.bytes)), None, &Downloader::new(patience(), None))
    }

    /// Fetches it without knowing anything of it.
    fn fetch_unknown(&self) -> Result<Downloaded, DownloadError> {
        self.fetch_as(None, None, &Downloader::new(patience(), None))
    }

    /// The file is there as the server has it, and nothing else is.
    #[track_caller]
    fn assert_whole(&self, downloaded: &Downloaded) {
        assert_eq!(fs::read(self.to()).unwrap(), self.bytes);
        assert_eq!((downloaded.bytes, &*downloaded.sha256), (self.bytes.len() as u64, &*sha256(&self.bytes)));
        assert_eq!(names(self.folder.path()), ["f"]);
    }

    /// Where each request began.
    fn starts(&self) -> Vec<String> {
        let requests = self.server.requests("/f");
        requests.iter().map(|request| request.header("range").unwrap_or("all").to_owned()).collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_comes_whole_and_is_asked_for_as_it_is() {
    for length in [0, 1, 300_000] {
        let case = Case::new(length);
        case.assert_whole(&case.fetch().unwrap());
        let case = Case::new(length);
        case.assert_whole(&case.fetch_unknown().unwrap());
        assert_eq!(case.server.requests("/f")[0].header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn a_cut_connection_is_resumed_where_it_ended() {
    let case = Case::new(300_000);
    case.server.misbehave("/f", &[Deed::Cut(100_000), Deed::Cut(50_000), Deed::Cut(0)]);
    case.assert_whole(&case.fetch().unwrap());
    assert_eq!(case.starts(), ["all", "bytes=100000-", "bytes=150000-", "bytes=150000-"]);
    assert!(case.server.requests("/f").iter().all(|request| request.header("if-range").is_none()));
}

#[test]
fn without_a_digest_only_the_same_entity_tag_is_resumed() {
    let case = Case::new(300_000);
    case.server.misbehave("/f", &[Deed::Cut(100_000)]);
    case.assert_whole(&case.fetch_unknown().unwrap());
    let tag = case.server.requests("/f")[1].header("if-range").unwrap().to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    // Tags that only mean the same content, and none at all, do not do.
    for tag in [Some("W/\"1\"".to_owned()), None] {
        let case = Case::new(300_000);
        case.server.put_tagged("/f", &case.bytes, tag);
        case.server.misbehave("/f", &[Deed::Cut(100_000)]);
        case.assert_whole(&case.fetch_unknown().unwrap());
        assert_eq!(case.starts(), ["all", "all"]);
    }
}

#[test]
fn a_file_that_changed_between_two_runs_is_fetched_anew() {
    let mut case = Case::new(300_000);
    case.server.misbehave("/f", &vec![Deed::Cut(40_000); 1]);
    let stop = |progress: geolocated::download::Progress| {
        if progress.bytes >= 40_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let url = case.server.url("/f").parse().unwrap();
    let download = Download { url: &url, to: &case.to(), bytes: None, sha256: None, max_bytes: 1 << 30 };
    let downloader = Downloader::new(patience(), None);
    let error = downloader.fetch(&download, &mut { stop }).unwrap_err();
    assert!(matches!(error, DownloadError::Cancelled { .. }), "{error}");
    assert_eq!(names(case.folder.path()), ["f.part", "f.part.toml"]);
    case.bytes.reverse();
    case.server.put("/f", &case.bytes);
    let done = case.fetch_unknown().unwrap();
    case.assert_whole(&done);
    assert_eq!(case.starts(), ["all", "bytes=40000-"], "the server said that it is another file");
}

#[test]
fn a_later_run_goes_on_and_hashes_what_is_there() {
    let case = Case::new(300_000);
    case.server.misbehave("/f", &vec![Deed::Cut(20_000); 4]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(error, DownloadError::GivenUp { attempts: 4, .. }), "{error}");
    assert!(error.to_string().contains("cut after 80000 of 300000 bytes"), "{error}");
    let done = case.fetch().unwrap();
    assert_eq!(done.resumed_bytes, 80_000);
    case.assert_whole(&done);
    assert_eq!(case.starts().last().unwrap(), "bytes=80000-");
}

#[test]
fn a_part_that_is_damaged_or_of_another_file_does_no_harm() {
    let case = Case::new(300_000);
    case.server.misbehave("/f", &vec![Deed::Cut(20_000); 4]);
    case.fetch().unwrap_err();
    // Damaged on the disk: the digest tells, and all of it comes again.
    let part = case.folder.path().join("f.part");
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();
    let done = case.fetch().unwrap();
    assert_eq!((done.resumed_bytes, case.starts().last().unwrap().as_str()), (0, "all"));
    case.assert_whole(&done);
    for note in ["", "durable_bytes = 99", "url = \"http://other/\"\ndurable_bytes = 4\n"] {
        let case = Case::new(1000);
        fs::write(case.folder.path().join("f.part"), "junk").unwrap();
        fs::write(case.folder.path().join("f.part.toml"), note).unwrap();
        case.assert_whole(&case.fetch().unwrap());
        assert_eq!(case.starts(), ["all"]);
    }
}

#[test]
fn another_digest_is_refused_named_and_deleted() {
    let case = Case::new(10_000);
    case.server.misbehave("/f", &[Deed::Falsify]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(error, DownloadError::Digest { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&sha256(&case.bytes)) && text.contains("/f: expected sha256"), "{text}");
    assert_eq!(names(case.folder.path()), Vec::<String>::new());
}

#[test]
fn another_length_is_refused_before_or_while_it_comes() {
    let digest = |case: &Case| sha256(&case.bytes);
    let fetch =
        |case: &Case, bytes| case.fetch_as(Some(&digest(case)), Some(bytes), &Downloader::new(patience(), None));
    let case = Case::new(10_000);
    let error = fetch(&case, 9_999).unwrap_err();
    assert!(matches!(error, DownloadError::Length { expected: 9_999, found: 10_000, .. }), "{error}");
    case.server.misbehave("/f", &[Deed::Chunked]);
    let error = fetch(&case, 9_999).unwrap_err();
    assert!(matches!(error, DownloadError::Length { expected: 9_999, .. }), "{error}");
    // Shorter than announced is a cut, and one that does not get better.
    case.server.misbehave("/f", &vec![Deed::Announce(10_001); 9]);
    let error = case.fetch_unknown().unwrap_err();
    assert!(matches!(error, DownloadError::GivenUp { attempts: 4, .. }), "{error}");
    // More than announced is not read.
    let case = Case::new(10_000);
    case.server.misbehave("/f", &[Deed::Announce(9_000)]);
    let error = fetch(&case, 10_000).unwrap_err();
    assert!(matches!(error, DownloadError::Length { found: 9_000, .. }), "{error}");
}

#[test]
fn too_large_and_endless_files_are_refused() {
    let case = Case::new(10_000);
    let url = case.server.url("/f").parse().unwrap();
    let download = Download { url: &url, to: &case.to(), bytes: None, sha256: None, max_bytes: 5_000 };
    for deed in [Deed::Serve, Deed::Chunked] {
        case.server.misbehave("/f", &[deed]);
        let error = Downloader::new(patience(), None).fetch(&download, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, DownloadError::TooLarge { limit: 5_000, .. }), "{error}");
    }
    case.server.misbehave("/f", &[Deed::NoLength]);
    let error = case.fetch_unknown().unwrap_err();
    assert!(error.to_string().contains("neither length nor chunks"), "{error}");
    let huge = Download { bytes: Some(1 << 60), max_bytes: 1 << 61, ..download };
    case.server.misbehave("/f", &[Deed::Announce(1 << 60)]);
    let error = Downloader::new(patience(), None).fetch(&huge, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, DownloadError::Space { .. }), "{error}");
}

#[test]
fn chunks_without_a_length_come_whole() {
    let case = Case::new(100_000);
    case.server.misbehave("/f", &[Deed::Chunked]);
    case.assert_whole(&case.fetch_unknown().unwrap());
}

#[test]
fn refusals_are_said_at_once_and_busy_servers_are_waited_for() {
    for status in [401, 403, 404, 410] {
        let case = Case::new(10);
        case.server.misbehave("/f", &[Deed::Status(status, "X-Error-Code: GatedRepo\r\n")]);
        let error = case.fetch().unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(error.to_string().contains("GatedRepo"), "{error}");
        assert_eq!(case.server.requests("/f").len(), 1);
    }
    let case = Case::new(10);
    case.server
        .misbehave("/f", &[Deed::Status(503, ""), Deed::Status(429, "Retry-After: 1\r\n"), Deed::Status(500, "")]);
    let start = Instant::now();
    case.assert_whole(&case.fetch().unwrap());
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let case = Case::new(10);
    case.server.misbehave("/f", &[Deed::Status(429, "Retry-After: 3600\r\n")]);
    let error = case.fetch().unwrap_err();
    assert!(error.to_string().contains("it asks to wait 3600 s"), "{error}");
    let case = Case::new(10);
    case.server.misbehave("/f", &vec![Deed::Status(500, ""); 9]);
    case.fetch().unwrap_err();
    assert_eq!(case.server.requests("/f").len(), 4);
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let case = Case::new(300_000);
    let long = Duration::from_secs(20);
    case.server.misbehave("/f", &[Deed::Stall(100_000, long), Deed::Stall(0, long)]);
    let start = Instant::now();
    case.assert_whole(&case.fetch().unwrap());
    assert!(start.elapsed() < long / 2, "{:?}", start.elapsed());
    assert_eq!(case.starts()[1], "bytes=100000-");
    let url = "http://127.0.0.1:1/f".parse().unwrap();
    let download = Download { url: &url, to: &case.to(), bytes: None, sha256: None, max_bytes: 1 };
    let error = Downloader::new(patience(), None).fetch(&download, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, DownloadError::GivenUp { .. }), "{error}");
}

#[test]
fn servers_that_do_not_do_ranges_give_the_whole_file() {
    let case = Case::new(300_000);
    case.server.misbehave("/f", &[Deed::Cut(100_000), Deed::IgnoreRange]);
    case.assert_whole(&case.fetch().unwrap());
    let case = Case::new(300_000);
    case.server.misbehave("/f", &[Deed::Cut(100_000), Deed::WrongRange]);
    case.assert_whole(&case.fetch().unwrap());
    assert_eq!(case.starts(), ["all", "bytes=100000-", "all"]);
    // One that always cuts and never resumes gets nowhere, and that ends.
    let case = Case::new(300_000);
    let deeds: Vec<Deed> = (0..20).flat_map(|_| [Deed::Cut(200_000), Deed::WrongRange]).collect();
    case.server.misbehave("/f", &deeds);
    case.fetch().unwrap_err();
    assert!(case.server.requests("/f").len() < 12);
}

#[test]
fn a_token_goes_to_its_own_origin_only() {
    let (hub, cdn) = (Server::start(), Server::start());
    let bytes = content(1000);
    cdn.put("/f", &bytes);
    hub.misbehave("/f", &[Deed::Redirect(cdn.url("{path}?signature=secret"))]);
    let folder = TempDir::new().unwrap();
    let url: Url = hub.url("/f").parse().unwrap();
    let token = Token::new(&url, "hf_token").unwrap();
    let download = Download { url: &url, to: &folder.path().join("f"), bytes: None, sha256: None, max_bytes: 1 << 20 };
    let downloader = Downloader::new(patience(), Some(token));
    downloader.fetch(&download, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(hub.requests("/f")[0].header("authorization"), Some("Bearer hf_token"));
    assert_eq!(cdn.requests("/f")[0].header("authorization"), None);
    // What the other server refuses is said without what its address holds.
    hub.misbehave("/f", &[Deed::Redirect(cdn.url("/none?signature=secret"))]);
    let error = downloader.fetch(&download, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.status() == Some(404) && !error.to_string().contains("secret"), "{error}");
}

#[test]
fn redirects_end_somewhere_and_lead_to_no_other_scheme() {
    let case = Case::new(10);
    case.server.misbehave("/f", &vec![Deed::Redirect("{path}".to_owned()); 20]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(error, DownloadError::Redirects { most: 8, .. }), "{error}");
    case.server.misbehave("/f", &[Deed::Redirect("file:///etc/passwd".to_owned())]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(error, DownloadError::Redirect { .. }), "{error}");
}

#[test]
fn only_one_process_fetches_a_file_at_a_time() {
    let case = Case::new(10);
    let part = fs::File::create(case.folder.path().join("f.part")).unwrap();
    part.lock().unwrap();
    let error = case.fetch().unwrap_err();
    assert!(matches!(error, DownloadError::Busy { .. }), "{error}");
}

#[test]
fn a_disk_that_fills_up_is_an_error_after_which_it_goes_on() {
    let case = Case::new(3 << 20);
    let disk = case.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |arguments: &[&str]| {
        std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&disk)
            .output()
            .is_ok_and(|it| it.status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"]) {
        eprintln!("skipped: a_disk_that_fills_up_is_an_error_after_which_it_goes_on: may not mount");
        return;
    }
    let url = case.server.url("/f").parse().unwrap();
    let to = disk.join("f");
    let digest = sha256(&case.bytes);
    let fetch = |deeds: &[Deed]| {
        case.server.misbehave("/f", deeds);
        let download = Download { url: &url, to: &to, bytes: None, sha256: Some(&digest), max_bytes: 1 << 30 };
        Downloader::new(patience(), None).fetch(&download, &mut |_| ControlFlow::Continue(()))
    };
    let announced = fetch(&[Deed::Serve]).unwrap_err();
    let unannounced = fetch(&[Deed::Chunked]).unwrap_err();
    let grown = mount(&["mount", "-o", "remount,size=64m"]);
    let done = fetch(&[]);
    mount(&["umount"]);
    assert!(matches!(announced, DownloadError::Space { needed: 3_145_728, .. }), "{announced}");
    assert!(matches!(&unannounced, DownloadError::Disk { action: "write", .. }), "{unannounced}");
    assert!(grown);
    assert_eq!(done.unwrap().bytes, 3 << 20);
}
