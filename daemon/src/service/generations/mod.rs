//! The generations of the index that the service serves from.
//!
//! [`Live`] is what serves at the moment; the thread that answers frames asks it anew for each frame, so that a switch
//! misses none, and what served before stays mapped until its last frame is done. [`Keeper`], on a thread of its own,
//! looks for new generations, verifies and activates them, and does what operators order; [`Orders`] brings it both.
//! [`Updater`] fetches generations over HTTP, where that is set.

mod keeper;
mod live;
mod opener;
mod orders;
mod questions;
mod reading;
mod scan;
mod starting;
mod update;
mod view;

pub(super) use keeper::{Keeper, KeeperParts};
pub(super) use live::Live;
pub(super) use orders::{Answer, Order, Orders};
pub(super) use questions::Questions;
pub(super) use update::Updater;
pub(super) use view::{GenerationsView, View};
