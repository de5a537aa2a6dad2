//! The embeddings: from numbers of tokens to the numbers that the decoder takes.

use super::manifest::EmbedSpec;
use super::stopper::Stopper;
use crate::error::LoadError;
use crate::network::{End, Failure, Input, Kind, Network, NetworkEnds, Numbers};

/// A loaded table of embeddings.
pub(super) struct Embedding {
    network: Box<dyn Network>,
    spec: EmbedSpec,
    width: usize,
}

impl Embedding {
    pub(super) fn new(network: Box<dyn Network>, spec: &EmbedSpec, width: usize) -> Self {
        Self { network, spec: spec.clone(), width }
    }

    /// What the graph must take and give.
    pub(super) fn ends(spec: &EmbedSpec, width: usize) -> NetworkEnds {
        NetworkEnds {
            inputs: vec![End::new(&spec.input, &[Kind::I64], vec![Some(1), None])],
            outputs: vec![End::new(&spec.output, &[Kind::F32], vec![Some(1), None, Some(width)])],
        }
    }

    /// The numbers of tokens, `width` for each, token after token.
    ///
    /// # Errors
    /// [`LoadError::Graph`]: the runtime failed, as for a token that has no row, or gave something that is no number;
    /// [`LoadError::Interface`]: they have another shape.
    pub(super) fn rows(&self, ids: &[i64]) -> Result<Vec<f32>, LoadError> {
        let spec = &self.spec;
        let inputs = [Input { name: &spec.input, shape: vec![1, ids.len()], numbers: Numbers::I64(ids) }];
        let outputs = self.network.run(&inputs, &Stopper::default()).map_err(|failure| match failure {
            Failure::Stopped => self.failed("it was stopped".to_owned()),
            Failure::Runtime(reason) => self.failed(reason),
        })?;
        let output = outputs.first().ok_or_else(|| self.failed("it gave nothing".to_owned()))?;
        let (found, expected) = (output.shape(), vec![1, ids.len(), self.width]);
        if found != expected {
            let (path, what) = (spec.files.graph.path.clone(), format!("output \"{}\"", spec.output));
            let (expected, found) = (format!("{expected:?} (image.width)"), format!("{found:?}"));
            return Err(LoadError::Interface { path, what, expected, found });
        }
        let numbers = output.floats().map_err(|reason| self.failed(reason))?;
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(self.failed(format!("it gave {number} for a token"))),
            None => Ok(numbers.to_vec()),
        }
    }

    fn failed(&self, reason: String) -> LoadError {
        let (path, runtime) = (self.spec.files.graph.path.clone(), self.network.info().label());
        LoadError::Graph { path, runtime, step: "embed tokens", reason }
    }
}
