//! How many pictures each cell gets.

use std::collections::BTreeMap;

use clap::ValueEnum;
use h3o::CellIndex;

use super::Cell;

/// By what pictures are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Balance {
    /// The same for each cell: cells of H3 have about the same area
    Area,
    /// By the square root of a cell's pictures: between the same for all and as they come
    Density,
    /// By the square root of the people at a cell's middle
    Population,
    /// As they come: what geo-aware sampling is held against
    Random,
}

/// Pictures for each cell, `count` in all unless there are fewer rows. Largest remainders; of equals, the cell with the
/// lower number.
pub(super) fn quotas(cells: &[Cell], count: usize, balance: Balance) -> BTreeMap<CellIndex, usize> {
    let weight = |cell: &Cell| match balance {
        Balance::Area => 1.0,
        Balance::Density => (cell.rows as f64).sqrt(),
        Balance::Population => cell.people.unwrap_or_default().max(0.0).sqrt(),
        Balance::Random => cell.rows as f64,
    };
    let most = |cell: &Cell| usize::try_from(cell.rows).unwrap_or(usize::MAX);
    let mut quotas: BTreeMap<CellIndex, usize> = BTreeMap::new();
    let mut open: Vec<&Cell> = cells.iter().filter(|cell| weight(cell) > 0.0).collect();
    let mut left = count;
    // Cells with fewer rows than their share give all that they have, and the rest is shared anew by the others.
    loop {
        let total: f64 = open.iter().map(|cell| weight(cell)).sum();
        let share = |cell: &Cell| left as f64 * weight(cell) / total;
        let (full, rest): (Vec<&Cell>, Vec<&Cell>) = open.iter().partition(|cell| most(cell) as f64 <= share(cell));
        if full.is_empty() || rest.is_empty() {
            let mut shares: Vec<(f64, &Cell)> =
                open.iter().map(|cell| (share(cell).min(most(cell) as f64), *cell)).collect();
            let whole: usize = shares.iter().map(|(share, _)| share.floor() as usize).sum();
            shares.sort_by(|a, b| b.0.fract().total_cmp(&a.0.fract()).then(a.1.index.cmp(&b.1.index)));
            let mut extra = left.saturating_sub(whole);
            for (share, cell) in shares {
                let mut quota = share.floor() as usize;
                if extra > 0 && quota < most(cell) {
                    (quota, extra) = (quota + 1, extra - 1);
                }
                quotas.insert(cell.index, quota);
            }
            return quotas;
        }
        for cell in full {
            quotas.insert(cell.index, most(cell));
            left = left.saturating_sub(most(cell));
        }
        open = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h3o::{LatLng, Resolution};

    fn cells(rows: &[u64]) -> Vec<Cell> {
        let index = |at: usize| LatLng::new(at as f64 * 10.0 - 40.0, 20.0).unwrap().to_cell(Resolution::Two);
        let mut cells: Vec<Cell> = rows
            .iter()
            .enumerate()
            .map(|(at, rows)| Cell { index: index(at), rows: *rows, people: Some(at as f64) })
            .collect();
        cells.sort_unstable_by_key(|cell| cell.rows);
        cells
    }

    fn shares(rows: &[u64], count: usize, balance: Balance) -> Vec<usize> {
        let cells = cells(rows);
        let quotas = quotas(&cells, count, balance);
        cells.iter().map(|cell| quotas.get(&cell.index).copied().unwrap_or_default()).collect()
    }

    #[test]
    fn each_cell_gives_the_same_and_those_with_less_give_all() {
        assert_eq!(shares(&[100, 100, 100], 30, Balance::Area), [10, 10, 10]);
        assert_eq!(shares(&[2, 100, 200], 30, Balance::Area), [2, 14, 14]);
        assert_eq!(shares(&[1, 2, 3], 30, Balance::Area), [1, 2, 3], "there are no more");
        assert_eq!(shares(&[100, 100, 100], 31, Balance::Area).iter().sum::<usize>(), 31);
    }

    #[test]
    fn density_lies_between_the_same_for_all_and_as_they_come() {
        assert_eq!(shares(&[100, 10_000], 110, Balance::Density), [10, 100]);
        assert_eq!(shares(&[100, 10_000], 101, Balance::Random), [1, 100]);
        assert_eq!(shares(&[50, 60], 10, Balance::Population), [0, 10], "nobody lives in the first");
        assert_eq!(shares(&[], 10, Balance::Area), Vec::<usize>::new());
    }
}
