//! A published comparison of schedules, simulated: 100 documents, 100 calls, no prior.
//!
//! Published NDCG@10: a tournament that asks each pair once, in random order, .614; one that asks each pair in both
//! orders .301; heapsort .066. The shape is what a simulation can be held to, not the figures, which are those of
//! other texts, models and judgements of relevance.

use geolocated::locate::rerank::{RerankOptions, SecondOrder, Strategy};
use serde::Serialize;

use super::comparator::Comparator;
use super::frame::{Frames, SimulatedFrame};
use super::trial::{mean, ndcg_of_gains, ranking};

const DOCUMENTS: usize = 100;
const CALLS: usize = 100;

/// NDCG@10 of schedules that may ask 100 times about 100 documents.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PublishedShape {
    /// A tournament, each pair in one order, drawn at random.
    pub tournament_once: f64,
    /// A tournament, each pair in both orders.
    pub tournament_both_orders: f64,
    /// Heapsort, cut short.
    pub heapsort: f64,
    /// The order in which the documents come.
    pub unranked: f64,
}

/// The figures as they were published, in the order of the fields; none for unranked documents.
pub const PUBLISHED: [f64; 3] = [0.614, 0.301, 0.066];

impl PublishedShape {
    /// Means over `count` queries.
    pub fn of(comparator: &Comparator, count: u64, seed: u64) -> Self {
        let frames = Frames { candidates: DOCUMENTS, retrieval_skill: 0.0, retrieval_confidence: 1.0, seed };
        let judged = |rank: &dyn Fn(&SimulatedFrame) -> Vec<usize>| {
            mean((0..count).map(|number| {
                let frame = frames.frame(number);
                ndcg_of_gains(&gains(&frame), &rank(&frame))
            }))
        };
        let tournament = |second_order: SecondOrder| {
            let options = RerankOptions {
                strategy: Strategy::Knockout,
                max_comparisons: CALLS,
                budget_ms: None,
                top: DOCUMENTS,
                gate_nats: None,
                probes: 0,
                second_order,
                ..RerankOptions::default()
            };
            judged(&|frame| ranking(frame, comparator, &options).order)
        };
        Self {
            tournament_once: tournament(SecondOrder::Never),
            tournament_both_orders: tournament(SecondOrder::Always),
            heapsort: judged(&|frame| heapsort(frame, comparator)),
            unranked: judged(&|frame| (0..frame.likeness.len()).collect()),
        }
    }
}

/// Gains of relevance grades 0 to 3, which 85, 9, 4 and 2 of 100 documents have.
fn gains(frame: &SimulatedFrame) -> Vec<f64> {
    let grade = |likeness: f64| [1.04, 1.55, 2.05].iter().filter(|&&least| likeness > least).count();
    frame.likeness.iter().map(|&likeness| f64::from(1_u32 << grade(likeness)) - 1.0).collect()
}

/// Documents ranked by a heapsort that is cut short: the best are taken from the top of a heap to the end of the array,
/// which is read backwards.
fn heapsort(frame: &SimulatedFrame, comparator: &Comparator) -> Vec<usize> {
    let seen = comparator.perceived(frame);
    let mut calls = 0;
    let mut less = |a: usize, b: usize| {
        calls += 1;
        (calls <= CALLS).then(|| comparator.margin(frame, &seen, a, b) < 0.0)
    };
    let mut order: Vec<usize> = (0..frame.likeness.len()).collect();
    // `None` is the end of the calls.
    let _ = sort(&mut order, &mut less);
    order.reverse();
    order
}

fn sort(order: &mut [usize], less: &mut dyn FnMut(usize, usize) -> Option<bool>) -> Option<()> {
    for root in (0..order.len() / 2).rev() {
        sift(order, root, less)?;
    }
    for end in (1..order.len()).rev() {
        order.swap(0, end);
        let (heap, _) = order.split_at_mut(end);
        sift(heap, 0, less)?;
    }
    Some(())
}

/// Lets the item at `root` sink until none below it is better.
fn sift(heap: &mut [usize], mut root: usize, less: &mut dyn FnMut(usize, usize) -> Option<bool>) -> Option<()> {
    loop {
        let (left, right) = (2 * root + 1, 2 * root + 2);
        let (Some(&top), Some(&left_item)) = (heap.get(root), heap.get(left)) else { return Some(()) };
        let (child, item) = match heap.get(right) {
            Some(&right_item) if less(left_item, right_item)? => (right, right_item),
            _ => (left, left_item),
        };
        if !less(top, item)? {
            return Some(());
        }
        heap.swap(root, child);
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_once_beats_both_orders_and_a_sort_cut_short_is_useless() {
        let shape = PublishedShape::of(&Comparator::published(0.6, 1), 60, 1);
        assert!(shape.tournament_once > shape.tournament_both_orders + 0.1, "{shape:?}");
        assert!(shape.tournament_both_orders > shape.heapsort + 0.2, "{shape:?}");
        assert!(shape.heapsort < shape.unranked + 0.02, "worse than not ranking at all, or no better: {shape:?}");
    }

    #[test]
    fn a_heapsort_that_may_end_finds_the_order() {
        let merits = [0.3, 0.9, 0.1, 0.7, 0.5, 0.8, 0.2];
        let mut order: Vec<usize> = (0..merits.len()).collect();
        sort(&mut order, &mut |a, b| Some(merits[a] < merits[b])).unwrap();
        order.reverse();
        assert_eq!(order, [1, 5, 3, 4, 0, 6, 2]);
    }
}
