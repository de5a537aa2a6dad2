//! Conformal quantiles of values that come in groups: frames of one flight are alike, flights are not.

/// The value that the next one, of a new group, does not exceed with probability `level`, whatever the values are
/// distributed like, as long as the new group is drawn like these: each group weighs `1 / (groups + 1)`, its values
/// alike, and the missing group counts as infinitely large (Y. Lee, R. F. Barber, R. Willett, "Distribution-free
/// inference with hierarchical data", 2023; with one value per group it is the usual split conformal quantile).
///
/// `None` when there are too few groups, [`groups_needed`]. Empty groups do not count; values must not be NaN.
#[expect(clippy::cast_precision_loss, reason = "counts of frames are far below 2^52")]
pub fn quantile_by_group(groups: &[Vec<f64>], level: f64) -> Option<f64> {
    let filled: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    let share = 1.0 / (filled.len() as f64 + 1.0);
    let weighted = |group: &&Vec<f64>| {
        let weight = share / group.len() as f64;
        group.iter().map(|value| (*value, weight)).collect::<Vec<_>>()
    };
    let mut values: Vec<(f64, f64)> = filled.iter().flat_map(weighted).collect();
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut mass = 0.0;
    // A hair less, against the rounding of sums.
    values.into_iter().find_map(|(value, weight)| {
        mass += weight;
        (mass >= level - 1e-9).then_some(value)
    })
}

/// How many groups [`quantile_by_group`] needs for `level` in (0, 1): 19 for 0.95.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number; huge ones saturate")]
pub fn groups_needed(level: f64) -> usize {
    (level / (1.0 - level) - 1e-6).ceil().max(1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::SplitMix64;

    #[test]
    fn with_one_value_a_group_it_is_the_usual_conformal_quantile() {
        let groups: Vec<Vec<f64>> = (1..=19).map(|value| vec![f64::from(value)]).collect();
        // ceil(0.95 * 20) = 19: the largest of 19; ceil(0.68 * 20) = 14.
        assert_eq!((quantile_by_group(&groups, 0.95), quantile_by_group(&groups, 0.68)), (Some(19.0), Some(14.0)));
        assert_eq!(quantile_by_group(&groups[..18], 0.95), None);
        assert_eq!((groups_needed(0.95), groups_needed(0.68), groups_needed(0.9)), (19, 3, 9));
    }

    #[test]
    fn long_groups_weigh_no_more_than_short_ones_and_empty_ones_nothing() {
        let groups = [vec![1.0; 1000], vec![2.0], vec![3.0], vec![]];
        assert_eq!(quantile_by_group(&groups, 0.5), Some(2.0));
        assert_eq!(quantile_by_group(&[], 0.5), None);
    }

    /// A flight has an error level of its own; its frames scatter around that.
    fn flight(random: &mut SplitMix64) -> Vec<f64> {
        let mut uniform = || random.below(1_000_000) as f64 / 1e6;
        let level = 1.0 + 3.0 * uniform();
        (0..20).map(|_| level * uniform()).collect()
    }

    #[test]
    fn new_flights_are_covered_as_promised() {
        let mut random = SplitMix64::new(7);
        let (mut covered, mut frames) = (0, 0);
        for _ in 0..300 {
            let groups: Vec<Vec<f64>> = (0..30).map(|_| flight(&mut random)).collect();
            let bound = quantile_by_group(&groups, 0.9).unwrap();
            let new = flight(&mut random);
            covered += new.iter().filter(|value| **value <= bound).count();
            frames += new.len();
        }
        let share = covered as f64 / frames as f64;
        assert!((0.89..0.96).contains(&share), "{share}");
    }
}
