//! Other ways to choose the dissimilar end than the least similar references.

use crate::rotation::Random;
use crate::search::Hit;
use crate::shard_search::ShardSearch;
use std::collections::BTreeSet;

/// `k` of the admitted rows of all shards, or all of them where there are fewer; each equally often.
pub(crate) fn drawn(shares: &[ShardSearch<'_>], k: usize, seed: u64) -> Vec<Hit> {
    let counts: Vec<u64> = shares.iter().map(|share| share.admission().count(u64::MAX)).collect();
    let chosen = choose(counts.iter().sum(), k as u64, seed);
    let mut first = 0;
    let mut hits = Vec::new();
    for (share, count) in shares.iter().zip(counts) {
        let mut wanted = chosen.range(first..first + count).map(|ordinal| ordinal - first).peekable();
        let mut ordinal = 0;
        for zone in 0..share.admission().zones() {
            if wanted.peek().is_none() {
                break;
            }
            share.admission().for_each(zone, &mut |row| {
                if wanted.next_if_eq(&ordinal).is_some() {
                    hits.push(share.hit(row));
                }
                ordinal += 1;
                true
            });
        }
        first += count;
    }
    hits.retain(|hit| hit.score.is_finite());
    hits
}

/// `k` different numbers below `count`, each set of them equally likely (R. W. Floyd, "A Sample of Brilliance", 1987).
fn choose(count: u64, k: u64, seed: u64) -> BTreeSet<u64> {
    let mut random = Random::new(seed);
    let mut chosen = BTreeSet::new();
    for last in count.saturating_sub(k)..count {
        let drawn = random.below(last + 1);
        if !chosen.insert(drawn) {
            chosen.insert(last);
        }
    }
    chosen
}

/// The rows that are nearest to the centroids that are farthest from the query; filled up from `farthest`.
pub(crate) fn by_centroids(shares: &[ShardSearch<'_>], k: usize, farthest: &[Hit]) -> Vec<Hit> {
    let mut medoids: Vec<(f32, usize, u32)> = Vec::new();
    for (at, share) in shares.iter().enumerate() {
        let occupied = share.centroids().iter().filter(|centroid| centroid.rows > 0);
        medoids.extend(occupied.map(|centroid| (share.score(centroid.scale, centroid.bytes), at, centroid.medoid)));
    }
    medoids.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let admitted = medoids.into_iter().filter_map(|(_, at, row)| {
        let share = shares.get(at)?;
        (share.holds(row) && share.admission().admits(row)).then(|| share.hit(row))
    });
    let mut seen = BTreeSet::new();
    let new = |hit: &Hit| hit.score.is_finite() && seen.insert((hit.shard, hit.row));
    admitted.chain(farthest.iter().copied()).filter(new).take(k).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_different_numbers_in_range_and_as_many_as_there_can_be() {
        for (count, k) in [(0, 3), (1, 3), (3, 3), (1000, 16), (u64::from(u32::MAX), 16)] {
            let chosen = choose(count, k, 5);
            assert_eq!(chosen.len() as u64, count.min(k));
            assert!(chosen.iter().all(|number| *number < count));
        }
    }

    #[test]
    fn every_number_is_drawn_about_equally_often() {
        let mut drawn = [0_u32; 10];
        for seed in 0..4000 {
            choose(10, 3, seed).into_iter().for_each(|number| drawn[number as usize] += 1);
        }
        // 1200 each is expected; the standard deviation is 29.
        assert!(drawn.iter().all(|times| (1050..1350).contains(times)), "{drawn:?}");
    }
}
