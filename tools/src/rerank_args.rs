//! How verbs are told to have a comparator look at the candidates.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use geolocated::assemble::{ComparatorChoice, assemble_reranker};
use geolocated::locate::rerank::{RerankOptions, Strategy};
use geolocated::reranker::{POOL, Reranker, TokenCacheOptions, question};
use index_shards::ShardSet;
use quantized_models::ComparatorManifest;

use crate::builtin;
use crate::runtime_args::{LoadingBar, RuntimeArgs, user_cache};

/// Bytes of vision tokens that are kept in the user's cache.
const CACHE_BYTES: u64 = 1 << 30;

/// A strategy by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrategyArg(pub Strategy);

impl FromStr for StrategyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || Strategy::ALL.map(Strategy::as_str).join(", ");
        let strategy = Strategy::ALL.into_iter().find(|strategy| strategy.as_str() == text);
        strategy.map(Self).ok_or_else(|| format!("found {text:?}, expected one of {}", words()))
    }
}

/// Which comparator, and what it is asked.
#[derive(Debug, Clone, Args)]
pub struct RerankArgs {
    /// Model folder or manifest of the comparator, or vlm-mini
    #[arg(long, value_name = "MODEL")]
    pub comparator: Option<PathBuf>,
    /// End the comparisons of a frame after so many milliseconds [default: as long as it takes]
    #[arg(long, value_name = "N", requires = "comparator")]
    pub budget_ms: Option<u64>,
    /// Ask the comparator so often for a frame at most [default: 24]
    #[arg(long, value_name = "N", requires = "comparator")]
    pub max_comparisons: Option<usize>,
    /// Keys of section rerank of the daemon's settings, in TOML: top, gate_nats, probes, second_order, ...
    #[arg(long, value_name = "FILE.toml", requires = "comparator")]
    pub rerank_options: Option<PathBuf>,
}

impl RerankArgs {
    /// What a reranking by `strategy` is told.
    ///
    /// # Errors
    /// The file of options cannot be read, or has a key or value that is none.
    pub fn options(&self, strategy: Strategy) -> anyhow::Result<RerankOptions> {
        let said: RerankOptions = match &self.rerank_options {
            None => RerankOptions { budget_ms: None, ..RerankOptions::default() },
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))?;
                let wrong = || format!("{}: not options of [rerank]", path.display());
                let read: RerankOptions = toml::from_str(&text).with_context(wrong)?;
                let is_said = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("budget_ms"));
                RerankOptions { budget_ms: read.budget_ms.filter(|_| is_said), ..read }
            }
        };
        Ok(RerankOptions {
            strategy,
            budget_ms: self.budget_ms.or(said.budget_ms),
            max_comparisons: self.max_comparisons.unwrap_or(said.max_comparisons),
            ..said
        })
    }

    /// How many candidates the pipeline finds for it.
    pub fn pool(&self) -> usize {
        if self.comparator.is_some() { POOL } else { 0 }
    }

    /// The comparator with what it needs to look at references of `shards`, for `sessions` frames at the same time.
    /// `None` where none is named.
    ///
    /// # Errors
    /// It cannot be loaded, has not the question that a strategy asks, or a shard has no pictures to compare.
    pub fn open(
        &self,
        runtime: &RuntimeArgs,
        sessions: usize,
        strategies: &[Strategy],
        shards: &ShardSet,
    ) -> anyhow::Result<Option<Reranker>> {
        let Some(model) = &self.comparator else { return Ok(None) };
        let manifest = ComparatorManifest::load(&builtin::resolve(model)?)?;
        let questions = manifest.questions();
        for strategy in strategies {
            if let Some(asked) = question(*strategy)
                && !questions.contains(&asked)
            {
                let (path, strategy) = (manifest.path().display(), strategy.as_str());
                bail!(
                    "{path}: --rerank {strategy} asks {asked}, expected one of prompt.{}",
                    questions.join(", prompt.")
                );
            }
        }
        let cache =
            user_cache().map(|cache| TokenCacheOptions { folder: cache.join("tokens"), max_bytes: CACHE_BYTES });
        let options = runtime.options(sessions);
        let choice = ComparatorChoice { manifest: &manifest, options: &options, cache: cache.as_ref() };
        let mut bar = LoadingBar::new();
        Ok(Some(assemble_reranker(choice, shards, &mut |progress| bar.show(progress))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> RerankArgs {
        RerankArgs { comparator: None, budget_ms: None, max_comparisons: None, rerank_options: None }
    }

    #[test]
    fn there_is_no_budget_of_time_unless_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rerank.toml");
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            RerankArgs { rerank_options: Some(path.clone()), ..args() }.options(Strategy::Bubble)
        };
        assert_eq!(args().options(Strategy::Adaptive).unwrap().budget_ms, None);
        assert_eq!(with("top = 4\n").unwrap().budget_ms, None);
        assert_eq!(with("budget_ms = 70\n").unwrap().budget_ms, Some(70));
        let said = with("top = 4\nmax_comparisons = 7\n").unwrap();
        assert_eq!((said.top, said.max_comparisons, said.strategy), (4, 7, Strategy::Bubble));
        let error = format!("{:#}", with("colour = 1\n").unwrap_err());
        assert!(error.contains("rerank.toml") && error.contains("colour"), "{error}");
        let both = RerankArgs { budget_ms: Some(9), max_comparisons: Some(2), ..args() };
        let both = both.options(Strategy::Adaptive).unwrap();
        assert_eq!((both.budget_ms, both.max_comparisons), (Some(9), 2));
    }

    #[test]
    fn a_strategy_is_named_by_its_word() {
        assert_eq!("round_robin".parse(), Ok(StrategyArg(Strategy::RoundRobin)));
        let error = "best".parse::<StrategyArg>().unwrap_err();
        assert!(error.contains("\"best\"") && error.contains("pointwise_yes_no"), "{error}");
    }
}
