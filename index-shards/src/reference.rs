//! What a shard says about one of its rows.

use crate::place::Place;

/// One reference of a shard.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its row: where it stands in the shard, by place.
    pub row: u32,
    /// Its position in the order in which references were given to the writer, from 0. What the writer was told to
    /// skip had a position too, which then no reference has.
    pub position: u32,
    /// Its name, unique in the shard.
    pub name: String,
    /// Where it was taken.
    pub place: Place,
    /// What it comes from; `None` when that was not said.
    pub source: Option<String>,
}
