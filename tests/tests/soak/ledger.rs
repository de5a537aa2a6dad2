//! What went over the wire, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Number of a start, and of a fix since then.
pub type At = (u64, u64);

pub fn at(fix: &Value) -> At {
    (fix["boot"].as_u64().unwrap(), fix["seq"].as_u64().unwrap())
}

/// What the tap saw.
#[derive(Default)]
pub struct Ledger {
    /// Fixes in the order in which the broker got them, with their camera and whether they were marked as replays.
    sent: Vec<(At, String, bool)>,
    /// By connection and packet id.
    open: BTreeMap<(usize, u16), At>,
    /// Fixes that a broker acknowledged, with its reason.
    acknowledged: BTreeMap<At, u8>,
    refused: usize,
}

/// Nobody subscribed; still a success.
pub const UNHEARD: u8 = 0x10;

impl Ledger {
    /// On its way to the broker, whose answer may be faster than the tap.
    pub fn leaves(&mut self, connection: usize, id: u16, fix: &Value) {
        self.open.insert((connection, id), at(fix));
    }

    /// With the broker.
    pub fn arrived(&mut self, fix: &Value) {
        let camera = fix["cam"].as_str().unwrap().to_owned();
        self.sent.push((at(fix), camera, fix["replay"] == true));
    }

    pub fn acknowledged(&mut self, connection: usize, id: u16, reason: u8) {
        let Some(at) = self.open.remove(&(connection, id)) else { return };
        if reason < 0x80 {
            self.acknowledged.insert(at, reason);
        } else {
            self.refused += 1;
        }
    }

    pub fn delivered(&self) -> BTreeSet<At> {
        self.acknowledged.keys().copied().collect()
    }

    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    pub fn sent_again(&self) -> usize {
        self.sent.len() - self.sent.iter().map(|(at, ..)| at).collect::<BTreeSet<_>>().len()
    }

    /// How many were acknowledged with nobody subscribed.
    pub fn unheard(&self) -> usize {
        self.acknowledged.values().filter(|reason| **reason == UNHEARD).count()
    }

    /// Panics unless each camera's fixes came in order the first time, and a second time only marked.
    pub fn assert_in_order_and_marked(&self) {
        let mut seen: BTreeSet<At> = BTreeSet::new();
        let mut newest: BTreeMap<&str, At> = BTreeMap::new();
        for (at, camera, is_replay) in &self.sent {
            if seen.insert(*at) {
                let before = newest.insert(camera, *at);
                assert!(before < Some(*at), "{camera}: {before:?} came before {at:?}");
            } else {
                assert!(is_replay, "{at:?} of {camera} came twice, unmarked");
            }
        }
    }

    /// Panics where a number is missing below the last delivered one of a start.
    pub fn assert_no_gaps(&self) {
        let delivered = self.delivered();
        for boot in delivered.iter().map(|at| at.0).collect::<BTreeSet<u64>>() {
            let seqs: BTreeSet<u64> = delivered.iter().filter(|at| at.0 == boot).map(|at| at.1).collect();
            let last = *seqs.last().unwrap();
            let missing: Vec<u64> = (1..=last).filter(|seq| !seqs.contains(seq)).collect();
            assert!(missing.is_empty(), "start {boot}: {missing:?} of {last} never delivered");
        }
    }
}
