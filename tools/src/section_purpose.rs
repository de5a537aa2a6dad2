//! What each section of a shard is for, in a few words.

/// Sections in the order of the file, and what they are for.
const PURPOSES: [(&str, &str); 12] = [
    ("vectors", "exact scores of what the codes leave: int8 and a scale"),
    ("codes", "first code layer, read for every scanned row"),
    ("second", "second code layer, read for what the first leaves"),
    ("centroids", "where lists are; what is typical"),
    ("slots", "which row a code is of"),
    ("columns", "place, time, source, position: what filters read"),
    ("zones", "bounds of 1024 rows, so that filters skip"),
    ("details", "names and the rest of each place, compressed"),
    ("sources", "names of sources"),
    ("blobs", "thumbnails, or what another program needs"),
    ("removed", "rows of other shards that are gone"),
    ("decoder", "how codes are read"),
];

/// What the section of this name is for; nothing for a name that is not known.
pub fn purpose(section: &str) -> &'static str {
    PURPOSES.iter().find(|(name, _)| *name == section).map_or("", |(_, purpose)| purpose)
}
