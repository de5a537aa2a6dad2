//! Files beside the output that must not stay.

use super::paths::Paths;
use crate::disk::Disk;
use std::sync::Arc;

/// Removes the files beside the output that are not wanted any more.
#[derive(Debug)]
pub(super) struct Leftovers {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) paths: Paths,
    /// Whether the spool stays, to be resumed.
    pub(super) keep_spool: bool,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let Paths { building, sorting, merging, finishing, .. } = &self.paths;
        let spool = Some(building).filter(|_| !self.keep_spool);
        for path in [sorting, merging, finishing].into_iter().chain(spool) {
            // What cannot be removed now is removed by the next writer for this output.
            self.disk.remove(path).ok();
        }
    }
}
