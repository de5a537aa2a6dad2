//! What the kernel tells of a folder.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for some hundred events.
const BUFFER_BYTES: usize = 16 << 10;
/// Names that are gathered before they are worked on; the rest stays in the kernel, whose queue is bounded.
const MOST_NAMES: usize = 4096;

/// Tells which files of a folder are complete. Where the kernel tells nothing, it never does.
#[derive(Debug)]
pub(super) struct Watch {
    events: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    pub(super) fn new(folder: &Path) -> Self {
        Self { events: watch(folder).ok() }
    }

    /// Whether the kernel tells anything.
    pub(super) fn holds(&self) -> bool {
        self.events.is_some()
    }

    /// Waits for files that were closed after writing, or moved into the folder.
    pub(super) async fn complete(&mut self) -> Vec<OsString> {
        let Some(events) = &self.events else { return std::future::pending().await };
        let read = events.async_io(Interest::READABLE, |fd| {
            let (names, lost) = read_names(fd);
            if names.is_empty() && !lost {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            Ok((names, lost))
        });
        let (names, lost) = read.await.unwrap_or((Vec::new(), true));
        if lost {
            // The folder was moved or removed, or events were lost: the next look sees all of it and watches anew.
            self.events = None;
        }
        names
    }
}

#[expect(
    deprecated,
    reason = "unsound for types that lie about their descriptor, as OwnedFd cannot; else it takes unsafe"
)]
fn watch(folder: &Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    add_watch(&inotify, folder, flags)?;
    AsyncFd::with_interest(inotify, Interest::READABLE)
}

/// The names that wait, and whether what follows is not told any more.
fn read_names(inotify: &OwnedFd) -> (Vec<OsString>, bool) {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(inotify, &mut buffer);
    let mut names = Vec::new();
    let over = ReadFlags::IGNORED | ReadFlags::QUEUE_OVERFLOW | ReadFlags::MOVE_SELF;
    while names.len() < MOST_NAMES {
        match reader.next() {
            Ok(event) if event.events().intersects(over) => return (names, true),
            Ok(event) => names.extend(event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned())),
            Err(Errno::WOULDBLOCK) => break,
            Err(Errno::INTR) => {}
            Err(_) => return (names, true),
        }
    }
    (names, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn closed_and_moved_files_are_told_and_a_folder_that_goes_away_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("in");
            fs::create_dir(&folder).unwrap();
            let mut watch = Watch::new(&folder);
            fs::write(folder.join("a.jpg"), "a").unwrap();
            assert_eq!(watch.complete().await, ["a.jpg"]);
            fs::write(root.path().join("b.part"), "b").unwrap();
            fs::rename(root.path().join("b.part"), folder.join("b.jpg")).unwrap();
            assert_eq!(watch.complete().await, ["b.jpg"]);
            fs::rename(&folder, root.path().join("away")).unwrap();
            assert_eq!(watch.complete().await, Vec::<OsString>::new());
            assert!(!watch.holds());
            assert!(!Watch::new(&folder).holds());
        });
    }
}
