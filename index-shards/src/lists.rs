//! Which lists of a shard are scanned, and in which order.
//!
//! For the similar end lists are looked at by falling dot product of the query with their centroid, for the dissimilar
//! end by rising one. Two things say whether a list is scanned. The first ones always are: what resembles the query so
//! much that it is nearly the query itself is in the lists that it would be put into itself, though all other rows of
//! theirs may be far off. Of the others, those whose rows may reach far enough: rows score as their centroid, give or take
//! some standard deviations, which the query knows from the probes of the decoder. Far down the order a list may still
//! promise something by this measure, but hardly ever holds it, so there is a limit.

use crate::scan::{ListEffort, Run};
use crate::sections::centroids::Centroids;

/// Least number of lists that are scanned in any case, and least number that may be, whatever their shares are: in a
/// shard of few lists a share is too coarse.
const FEWEST: (usize, usize) = (16, 64);

/// The lists of a shard for one query.
#[derive(Debug)]
pub(crate) struct ListOrder {
    lists: Vec<List>,
    similar: Direction,
    dissimilar: Direction,
    visited: u64,
}

/// A list that has rows.
#[derive(Debug, Clone, Copy)]
struct List {
    run: Run,
    /// Standard deviation of its rows' scores around their centroid's.
    deviation: f32,
    scanned: bool,
}

/// The way towards one end.
#[derive(Debug)]
struct Direction {
    /// 1 towards the similar end, -1 towards the other.
    sign: f32,
    reach: f32,
    /// Positions of lists, best first as far as they are sorted.
    order: Vec<usize>,
    sorted: usize,
    next: usize,
    /// How many are scanned in any case, and how many may be.
    least: usize,
    most: usize,
}

impl ListOrder {
    /// `score` is the dot product of the query with a stored vector, `spread` the standard deviation of scores around
    /// those of centroids, per unit of a row's distance to its centroid. `limited` says whether the greatest shares of
    /// lists hold: not where a filter lets through only few rows of most lists.
    pub(crate) fn new(
        centroids: Centroids<'_>,
        score: impl Fn(f32, &[u8]) -> f32,
        spread: f32,
        (similar, dissimilar): (ListEffort, ListEffort),
        limited: bool,
    ) -> Self {
        let with_rows = centroids.iter().filter(|centroid| centroid.rows > 0);
        let list = with_rows.map(|centroid| {
            let (first_block, slots) = (centroid.first_block as usize, centroid.rows as usize);
            let run = Run { first_block, slots, base: score(centroid.scale, centroid.bytes) };
            List { run, deviation: spread * centroid.radius, scanned: false }
        });
        let lists: Vec<List> = list.collect();
        let (similar, dissimilar) =
            (Direction::new(1.0, similar, &lists, limited), Direction::new(-1.0, dissimilar, &lists, limited));
        Self { lists, similar, dissimilar, visited: 0 }
    }

    /// The next list that may have rows for the similar end, of those that were not given out yet; rows matter if they
    /// score at least `cut`.
    pub(crate) fn next_similar(&mut self, cut: f32) -> Option<Run> {
        let run = self.similar.next(&mut self.lists, cut);
        self.visited += u64::from(run.is_some());
        run
    }

    /// The same for the dissimilar end, where rows matter if minus their score is at least `cut`.
    pub(crate) fn next_dissimilar(&mut self, cut: f32) -> Option<Run> {
        let run = self.dissimilar.next(&mut self.lists, cut);
        self.visited += u64::from(run.is_some());
        run
    }

    /// How many lists were given out.
    pub(crate) fn visited(&self) -> u64 {
        self.visited
    }
}

impl Direction {
    fn new(sign: f32, effort: ListEffort, lists: &[List], limited: bool) -> Self {
        let (fewest, fewest_of_most) = FEWEST;
        let least = share(effort.least, lists.len()).max(fewest);
        let most = if limited { share(effort.most, lists.len()).max(fewest_of_most) } else { lists.len() };
        let order = (0..lists.len()).collect();
        let mut direction = Self { sign, reach: effort.reach, order, sorted: 0, next: 0, least, most };
        direction.sort(most, lists);
        direction
    }

    /// Sorts the best `count` of the positions that are not sorted yet.
    fn sort(&mut self, count: usize, lists: &[List]) {
        let key = |at: &usize| lists.get(*at).map_or(f32::NEG_INFINITY, |list| self.sign * list.run.base);
        let compare = |a: &usize, b: &usize| key(b).total_cmp(&key(a)).then(a.cmp(b));
        let rest = self.order.get_mut(self.sorted..).unwrap_or_default();
        let count = count.min(rest.len());
        if count < rest.len() {
            rest.select_nth_unstable_by(count, compare);
        }
        rest.get_mut(..count).unwrap_or_default().sort_unstable_by(compare);
        self.sorted += count;
    }

    fn next(&mut self, lists: &mut [List], cut: f32) -> Option<Run> {
        // Nothing is wanted at this end.
        if cut == f32::INFINITY {
            return None;
        }
        loop {
            // As long as fewer rows were found than are wanted there is no limit.
            if self.next >= self.most && cut > f32::NEG_INFINITY {
                return None;
            }
            if self.next >= self.sorted {
                self.sort(self.order.len(), lists);
            }
            let position = self.next;
            let list = lists.get_mut(*self.order.get(position)?)?;
            self.next += 1;
            let promise = self.sign * list.run.base + self.reach * list.deviation;
            if !list.scanned && (position < self.least || promise >= cut) {
                list.scanned = true;
                return Some(list.run);
            }
        }
    }
}

/// A share of a number of lists.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "of at most 65,536, and `as` saturates"
)]
fn share(share: f32, lists: usize) -> usize {
    (share * lists as f32).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of one block each whose centroids score what `bases` say, with rows that reach a tenth from there.
    fn order(bases: &[f32], effort: ListEffort, limited: bool) -> ListOrder {
        let run = |(first_block, base): (usize, &f32)| Run { first_block, slots: 64, base: *base };
        let list = |run| List { run, deviation: 0.1, scanned: false };
        let lists: Vec<List> = bases.iter().enumerate().map(run).map(list).collect();
        let [similar, dissimilar] = [1.0, -1.0].map(|sign| Direction::new(sign, effort, &lists, limited));
        ListOrder { lists, similar, dissimilar, visited: 0 }
    }

    fn all_similar(order: &mut ListOrder, cut: f32) -> Vec<usize> {
        std::iter::from_fn(|| order.next_similar(cut)).map(|run| run.first_block).collect()
    }

    fn all_dissimilar(order: &mut ListOrder, cut: f32) -> Vec<usize> {
        std::iter::from_fn(|| order.next_dissimilar(cut)).map(|run| run.first_block).collect()
    }

    /// 200 lists whose centroids score from 0 up to 0.995.
    fn rising() -> Vec<f32> {
        (0..200).map(|at| at as f32 / 200.0).collect()
    }

    #[test]
    fn the_first_lists_are_scanned_and_of_the_others_those_that_promise_enough() {
        let effort = ListEffort { reach: 2.0, least: 0.1, most: 1.0 };
        // Reaching two tenths to 0.9 takes a centroid at 0.7, list 140; to 2.0 none.
        assert!(all_similar(&mut order(&rising(), effort, true), 0.9001).into_iter().eq((141..200).rev()));
        assert!(all_similar(&mut order(&rising(), effort, true), 2.0).into_iter().eq((180..200).rev()));
        assert!(all_dissimilar(&mut order(&rising(), effort, true), -0.1001).into_iter().eq(0..=60));
        assert!(all_dissimilar(&mut order(&rising(), effort, true), 2.0).into_iter().eq(0..20));
    }

    #[test]
    fn there_is_a_limit_unless_too_little_was_found_or_a_filter_is_there() {
        let effort = ListEffort { reach: 100.0, least: 0.1, most: 0.5 };
        assert!(all_similar(&mut order(&rising(), effort, true), 0.0).into_iter().eq((100..200).rev()));
        assert!(all_dissimilar(&mut order(&rising(), effort, true), 0.0).into_iter().eq(0..100));
        assert_eq!(all_similar(&mut order(&rising(), effort, false), 0.0).len(), 200);
        let everything = all_similar(&mut order(&rising(), effort, true), f32::NEG_INFINITY);
        assert!(everything.into_iter().eq((0..200).rev()));
    }

    #[test]
    fn no_list_comes_twice_and_none_for_an_end_that_is_not_wanted() {
        let effort = ListEffort { reach: 100.0, least: 0.0, most: 1.0 };
        let mut both = order(&rising(), effort, true);
        assert_eq!(both.next_similar(0.0).map(|run| run.first_block), Some(199));
        assert_eq!(all_dissimilar(&mut both, 0.0).len(), 199);
        assert_eq!((both.next_similar(0.0).is_none(), both.visited()), (true, 200));
        assert!(order(&rising(), effort, true).next_similar(f32::INFINITY).is_none());
        assert!(order(&[], effort, true).next_dissimilar(f32::NEG_INFINITY).is_none());
    }

    #[test]
    fn few_lists_are_nearly_all_scanned() {
        let effort = ListEffort { reach: 0.0, least: 0.01, most: 0.02 };
        let bases = &rising()[..70];
        assert_eq!(all_similar(&mut order(bases, effort, true), 5.0).len(), 16);
        assert_eq!(all_similar(&mut order(bases, effort, true), -5.0).len(), 64);
        assert_eq!(all_similar(&mut order(&[f32::NAN, 0.5], effort, true), 0.1).len(), 2);
    }
}
