//! A watched folder: each complete new picture once, the newest first, the others passed over.
//!
//! A picture is complete when its writer closes it or moves it there, as inotify tells; where it does not (network file
//! systems), when its size and time stay the same from one look at the folder to the next.

mod listing;
mod seen;
mod watch;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use tokio::sync::watch::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

use self::listing::{Print, is_picture, list};
use self::seen::Seen;
use self::watch::Watch;
use super::super::settings::{After, FolderSettings, FrameTime};
use super::Intake;
use super::intake::Taken;

/// Names that are tried for a file that is moved to where another has its name.
const MOST_NAMES: usize = 1000;

/// Takes pictures from a folder until the daemon stops. `seen` is the file that remembers which were taken.
pub(super) async fn run(settings: FolderSettings, seen: PathBuf, intake: Intake, mut stopped: Receiver<bool>) {
    let mut watch = Watch::new(&settings.path);
    let mut ticks = interval(settings.poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut folder = Folder { seen: Seen::open(&seen), settings, intake, growing: HashMap::new(), stuck: false };
    loop {
        let (complete, look_at_all) = tokio::select! {
            names = watch.complete() => (names, false),
            _ = ticks.tick() => (Vec::new(), true),
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        if look_at_all && !watch.holds() {
            watch = Watch::new(&folder.settings.path);
        }
        // A disk may take its time; the broker must not wait for it.
        let looked = spawn_blocking(move || {
            folder.look(&complete, look_at_all);
            folder
        });
        match looked.await {
            Ok(after) => folder = after,
            Err(problem) => return error!(%problem, "a folder is no longer watched"),
        }
    }
}

/// What is known of a folder.
struct Folder {
    settings: FolderSettings,
    intake: Intake,
    seen: Seen,
    /// Files that were there at the last look and may still be growing.
    growing: HashMap<OsString, Print>,
    /// Whether the last file could not be removed, moved or remembered.
    stuck: bool,
}

impl Folder {
    /// Takes the newest of the pictures that are complete: those named, and where it looks at all, those that did not
    /// change since the last such look.
    fn look(&mut self, complete: &[OsString], look_at_all: bool) {
        let of_name = |name: &OsString| Print::of(&self.settings.path.join(name)).map(|print| (name.clone(), print));
        let mut ready: Vec<(OsString, Print)> =
            complete.iter().filter(|name| is_picture(name)).filter_map(of_name).collect();
        if look_at_all {
            match list(&self.settings.path) {
                Ok(files) => ready.extend(self.settled(files)),
                Err(problem) => {
                    return self.intake.fail(&format!("{}: cannot be read: {problem}", self.settings.path.display()));
                }
            }
            if !self.stuck {
                self.intake.mend();
            }
        }
        ready.retain(|(name, print)| !self.seen.contains(name, print));
        ready.sort_by(|a, b| (a.1.modified_ns, &a.0).cmp(&(b.1.modified_ns, &b.0)));
        ready.dedup();
        let Some((name, print)) = ready.pop() else { return };
        for (older, print) in ready {
            self.intake.counters.source_passed_over.add_one();
            self.finish(&older, &print);
        }
        self.take(&name, &print);
    }

    /// Of all files that are there, those that are as they were at the last look.
    fn settled(&mut self, files: Vec<(OsString, Print)>) -> Vec<(OsString, Print)> {
        self.seen.forget_all_but(&files);
        let before = std::mem::take(&mut self.growing);
        let (settled, growing) = files
            .into_iter()
            .filter(|(name, print)| !self.seen.contains(name, print))
            .partition(|(name, print)| before.get(name) == Some(print));
        self.growing = Vec::into_iter(growing).collect();
        settled
    }

    /// Hands a picture over. It is remembered first: a daemon that is killed in between must not take it twice.
    fn take(&mut self, name: &OsStr, print: &Print) {
        let path = self.settings.path.join(name);
        let picture = match read(&path, print, self.intake.max_bytes) {
            Ok(Some(picture)) => picture,
            // It changed meanwhile: there will be another event, or another look.
            Ok(None) => return,
            Err(problem) => {
                self.seen.add(name, print).ok();
                return self.intake.fail(&format!("{}: cannot be read: {problem}", path.display()));
            }
        };
        let taken = match self.settings.time {
            FrameTime::Exif => Taken::Unsaid,
            FrameTime::File => Taken::At(print.modified_ms()),
            FrameTime::Arrival => Taken::Now,
        };
        self.finish(name, print);
        self.intake.put(name.to_str(), picture, taken);
    }

    /// A file that need not be looked at again is remembered, and removed or moved if that is asked for.
    fn finish(&mut self, name: &OsStr, print: &Print) {
        let remembered = self.seen.add(name, print);
        let path = self.settings.path.join(name);
        let done = match &self.settings.after {
            After::Keep => Ok(()),
            After::Remove => fs::remove_file(&path),
            After::Move(to) => move_to(&path, to, name),
        };
        let done = done.map_err(|problem| format!("{}: cannot be removed or moved: {problem}", path.display()));
        let problem = remembered.and(done).err();
        self.stuck = problem.is_some();
        if let Some(problem) = problem {
            self.intake.fail(&problem);
        }
    }
}

/// A file's bytes, at most one more than `most`; `None` where it is no longer the file that was seen. Neither a link
/// nor anything but a plain file is read.
fn read(path: &Path, print: &Print, most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = fs::File::from(open(path, flags, Mode::empty())?);
    let is_it =
        |file: &fs::File| Ok::<_, std::io::Error>(Print::of_metadata(&file.metadata()?).as_ref() == Some(print));
    if !is_it(&file)? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&mut file).take((most as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(is_it(&file)?.then_some(bytes))
}

/// Moves a file into a folder on the same file system, beside those that have its name there.
fn move_to(path: &Path, folder: &Path, name: &OsStr) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for number in 0..MOST_NAMES {
        let mut to = OsString::new();
        if number > 0 {
            to.push(format!("{number}-"));
        }
        to.push(name);
        let to = folder.join(to);
        if fs::symlink_metadata(&to).is_err() {
            return fs::rename(path, to);
        }
    }
    Err(std::io::Error::other(format!("{MOST_NAMES} files have its name in {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::super::intake::tests::{intake, waiting};
    use super::*;
    use crate::service::{Counters, Inbox};
    use std::sync::Arc;
    use std::time::Duration;

    struct Scene {
        root: tempfile::TempDir,
        folder: Folder,
        inbox: Arc<Inbox>,
        counters: Arc<Counters>,
    }

    impl Scene {
        fn new(after: impl FnOnce(&Path) -> After) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("in")).unwrap();
            let (intake, inbox, counters) = intake(100);
            let settings = FolderSettings {
                path: root.path().join("in"),
                after: after(root.path()),
                poll: Duration::from_secs(1),
                time: FrameTime::Exif,
            };
            let seen = Seen::open(&root.path().join("state/nadir.seen"));
            Self {
                root,
                folder: Folder { settings, intake, seen, growing: HashMap::new(), stuck: false },
                inbox,
                counters,
            }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.root.path().join("in").join(name), content).unwrap();
            // Times of files may be as coarse as the kernel's clock ticks.
            std::thread::sleep(Duration::from_millis(12));
        }

        fn complete(&mut self, names: &[&str]) -> Option<String> {
            let names: Vec<OsString> = names.iter().map(OsString::from).collect();
            self.folder.look(&names, false);
            waiting(&self.inbox).map(|(id, _)| id)
        }

        fn look(&mut self) -> Option<String> {
            self.folder.look(&[], true);
            waiting(&self.inbox).map(|(id, _)| id)
        }

        fn restart(&mut self) {
            self.folder.seen = Seen::open(&self.root.path().join("state/nadir.seen"));
            self.folder.growing.clear();
        }

        fn names(&self, folder: &str) -> Vec<String> {
            let files = fs::read_dir(self.root.path().join(folder)).unwrap();
            let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn the_newest_is_taken_and_the_others_are_passed_over_and_none_twice() {
        let mut scene = Scene::new(|_| After::Keep);
        for name in ["a.jpg", "b.PNG", "c.webp", "notes.txt", ".c.jpg.part"] {
            scene.write(name, name);
        }
        assert_eq!(scene.complete(&["a.jpg", "c.webp", "b.PNG", "notes.txt", "gone.jpg"]).as_deref(), Some("c.webp"));
        assert_eq!(scene.counters.source_passed_over.get(), 2);
        for _ in 0..3 {
            assert_eq!(scene.look(), None);
        }
        scene.restart();
        for _ in 0..3 {
            assert_eq!(scene.look(), None, "after a restart");
        }
        scene.write("a.jpg", "written again");
        assert_eq!(scene.complete(&["a.jpg"]).as_deref(), Some("a.jpg"), "another picture under the same name");
    }

    #[test]
    fn without_events_a_file_is_taken_when_it_stays_as_it_is() {
        let mut scene = Scene::new(|_| After::Keep);
        scene.write("a.jpg", "one");
        assert_eq!(scene.look(), None);
        scene.write("a.jpg", "one, two");
        assert_eq!(scene.look(), None, "it grew");
        assert_eq!(scene.look().as_deref(), Some("a.jpg"));
        assert_eq!(scene.look(), None);
    }

    #[test]
    fn taken_and_passed_over_files_are_removed_or_moved() {
        let mut scene = Scene::new(|_| After::Remove);
        scene.write("a.jpg", "a");
        scene.write("b.jpg", "b");
        assert_eq!(scene.complete(&["a.jpg", "b.jpg"]).as_deref(), Some("b.jpg"));
        assert_eq!(scene.names("in"), Vec::<String>::new());

        let mut scene = Scene::new(|root| After::Move(root.join("done")));
        for content in ["a", "b"] {
            scene.write("a.jpg", content);
            assert_eq!(scene.complete(&["a.jpg"]).as_deref(), Some("a.jpg"));
        }
        assert_eq!((scene.names("in"), scene.names("done")), (vec![], vec!["1-a.jpg".to_owned(), "a.jpg".to_owned()]));
    }

    #[test]
    fn links_and_what_is_no_file_are_not_read_and_large_files_only_a_little() {
        let mut scene = Scene::new(|_| After::Keep);
        scene.write("secret", "secret");
        std::os::unix::fs::symlink("secret", scene.root.path().join("in/link.jpg")).unwrap();
        fs::create_dir(scene.root.path().join("in/folder.jpg")).unwrap();
        assert_eq!(scene.complete(&["link.jpg", "folder.jpg"]), None);
        scene.write("large.jpg", &"x".repeat(5000));
        let name = [OsString::from("large.jpg")];
        scene.folder.look(&name, false);
        let crate::service::Taken::Frame(arrived) = scene.inbox.take(Duration::ZERO) else {
            panic!("expected a frame")
        };
        assert_eq!(arrived.frame.encoded.len(), 101);
    }

    #[test]
    fn a_folder_that_is_gone_is_said_and_mended_when_it_is_back() {
        let mut scene = Scene::new(|_| After::Keep);
        let (here, away) = (scene.root.path().join("in"), scene.root.path().join("away"));
        fs::rename(&here, &away).unwrap();
        assert_eq!(scene.look(), None);
        assert_eq!(scene.counters.source_failures.get(), 1);
        fs::rename(&away, &here).unwrap();
        scene.write("a.jpg", "a");
        scene.look();
        assert_eq!(scene.look().as_deref(), Some("a.jpg"));
    }
}
