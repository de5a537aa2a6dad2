//! The manifest of a comparator (`model.toml`, `kind = "comparator"`): its three graphs with the names of their ends,
//! how a picture becomes tokens, the prompts and their answers. `docs/models.md` lists every key.

mod checks;
mod document;

use std::path::{Path, PathBuf};

use self::document::Document;
use crate::error::ManifestError;
use crate::manifest::checks::Checks;
use crate::manifest::document::from_toml;
use crate::manifest::{self, ActivationKind, FileSpec, GraphFiles, WeightKind};
use crate::preprocess::Preprocess;
use crate::runtime::RuntimeKind;

pub(crate) use self::checks::IMAGE;
pub(crate) use self::document::{Holds, PatchTable, Positions};

/// An input of the vision encoder.
#[derive(Debug, Clone)]
pub(crate) struct VisionInput {
    pub(crate) name: String,
    pub(crate) holds: Holds,
    pub(crate) shape: Vec<usize>,
}

/// From a picture to its tokens.
#[derive(Debug, Clone)]
pub(crate) struct VisionSpec {
    pub(crate) files: GraphFiles,
    pub(crate) inputs: Vec<VisionInput>,
    pub(crate) output: String,
}

/// From tokens of text to the numbers that the decoder takes.
#[derive(Debug, Clone)]
pub(crate) struct EmbedSpec {
    pub(crate) files: GraphFiles,
    pub(crate) input: String,
    pub(crate) output: String,
}

/// Names and shapes of the decoder's ends.
#[derive(Debug, Clone)]
pub(crate) struct DecoderSpec {
    pub(crate) files: GraphFiles,
    pub(crate) embeddings: String,
    pub(crate) attention_mask: Option<String>,
    pub(crate) position_ids: Option<String>,
    pub(crate) positions: Positions,
    pub(crate) logits_to_keep: Option<String>,
    pub(crate) use_cache_branch: Option<String>,
    /// Names of keys and values that go in: key and value of the first layer, of the second, and so on.
    pub(crate) past: Vec<String>,
    /// Names of those that come out, in the same order.
    pub(crate) present: Vec<String>,
    /// Heads of keys and values.
    pub(crate) heads: usize,
    pub(crate) head_size: usize,
    pub(crate) logits: String,
    /// Token ids of the columns of the logits; `None`: the whole vocabulary in order.
    pub(crate) logits_rows: Option<Vec<u32>>,
}

/// How a picture stands in a prompt.
#[derive(Debug, Clone)]
pub(crate) struct ImageLayout {
    /// Tokens of one picture.
    pub(crate) tokens: usize,
    /// Numbers of each.
    pub(crate) width: usize,
    /// The token of the vocabulary whose places they take.
    pub(crate) placeholder: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Rows and columns of the tokens.
    pub(crate) grid: Option<[usize; 2]>,
    pub(crate) patch: Option<PatchTable>,
}

/// A question about candidates, as text.
#[derive(Debug, Clone)]
pub(crate) struct PromptSpec {
    /// Its table in the manifest, for messages.
    pub(crate) key: &'static str,
    pub(crate) prefix: String,
    /// A text for each candidate, with `{image}` in it.
    pub(crate) candidates: Vec<String>,
    pub(crate) suffix: String,
    pub(crate) answers: Vec<String>,
    /// What each answer counts for, in prompts that ask for a number.
    pub(crate) values: Vec<f32>,
}

/// The questions that a model can be asked.
#[derive(Debug, Clone)]
pub(crate) struct PromptSpecs {
    pub(crate) pair: PromptSpec,
    pub(crate) yes_no: Option<PromptSpec>,
    pub(crate) score: Option<PromptSpec>,
    pub(crate) list: Option<PromptSpec>,
}

/// How a question that is answered with a text is put.
#[derive(Debug, Clone)]
pub(crate) struct GenerateSpec {
    /// What stands before the question; `{image}` is in it or in `after`.
    pub(crate) before: String,
    pub(crate) after: String,
    /// Tokens that end an answer.
    pub(crate) stop: Vec<String>,
    /// Most tokens of question, picture and answer together.
    pub(crate) context: usize,
}

/// A comparison whose margin is known.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenComparison {
    /// The query, joined to the model's folder.
    pub query: PathBuf,
    /// The first candidate.
    pub first: PathBuf,
    /// The second candidate.
    pub second: PathBuf,
    /// Logit of the first answer less that of the second, by the reference implementation.
    pub margin: f32,
    /// Largest difference of this variant to `margin`, above 0.
    pub tolerance: f32,
}

/// How a comparator was quantized and what was measured of it. Figures are those of the recipe that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginQuantization {
    /// What the decoder's weights are stored as.
    pub weights: WeightKind,
    /// What the vision encoder's weights are stored as.
    pub vision_weights: WeightKind,
    /// What is computed with between layers.
    pub activations: ActivationKind,
    /// Whether 8-bit weights use 7 bits.
    pub reduce_range: bool,
    /// CPU class and runtime that goldens and figures were computed on.
    pub measured_on: Option<String>,
    /// How many comparisons the figures come from.
    pub comparisons: Option<u64>,
    /// Median difference of a margin to that of the float32 graphs.
    pub margin_error_median: Option<f64>,
    /// Largest difference.
    pub margin_error_most: Option<f64>,
    /// Share of comparisons with the same answer, 0..=1.
    pub signs_kept: Option<f64>,
}

/// A checked description of one comparator.
#[derive(Debug, Clone)]
pub struct ComparatorManifest {
    path: PathBuf,
    name: String,
    licence: String,
    source: String,
    trained: bool,
    blocks_independent: bool,
    perception_noise_nats: f64,
    vision: VisionSpec,
    embed: EmbedSpec,
    decoder: DecoderSpec,
    image: ImageLayout,
    preprocess: Preprocess,
    tokenizer: FileSpec,
    prompts: PromptSpecs,
    generate: Option<GenerateSpec>,
    quantization: Option<MarginQuantization>,
    order: Vec<RuntimeKind>,
    goldens: Vec<GoldenComparison>,
}

impl ComparatorManifest {
    /// Reads the manifest of `model`: a folder with `model.toml` in it, or a manifest file.
    ///
    /// # Errors
    /// [`ManifestError`]: not readable, not TOML, unknown or missing keys, values that no comparator can have, or the
    /// manifest of another kind of model. Graphs, tokenizer and pictures are not looked at.
    pub fn load(model: &Path) -> Result<Self, ManifestError> {
        let path = manifest::manifest_path(model);
        let text = manifest::read(&path)?;
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, ManifestError> {
        let check = Checks { path: &path };
        match manifest::kind(&path, text)?.as_str() {
            "comparator" => {}
            other => return Err(ManifestError::NotAComparator { found: other.to_owned(), path }),
        }
        let document: Document = from_toml(&path, text)?;
        let image = checks::image(&check, document.image)?;
        let preprocess = check.preprocess("preprocess", &document.preprocess)?;
        Ok(Self {
            vision: checks::vision(&check, document.graphs.vision_encoder, &image, &preprocess)?,
            embed: checks::embed(&check, document.graphs.embed_tokens)?,
            decoder: checks::decoder(&check, document.graphs.decoder, &image, document.blocks_independent)?,
            prompts: checks::prompts(&check, document.prompt)?,
            generate: document.generate.map(|table| checks::generate(&check, table, &image)).transpose()?,
            goldens: checks::goldens(&check, &document.golden)?,
            tokenizer: check.data("tokenizer", &document.tokenizer)?,
            name: check.text("name", document.name)?,
            licence: check.text("licence", document.licence)?,
            source: check.text("source", document.source)?,
            quantization: document.quantization.map(|table| checks::quantization(&check, table)).transpose()?,
            order: check.order(document.runtime.order)?,
            trained: document.trained,
            blocks_independent: document.blocks_independent,
            perception_noise_nats: checks::perception_noise(&check, document.perception_noise_nats)?,
            image,
            preprocess,
            path,
        })
    }

    /// The manifest file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the manifest and all files of the model lie in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        manifest::folder_of(&self.path)
    }

    /// Name of this variant of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Licence of the weights, as an SPDX expression where there is one.
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// Where the weights come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the weights were trained. Others are random and show speed and memory alone.
    #[must_use]
    pub fn trained(&self) -> bool {
        self.trained
    }

    /// Whether the tokens of a candidate see the prefix and themselves alone.
    #[must_use]
    pub fn blocks_independent(&self) -> bool {
        self.blocks_independent
    }

    /// How far what it sees of a place lies from the truth in all its answers alike, in nats, 0 or more: the larger, the
    /// more of a retrieval stays in the ranking.
    #[must_use]
    pub fn perception_noise_nats(&self) -> f64 {
        self.perception_noise_nats
    }

    /// How pictures are prepared for the model.
    #[must_use]
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Tokens of one picture, and numbers of each.
    #[must_use]
    pub fn tokens_shape(&self) -> [usize; 2] {
        [self.image.tokens, self.image.width]
    }

    /// How the graphs were quantized, if they were.
    #[must_use]
    pub fn quantization(&self) -> Option<&MarginQuantization> {
        self.quantization.as_ref()
    }

    /// The runtimes that may run the model, preferred first; at least one.
    #[must_use]
    pub fn runtimes(&self) -> &[RuntimeKind] {
        &self.order
    }

    /// The comparisons whose margins are known, at least two.
    #[must_use]
    pub fn goldens(&self) -> &[GoldenComparison] {
        &self.goldens
    }

    /// The questions that the model can be asked: `pair`, and as they are there `yes_no`, `score`, `list`.
    #[must_use]
    pub fn questions(&self) -> Vec<&'static str> {
        let prompts = &self.prompts;
        let optional = [("yes_no", &prompts.yes_no), ("score", &prompts.score), ("list", &prompts.list)];
        let there = optional.into_iter().filter(|(_, prompt)| prompt.is_some()).map(|(name, _)| name);
        std::iter::once("pair").chain(there).collect()
    }

    /// How many candidates the question `list` takes at most; 0 where there is none.
    #[must_use]
    pub fn longest_list(&self) -> usize {
        self.prompts.list.as_ref().map_or(0, |prompt| prompt.candidates.len())
    }

    /// Every file of the model that has a digest: graphs, their external data, the tokenizer; each once.
    #[must_use]
    pub fn files(&self) -> Vec<&FileSpec> {
        let graphs = [&self.vision.files, &self.embed.files, &self.decoder.files];
        let mut files: Vec<&FileSpec> = Vec::new();
        for file in graphs.into_iter().flat_map(GraphFiles::all).chain([&self.tokenizer]) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }

    /// Files without a digest: the pictures of the goldens, each once.
    #[must_use]
    pub fn pictures(&self) -> Vec<&Path> {
        let mut pictures: Vec<&Path> = Vec::new();
        for golden in &self.goldens {
            for path in [&golden.query, &golden.first, &golden.second] {
                if !pictures.contains(&path.as_path()) {
                    pictures.push(path);
                }
            }
        }
        pictures
    }

    pub(crate) fn vision(&self) -> &VisionSpec {
        &self.vision
    }

    pub(crate) fn embed(&self) -> &EmbedSpec {
        &self.embed
    }

    pub(crate) fn decoder(&self) -> &DecoderSpec {
        &self.decoder
    }

    pub(crate) fn image(&self) -> &ImageLayout {
        &self.image
    }

    pub(crate) fn tokenizer(&self) -> &FileSpec {
        &self.tokenizer
    }

    pub(crate) fn generate(&self) -> Option<&GenerateSpec> {
        self.generate.as_ref()
    }

    pub(crate) fn prompts(&self) -> &PromptSpecs {
        &self.prompts
    }
}
