//! Tests that look inside: pieces against whole prompts, and graphs that give what no model should.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::decoder::{Decoder, Turn};
use super::prompt::Piece;
use super::words::Tokens;
use super::*;
use crate::network::{Failure, Input, Kept, Kind, Network, Numbers};
use crate::runtime::{RuntimeKind, WeightsAt};

fn fixture(name: &str) -> ComparatorManifest {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/narrow-comparator").join(name);
    ComparatorManifest::load(&folder).unwrap()
}

/// The library beside the binaries, which is one folder up from the tests; `None` leaves it to the variable.
fn library() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.parent()?.to_path_buf();
    let mut entries = std::fs::read_dir(&folder).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    entries.any(|name| name.to_string_lossy().starts_with("libonnxruntime.so")).then_some(folder)
}

fn load(name: &str, runtime: RuntimeKind) -> Option<Comparator> {
    let named = std::env::var_os("GEOLOCATED_ONNXRUNTIME").is_some();
    let onnxruntime = if named { None } else { library() };
    if runtime == RuntimeKind::OnnxRuntime && onnxruntime.is_none() && !named {
        assert_ne!(std::env::var("GEOLOCATED_REQUIRE_ONNXRUNTIME").as_deref(), Ok("1"), "ONNX Runtime is required");
        return None;
    }
    let options =
        LoadOptions { runtime: Some(runtime), onnxruntime, trust_writable_folders: true, ..LoadOptions::default() };
    Some(Comparator::load(&fixture(name), &options).unwrap())
}

fn picture(seed: u8) -> RgbImage {
    RgbImage::from_fn(40, 40, |x, y| image::Rgb([(x * 5) as u8 ^ seed, (y * 3) as u8 + seed, (x * y) as u8]))
}

/// Prefix, first, second and question in four calls give what they give in one: to the last bit under ONNX Runtime.
/// tract chooses other kernels for other lengths, which add up in another order.
#[test]
fn prefix_and_tail_give_what_the_whole_prompt_gives() {
    let ways = [
        ("narrow-smolvlm-fp32", RuntimeKind::OnnxRuntime),
        ("narrow-smolvlm-fp32-plain", RuntimeKind::OnnxRuntime),
        ("narrow-smolvlm-fp32-plain", RuntimeKind::Tract),
    ];
    for (name, runtime) in ways {
        let Some(comparator) = load(name, runtime) else { continue };
        for seeds in [[1, 2, 3], [1, 3, 2], [7, 8, 9]] {
            let [query, first, second] = seeds.map(|seed| comparator.see(&picture(seed)).unwrap());
            let (begun, pair) = (comparator.begin(&query).unwrap(), &comparator.prompts.pair);
            let cut = comparator.pair(&comparator.first(&begun, &first).unwrap(), &second).unwrap();
            let pieces = [
                (&comparator.prompts.prefixes[pair.prefix], Some(&query)),
                (&pair.candidates[0], Some(&first)),
                (&pair.candidates[1], Some(&second)),
                (&pair.suffix, None),
            ];
            let piece = Piece::whole(&pieces);
            assert_eq!(piece.tokens(), pieces.iter().map(|(piece, _)| piece.tokens()).sum::<usize>());
            let (nothing, turn) = (comparator.decoder.nothing(), Turn { piece: &piece, image: None, at: 0 });
            let logits = comparator.decoder.logits(&nothing, turn, &pair.columns, &comparator.stopper).unwrap();
            let whole = difference(&logits);
            match runtime {
                RuntimeKind::OnnxRuntime => {
                    assert_eq!(cut.to_bits(), whole.to_bits(), "{name} {seeds:?}: {cut} {whole}");
                }
                RuntimeKind::Tract => assert!((cut - whole).abs() < 1e-5, "{name} {seeds:?}: {cut} {whole}"),
            }
        }
    }
}

fn generator(name: &str) -> Option<Generator> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/narrow-generator").join(name);
    let named = std::env::var_os("GEOLOCATED_ONNXRUNTIME").is_some();
    let onnxruntime = if named { None } else { library() };
    if onnxruntime.is_none() && !named {
        assert_ne!(std::env::var("GEOLOCATED_REQUIRE_ONNXRUNTIME").as_deref(), Ok("1"), "ONNX Runtime is required");
        return None;
    }
    let options = LoadOptions { onnxruntime, trust_writable_folders: true, ..LoadOptions::default() };
    Some(Generator::load(&ComparatorManifest::load(&folder).unwrap(), &options).unwrap())
}

/// Token by token on keys and values, the logits are those of the whole text run afresh for each token, with positions in
/// a line and in rows and columns; and what is written is made of the likeliest of them.
#[test]
fn what_is_written_on_keys_and_values_is_what_the_whole_text_gives() {
    for name in ["narrow-smolvlm-long-fp32", "narrow-qwen2-vl-fp32"] {
        let Some(generator) = generator(name) else { continue };
        let (decoder, stopper) = (&generator.comparator.decoder, &generator.comparator.stopper);
        for (seed, temperature) in [(0, 0.0), (1, 0.0), (2, 0.0), (3, 8.0), (4, 8.0), (5, 8.0)] {
            let image = picture(seed);
            let ask = generator::Ask {
                text: "Which candidate shows the place? {image} {text}",
                image: &image,
                temperature,
                seed: u64::from(seed),
                most_tokens: 24,
                patience: std::time::Duration::from_secs(60),
            };
            let mut sampler = sampler::Sampler::new(temperature, u64::from(seed));
            let (mut text, _) = generator.question(&ask).unwrap();
            let (question_tokens, seen) = (text.ids.len(), generator.comparator.see(&image).unwrap());
            let run = |tokens: &Tokens, past: &decoder::Past| {
                let (piece, image) = (generator.piece(tokens).unwrap(), tokens.image_at.map(|_| &seen));
                decoder.step(past, Turn { piece: &piece, image, at: past.next }, stopper).unwrap()
            };
            let (mut on_past, mut past) = run(&text, &decoder.nothing());
            let mut ids = Vec::new();
            let ended = loop {
                let (afresh, _) = run(&text, &decoder.nothing());
                let apart = on_past.iter().zip(&afresh).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-4 && on_past.len() == afresh.len(), "{name} {seed}: {apart} after {ids:?}");
                if ids.len() == 24 {
                    break generator::Ended::Limit;
                }
                let id = generator.pick(&mut sampler, &afresh);
                if generator.stops.contains(&id) {
                    break generator::Ended::Stop;
                }
                ids.push(id);
                text.ids.push(id);
                (on_past, past) = run(&Tokens { ids: vec![id], image_at: None }, &past);
            };
            let written = generator.write(&ask).unwrap();
            let expected = generator.words.text(&ids).unwrap();
            assert_eq!((written.question_tokens, written.text), (question_tokens, expected), "{name} {seed}");
            assert_eq!((written.answer_tokens, written.ended), (ids.len(), ended), "{name} {seed}");
        }
    }
}

/// A decoder that gives what it is told to, and remembers how many tokens each run had.
struct Fake {
    logit: f32,
    columns: usize,
    kept: [usize; 4],
    seen: Mutex<Vec<usize>>,
    info: RuntimeInfo,
}

impl Network for Fake {
    fn run(&self, inputs: &[Input<'_>], _: &Stopper) -> Result<Vec<Kept>, Failure> {
        self.seen.lock().unwrap().push(inputs[0].shape[1]);
        if let Some(Numbers::I64(mask)) = inputs.iter().find(|input| input.name == "attention_mask").map(|i| i.numbers)
        {
            assert!(mask.iter().all(|one| *one == 1));
        }
        let logits = Kept::Own { shape: vec![1, 1, self.columns], numbers: vec![self.logit; self.columns] };
        let kept = || Kept::Own { shape: self.kept.to_vec(), numbers: vec![0.0; self.kept.iter().product()] };
        Ok(std::iter::once(logits).chain((0..4).map(|_| kept())).collect())
    }

    fn kind_of(&self, _: &str) -> Option<Kind> {
        None
    }

    fn can_stop(&self) -> bool {
        false
    }

    fn spent(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn info(&self) -> &RuntimeInfo {
        &self.info
    }
}

/// A decoder of the narrow model's shape that gives these keys and values, and logits.
fn fake(kept: [usize; 4], logit: f32, columns: usize) -> Decoder {
    let (name, providers) = ("fake".to_owned(), vec!["cpu"]);
    let info = RuntimeInfo { kind: RuntimeKind::Tract, name, providers, threads: 1, weights: WeightsAt::Own };
    let network = Fake { logit, columns, kept, seen: Mutex::default(), info };
    Decoder::new(Box::new(network), fixture("narrow-smolvlm-fp32-plain").decoder(), 32, "narrow")
}

fn three_tokens() -> Piece {
    Piece::of_numbers(vec![0.0; 3 * 32], 32)
}

#[test]
fn keys_and_values_of_other_shapes_are_refused() {
    let (piece, stopper) = (three_tokens(), Stopper::default());
    let turn = Turn { piece: &piece, image: None, at: 0 };
    for kept in [[1, 2, 4, 16], [1, 3, 3, 16], [1, 2, 3, 8], [2, 2, 3, 16]] {
        let decoder = fake(kept, 0.0, 15);
        let error = decoder.extend(&decoder.nothing(), turn, &stopper).unwrap_err();
        let CompareError::Shape { output, expected, found, .. } = &error else { panic!("{error}") };
        assert_eq!(
            (output.as_str(), expected.as_slice(), found.as_slice()),
            ("present.0.key", &[1, 2, 3, 16][..], &kept[..])
        );
    }
    let decoder = fake([1, 2, 3, 16], 0.0, 15);
    assert!(decoder.extend(&decoder.nothing(), turn, &stopper).is_ok());
}

#[test]
fn logits_that_are_no_numbers_or_too_few_are_refused() {
    let (piece, stopper) = (three_tokens(), Stopper::default());
    let turn = Turn { piece: &piece, image: None, at: 0 };
    for (logit, columns) in [(f32::NAN, 15), (f32::INFINITY, 15), (0.0, 14), (0.0, 0)] {
        let decoder = fake([1, 2, 3, 16], logit, columns);
        let error = decoder.logits(&decoder.nothing(), turn, &[0, 1], &stopper).unwrap_err();
        match columns {
            15 => assert!(error.to_string().contains("expected finite logits, found"), "{error}"),
            _ => assert!(matches!(error, CompareError::Shape { .. }), "{error}"),
        }
    }
}

#[test]
fn blocks_are_cut_off_and_joined_head_by_head() {
    let numbers = |from: usize, heads: usize, tokens: usize| -> Vec<f32> {
        (0..heads * tokens * 16).map(|at| (from + at) as f32).collect()
    };
    let decoder = fake([1, 2, 3, 16], 0.0, 15);
    let past = |tokens: usize, from: usize| decoder.of_numbers(tokens, &numbers(from, 2, tokens));
    let (long, short) = (past(3, 0), past(1, 1000));
    let tail = decoder.tail(&long, 2).unwrap();
    let expected: Vec<f32> = (16..48).chain(64..96).map(|number| number as f32).collect();
    assert_eq!(tail.first_numbers(), expected);
    let joined = decoder.join(&[&short, &tail]).unwrap();
    let expected: Vec<f32> =
        (1000..1016).chain(16..48).chain(1016..1032).chain(64..96).map(|number| number as f32).collect();
    assert_eq!(joined.first_numbers(), expected);
    assert_eq!(decoder.bytes(&joined), 4 * 2 * 3 * 16 * 4);
}

#[test]
fn a_score_is_the_mean_under_the_softmax() {
    assert!((expected(&[0.0, 0.0], &[1.0, 5.0]) - 3.0).abs() < 1e-6);
    assert!((expected(&[1000.0, 0.0], &[1.0, 5.0]) - 1.0).abs() < 1e-6);
    assert_eq!(difference(&[2.0, 0.5, 7.0]), 1.5);
}

#[test]
fn a_comparator_can_be_shared_between_threads() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Comparator>();
    is_shareable::<Query>();
    is_shareable::<Pivot>();
    is_shareable::<Stopper>();
}
