//! Which photos are references and which are queries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::poses::{Pose, PoseTable};

/// Photos below this number make no demo: there must be references on more than one side of a query.
const FEWEST_PHOTOS: usize = 4;

/// Photos in the order of time (of names where times are missing), every Nth held out as a query.
#[derive(Debug)]
pub(super) struct HeldOut<'a> {
    photos: Vec<&'a Pose>,
    every: usize,
}

impl<'a> HeldOut<'a> {
    /// Holds out every `every`th photo, beginning with the second.
    ///
    /// # Errors
    /// Fewer than four photos with a position.
    pub(super) fn every(table: &'a PoseTable, every: usize) -> anyhow::Result<Self> {
        let found = table.poses.len();
        ensure!(
            found >= FEWEST_PHOTOS,
            "{}: expected at least {FEWEST_PHOTOS} photos with a position, found {found} ({} without)",
            table.path.display(),
            table.refused.len()
        );
        let mut photos: Vec<&Pose> = table.poses.iter().collect();
        photos.sort_by(|a, b| (a.place.captured_at_ms, &a.file).cmp(&(b.place.captured_at_ms, &b.file)));
        Ok(Self { photos, every })
    }

    /// The photos to publish.
    pub(super) fn queries(&self) -> Vec<&'a Pose> {
        self.photos.iter().skip(1).step_by(self.every).copied().collect()
    }

    /// How many references there are.
    pub(super) fn references(&self) -> usize {
        self.photos.len() - self.queries().len()
    }

    /// Writes `poses.csv` and `split.csv` to `folder`, as `geolocate build` and `evaluate` read them.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        let queries = self.queries();
        let mut poses = csv::Writer::from_writer(Vec::new());
        let mut split = csv::Writer::from_writer(Vec::new());
        poses.write_record(["file", "lat", "lon"])?;
        split.write_record(["file", "role"])?;
        for photo in &self.photos {
            let (lat, lon) = (photo.place.lat_deg.to_string(), photo.place.lon_deg.to_string());
            poses.write_record([photo.file.as_str(), &lat, &lon])?;
            let is_query = queries.iter().any(|query| query.file == photo.file);
            split.write_record([photo.file.as_str(), if is_query { "query" } else { "reference" }])?;
        }
        let written = [("poses.csv", poses.into_inner()?), ("split.csv", split.into_inner()?)];
        for (name, bytes) in written {
            let path = folder.join(name);
            fs::write(&path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        Ok((folder.join("poses.csv"), folder.join("split.csv")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poses::parse;

    fn table(rows: &[(&str, &str)]) -> PoseTable {
        let body: String = rows.iter().map(|(file, time)| format!("{file},50,8,{time}\n")).collect();
        parse(Path::new("poses.csv"), format!("file,lat,lon,time\n{body}").as_bytes()).unwrap()
    }

    #[test]
    fn every_nth_photo_in_the_order_of_time_is_held_out() {
        let rows = [
            ("e", "2020-01-01T00:00:05Z"),
            ("a", "2020-01-01T00:00:09Z"),
            ("d", "2020-01-01T00:00:01Z"),
            ("c", "2020-01-01T00:00:02Z"),
            ("b", "2020-01-01T00:00:03Z"),
        ];
        let table = table(&rows);
        let held_out = HeldOut::every(&table, 3).unwrap();
        let queries: Vec<&str> = held_out.queries().iter().map(|pose| pose.file.as_str()).collect();
        assert_eq!(queries, ["c", "a"]);
        assert_eq!(held_out.references(), 3);
        let folder = tempfile::tempdir().unwrap();
        let (_, split) = held_out.write(folder.path()).unwrap();
        let expected = "file,role\nd,reference\nc,query\nb,reference\ne,reference\na,query\n";
        assert_eq!(fs::read_to_string(split).unwrap(), expected);
    }

    #[test]
    fn too_few_photos_are_named_with_both_numbers() {
        let table = table(&[("a", ""), ("b", ""), ("c", "")]);
        let error = HeldOut::every(&table, 3).unwrap_err().to_string();
        assert!(error.contains("at least 4") && error.contains("found 3"), "{error}");
    }
}
