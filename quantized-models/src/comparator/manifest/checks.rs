//! The second stage of a comparator's manifest: from what was written to what a model can be.

use super::document::{
    DecoderTable, EmbedTable, GenerateTable, GoldenTable, ImageTable, MarginsTable, OneTable, PairTable, PromptTable,
    VisionTable,
};
use super::{
    DecoderSpec, EmbedSpec, GenerateSpec, GoldenComparison, Holds, ImageLayout, MarginQuantization, Positions,
    PromptSpec, PromptSpecs, VisionInput, VisionSpec,
};
use crate::error::ManifestError;
use crate::manifest::checks::Checks;
use crate::preprocess::Preprocess;

/// Most tokens of one picture.
const MAX_IMAGE_TOKENS: usize = 4096;
/// Widest token.
const MAX_WIDTH: usize = 65_536;
/// Most layers, heads, and numbers of a head.
const MAX_LAYERS: usize = 1024;
/// Most axes of an input.
const MAX_AXES: usize = 8;
/// Longest text of a prompt in bytes.
const MAX_PROMPT_BYTES: usize = 16_384;
/// Most answers of a prompt.
const MAX_ANSWERS: usize = 64;
/// What stands for a picture in a prompt.
pub(crate) const IMAGE: &str = "{image}";
/// What stands for the candidate's own answer in the prompt of a list.
const ANSWER: &str = "{answer}";
/// What stands for the question in the prompt of a generator.
const TEXT: &str = "{text}";
/// Most tokens that end an answer.
const MAX_STOPS: usize = 16;
/// Most tokens of question and answer together.
const MAX_CONTEXT: usize = 1 << 20;
/// What stands for the number of a layer.
const LAYER: &str = "{layer}";

type Checked<T> = Result<T, ManifestError>;

fn within(check: &Checks<'_>, key: &str, value: usize, most: usize) -> Checked<usize> {
    check.that(key, (1..=most).contains(&value), format!("1 to {most}"), value.to_string())?;
    Ok(value)
}

pub(super) fn perception_noise(check: &Checks<'_>, nats: f64) -> Checked<f64> {
    let holds = nats >= 0.0 && nats.is_finite();
    check.that("perception_noise_nats", holds, "a number of 0 or more".to_owned(), nats.to_string())?;
    Ok(nats)
}

pub(super) fn image(check: &Checks<'_>, table: ImageTable) -> Checked<ImageLayout> {
    let tokens = within(check, "image.tokens", table.tokens, MAX_IMAGE_TOKENS)?;
    let width = within(check, "image.width", table.width, MAX_WIDTH)?;
    if let Some([rows, columns]) = table.grid {
        let is_grid = rows.checked_mul(columns) == Some(tokens);
        let expected = format!("rows and columns whose product is image.tokens, {tokens}");
        check.that("image.grid", is_grid, expected, format!("{rows} x {columns}"))?;
    }
    if let Some(patch) = table.patch {
        within(check, "image.patch.size", patch.size, 256)?;
        within(check, "image.patch.merge", patch.merge, 16)?;
        within(check, "image.patch.frames", patch.frames, 16)?;
    }
    for (key, text) in [("image.before", &table.before), ("image.after", &table.after)] {
        prompt_text(check, key, text, 0)?;
    }
    let (placeholder, before, after) = (check.text("image.placeholder", table.placeholder)?, table.before, table.after);
    Ok(ImageLayout { tokens, width, placeholder, before, after, grid: table.grid, patch: table.patch })
}

pub(super) fn vision(
    check: &Checks<'_>,
    table: VisionTable,
    image: &ImageLayout,
    preprocess: &Preprocess,
) -> Checked<VisionSpec> {
    const KEY: &str = "graphs.vision_encoder";
    let files = check.graph_files(KEY, &table.file, &table.sha256, &table.data)?;
    let output = check.text(&format!("{KEY}.output"), table.output)?;
    let pictures = table.inputs.iter().filter(|input| matches!(input.holds, Holds::Pixels | Holds::Patches)).count();
    let key = format!("{KEY}.inputs");
    check.that(&key, pictures == 1, "one input that holds pixels or patches", pictures.to_string())?;
    let mut inputs = Vec::new();
    for (at, input) in table.inputs.into_iter().enumerate() {
        let key = format!("{KEY}.inputs[{at}]");
        let is_shape = (1..=MAX_AXES).contains(&input.shape.len()) && !input.shape.contains(&0);
        let expected = format!("1 to {MAX_AXES} axes of at least 1");
        check.that(&format!("{key}.shape"), is_shape, expected, format!("{:?}", input.shape))?;
        let expected = numbers(check, &key, input.holds, image, preprocess)?;
        let found = input.shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
        let words = format!("{expected} numbers in all");
        check.that(&format!("{key}.shape"), found == Some(expected), words, format!("{:?}", input.shape))?;
        let name = check.text(&format!("{key}.name"), input.name)?;
        inputs.push(VisionInput { name, holds: input.holds, shape: input.shape });
    }
    Ok(VisionSpec { files, inputs, output })
}

/// How many numbers an input of the vision encoder holds for one picture.
fn numbers(
    check: &Checks<'_>,
    key: &str,
    holds: Holds,
    image: &ImageLayout,
    preprocess: &Preprocess,
) -> Checked<usize> {
    let (width, height) = (preprocess.width as usize, preprocess.height as usize);
    let pixels = width * height;
    match holds {
        Holds::Pixels => return Ok(3 * pixels),
        Holds::PixelMask => return Ok(pixels),
        Holds::Patches | Holds::Grid => {}
    }
    let Some(patch) = image.patch else {
        return Err(check.value("image.patch", format!("a table, for {key}"), "none"));
    };
    let side = patch.size * patch.merge;
    let fits = width.is_multiple_of(side) && height.is_multiple_of(side);
    let expected = format!("multiples of {side} pixels (image.patch.size x image.patch.merge)");
    check.that("preprocess.width", fits, expected, format!("{width} x {height}"))?;
    let tokens = (width / side) * (height / side);
    let expected = format!("{tokens}, as [preprocess] and image.patch make");
    check.that("image.tokens", image.tokens == tokens, expected, image.tokens.to_string())?;
    Ok(if holds == Holds::Grid { 3 } else { 3 * pixels * patch.frames })
}

pub(super) fn embed(check: &Checks<'_>, table: EmbedTable) -> Checked<EmbedSpec> {
    const KEY: &str = "graphs.embed_tokens";
    Ok(EmbedSpec {
        files: check.graph_files(KEY, &table.file, &table.sha256, &table.data)?,
        input: check.text(&format!("{KEY}.input"), table.input)?,
        output: check.text(&format!("{KEY}.output"), table.output)?,
    })
}

pub(super) fn decoder(
    check: &Checks<'_>,
    table: DecoderTable,
    image: &ImageLayout,
    blocks_independent: bool,
) -> Checked<DecoderSpec> {
    const KEY: &str = "graphs.decoder";
    let name = |part: &str| format!("{KEY}.{part}");
    let layers = within(check, &name("layers"), table.layers, MAX_LAYERS)?;
    let optional = |part: &str, text: Option<String>| text.map(|text| check.text(&name(part), text)).transpose();
    let past = layered(check, layers, [("past_key", table.past_key), ("past_value", table.past_value)])?;
    let present = layered(check, layers, [("present_key", table.present_key), ("present_value", table.present_value)])?;
    if let Some(rows) = &table.logits_rows {
        let is_once =
            !rows.is_empty() && rows.iter().enumerate().all(|(at, row)| !rows.iter().take(at).any(|r| r == row));
        check.that(&name("logits_rows"), is_once, "token ids, each at most once", format!("{rows:?}"))?;
    }
    let positions = table.positions.unwrap_or_default();
    if positions == Positions::Volume {
        check.that("image.grid", image.grid.is_some(), "rows and columns, for positions = \"3d\"", "none")?;
    }
    if blocks_independent || positions == Positions::Volume {
        let expected = "a name, for blocks_independent and for positions = \"3d\"";
        check.that(&name("position_ids"), table.position_ids.is_some(), expected, "none")?;
    }
    Ok(DecoderSpec {
        files: check.graph_files(KEY, &table.file, &table.sha256, &table.data)?,
        embeddings: check.text(&name("embeddings"), table.embeddings)?,
        attention_mask: optional("attention_mask", table.attention_mask)?,
        position_ids: optional("position_ids", table.position_ids)?,
        positions,
        logits_to_keep: optional("logits_to_keep", table.logits_to_keep)?,
        use_cache_branch: optional("use_cache_branch", table.use_cache_branch)?,
        past,
        present,
        heads: within(check, &name("heads"), table.heads, MAX_LAYERS)?,
        head_size: within(check, &name("head_size"), table.head_size, MAX_LAYERS)?,
        logits: check.text(&name("logits"), table.logits)?,
        logits_rows: table.logits_rows,
    })
}

/// Names of keys and values, layer after layer.
fn layered(check: &Checks<'_>, layers: usize, patterns: [(&str, String); 2]) -> Checked<Vec<String>> {
    let mut checked = Vec::new();
    for (part, pattern) in patterns {
        let key = format!("graphs.decoder.{part}");
        check.that(&key, pattern.contains(LAYER), format!("a name with {LAYER} in it"), format!("{pattern:?}"))?;
        checked.push(check.text(&key, pattern)?);
    }
    let of_layer = |layer: usize| {
        let patterns: &[String] = &checked;
        patterns.iter().map(move |pattern| pattern.replace(LAYER, &layer.to_string()))
    };
    Ok((0..layers).flat_map(of_layer).collect())
}

pub(super) fn prompts(check: &Checks<'_>, table: PromptTable) -> Checked<PromptSpecs> {
    prompt_text(check, "prompt.prefix", &table.prefix, 1)?;
    let one = |key: &'static str, table: Option<OneTable>, prefix: &str| {
        table.map(|table| one(check, key, table, prefix)).transpose()
    };
    Ok(PromptSpecs {
        yes_no: one("prompt.yes_no", table.yes_no, &table.prefix)?,
        score: one("prompt.score", table.score, &table.prefix)?,
        list: one("prompt.list", table.list, &table.prefix)?,
        pair: pair(check, table.pair, table.prefix)?,
    })
}

fn pair(check: &Checks<'_>, table: PairTable, prefix: String) -> Checked<PromptSpec> {
    const KEY: &str = "prompt.pair";
    prompt_text(check, &format!("{KEY}.first"), &table.first, 1)?;
    prompt_text(check, &format!("{KEY}.second"), &table.second, 1)?;
    suffix(check, KEY, &table.suffix)?;
    answers(check, KEY, &table.answers, Some(2))?;
    let candidates = vec![table.first, table.second];
    Ok(PromptSpec { key: KEY, prefix, candidates, suffix: table.suffix, answers: table.answers, values: Vec::new() })
}

fn one(check: &Checks<'_>, key: &'static str, table: OneTable, common: &str) -> Checked<PromptSpec> {
    let prefix = table.prefix.unwrap_or_else(|| common.to_owned());
    prompt_text(check, &format!("{key}.prefix"), &prefix, 1)?;
    prompt_text(check, &format!("{key}.candidate"), &table.candidate, 1)?;
    suffix(check, key, &table.suffix)?;
    answers(check, key, &table.answers, (key == "prompt.yes_no").then_some(2))?;
    let values = match (key, table.values) {
        ("prompt.score", values) => self::values(check, key, &table.answers, values)?,
        (_, None) => Vec::new(),
        (_, Some(values)) => {
            return Err(check.value(&format!("{key}.values"), "nothing but in prompt.score", format!("{values:?}")));
        }
    };
    let candidates = match key {
        "prompt.list" => table.answers.iter().map(|answer| table.candidate.replace(ANSWER, answer.trim())).collect(),
        _ => vec![table.candidate],
    };
    Ok(PromptSpec { key, prefix, candidates, suffix: table.suffix, answers: table.answers, values })
}

/// What the answers of a score count for: what they say, if nothing else is stated.
fn values(check: &Checks<'_>, key: &str, answers: &[String], values: Option<Vec<f32>>) -> Checked<Vec<f32>> {
    let said = || answers.iter().map(|answer| answer.trim().parse().unwrap_or(f32::NAN)).collect();
    let values: Vec<f32> = values.unwrap_or_else(said);
    let fits = values.len() == answers.len() && values.iter().all(|value| value.is_finite());
    check.that(&format!("{key}.values"), fits, "a finite number for each answer", format!("{values:?}"))?;
    Ok(values)
}

/// A text with a picture in it so many times.
fn prompt_text(check: &Checks<'_>, key: &str, text: &str, pictures: usize) -> Checked<()> {
    let bytes = text.len();
    check.that(key, bytes <= MAX_PROMPT_BYTES, format!("at most {MAX_PROMPT_BYTES} bytes"), bytes.to_string())?;
    let found = text.matches(IMAGE).count();
    check.that(key, found == pictures, format!("{IMAGE} {pictures} times"), format!("{found} times"))
}

fn suffix(check: &Checks<'_>, key: &str, text: &str) -> Checked<()> {
    let key = format!("{key}.suffix");
    check.that(&key, !text.is_empty(), "a text: its last token's logits are read", "an empty one")?;
    prompt_text(check, &key, text, 0)
}

fn answers(check: &Checks<'_>, key: &str, answers: &[String], count: Option<usize>) -> Checked<()> {
    let key = format!("{key}.answers");
    let words = count.map_or_else(|| format!("2 to {MAX_ANSWERS}"), |count| count.to_string());
    let is_count = (2..=MAX_ANSWERS).contains(&answers.len()) && count.is_none_or(|count| count == answers.len());
    check.that(&key, is_count, format!("{words} answers"), answers.len().to_string())?;
    let is_once = answers.iter().enumerate().all(|(at, a)| !a.is_empty() && !answers.iter().take(at).any(|b| a == b));
    check.that(&key, is_once, "different texts", format!("{answers:?}"))
}

pub(super) fn generate(check: &Checks<'_>, table: GenerateTable, image: &ImageLayout) -> Checked<GenerateSpec> {
    prompt_text(check, "generate.prompt", &table.prompt, 1)?;
    let halves = table.prompt.split_once(TEXT).filter(|(_, after)| !after.contains(TEXT));
    let Some((before, after)) = halves else {
        let found = format!("{} times", table.prompt.matches(TEXT).count());
        return Err(check.value("generate.prompt", format!("{TEXT} once"), found));
    };
    let stops = &table.stop;
    let is_once = stops.iter().enumerate().all(|(at, a)| !a.is_empty() && !stops.iter().take(at).any(|b| a == b));
    let is_count = (1..=MAX_STOPS).contains(&stops.len());
    let expected = format!("1 to {MAX_STOPS} different tokens that end an answer");
    check.that("generate.stop", is_once && is_count, expected, format!("{stops:?}"))?;
    let is_context = (image.tokens + 1..=MAX_CONTEXT).contains(&table.context);
    let expected = format!("more than image.tokens, {}, and at most {MAX_CONTEXT}", image.tokens);
    check.that("generate.context", is_context, expected, table.context.to_string())?;
    Ok(GenerateSpec { before: before.to_owned(), after: after.to_owned(), stop: table.stop, context: table.context })
}

pub(super) fn quantization(check: &Checks<'_>, table: MarginsTable) -> Checked<MarginQuantization> {
    for (part, value) in
        [("margin_error_median", table.margin_error_median), ("margin_error_most", table.margin_error_most)]
    {
        let is_error = value.is_none_or(|value| value.is_finite() && value >= 0.0);
        let found = value.map(|value| value.to_string()).unwrap_or_default();
        check.that(&format!("quantization.{part}"), is_error, "a finite number from 0", found)?;
    }
    let is_share = table.signs_kept.is_none_or(|share| (0.0..=1.0).contains(&share));
    check.that("quantization.signs_kept", is_share, "0 to 1", format!("{:?}", table.signs_kept))?;
    Ok(MarginQuantization {
        weights: table.weights,
        vision_weights: table.vision_weights.unwrap_or(table.weights),
        activations: table.activations.unwrap_or_default(),
        reduce_range: table.reduce_range,
        measured_on: table.measured_on.map(|text| check.text("quantization.measured_on", text)).transpose()?,
        comparisons: table.comparisons,
        margin_error_median: table.margin_error_median,
        margin_error_most: table.margin_error_most,
        signs_kept: table.signs_kept,
    })
}

pub(super) fn goldens(check: &Checks<'_>, tables: &[GoldenTable]) -> Checked<Vec<GoldenComparison>> {
    check.that("golden", tables.len() >= 2, "at least two tables [[golden]]", tables.len().to_string())?;
    let mut goldens: Vec<GoldenComparison> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let key = |part: &str| format!("golden[{at}].{part}");
        let GoldenTable { margin, tolerance, .. } = *table;
        check.that(&key("margin"), margin.is_finite(), "a finite number", margin.to_string())?;
        let is_tolerance = tolerance.is_finite() && tolerance > 0.0;
        check.that(&key("tolerance"), is_tolerance, "a finite number above 0", tolerance.to_string())?;
        // One answer must not pass for two.
        for (before, other) in goldens.iter().enumerate() {
            let apart = (other.margin - margin).abs();
            let least = other.tolerance + tolerance;
            let expected = format!("further than {least} (both tolerances) from golden[{before}].margin");
            check.that(&key("margin"), apart > least, expected, format!("{margin}, {apart} from it"))?;
        }
        goldens.push(GoldenComparison {
            query: check.file(&key("query"), &table.query)?,
            first: check.file(&key("first"), &table.first)?,
            second: check.file(&key("second"), &table.second)?,
            margin,
            tolerance,
        });
    }
    Ok(goldens)
}
