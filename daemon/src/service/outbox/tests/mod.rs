//! The outbox on a disk that fails, tears and forgets.

mod faulty_folder;
mod rules;
mod world;

use proptest::prelude::*;

use self::world::{Event, LIMITS, World, story};
use super::OutboxLimits;
use crate::faulty_disk::Mishap;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..3_u8, 20..900_u16).prop_map(|(camera, bytes)| Event::Append(camera, bytes)),
        10 => Just(Event::Step),
        4 => Just(Event::Connect),
        2 => Just(Event::Disconnect),
        8 => (1..6_u8).prop_map(Event::Send),
        8 => any::<u8>().prop_map(Event::Acknowledge),
        1 => any::<u8>().prop_map(Event::Refuse),
        1 => any::<u8>().prop_map(Event::SetAside),
        3 => (0..12_u8).prop_map(Event::FailAt),
        2 => (0..12_u8).prop_map(Event::StopAt),
        1 => any::<bool>().prop_map(Event::Full),
        1 => any::<bool>().prop_map(Event::ReadOnly),
        2 => any::<u64>().prop_map(Event::LosePower),
        2 => Just(Event::Kill),
        2 => (0..3000_u16).prop_map(Event::Wait),
    ]
}

/// A few cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 400 };
    ProptestConfig { cases, max_shrink_iters: 20_000, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_what_was_durable_arrives_in_order_and_twice_only_when_marked(
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(LIMITS);
        world.run(&events);
        world.settle();
    }

    #[test]
    fn within_tight_bounds_what_does_not_arrive_was_counted(
        events in proptest::collection::vec(event(), 1..160),
        messages in 1..40_usize,
        memory_bytes in 500..4000_usize,
        max_age_ms in prop_oneof![Just(1_u64 << 40), 1000..20_000_u64],
    ) {
        let limits = OutboxLimits { messages, memory_bytes, max_age_ms, max_bytes: 16_384, ..LIMITS };
        let mut world = World::new(limits);
        world.run(&events);
        world.settle();
        let bytes: u64 = world.folder.files().iter().map(|(_, bytes)| bytes).sum();
        prop_assert!(bytes <= limits.max_bytes, "{:?}", world.folder.files());
    }
}

/// Calls of the disk that a story makes, and what is left when it ends.
fn told(events: &[Event], mishap: Option<(u64, Mishap)>) -> World {
    let mut world = World::new(LIMITS);
    world.folder.plan(mishap);
    world.run(events);
    world
}

#[test]
fn the_disk_may_fail_at_any_call() {
    for seed in 0..3 {
        let events = story(seed, 200);
        let calls = told(&events, None).folder.calls();
        assert!(calls > 50, "{calls}");
        for call in 1..=calls {
            told(&events, Some((call, Mishap::Error))).settle();
        }
    }
}

#[test]
fn the_power_may_go_at_any_call() {
    for seed in 0..3 {
        let events = story(seed, 200);
        let calls = told(&events, None).folder.calls();
        for call in 1..=calls {
            let mut world = told(&events, Some((call, Mishap::Stop)));
            world.happen(&Event::LosePower(seed * 1000 + call));
            world.settle();
        }
    }
}

#[test]
fn starting_again_and_again_in_the_middle_of_recovery_loses_nothing() {
    let mut world = World::new(LIMITS);
    world.run(&story(7, 200));
    world.happen(&Event::Disconnect);
    for round in 0..200 {
        world.folder.plan(Some((1 + round % 23, Mishap::Stop)));
        world.happen(&Event::Append(0, 300));
        world.happen(&Event::Step);
        world.happen(&Event::LosePower(round));
    }
    world.settle();
}
