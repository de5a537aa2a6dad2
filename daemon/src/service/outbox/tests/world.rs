//! An outbox on a faulty disk, a broker that takes what it is sent, and what must hold whatever happens to both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::commit::OutboxFolder;
use super::super::record::Content;
use super::super::{Outbox, OutboxLimits, RecordId};
use super::faulty_folder::FaultyFolder;
use crate::faulty_disk::{Mishap, Numbers};
use crate::service::Counters;
use crate::service::health::Health;

/// 2026-01-01.
const START_UNIX_MS: i64 = 1_767_225_600_000;

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A camera's frame is answered; the JSON has about so many bytes.
    Append(u8, u16),
    /// The thread makes its round.
    Step,
    Connect,
    Disconnect,
    /// Up to so many messages are handed to the broker.
    Send(u8),
    /// The broker acknowledges one of those on their way.
    Acknowledge(u8),
    /// The broker refuses one of them for now.
    Refuse(u8),
    /// The broker will never take one of them.
    SetAside(u8),
    /// One of the next calls of the disk fails.
    FailAt(u8),
    /// From one of the next calls on the disk is dead, until the power goes and comes back.
    StopAt(u8),
    Full(bool),
    ReadOnly(bool),
    LosePower(u64),
    Kill,
    Wait(u16),
}

pub(super) const LIMITS: OutboxLimits = OutboxLimits {
    messages: 100_000,
    max_bytes: 1 << 30,
    segment_bytes: 4096,
    max_age_ms: 1 << 40,
    group_commit_ms: 200,
    memory_bytes: 1 << 30,
};

type At = (u64, u64);

#[derive(Debug, Default, Clone)]
struct Known {
    camera: u8,
    durable: bool,
    received: bool,
    acknowledged: bool,
    acknowledged_durably: bool,
    set_aside: bool,
    /// Sent while the disk could not say so, refused, or read too late: order and marks are not promised.
    exempt: bool,
}

pub(super) struct World {
    pub(super) folder: FaultyFolder,
    pub(super) outbox: Outbox,
    limits: OutboxLimits,
    known: BTreeMap<At, Known>,
    in_flight: Vec<(RecordId, At)>,
    newest_received: BTreeMap<u8, At>,
    boot: u64,
    seq: u64,
    uptime_ms: u64,
    unix_ms: i64,
    dropped_before: u64,
    appended_this_run: u64,
    pub(super) connected: bool,
    pub(super) replays: u64,
}

impl World {
    pub(super) fn new(limits: OutboxLimits) -> Self {
        let folder = FaultyFolder::default();
        let outbox = open(&folder, limits);
        Self {
            folder,
            outbox,
            limits,
            known: BTreeMap::new(),
            in_flight: Vec::new(),
            newest_received: BTreeMap::new(),
            boot: 1,
            seq: 0,
            uptime_ms: 0,
            unix_ms: START_UNIX_MS,
            dropped_before: 0,
            appended_this_run: 0,
            connected: false,
            replays: 0,
        }
    }

    pub(super) fn run(&mut self, events: &[Event]) {
        for event in events {
            self.happen(event);
            self.check_balance();
        }
    }

    pub(super) fn happen(&mut self, event: &Event) {
        match event {
            Event::Append(camera, bytes) => self.append(*camera, usize::from(*bytes)),
            Event::Step => drop(self.step()),
            Event::Connect => {
                self.outbox.lock().queue.connection_made(self.uptime_ms);
                self.connected = true;
            }
            Event::Disconnect => self.disconnect(),
            Event::Send(most) => self.send(usize::from(*most)),
            Event::Acknowledge(which) => {
                if let Some((id, at)) = self.pick(*which) {
                    self.outbox.acknowledge(id, true);
                    self.known.get_mut(&at).unwrap().acknowledged = true;
                }
            }
            Event::Refuse(which) => {
                if let Some((id, at)) = self.pick(*which) {
                    self.outbox.give_back(id);
                    let known = self.known.get_mut(&at).unwrap();
                    known.exempt = true;
                }
            }
            Event::SetAside(which) => {
                if let Some((id, at)) = self.pick(*which) {
                    self.outbox.set_aside(id, "too large");
                    self.known.get_mut(&at).unwrap().set_aside = true;
                }
            }
            Event::FailAt(calls) => self.folder.plan(Some((u64::from(*calls) + 1, Mishap::Error))),
            Event::StopAt(calls) => self.folder.plan(Some((u64::from(*calls) + 1, Mishap::Stop))),
            Event::Full(full) => self.folder.set_full(*full),
            Event::ReadOnly(read_only) => self.folder.set_read_only(*read_only),
            Event::LosePower(seed) => {
                self.folder.lose_power(*seed);
                self.reopen();
            }
            Event::Kill => {
                self.folder.restart();
                self.reopen();
            }
            Event::Wait(ms) => self.wait(u64::from(*ms)),
        }
    }

    fn wait(&mut self, ms: u64) {
        self.uptime_ms += ms;
        self.unix_ms += ms as i64;
    }

    fn append(&mut self, camera: u8, bytes: usize) {
        self.seq += 1;
        self.appended_this_run += 1;
        let at = (self.boot, self.seq);
        let json = format!("{{\"boot\":{},\"seq\":{},\"x\":\"{}\"}}", at.0, at.1, "y".repeat(bytes)).into_bytes();
        let stamped_ms = self.unix_ms as u64;
        let content = Content { boot: at.0, seq: at.1, stamped_ms, camera: format!("cam{camera}"), json };
        self.outbox.append_content(content, self.uptime_ms);
        self.known.insert(at, Known { camera, ..Known::default() });
    }

    /// A round of the thread; whether the disk took everything.
    pub(super) fn step(&mut self) -> bool {
        self.wait(200);
        let late = self.outbox.worker().is_closed();
        let failed = self.outbox.worker().step(&self.outbox, self.uptime_ms, self.unix_ms);
        if late && !self.outbox.worker().is_closed() {
            // What was left by earlier starts goes after what was sent meanwhile.
            let boot = self.boot;
            self.known.iter_mut().filter(|(at, _)| at.0 < boot).for_each(|(_, known)| known.exempt = true);
        }
        let written = self.outbox.lock().queue.unwritten() == 0;
        if !failed && written {
            let boot = self.boot;
            for (at, known) in &mut self.known {
                // What an earlier start did not bring to the disk stays lost.
                known.durable |= at.0 == boot;
                known.acknowledged_durably = known.acknowledged;
            }
        }
        !failed
    }

    pub(super) fn send(&mut self, most: usize) {
        if !self.connected {
            return;
        }
        for _ in 0..most {
            let failing = self.outbox.lock().queue.disk != super::super::queue::Disk::Working;
            let waited = self.outbox.lock().queue.lease_waits(self.uptime_ms);
            let Some(record) = self.outbox.send_next_at(self.uptime_ms, self.unix_ms) else { return };
            let json: serde_json::Value = serde_json::from_slice(&record.payload()).unwrap();
            assert_eq!((json["boot"].as_u64(), json["seq"].as_u64()), (Some(record.at.0), Some(record.at.1)));
            assert_eq!(json["replay"].as_bool().unwrap_or(false), record.replay);
            assert!(json["published_at"].is_string());
            let known = self.known.get_mut(&record.at).unwrap();
            assert_eq!(record.camera, format!("cam{}", known.camera));
            assert!(!known.acknowledged_durably, "{:?} was acknowledged, and comes again", record.at);
            assert!(known.exempt || record.replay || !known.received, "{:?} comes twice, unmarked", record.at);
            known.exempt |= failing || waited;
            if !known.received && !known.exempt {
                let newest = self.newest_received.entry(known.camera).or_default();
                assert!(*newest < record.at, "{:?} comes after {newest:?}", record.at);
                *newest = record.at;
            }
            self.replays += u64::from(record.replay);
            known.received = true;
            self.in_flight.push((record.id, record.at));
        }
    }

    fn pick(&mut self, which: u8) -> Option<(RecordId, At)> {
        let count = self.in_flight.len();
        (count > 0).then(|| self.in_flight.remove(usize::from(which) % count))
    }

    fn disconnect(&mut self) {
        self.outbox.connection_lost();
        self.in_flight.clear();
        self.connected = false;
    }

    pub(super) fn reopen(&mut self) {
        self.dropped_before += self.dropped();
        self.in_flight.clear();
        self.connected = false;
        self.boot += 1;
        (self.seq, self.appended_this_run) = (0, 0);
        self.uptime_ms = 0;
        let before = self.outbox.lock().queue.waiting_ats();
        self.outbox = open(&self.folder, self.limits);
        let after = self.outbox.lock().queue.waiting_ats();
        for (at, known) in &mut self.known {
            // Whether it was taken over is not known to those who asked.
            known.acknowledged = known.acknowledged_durably;
            // It was dropped, and the summary that says so was not durable: it comes all the same.
            known.exempt |= after.contains(at) && !before.contains(at);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.outbox.lock().queue.tally.dropped.iter().sum()
    }

    /// What came in is what went out, was dropped, or is there.
    fn check_balance(&self) {
        let stats = self.outbox.stats();
        let delivered = self.outbox.counters.fixes_delivered.get();
        let gone = delivered + stats.set_aside + self.dropped();
        assert_eq!(self.appended_this_run + stats.recovered, gone + stats.queued, "{stats:?}");
        assert_eq!(self.outbox.counters.fixes_dropped.get(), self.dropped());
    }

    /// Everything works again: all that was durable arrives, unless it was dropped and counted.
    pub(super) fn settle(&mut self) {
        self.folder.heal();
        self.disconnect();
        for _ in 0..3 {
            self.wait(20_000);
            self.step();
        }
        self.happen(&Event::Connect);
        for _ in 0..10_000 {
            assert!(self.step(), "the disk works");
            self.send(usize::MAX);
            while !self.in_flight.is_empty() {
                self.happen(&Event::Acknowledge(0));
            }
            if self.outbox.len() == 0 {
                break;
            }
        }
        self.check_balance();
        assert_eq!(self.outbox.len(), 0, "everything is delivered");
        self.step();
        let lost: BTreeSet<At> = self
            .known
            .iter()
            .filter(|(_, known)| known.durable && !known.received && !known.set_aside)
            .map(|(at, _)| *at)
            .collect();
        let dropped = self.dropped_before + self.dropped();
        assert!(lost.len() as u64 <= dropped, "{lost:?} are lost, {dropped} were dropped");
        self.happen(&Event::Kill);
        assert_eq!(self.outbox.len(), 0, "nothing comes back");
    }
}

fn open(folder: &FaultyFolder, limits: OutboxLimits) -> Outbox {
    let folder = OutboxFolder::stand_in(Arc::new(folder.clone()));
    let (counters, health) = (Arc::new(Counters::default()), Arc::new(Health::default()));
    Outbox::open(limits, folder, counters, health, START_UNIX_MS - 1)
}

/// A story that touches everything, the same for the same seed.
pub(super) fn story(seed: u64, events: usize) -> Vec<Event> {
    let mut numbers = Numbers(seed);
    (0..events)
        .map(|_| match numbers.below(20) {
            0..6 => Event::Append(numbers.below(3) as u8, 20 + numbers.below(600) as u16),
            6..10 => Event::Step,
            10..13 => Event::Send(1 + numbers.below(4) as u8),
            13..17 => Event::Acknowledge(numbers.below(8) as u8),
            17 => Event::Connect,
            18 => Event::Disconnect,
            _ => Event::Wait(numbers.below(1500) as u16),
        })
        .collect()
}
