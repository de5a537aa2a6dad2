//! Which rows go into the shard: those with a wanted role, every name once.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use index_shards::PositionOf;

use super::USUAL;
use super::input_row::{Input, InputRow};
use super::inputs::{Inputs, RowKey, rows};
use super::name_key::NameKey;
use super::role_names::RoleNames;
use super::split_keys::{SplitKey, SplitKeys};
use crate::json_spool::JsonSpool;
use crate::pose_row::once;
use crate::poses::{Refused, RowError};
use crate::sorter::{Records, Sorted, Sorter};
use crate::split::{SelectError, check_counts, check_not_known, no_pose, roles};

/// The rows of the poses, and which of them are chosen. Takes a bit of memory for each row.
#[derive(Debug)]
pub(super) struct Choice {
    poses: PathBuf,
    spool: JsonSpool,
    /// Rows that cannot be used.
    bad: usize,
    /// A bit for each row: whether it is chosen.
    chosen: Vec<u64>,
    count: usize,
    all_have_footprints: bool,
    /// Rows whose name stands in a row above: index, line, and that row's line.
    repeated: Sorted,
    /// How many these are.
    repeats: usize,
    /// Where the split is, and its rows of wanted roles that have no pose: line and file.
    without_pose: Option<(PathBuf, Sorted)>,
    roles: RoleNames,
    /// Rows by number of role; `None` where no roles are known.
    counts: Option<Vec<usize>>,
}

impl Choice {
    /// Looks up what role each row has, by the split or else by itself, and chooses those of the `wanted` roles, or
    /// else of the usual one; where no roles are known, all.
    ///
    /// # Errors
    /// The split has a file twice; a temporary file cannot be written.
    pub(super) fn make(
        inputs: Inputs,
        split: Option<SplitKeys>,
        wanted: &[String],
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let Inputs { path, rows, bad, have_roles, roles: names, spool, keys } = inputs;
        let mut joined = Joined {
            admitted: (have_roles || split.is_some()).then(|| names.among(&roles(wanted, &USUAL))),
            is_wanted: names.among(&roles(wanted, &USUAL)),
            chosen: vec![0; rows.div_ceil(64)],
            count: 0,
            with_footprint: 0,
            counts: Vec::new(),
            repeated: Sorter::new(scratch),
            repeats: 0,
            without_pose: Sorter::new(scratch),
        };
        joined.join(&keys.sorted(), split.as_ref())?;
        Ok(Self {
            poses: path,
            spool,
            bad,
            chosen: joined.chosen,
            count: joined.count,
            all_have_footprints: joined.count > 0 && joined.with_footprint == joined.count,
            repeated: joined.repeated.sorted(),
            repeats: joined.repeats,
            without_pose: split.map(|split| (split.path, joined.without_pose.sorted())),
            roles: names,
            counts: joined.admitted.map(|_| joined.counts),
        })
    }

    /// How many rows are chosen.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What the positions of all chosen rows are of; the same for all partitions.
    pub(super) fn position_of(&self) -> PositionOf {
        if self.all_have_footprints { PositionOf::FootprintCentre } else { PositionOf::Camera }
    }

    /// Passes when the `wanted` roles, or else the usual one, occur.
    ///
    /// # Errors
    /// [`SelectError`].
    pub(super) fn check_roles(&self, wanted: &[String]) -> Result<(), SelectError> {
        let Some(counts) = &self.counts else { return check_not_known(&self.poses, wanted) };
        let path = self.without_pose.as_ref().map_or(&self.poses, |(split, _)| split);
        let counts: BTreeMap<&str, usize> = self.roles.counted(counts);
        check_counts(path, &counts, wanted, &USUAL)
    }

    /// Chosen rows, a share of them, in the order of the poses.
    pub(super) fn rows(&self, share: Range<usize>) -> impl Iterator<Item = io::Result<InputRow>> {
        let chosen = |input| match input {
            Ok(Input::Good(row)) => is_set(&self.chosen, row.index).then_some(Ok(row)),
            Ok(Input::Bad(_)) => None,
            Err(error) => Some(Err(error)),
        };
        rows(&self.spool).filter_map(chosen).skip(share.start).take(share.len())
    }

    /// Hands to `visit` the rows that cannot be used, bad ones and repeated ones, in the order of the poses, and then
    /// those of the split that have no pose, in the order of the split.
    ///
    /// # Errors
    /// That of `visit`; a temporary file cannot be read.
    pub(super) fn for_each_unusable(&self, mut visit: impl FnMut(Refused) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.bad + self.repeats > 0 {
            let mut repeated = Repeats { records: self.repeated.records()?, next: None };
            repeated.advance()?;
            for input in rows(&self.spool) {
                let (index, file, refused) = match input? {
                    Input::Good(row) => (row.index, Some(row.file), None),
                    Input::Bad(row) => (row.index, row.file, Some(row.refused)),
                };
                let refused = match repeated.take(index)? {
                    Some((line, first)) => Some(self.repeat(line, first, file.unwrap_or_default())),
                    None => refused,
                };
                refused.map_or(Ok(()), &mut visit)?;
            }
        }
        let Some((split, without_pose)) = &self.without_pose else { return Ok(()) };
        for record in without_pose.records()? {
            let (record, broken) = (record?, || io::Error::from(io::ErrorKind::InvalidData));
            let (line, file) = record.split_first_chunk().ok_or_else(broken)?;
            let message = no_pose(split, u64::from_be_bytes(*line), str::from_utf8(file)?, &self.poses);
            visit(Refused { name: message.clone(), reason: "no_pose", message })?;
        }
        Ok(())
    }

    /// A row whose file stands in a line above.
    fn repeat(&self, line: u64, first: u64, found: String) -> Refused {
        let expected = once(first);
        RowError { path: self.poses.clone(), line, column: "file".to_owned(), found, expected }.refused()
    }
}

/// Repeated rows on their way: index, line, first line.
struct Repeats<'a> {
    records: Records<'a>,
    next: Option<[u64; 3]>,
}

impl Repeats<'_> {
    /// Line and first line of the row at `index`, if it is a repeated one. To be asked for one row after the other.
    fn take(&mut self, index: usize) -> io::Result<Option<(u64, u64)>> {
        match self.next {
            Some([at, line, first]) if at == index as u64 => self.advance().map(|()| Some((line, first))),
            _ => Ok(None),
        }
    }

    fn advance(&mut self) -> io::Result<()> {
        let record = self.records.next().transpose()?;
        self.next = record.map(|record| match record.as_chunks().0 {
            [index, line, first] => [index, line, first].map(|bytes| u64::from_be_bytes(*bytes)),
            _ => [u64::MAX; 3],
        });
        Ok(())
    }
}

/// What comes of walking along the names of the poses and of the split.
struct Joined {
    /// By number of role, whether rows of it are chosen; `None`: all rows are.
    admitted: Option<Vec<bool>>,
    /// By number of role, whether a row of the split is missed that has no pose.
    is_wanted: Vec<bool>,
    chosen: Vec<u64>,
    count: usize,
    with_footprint: usize,
    counts: Vec<usize>,
    repeated: Sorter,
    repeats: usize,
    without_pose: Sorter,
}

impl Joined {
    fn join(&mut self, keys: &Sorted, split: Option<&SplitKeys>) -> anyhow::Result<()> {
        let mut walk = split.map(SplitKeys::walk).transpose()?;
        // The name of the rows that are looked at, their role by the split, and the line of the first good one.
        let mut name: Option<(NameKey, Option<u32>)> = None;
        let mut first_line = None;
        for record in keys.records()? {
            let broken = || io::Error::from(io::ErrorKind::InvalidData);
            let key = RowKey::read(&record?).ok_or_else(broken)?;
            let role = match name.filter(|(name, _)| *name == key.name) {
                Some((_, role)) => role,
                None => {
                    let walk = walk.as_mut();
                    let role = walk.map(|walk| walk.role_of(&key.name, |missed| self.miss(missed))).transpose()?;
                    first_line = None;
                    role.flatten()
                }
            };
            name = Some((key.name, role));
            match first_line {
                Some(first) => self.repeat(key, first)?,
                None if key.good => {
                    first_line = Some(key.line);
                    self.take(key, if split.is_some() { role.unwrap_or_default() } else { key.role });
                }
                None => {}
            }
        }
        walk.map_or(Ok(()), |walk| walk.finish(|missed| self.miss(missed)))
    }

    fn take(&mut self, key: RowKey, role: u32) {
        let role = role as usize;
        if self.counts.len() <= role {
            self.counts.resize(role + 1, 0);
        }
        self.counts.get_mut(role).into_iter().for_each(|count| *count += 1);
        if self.admitted.as_ref().is_none_or(|admitted| admitted.get(role) == Some(&true)) {
            set(&mut self.chosen, key.index);
            self.count += 1;
            self.with_footprint += usize::from(key.footprint);
        }
    }

    fn repeat(&mut self, key: RowKey, first_line: u64) -> io::Result<()> {
        self.repeats += 1;
        self.repeated.push(&[&key.index.to_be_bytes(), &key.line.to_be_bytes(), &first_line.to_be_bytes()])
    }

    fn miss(&mut self, key: &SplitKey) -> io::Result<()> {
        if self.is_wanted.get(key.role as usize) != Some(&true) {
            return Ok(());
        }
        self.without_pose.push(&[&key.line.to_be_bytes(), key.file.as_bytes()])
    }
}

fn set(bits: &mut [u64], index: u64) {
    let word = usize::try_from(index / 64).ok().and_then(|at| bits.get_mut(at));
    word.into_iter().for_each(|word| *word |= 1 << (index % 64));
}

fn is_set(bits: &[u64], index: usize) -> bool {
    bits.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::poses;
    use crate::split::{Split, select};

    /// Rows that are chosen, rows that cannot be used, and whether all places are of footprints.
    type Outcome = (Vec<(usize, String)>, Vec<(String, String)>, PositionOf);

    /// What the tables in memory say, which `evaluate` uses.
    fn by_tables(poses: &Path, split: Option<&Path>, wanted: &[String]) -> anyhow::Result<Outcome> {
        let table = poses::read(poses)?;
        let split = split.map(Split::read).transpose()?;
        let mut unusable: Vec<(String, String)> =
            table.refused.iter().map(|refused| (refused.name.clone(), refused.message.clone())).collect();
        let without = split.iter().flat_map(|split| split.without_pose(&table, &roles(wanted, &USUAL)));
        unusable.extend(without.map(|message| (message.clone(), message)));
        let chosen = select(&table, split.as_ref(), wanted, &USUAL)?;
        let all = !chosen.is_empty() && chosen.iter().all(|(pose, _)| pose.place.footprint.is_some());
        let position_of = if all { PositionOf::FootprintCentre } else { PositionOf::Camera };
        Ok((chosen.into_iter().map(|(pose, _)| (pose.index, pose.file.clone())).collect(), unusable, position_of))
    }

    fn by_walking(poses: &Path, split: Option<&Path>, wanted: &[String], scratch: &Path) -> anyhow::Result<Outcome> {
        let mut inputs = Inputs::from_csv(poses, scratch)?;
        let split = split.map(|path| SplitKeys::read(path, &mut inputs.roles, scratch)).transpose()?;
        let choice = Choice::make(inputs, split, wanted, scratch)?;
        let mut unusable = Vec::new();
        choice.for_each_unusable(|refused| {
            unusable.push((refused.name, refused.message));
            Ok(())
        })?;
        choice.check_roles(wanted)?;
        let chosen: Vec<_> = choice.rows(0..choice.count()).map(|row| row.map(|row| (row.index, row.file))).collect();
        let parts = [0..1, 1..choice.count()].map(|share| choice.rows(share).count());
        assert!(choice.count() == 0 || parts.iter().sum::<usize>() == choice.count());
        Ok((chosen.into_iter().collect::<Result<_, _>>()?, unusable, choice.position_of()))
    }

    const ROLES: [&str; 4] = ["reference", "query", "outside", ""];

    proptest! {
        #[test]
        fn rows_are_those_that_the_tables_in_memory_give(
            poses in prop::collection::vec((0..5_u8, 0..12_u8, 0..4_usize), 0..9),
            with_roles: bool,
            footprints: bool,
            split in prop::option::of(prop::collection::vec((0..7_u8, 0..3_usize), 0..7)),
            wanted in prop::collection::vec(0..3_usize, 0..3),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (poses_csv, split_csv) = (folder.path().join("p.csv"), folder.path().join("s.csv"));
            let corners = ",top_left_lat,top_left_lon,bottom_right_lat,bottom_right_lon";
            let mut text = format!("file,lat,lon{}{corners}\n", if with_roles { ",role" } else { "" });
            for (name, kind, role) in poses {
                let lat = if kind == 0 { "x" } else { "1" };
                let name = if kind == 1 { String::new() } else { format!("r{name}") };
                let role = if with_roles { format!(",{}", ROLES[role]) } else { String::new() };
                let corners = if footprints && kind != 2 { ",2,3,1,4" } else { ",,,," };
                let too_many = if kind == 3 { "," } else { "" };
                text += &format!("{name},{lat},2{role}{corners}{too_many}\n");
            }
            fs::write(&poses_csv, text).unwrap();
            let split = split.map(|split| {
                let rows = split.iter().map(|(name, role)| format!("r{name},{}\n", ROLES[*role]));
                fs::write(&split_csv, format!("file,role\n{}", rows.collect::<String>())).unwrap();
                split_csv.as_path()
            });
            let wanted: Vec<String> = wanted.into_iter().map(|role| ROLES[role].to_owned()).collect();
            let text_of = |outcome: anyhow::Result<Outcome>| outcome.map_err(|error| error.to_string());
            prop_assert_eq!(
                text_of(by_walking(&poses_csv, split, &wanted, folder.path())),
                text_of(by_tables(&poses_csv, split, &wanted))
            );
        }
    }
}
