//! Who is reference, who is query: the split CSV and the choice of rows by role.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::pose_row::{Row, once};
use crate::poses::{Pose, PoseTable, PosesError, Records};

/// A split CSV (`file,role`): which picture plays which role.
#[derive(Debug, Clone, Default)]
pub struct Split {
    path: PathBuf,
    roles: HashMap<String, (String, u64)>,
}

/// Why no rows could be chosen.
#[derive(Debug, Error)]
pub enum SelectError {
    /// Roles were asked for, and there are none.
    #[error("{path}: there is no column \"role\" and no split file, so no row has the role {wanted:?}")]
    NoRoles {
        /// The poses.
        path: PathBuf,
        /// The roles asked for.
        wanted: String,
    },
    /// A role that no row has.
    #[error("{path}: no row has the role {role:?}, found {found}")]
    NoSuchRole {
        /// Where the roles stand.
        path: PathBuf,
        /// The role asked for.
        role: String,
        /// The roles that there are, with their counts.
        found: String,
    },
}

impl Split {
    /// Reads a split CSV.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, or has a row that is empty or names a file twice.
    pub fn read(path: &Path) -> Result<Self, PosesError> {
        let file =
            File::open(path).map_err(|error| PosesError::Read { path: path.to_owned(), source: error.into() })?;
        Self::parse(path, file)
    }

    /// Parses a split CSV from any reader; `path` is for messages.
    ///
    /// # Errors
    /// As [`Split::read`].
    pub fn parse(path: &Path, input: impl Read) -> Result<Self, PosesError> {
        let mut roles: HashMap<String, (String, u64)> = HashMap::new();
        for_each_row(path, input, |row, file, role| {
            if let Some((_, first)) = roles.get(file) {
                return Err(PosesError::from(row.error("file", once(*first))));
            }
            roles.insert(file.to_owned(), (role.to_owned(), row.line()));
            Ok(())
        })?;
        Ok(Self { path: path.to_owned(), roles })
    }

    /// The files that have one of these roles and no row in the poses, not even a bad one, with their lines, in the
    /// order of the lines.
    pub fn without_pose(&self, poses: &PoseTable, roles: &[&str]) -> Vec<String> {
        let good = poses.poses.iter().map(|pose| pose.file.as_str());
        let known: HashSet<&str> = good.chain(poses.refused_files.iter().map(String::as_str)).collect();
        let mut missing: Vec<(u64, &str)> = self
            .roles
            .iter()
            .filter(|(file, (role, _))| !known.contains(file.as_str()) && roles.contains(&role.as_str()))
            .map(|(file, (_, line))| (*line, file.as_str()))
            .collect();
        missing.sort_unstable();
        missing.into_iter().map(|(line, file)| no_pose(&self.path, line, file, &poses.path)).collect()
    }
}

/// Hands each row of a split CSV to `visit`: the row, its file, its role.
pub(crate) fn for_each_row<E: From<PosesError>>(
    path: &Path,
    input: impl Read,
    mut visit: impl FnMut(&Row<'_>, &str, &str) -> Result<(), E>,
) -> Result<(), E> {
    let mut records = Records::open(path, input, &["file", "role"])?;
    while let Some(record) = records.next_record()? {
        let line = record.map_err(PosesError::from)?;
        let row = line.row(path, &records.columns);
        let file = row.file().map_err(PosesError::from)?;
        let role = row.needed_text("role", "a role like reference, query or outside").map_err(PosesError::from)?;
        visit(&row, file, role)?;
    }
    Ok(())
}

/// Says that a file of a split has no row in the poses.
pub(crate) fn no_pose(split: &Path, line: u64, file: &str, poses: &Path) -> String {
    format!("{}, line {line}: {file} has no pose in {}", split.display(), poses.display())
}

/// The `wanted` roles, or the `usual` ones when none are wanted.
pub fn roles<'a>(wanted: &'a [String], usual: &[&'a str]) -> Vec<&'a str> {
    if wanted.is_empty() { usual.to_vec() } else { wanted.iter().map(String::as_str).collect() }
}

/// The rows that play one of the `wanted` roles, in the order of the poses, each with its role.
///
/// The role of a row is the one that the split gives it, or else that of its column `role`. Without wanted roles, the
/// `usual` ones are taken where roles are known at all, as far as they occur; where they are not, every row is taken,
/// without a role.
///
/// # Errors
/// A wanted role that no row has; wanted roles where there are no roles.
pub fn select<'a>(
    table: &'a PoseTable,
    split: Option<&Split>,
    wanted: &[String],
    usual: &[&str],
) -> Result<Vec<(&'a Pose, Option<String>)>, SelectError> {
    let role_of = |pose: &Pose| match split {
        Some(split) => split.roles.get(&pose.file).map(|(role, _)| role.clone()),
        None => pose.role.clone(),
    };
    let with_roles: Vec<(&Pose, Option<String>)> = table.poses.iter().map(|pose| (pose, role_of(pose))).collect();
    let known = split.is_some() || table.columns.iter().any(|column| column == "role");
    if !known {
        return check_not_known(&table.path, wanted).map(|()| with_roles);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for role in with_roles.iter().filter_map(|(_, role)| role.as_deref()) {
        *counts.entry(role).or_default() += 1;
    }
    check_counts(split.map_or(&table.path, |split| &split.path), &counts, wanted, usual)?;
    let chosen = roles(wanted, usual);
    Ok(with_roles.into_iter().filter(|(_, role)| role.as_deref().is_some_and(|role| chosen.contains(&role))).collect())
}

/// Passes when no roles are wanted, of poses that have none.
pub(crate) fn check_not_known(poses: &Path, wanted: &[String]) -> Result<(), SelectError> {
    if wanted.is_empty() {
        return Ok(());
    }
    Err(SelectError::NoRoles { path: poses.to_owned(), wanted: wanted.join(",") })
}

/// Passes when every wanted role occurs, or, where none are wanted, the first of the usual ones. `path` is where the
/// roles stand.
pub(crate) fn check_counts(
    path: &Path,
    counts: &BTreeMap<&str, usize>,
    wanted: &[String],
    usual: &[&str],
) -> Result<(), SelectError> {
    let chosen = roles(wanted, usual);
    let needed = if wanted.is_empty() { 1 } else { chosen.len() };
    let Some(role) = chosen.iter().take(needed).find(|role| !counts.contains_key(**role)) else { return Ok(()) };
    let found = counts.iter().map(|(role, count)| format!("{role} ({count})")).collect::<Vec<_>>().join(", ");
    let found = if found.is_empty() { "none".to_owned() } else { found };
    Err(SelectError::NoSuchRole { path: path.to_owned(), role: (*role).to_owned(), found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poses;

    fn table(text: &str) -> PoseTable {
        poses::parse(Path::new("p.csv"), text.as_bytes()).expect("good poses")
    }

    fn split(text: &str) -> Split {
        Split::parse(Path::new("s.csv"), text.as_bytes()).expect("a good split")
    }

    fn files(rows: &[(&Pose, Option<String>)]) -> Vec<String> {
        rows.iter().map(|(pose, _)| pose.file.clone()).collect()
    }

    const POSES: &str = "file,lat,lon,role\na,1,1,query\nb,2,2,reference\nc,3,3,outside\n";

    #[test]
    fn the_split_goes_before_the_column() {
        let (table, split) = (table(POSES), split("file,role\na,reference\nb,query\n"));
        let rows = select(&table, Some(&split), &["reference".to_owned()], &[]).expect("rows");
        assert_eq!(files(&rows), ["a"]);
        let rows = select(&table, None, &["reference".to_owned()], &[]).expect("rows");
        assert_eq!(files(&rows), ["b"]);
    }

    #[test]
    fn several_roles_keep_the_order_of_the_poses_and_tell_the_role() {
        let table = table(POSES);
        let rows = select(&table, None, &["outside".to_owned(), "query".to_owned()], &[]).expect("rows");
        assert_eq!(files(&rows), ["a", "c"]);
        assert_eq!(rows[1].1.as_deref(), Some("outside"));
    }

    #[test]
    fn without_a_wish_the_usual_roles_are_taken_where_roles_are_known() {
        let (with, without) = (table(POSES), table("file,lat,lon\na,1,1\nb,2,2\n"));
        assert_eq!(files(&select(&with, None, &[], &["query", "outside"]).expect("rows")), ["a", "c"]);
        assert_eq!(files(&select(&without, None, &[], &["query", "outside"]).expect("rows")), ["a", "b"]);
        let no_outside = table("file,lat,lon,role\na,1,1,query\n");
        assert_eq!(files(&select(&no_outside, None, &[], &["query", "outside"]).expect("rows")), ["a"]);
    }

    #[test]
    fn a_role_that_nobody_has_is_an_error_that_lists_the_roles() {
        let (with, without) = (table(POSES), table("file,lat,lon\na,1,1\n"));
        let message = select(&with, None, &["referense".to_owned()], &[]).expect_err("no such role").to_string();
        assert!(message.contains("referense") && message.contains("reference (1)"), "{message}");
        assert!(select(&without, None, &["query".to_owned()], &[]).is_err());
    }

    #[test]
    fn files_of_the_split_without_a_pose_are_named() {
        let split = split("file,role\nz,query\na,query\ny,query\nx,reference\nbad,query\n");
        let poses = table(&format!("{POSES}bad,x,1,query\n"));
        let missing = split.without_pose(&poses, &["query", "outside"]);
        assert_eq!(missing, ["s.csv, line 2: z has no pose in p.csv", "s.csv, line 4: y has no pose in p.csv"]);
    }

    #[test]
    fn a_bad_split_is_refused_by_line() {
        let error = |text: &str| Split::parse(Path::new("s.csv"), text.as_bytes()).expect_err("bad").to_string();
        assert!(error("file,role\na,query\na,reference\n").contains("line 3"));
        assert!(error("file,role\na,\n").contains("column role"));
        assert!(error("file\na\n").contains("\"role\" is missing"));
    }
}
