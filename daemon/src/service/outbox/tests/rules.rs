//! Single rules of the outbox, each by an example.

use std::collections::BTreeSet;

use super::super::log::{Batch, Outcome, Written};
use super::super::queue::Queue;
use super::super::record::{Content, DropReason};
use super::super::survey::{Depth, Place, Survey};
use super::super::{Done, OutboxLimits, Record, RecordId, SeqRange};
use super::world::{Event, LIMITS, World};

fn online(limits: OutboxLimits) -> World {
    let mut world = World::new(limits);
    world.run(&[Event::Connect, Event::Step]);
    world
}

fn append(world: &mut World, count: usize) {
    (0..count).for_each(|_| world.happen(&Event::Append(0, 200)));
}

/// Numbers and replay marks of what is sent now.
fn sent(world: &World) -> Vec<((u64, u64), bool)> {
    records(world).iter().map(|record| (record.at, record.replay)).collect()
}

fn records(world: &World) -> Vec<Record> {
    std::iter::from_fn(|| world.outbox.send_next_at(100_000, 1)).collect()
}

fn dropped(world: &World, reason: DropReason) -> u64 {
    world.outbox.lock().queue.tally.dropped[reason as usize]
}

#[test]
fn a_fix_is_sent_before_any_disk_has_it() {
    let mut world = online(LIMITS);
    let calls = world.folder.calls();
    append(&mut world, 3);
    assert_eq!(sent(&world), [((1, 1), false), ((1, 2), false), ((1, 3), false)]);
    assert_eq!(world.folder.calls(), calls, "the disk was not asked");
    assert_eq!(sent(&world), [], "what is on its way is not sent twice");
}

#[test]
fn after_a_lost_connection_everything_unacknowledged_goes_again_in_order_and_is_marked() {
    let mut world = online(LIMITS);
    append(&mut world, 4);
    world.run(&[Event::Send(3), Event::Acknowledge(1), Event::Disconnect, Event::Connect, Event::Step]);
    assert_eq!(sent(&world), [((1, 1), true), ((1, 3), true), ((1, 4), false)]);
}

#[test]
fn a_start_after_a_long_time_without_a_link_marks_nothing_that_was_never_sent() {
    let mut world = online(LIMITS);
    append(&mut world, 2);
    world.run(&[Event::Send(1), Event::Step, Event::Disconnect]);
    // Beyond what the connection was allowed to send ahead.
    append(&mut world, 2000);
    world.run(&[Event::Step, Event::Kill, Event::Connect, Event::Step]);
    let mut marks = Vec::new();
    loop {
        let now = sent(&world);
        if now.is_empty() && world.outbox.lock().queue.wanted().is_empty() {
            break;
        }
        marks.extend(now);
        world.outbox.send_next_at(100_000, 1);
        world.step();
    }
    assert_eq!(marks.len(), 2002);
    assert!(marks[0].1, "sent before the kill");
    assert!(marks.is_sorted_by_key(|(at, _)| *at), "in order");
    assert!(!marks[2001].1 && marks.iter().filter(|(_, replay)| !replay).count() > 900);
}

#[test]
fn what_waits_survives_a_loss_of_power_after_the_group_commit() {
    let mut world = World::new(LIMITS);
    append(&mut world, 50);
    world.run(&[Event::Step]);
    append(&mut world, 3);
    world.run(&[Event::LosePower(1)]);
    assert_eq!(world.outbox.len(), 50);
    world.settle();
}

#[test]
fn a_torn_end_is_cut_off_and_a_damaged_middle_costs_its_own_record() {
    let mut world = World::new(OutboxLimits { segment_bytes: 1 << 16, ..LIMITS });
    append(&mut world, 10);
    world.run(&[Event::Step]);
    let (name, _) = world.folder.files().remove(0);
    world.folder.damage(&name, |bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes.truncate(end - 3);
        bytes[end / 2] ^= 0x10;
    });
    world.run(&[Event::Kill]);
    assert_eq!(world.outbox.len(), 8, "one is damaged, one is torn");
    assert!(world.outbox.lock().queue.tally.recovered == 8);
    append(&mut world, 1);
    world.run(&[Event::Step, Event::Kill]);
    assert_eq!(world.outbox.len(), 9, "what came behind the torn one is whole");
}

#[test]
fn a_segment_of_an_impossible_size_is_set_aside_by_name_and_the_others_serve() {
    let mut world = World::new(LIMITS);
    append(&mut world, 60);
    world.run(&[Event::Step]);
    let names: Vec<String> = world.folder.files().into_iter().map(|(name, _)| name).collect();
    assert!(names.len() > 3, "{names:?}");
    world.folder.damage(&names[1], |bytes| bytes.resize(300 << 20, 7));
    world.run(&[Event::Kill]);
    let waiting = world.outbox.len();
    assert!(waiting > 30 && waiting < 60, "{waiting}");
    let after: Vec<String> = world.folder.files().into_iter().map(|(name, _)| name).collect();
    assert!(after.iter().any(|name| name.ends_with(".damaged")), "{after:?}");
    append(&mut world, 1);
    world.run(&[Event::Step, Event::Kill]);
    assert_eq!(world.outbox.len(), waiting + 1);
}

#[test]
fn over_the_bound_of_messages_the_oldest_go_with_a_summary_that_a_start_knows() {
    let mut world = World::new(OutboxLimits { messages: 10, ..LIMITS });
    append(&mut world, 10);
    world.run(&[Event::Step]);
    append(&mut world, 5);
    world.run(&[Event::Step]);
    assert_eq!((world.outbox.len(), dropped(&world, DropReason::Messages)), (10, 5));
    world.run(&[Event::Kill]);
    assert_eq!(world.outbox.len(), 10, "what was dropped does not come back");
    assert_eq!(world.outbox.stats().dropped_ever.messages, 5);
    world.run(&[Event::Connect, Event::Step]);
    assert_eq!(world.outbox.send_next_at(0, 1), None, "its content is on the disk");
    world.step();
    assert_eq!(sent(&world)[0].0, (1, 6));
}

#[test]
fn over_the_bound_of_bytes_whole_segments_go_and_delivered_ones_cost_nothing() {
    let limits = OutboxLimits { max_bytes: 16_384, ..LIMITS };
    let mut world = online(limits);
    for _ in 0..200 {
        append(&mut world, 1);
        world.run(&[Event::Send(1), Event::Acknowledge(0), Event::Step]);
    }
    assert_eq!(world.dropped(), 0);
    let bytes: u64 = world.folder.files().iter().map(|(_, bytes)| bytes).sum();
    assert!((8192..=16_384).contains(&bytes), "history is kept, within the bound: {bytes}");
    world.run(&[Event::Disconnect]);
    for _ in 0..200 {
        append(&mut world, 1);
        world.run(&[Event::Step]);
    }
    assert!(dropped(&world, DropReason::Bytes) > 100);
    world.settle();
}

#[test]
fn what_is_too_old_goes_and_a_clock_that_jumps_does_not_matter() {
    let mut world = World::new(OutboxLimits { max_age_ms: 10_000, ..LIMITS });
    append(&mut world, 3);
    world.run(&[Event::Step, Event::Wait(8000)]);
    append(&mut world, 2);
    // The wall clock shows 1970, then 2050: age is counted by the other clock.
    world.outbox.worker().step(&world.outbox, 8500, 0);
    world.outbox.worker().step(&world.outbox, 8500, 2_524_608_000_000);
    assert_eq!(world.outbox.len(), 5);
    world.outbox.worker().step(&world.outbox, 11_000, 0);
    assert_eq!((world.outbox.len(), dropped(&world, DropReason::Age)), (2, 3));
}

#[test]
fn a_full_disk_keeps_fixes_in_memory_then_counts_what_it_drops_and_recovers_by_itself() {
    let mut world = World::new(OutboxLimits { memory_bytes: 10_000, ..LIMITS });
    world.happen(&Event::ReadOnly(true));
    append(&mut world, 20);
    assert!(!world.step());
    assert_eq!(world.outbox.len(), 20);
    let reason = world.outbox.health.reason().unwrap();
    assert!(reason.contains("outbox: fixes wait in memory: read-only filesystem"), "{reason}");
    append(&mut world, 40);
    assert!(!world.step());
    let waiting = world.outbox.len();
    assert!((25..45).contains(&waiting), "{waiting}");
    assert_eq!(dropped(&world, DropReason::Memory), 60 - waiting as u64);
    world.happen(&Event::Connect);
    assert_eq!(sent(&world).len(), waiting, "they go out all the same");
    world.happen(&Event::Disconnect);
    world.happen(&Event::ReadOnly(false));
    assert!(world.step());
    assert_eq!(world.outbox.health.reason(), None);
    world.run(&[Event::LosePower(3)]);
    assert_eq!(world.outbox.len(), waiting);
}

/// A queue with messages, and the batch that is being written just now.
fn while_writing(limits: OutboxLimits, messages: u64) -> (Queue, Batch, Written) {
    let mut queue = Queue::new(limits);
    queue.recover(&Survey { next_id: 1, lease: 10_000, ..Survey::default() }, 0, |_| 0);
    for seq in 1..=messages {
        let json = format!("{{\"x\":\"{}\"}}", "y".repeat(200)).into_bytes();
        queue.append(Content { boot: 1, seq, stamped_ms: 0, camera: "nadir".to_owned(), json }, 0);
    }
    let batch = queue.take_batch(&BTreeSet::new()).unwrap();
    let place = Place { segment: 7, offset: 0, bytes: 1 };
    let places = batch.messages.iter().map(|message| (message.handle, place)).collect();
    (queue, batch, Written { places, lease: 10_000 })
}

#[test]
fn what_is_acknowledged_while_it_is_written_is_cleared_with_the_next_batch() {
    let (mut queue, batch, written) = while_writing(LIMITS, 3);
    assert_eq!(queue.send_next(0, 1), None, "the lease is not durable yet");
    let sent = queue.send_next(1000, 1).unwrap();
    queue.decide(RecordId(sent.handle), Outcome::Cleared);
    queue.committed(&batch, &written);
    let next = queue.take_batch(&BTreeSet::new()).unwrap();
    assert_eq!(next.decided, [(batch.messages[0].id, 7, Outcome::Cleared)]);
    assert!(next.messages.is_empty() && queue.len() == 2);
}

#[test]
fn what_is_dropped_while_it_is_written_does_not_come_back() {
    let (mut queue, batch, written) = while_writing(OutboxLimits { messages: 2, ..LIMITS }, 2);
    queue.append(Content { boot: 1, seq: 3, stamped_ms: 0, camera: "nadir".to_owned(), json: b"{}".to_vec() }, 0);
    queue.committed(&batch, &written);
    let next = queue.take_batch(&BTreeSet::new()).unwrap();
    assert_eq!(next.decided, [(batch.messages[0].id, 7, Outcome::Cleared)]);
    assert_eq!((next.dropped.len(), next.dropped[0].0.total.messages), (1, 1));
    assert_eq!(next.messages.len(), 1);
}

#[test]
fn a_full_disk_gives_up_what_was_delivered_first() {
    let mut world = online(LIMITS);
    for _ in 0..60 {
        append(&mut world, 1);
        world.run(&[Event::Send(1), Event::Acknowledge(0), Event::Step]);
    }
    let before = world.folder.files().len();
    world.happen(&Event::Full(true));
    append(&mut world, 60);
    // The stand-in stays full however much is removed, so all history goes.
    world.step();
    assert!(world.folder.files().len() < before && world.folder.files().len() <= 2, "{:?}", world.folder.files());
    world.settle();
}

#[test]
fn a_message_that_no_broker_takes_is_set_aside_and_can_be_asked_for() {
    let mut world = online(LIMITS);
    append(&mut world, 3);
    world.run(&[Event::Send(1), Event::SetAside(0), Event::Step, Event::Kill, Event::Connect, Event::Step]);
    assert_eq!(world.outbox.len(), 2);
    let found = Survey::of(&world.folder, Depth::Everything).unwrap();
    assert_eq!(found.messages.len(), 3, "it is kept");
    let ticket = world.outbox.resend(SeqRange { boot: 1, from_seq: 1, to_seq: 2 });
    world.step();
    assert_eq!(world.outbox.take_done(), [(ticket, Done::Resent { resending: 1, waiting: 1 })]);
}

#[test]
fn delivered_messages_are_sent_again_when_asked_for_marked_and_after_what_waits() {
    let mut world = online(LIMITS);
    for _ in 0..40 {
        append(&mut world, 1);
        world.run(&[Event::Send(1), Event::Acknowledge(0), Event::Step]);
    }
    world.run(&[Event::Kill, Event::Connect, Event::Step]);
    append(&mut world, 1);
    let ticket = world.outbox.resend(SeqRange { boot: 1, from_seq: 5, to_seq: 8 });
    world.step();
    assert_eq!(world.outbox.take_done(), [(ticket, Done::Resent { resending: 4, waiting: 0 })]);
    let first = sent(&world);
    assert_eq!(first, [((2, 1), false)], "what waits goes first");
    world.step();
    let again = records(&world);
    let numbers: Vec<_> = again.iter().map(|record| (record.at, record.replay)).collect();
    assert_eq!(numbers, [((1, 5), true), ((1, 6), true), ((1, 7), true), ((1, 8), true)]);
    again.iter().for_each(|record| world.outbox.acknowledge(record.id, true));
    assert_eq!(world.outbox.counters.fixes_delivered.get(), 0, "they were counted when they were delivered first");
    assert_eq!(world.outbox.stats().resent, 4);
}

#[test]
fn an_acknowledgement_with_nobody_subscribed_clears_and_is_counted() {
    let mut world = online(LIMITS);
    append(&mut world, 1);
    let record = records(&world).remove(0);
    world.outbox.acknowledge(record.id, false);
    world.outbox.acknowledge(record.id, false);
    let stats = world.outbox.stats();
    assert_eq!((stats.queued, stats.unheard), (0, 1));
}

#[test]
fn at_most_a_tenth_more_is_written_than_is_queued() {
    // Fixes as they are in the field: 1.3 kB, one a second, each acknowledged before the next; then without a link.
    let mut live = online(OutboxLimits { segment_bytes: 4 << 20, ..LIMITS });
    for _ in 0..2000 {
        live.happen(&Event::Append(0, 1270));
        live.run(&[Event::Send(1), Event::Acknowledge(0), Event::Step]);
    }
    let mut away = World::new(OutboxLimits { segment_bytes: 4 << 20, ..LIMITS });
    for _ in 0..2000 {
        away.run(&[Event::Append(0, 1270), Event::Step]);
    }
    away.settle();
    // Refusals of frames are the smallest messages there are.
    let mut small = online(OutboxLimits { segment_bytes: 4 << 20, ..LIMITS });
    for _ in 0..2000 {
        small.happen(&Event::Append(0, 350));
        small.run(&[Event::Send(1), Event::Acknowledge(0), Event::Step]);
    }
    let ratio = |world: &World| {
        let stats = world.outbox.stats();
        stats.written_bytes as f64 / stats.queued_bytes as f64
    };
    eprintln!("bytes written per byte queued: live {:.4}, small and live {:.4}", ratio(&live), ratio(&small));
    assert!(ratio(&live) <= 1.1, "{}", ratio(&live));
    assert!(ratio(&small) <= 1.2, "{}", ratio(&small));
}

#[test]
fn a_start_reads_little_when_everything_was_delivered() {
    let mut world = online(LIMITS);
    for _ in 0..400 {
        append(&mut world, 1);
        world.run(&[Event::Send(1), Event::Acknowledge(0), Event::Step]);
    }
    let segments = world.folder.files().len();
    assert!(segments > 20, "{segments}");
    world.folder.plan(None);
    world.happen(&Event::Kill);
    // Two segments are read, of the others the length is asked; a read is cut in halves by the stand-in.
    assert!(world.folder.calls() < 2 * segments as u64 + 60, "{} calls", world.folder.calls());
    assert_eq!(world.outbox.last_boot(), 1);
    assert_eq!(world.outbox.newest()["cam0"], (1, 400));
}
