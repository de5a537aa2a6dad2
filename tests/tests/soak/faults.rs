//! What happens to the device.

use std::time::Duration;

use crate::scene::Scene;
use crate::support::matrix::Numbers;
use crate::tap::Link;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    KillDaemon,
    KillBroker,
    KillBoth,
    Cut,
    BlackHole,
    HalfOpen,
    Slow,
    FullDisk,
    Clock,
    Generation,
}

const ALL: [Fault; 10] = [
    Fault::KillDaemon,
    Fault::KillBroker,
    Fault::KillBoth,
    Fault::Cut,
    Fault::BlackHole,
    Fault::HalfOpen,
    Fault::Slow,
    Fault::FullDisk,
    Fault::Clock,
    Fault::Generation,
];
/// Of `keep_alive_s = 5`: by then the daemon has found out that nobody answers.
const FOUND_OUT: Duration = Duration::from_secs(9);

impl Fault {
    /// Each once, then any.
    pub fn nth(number: u64, numbers: &mut Numbers) -> Self {
        let at = if number < ALL.len() as u64 { number } else { numbers.below(ALL.len() as u64) };
        ALL[at as usize]
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::KillDaemon => "kill -9 of the daemon",
            Self::KillBroker => "kill -9 of the broker",
            Self::KillBoth => "kill -9 of both",
            Self::Cut => "connection cut",
            Self::BlackHole => "black hole",
            Self::HalfOpen => "half-open link",
            Self::Slow => "slow link",
            Self::FullDisk => "full disk",
            Self::Clock => "clock jump",
            Self::Generation => "generation switch",
        }
    }
}

/// Lets it happen, and be over; false where it cannot be done here.
pub fn strike(scene: &mut Scene, fault: Fault, numbers: &mut Numbers) -> bool {
    let short = Duration::from_millis(50 + numbers.below(700));
    match fault {
        Fault::KillDaemon => {
            scene.kill_daemon();
            scene.start_daemon();
        }
        Fault::KillBroker => {
            scene.broker.kill();
            scene.watch(short);
            scene.broker.restart();
        }
        Fault::KillBoth => {
            scene.broker.kill();
            scene.watch(short);
            scene.kill_daemon();
            scene.broker.restart();
            scene.start_daemon();
        }
        Fault::Cut => scene.tap.cut(),
        Fault::BlackHole => hold(scene, Link::BlackHole, short, numbers),
        Fault::HalfOpen => {
            let link = if numbers.below(2) == 0 { Link::DeafDaemon } else { Link::DeafBroker };
            hold(scene, link, short, numbers);
        }
        Fault::Slow => hold(scene, Link::Slow, short, numbers),
        Fault::FullDisk => {
            if !scene.fill_disk() {
                return false;
            }
            scene.watch(short);
            scene.free_disk();
            // What went by memory meanwhile is on the disk again before the next fault.
            scene.watch(Duration::from_millis(1500));
        }
        Fault::Clock => {
            let offsets = ["+3d", "-3d", "-40d", "-20000d"];
            if !scene.set_clock(offsets[numbers.below(4) as usize]) {
                return false;
            }
            scene.watch(short);
            scene.set_clock("+0");
        }
        Fault::Generation => scene.bring_generation(),
    }
    true
}

/// The link fails, for a moment or until the daemon has found out; then it works again, or connections end first.
fn hold(scene: &mut Scene, link: Link, short: Duration, numbers: &mut Numbers) {
    scene.tap.set(link);
    scene.watch(if numbers.below(12) == 0 { FOUND_OUT } else { short });
    if numbers.below(2) == 0 {
        scene.tap.cut();
    }
    scene.tap.set(Link::Open);
}
