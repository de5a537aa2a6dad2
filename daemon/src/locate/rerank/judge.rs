//! Who compares: the seam between a schedule of comparisons and the model that makes them.

use thiserror::Error;

/// Answers questions about the candidates of one frame, which are named by their position in the prior.
///
/// Each answer is one run of a model. Implementations keep what a run leaves for the next one: a pair whose first
/// candidate was also first in the run before is cheaper ([`super::Costs`]).
pub trait Judge {
    /// Shows the query, then `first`, then `second`, and asks which of the two shows the query's place. The margin is
    /// logit("first") - logit("second") in nats: above 0 for `first`.
    ///
    /// # Errors
    /// There is no answer: see [`Stop`].
    fn pair(&mut self, first: usize, second: usize) -> Result<f32, Stop>;

    /// Asks whether `candidate` shows the query's place: logit("yes") - logit("no") in nats.
    ///
    /// # Errors
    /// There is no answer: see [`Stop`].
    fn yes_no(&mut self, candidate: usize) -> Result<f32, Stop>;

    /// Asks for a score of how well `candidate` shows the query's place, on the comparator's own scale.
    ///
    /// # Errors
    /// There is no answer: see [`Stop`].
    fn score(&mut self, candidate: usize) -> Result<f32, Stop>;

    /// Shows all `candidates` in this order and asks for the one that shows the query's place: a logit for each.
    ///
    /// # Errors
    /// There is no answer: see [`Stop`].
    fn list(&mut self, candidates: &[usize]) -> Result<Vec<f32>, Stop>;

    /// Does what all questions about the frame need, so that the first of them takes no longer than others. It is called
    /// once, before the first question, and not at all where nothing is asked.
    ///
    /// # Errors
    /// No question can be answered: see [`Stop`].
    fn prepare(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// How many candidates [`Judge::list`] can show at once; 0 where it cannot.
    fn list_limit(&self) -> usize {
        0
    }

    /// Compares `leader` with the dissimilar reference of number `dissimilar`, which the comparator must be able to
    /// tell apart from it. `leader_first` says which of the two is shown first; the margin is that of the leader.
    ///
    /// # Errors
    /// There is no answer: see [`Stop`].
    fn probe(&mut self, leader: usize, dissimilar: usize, leader_first: bool) -> Result<f32, Stop>;
}

/// Why a judge gave no answer, or may not be asked any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Stop {
    /// The time for this frame is over, or the run was ended from outside.
    #[error("the time for this frame is over")]
    Deadline,
    /// No further comparison is allowed.
    #[error("no further comparison is allowed for this frame")]
    Budget,
    /// The comparator failed.
    #[error("the comparator failed: {0}")]
    Failed(String),
    /// The comparator answered with a number that is not finite.
    #[error("the comparator answered with a number that is not finite")]
    NotFinite,
    /// The comparator has no such question.
    #[error("the comparator does not answer this kind of question")]
    Unsupported,
}
