//! Frames that come from folders and commands.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::device::{BASE, Device, frame_topic, quoted, wait_for_log};
use crate::support::broker::Broker;
use crate::support::client::Message;
use crate::support::daemon::Daemon;
use crate::support::schema::assert_valid;

fn is_fix(message: &Message) -> bool {
    message.topic.ends_with("/fix")
}

/// The pictures of the walk with a camera, in their order.
fn walk(device: &Device) -> Vec<PathBuf> {
    let folder = device.flight.imagery("gopro_stream/images");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn next_fix(device: &mut Device, camera: &str) -> Value {
    let topic = format!("{BASE}/cam/{camera}/fix");
    let fix = device.watcher.next("a fix", |message| message.topic == topic).json();
    assert_valid("fix", &fix);
    fix
}

#[test]
fn a_watched_folder_gives_each_new_picture_once_over_restarts() {
    let test = "a_watched_folder_gives_each_new_picture_once_over_restarts";
    let Some(mut device) = Device::new(test, Broker::start(), &[&format!("{BASE}/#")]) else { return };
    let (folder, done) = (device.folder.path().join("in"), device.folder.path().join("done"));
    std::fs::create_dir(&folder).unwrap();
    let source =
        format!("[[source]]\ncamera = \"walk\"\nkind = \"folder\"\npath = {}\npoll_s = 0.5\n", quoted(&folder));
    let url = device.broker.url();
    let config = device.settings(&url, "", &source);
    let mut daemon = Daemon::start(&config);
    device.wait_until_online(&daemon);
    let pictures = walk(&device);
    // Written elsewhere and moved here, as careful writers do; and written in place.
    for (n, picture) in pictures.iter().take(6).enumerate() {
        let name = picture.file_name().unwrap();
        if n % 2 == 0 {
            let part = device.folder.path().join("part");
            std::fs::copy(picture, &part).unwrap();
            std::fs::rename(part, folder.join(name)).unwrap();
        } else {
            std::fs::copy(picture, folder.join(name)).unwrap();
        }
        let fix = next_fix(&mut device, "walk");
        assert_eq!(fix["id"].as_str().unwrap(), name.to_str().unwrap());
        assert_ne!(fix["status"], "error", "{fix}");
        assert!(fix["captured_at"].is_string(), "the file's time: {fix}");
    }
    std::fs::write(folder.join("text.jpg"), "no picture").unwrap();
    assert!(next_fix(&mut device, "walk")["reason"].as_str().unwrap().starts_with("frame_refused"));
    for kill in [true, false] {
        if kill {
            daemon.signal("KILL");
            daemon.wait();
        } else {
            device.stop(&mut daemon);
        }
        while device.watcher.next_within(Duration::from_millis(100), |_| true).is_some() {}
        daemon = Daemon::start(&config);
        device.wait_until_online(&daemon);
        assert!(device.watcher.next_within(Duration::from_millis(1800), is_fix).is_none(), "none a second time");
    }
    device.stop(&mut daemon);

    // What comes while the daemon is away: the newest is answered, all are moved away.
    for picture in &pictures[10..14] {
        std::fs::copy(picture, folder.join(picture.file_name().unwrap())).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let moved = format!("{source}after = \"move\"\nmove_to = {}\n", quoted(&done));
    let mut daemon = Daemon::start(&device.settings(&url, "", &moved));
    let fix = next_fix(&mut device, "walk");
    assert_eq!(fix["id"].as_str().unwrap(), pictures[13].file_name().unwrap().to_str().unwrap());
    let stats = device.stop(&mut daemon);
    assert_eq!(stats["counters"]["source_passed_over"], 3, "{stats}");
    assert_eq!(std::fs::read_dir(&done).unwrap().count(), 4);
}

#[test]
fn a_command_gives_pictures_is_started_again_and_ends_with_the_daemon() {
    let test = "a_command_gives_pictures_is_started_again_and_ends_with_the_daemon";
    let Some(mut device) = Device::new(test, Broker::start(), &[&format!("{BASE}/#")]) else { return };
    let pictures: Vec<String> = walk(&device).iter().take(4).map(|path| quoted(path)).collect();
    // Garbage, four pictures, a fifth that is cut, and an end.
    let script = format!(
        "printf 'garbage'; for picture in {}; do cat \"$picture\"; sleep 0.1; done; head -c 3000 {}; exit 1",
        pictures.join(" "),
        pictures[0]
    );
    let command = format!(
        "[[source]]\ncamera = \"front\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n\
         [[source]]\ncamera = \"dead\"\nkind = \"command\"\ncommand = [\"/absent/camera\"]\n\
         [[source]]\ncamera = \"silent\"\nkind = \"command\"\ncommand = [\"sleep\", \"1234\"]\n"
    );
    let url = device.broker.url();
    let mut daemon = Daemon::start(&device.settings(&url, "", &command));
    wait_for_log(&daemon, "/absent/camera: cannot be started: No such file or directory");
    wait_for_log(&daemon, "sh: ended (exit status: 1) after 4 pictures");
    let mut ids = Vec::new();
    for _ in 0..6 {
        let fix = next_fix(&mut device, "front");
        assert_ne!(fix["status"], "error", "{fix}");
        ids.push(fix["id"].as_str().unwrap().to_owned());
    }
    let number = |id: &String| id.strip_prefix("1-front-").unwrap().parse::<u64>().unwrap();
    assert!(ids.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])), "{ids:?}");
    // The broker's frames are served beside those of sources.
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &[("id", "by-mqtt")]);
    assert_eq!(device.answer("nadir", "by-mqtt")["status"], "fix");
    let is_degraded = |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == "degraded";
    let status = device.watcher.next("the source that is missing to be said", is_degraded).json();
    assert!(status["reason"].as_str().unwrap().contains("source "), "{status}");
    let stats = device.stop(&mut daemon);
    let count = |key: &str| stats["counters"][key].as_u64().unwrap();
    assert!(count("source_restarts") >= 2 && count("source_failures") >= 2, "{stats}");
    assert!(count("source_garbage_bytes") >= 7, "{stats}");
    let known = ["answered", "replaced", "over_memory", "over_cameras", "stale", "at_stop"];
    assert_eq!(
        known.iter().map(|key| count(&format!("frames_{key}"))).sum::<u64>(),
        count("frames_received"),
        "{stats}"
    );
    let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&processes.stdout).lines().any(|line| line == "sleep 1234"), "a command lives on");
}
