//! Memory of a process that runs SigLIP base in int8, of the true shape with random weights, from packed weights.
//!
//! Each measurement is of a process of its own: this test starts itself again, and the child says what it takes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use quantized_models::{Encoder, LoadOptions, Manifest, Memory, PackedIn, RuntimeKind, View, WeightsAt};

use crate::model::{Model, has_onnxruntime, on, picture};
use crate::vit::{Size, Weights, tower};

const MIB: u64 = 1 << 20;
/// What loading may leave in a process's own memory.
const OWN_AFTER_LOAD: u64 = 20 * MIB;
const FRAMES: usize = 50;
const MODEL: &str = "GEOLOCATED_TEST_MODEL";

#[test]
fn weights_of_siglip_base_stay_in_the_file_and_are_shared() {
    const NAME: &str = "weights_of_siglip_base_stay_in_the_file_and_are_shared";
    if !has_onnxruntime(NAME) {
        return;
    }
    let size = Size::BASE;
    let mut model = Model::new(&tower(size, Weights::Int8(63)), size.image, size.width);
    model.record(RuntimeKind::OnnxRuntime, 0.9999);
    let prepared = Encoder::prepare(&model.manifest(), &options(), &mut |_| ()).unwrap();
    let is_mapped = prepared.runtime().weights == WeightsAt::Mapped;
    drop(prepared);
    let mut first = Measured::start(&model);
    let mut second = Measured::start(&model);
    let loaded = first.next();
    second.next();
    println!("after load: {}", text(&loaded));
    let (ran, other) = (first.next(), second.next());
    println!("after {FRAMES} frames: {}", text(&ran));
    println!("a second process: {}", text(&other));
    if !is_mapped {
        println!("{NAME}: this ONNX Runtime copies weights when it packs them; nothing to hold it to");
        return;
    }
    assert!(loaded.anonymous <= OWN_AFTER_LOAD, "{loaded:?}");
    assert!(ran.anonymous <= OWN_AFTER_LOAD + 40 * MIB, "{ran:?}");
    assert!(ran.file >= 80 * MIB, "the weights are in memory, in pages of the file: {ran:?}");
    // Both have the weights; each is charged half of what they share.
    for memory in [ran, other] {
        assert!(memory.proportional + 40 * MIB <= memory.resident, "{memory:?}");
    }
}

fn options() -> LoadOptions {
    LoadOptions { packed: vec![PackedIn::ModelFolder], ..on(RuntimeKind::OnnxRuntime) }
}

fn text(memory: &Memory) -> String {
    let mib = |bytes: u64| bytes / MIB;
    format!(
        "RssAnon {} MiB more than before, RssFile {} MiB, Rss {} MiB, Pss {} MiB",
        mib(memory.anonymous),
        mib(memory.file),
        mib(memory.resident),
        mib(memory.proportional)
    )
}

/// A process that loads, embeds, and says what it takes; it waits for a line before each step after loading.
struct Measured {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Measured {
    fn start(model: &Model) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "mapped::child"])
            .env(MODEL, model.path())
            // As the daemon starts itself.
            .env("MALLOC_TRIM_THRESHOLD_", "131072")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answer) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, ask, answer }
    }

    /// Lets it take the next step, and says what it takes then.
    fn next(&mut self) -> Memory {
        self.ask.write_all(b"next\n").unwrap();
        let mut line = String::new();
        while self.answer.read_line(&mut line).unwrap() > 0 {
            if let Some((_, numbers)) = line.split_once("memory ") {
                let numbers: Vec<u64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
                let [anonymous, file, resident, proportional] = numbers[..] else { panic!("{line}") };
                return Memory { anonymous, file, resident, proportional };
            }
            line.clear();
        }
        panic!("the child ended: {:?}", self.child.wait());
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The measured process.
#[test]
#[ignore = "started by the test above"]
fn child() {
    let Some(model) = std::env::var_os(MODEL) else { return };
    let before = Memory::of(None).unwrap();
    let encoder = Encoder::load(&Manifest::load(model.as_ref()).unwrap(), &options()).unwrap();
    say(before);
    for seed in 0..FRAMES {
        encoder.embed(&picture(seed as u32), View::Query).unwrap();
    }
    say(before);
    // The parent ends it; until then both processes have the weights.
    say(before);
}

/// Waits to be asked, and says what was added since `before`; of what is shared, all.
fn say(before: Memory) {
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let now = Memory::of(None).unwrap();
    let own = now.anonymous.saturating_sub(before.anonymous);
    println!("memory {own} {} {} {}", now.file, now.resident, now.proportional);
}
