//! Golden queries for a generation.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use geolocated::assemble::{EncoderChoice, load_encoder};
use geolocated::generations::{GOLDEN_NAME, GoldenList, GoldenQuery};
use geolocated::locate::{Frame, Hints, Pipeline, PipelineOptions, Prediction};
use index_shards::ShardSet;

use super::SignArgs;

/// What of a similarity a device may lack: other CPUs and runtimes differ a little.
const SLACK: f64 = 0.01;

/// Writes golden queries into the folder, as many as are asked for, and gives how many the list then has. A list that is
/// there already, and is not asked for anew, stays.
pub(super) fn write(folder: &Path, shards: &ShardSet, args: &SignArgs) -> anyhow::Result<usize> {
    let list = folder.join(GOLDEN_NAME);
    if args.golden == 0 && args.golden_pictures.is_empty() {
        return match fs::read(&list) {
            Ok(text) => {
                let read: GoldenList = serde_json::from_slice(&text)
                    .with_context(|| format!("{}: no list of golden queries", list.display()))?;
                Ok(read.queries.len())
            }
            Err(_) => Ok(0),
        };
    }
    let golden = folder.join("golden");
    fs::create_dir_all(&golden).with_context(|| format!("{}: cannot be made", golden.display()))?;
    let mut queries = vectors(folder, shards, args.golden)?;
    if !args.golden_pictures.is_empty() {
        queries.extend(pictures(folder, shards, args)?);
    }
    let text = serde_json::to_string_pretty(&GoldenList::new(queries.clone()))? + "\n";
    fs::write(&list, text).with_context(|| format!("{}: cannot be written", list.display()))?;
    Ok(queries.len())
}

/// Vectors of references, evenly over all shards, with what a search finds for each.
fn vectors(folder: &Path, shards: &ShardSet, wanted: usize) -> anyhow::Result<Vec<GoldenQuery>> {
    let pipeline = Pipeline::new(None, open_again(shards)?, PipelineOptions::default(), true)?;
    let mut queries = Vec::new();
    for (number, shard) in shards.shards().iter().enumerate() {
        let share = wanted / shards.shards().len() + usize::from(number < wanted % shards.shards().len());
        for at in 0..share.min(shard.len()) {
            let row = u32::try_from(at * shard.len() / share.max(1))?;
            let vector = shard.vector(row)?;
            let prediction = pipeline.locate_embedding(&vector, None);
            let name = format!("golden/{number}-{row}.f32");
            let bytes: Vec<u8> = vector.iter().flat_map(|part| part.to_le_bytes()).collect();
            let path = folder.join(&name);
            fs::write(&path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?;
            queries.push(query(None, Some(name), &prediction)?);
        }
    }
    Ok(queries)
}

/// Pictures, copied into the folder.
fn pictures(folder: &Path, shards: &ShardSet, args: &SignArgs) -> anyhow::Result<Vec<GoldenQuery>> {
    let own = folder.join("model/model.toml");
    let model = if own.is_file() { Some(own.as_path()) } else { args.encoder.as_deref() };
    let model = model.context("--golden-pictures needs an encoder: model/ in the folder, or --encoder")?;
    let load = args.runtime.options(1);
    let encoder = load_encoder(EncoderChoice { model, options: &load }, shards, &mut |_| {})?;
    let pipeline = Pipeline::new(Some(encoder), open_again(shards)?, PipelineOptions::default(), true)?;
    let mut queries = Vec::new();
    for picture in &args.golden_pictures {
        let encoded = fs::read(picture).with_context(|| format!("{}: cannot be read", picture.display()))?;
        let name = picture.file_name().and_then(|name| name.to_str()).context("expected a name in UTF-8")?;
        let name = format!("golden/{name}");
        let to = folder.join(&name);
        fs::write(&to, &encoded).with_context(|| format!("{}: cannot be written", to.display()))?;
        let (id, camera) = (name.clone(), String::new());
        let frame = Frame { id, camera, captured_at_ms: None, hints: Hints::default(), prior: None, encoded };
        queries.push(query(Some(name), None, &pipeline.locate(&frame))?);
    }
    Ok(queries)
}

fn query(picture: Option<String>, vector: Option<String>, found: &Prediction) -> anyhow::Result<GoldenQuery> {
    let name = picture.as_deref().or(vector.as_deref()).unwrap_or_default();
    let top = found.similar.first().with_context(|| format!("{name}: found nothing: {:?}", found.outcome))?;
    ensure!(!top.reference.is_empty(), "{name}: the reference that it finds has no name");
    let min_similarity = Some(((f64::from(top.similarity) - SLACK) * 1e4).floor() / 1e4);
    Ok(GoldenQuery { picture, vector, top: top.reference.clone(), min_similarity })
}

fn open_again(shards: &ShardSet) -> anyhow::Result<ShardSet> {
    let paths: Vec<_> = shards.shards().iter().map(|shard| shard.path().to_owned()).collect();
    Ok(ShardSet::open(&paths)?)
}
