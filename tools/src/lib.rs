//! The command-line tool `geolocate`: builds shards, looks into them, locates pictures, and measures how well that goes.
//!
//! One file per verb lies under [`verbs`]; what several verbs share lies beside it. `geolocate evaluate` and
//! `geolocate locate` call [`geolocated::locate::Pipeline`], the very function that the daemon runs.

pub mod bad_frames;
pub mod baseline;
pub mod bench;
pub mod bootstrap;
pub mod builtin;
pub mod calibration;
pub mod catalog;
pub mod certainty_report;
pub mod cli;
mod comparison_log;
pub mod dataset;
pub mod evaluated_hints;
pub mod evaluation;
pub mod evaluation_page;
pub mod explain;
mod frozen;
pub mod fuse_args;
mod import;
pub mod index_args;
mod json_spool;
pub mod labels;
pub mod layout_arg;
pub mod left_out;
pub mod metrics;
pub mod npy;
pub mod ordered;
pub mod output;
pub mod pictures;
mod pose_row;
pub mod poses;
pub mod progress;
pub mod refuse_arg;
pub mod report;
pub mod require;
pub mod rerank_args;
pub mod rerank_figures;
pub mod rerank_report;
pub mod runtime_args;
mod sampling;
mod scratch;
pub mod search_args;
pub mod section_purpose;
pub mod sequence;
pub mod sequence_report;
mod sorter;
pub mod split;
pub mod svg;
pub mod systems;
pub mod unit_vector;
pub mod verbs;
pub mod world;
