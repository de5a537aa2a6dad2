//! Pictures, poses and arrays on the disk.

pub mod arrays;
pub mod draw;
pub mod folder;
pub mod pairs;
pub mod table;
