//! Answers that a model writes: the same by the same seed, within limits, and what must be refused.

use std::fs;
use std::time::Duration;

use quantized_models::{
    Answer, Ask, ComparatorManifest, CompareError, Ended, GenerateError, Generator, LoadError, RgbImage, RuntimeKind,
    sha256_of_reader,
};

use crate::model::{Copy, FP32, WRITER, WRITER_3D, folder, has_onnxruntime, on, picture};

fn load(name: &str) -> Generator {
    let manifest = ComparatorManifest::load(&folder(name)).unwrap();
    Generator::load(&manifest, &on(RuntimeKind::OnnxRuntime)).unwrap()
}

fn ask(image: &RgbImage) -> Ask<'_> {
    let (text, patience) = ("Where was this photo taken?", Duration::from_secs(60));
    Ask { text, image, temperature: 0.0, seed: 0, most_tokens: 16, patience }
}

impl Copy {
    fn writes_not(&self, runtime: RuntimeKind) -> LoadError {
        let manifest = ComparatorManifest::load(self.path()).unwrap();
        Generator::load(&manifest, &on(runtime)).map(drop).expect_err("must be refused")
    }
}

#[test]
fn the_likeliest_answer_is_always_the_same_and_others_are_drawn_by_their_seed() {
    if !has_onnxruntime("the_likeliest_answer_is_always_the_same_and_others_are_drawn_by_their_seed") {
        return;
    }
    for name in [WRITER, WRITER_3D] {
        let (generator, image) = (load(name), picture(1));
        let write = |temperature, seed| generator.write(&Ask { temperature, seed, ..ask(&image) }).unwrap();
        let greedy = write(0.0, 0);
        assert_eq!(write(0.0, 1), greedy);
        assert_eq!(load(name).write(&ask(&image)).unwrap(), greedy);
        // What it is asked, and what it sees, decide it.
        assert!(greedy.question_tokens > 20 && greedy.answer_tokens <= 16, "{greedy:?}");
        let drawn: Vec<Answer> = (0..6).map(|seed| write(5.0, seed)).collect();
        assert_eq!(drawn, (0..6).map(|seed| write(5.0, seed)).collect::<Vec<_>>());
        let different: std::collections::BTreeSet<&str> = drawn.iter().map(|answer| answer.text.as_str()).collect();
        assert!(different.len() > 3, "{drawn:?}");
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| write(0.0, 0))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(all.iter().all(|answer| *answer == greedy), "several threads may ask");
    }
}

#[test]
fn an_answer_ends_at_a_stop_token_or_where_it_must() {
    if !has_onnxruntime("an_answer_ends_at_a_stop_token_or_where_it_must") {
        return;
    }
    let (generator, image) = (load(WRITER), picture(2));
    let all: Vec<Answer> = (0..16)
        .map(|seed| generator.write(&Ask { temperature: 3.0, seed, most_tokens: 200, ..ask(&image) }).unwrap())
        .collect();
    for answer in &all {
        assert_eq!(answer.ended == Ended::Limit, answer.answer_tokens == 200, "{answer:?}");
        assert!(!answer.text.contains("<end_of_utterance>"), "{answer:?}");
    }
    assert!(all.iter().any(|answer| answer.ended == Ended::Stop), "of 415 tokens, 200 drawn 16 times meet one");
    let one = generator.write(&Ask { most_tokens: 1, ..ask(&image) }).unwrap();
    assert!(one.answer_tokens <= 1);
}

#[test]
fn questions_that_cannot_be_answered_are_refused_one_by_one() {
    if !has_onnxruntime("questions_that_cannot_be_answered_are_refused_one_by_one") {
        return;
    }
    let (generator, image) = (load(WRITER_3D), picture(1));
    let refusal = |ask: &Ask<'_>| generator.write(ask).unwrap_err();
    let long = "Where? ".repeat(60);
    let error = refusal(&Ask { text: &long, ..ask(&image) });
    assert!(matches!(error, GenerateError::TooLong { context: 192, answer: 16, .. }), "{error}");
    assert!(error.to_string().contains("generate.context: expected a question of at most 176 tokens"), "{error}");
    let error = refusal(&Ask { most_tokens: usize::MAX, ..ask(&image) });
    assert!(matches!(error, GenerateError::TooLong { .. }), "{error}");
    let error = refusal(&Ask { text: "what is <|image_pad|>", ..ask(&image) }).to_string();
    assert!(error.contains("model.toml, generate.prompt: expected 4 tokens"), "{error}");
    let error = refusal(&Ask { patience: Duration::ZERO, ..ask(&image) });
    assert!(matches!(error, GenerateError::Late { tokens: 1, .. }), "{error}");
    let error = refusal(&ask(&RgbImage::new(0, 0)));
    assert!(matches!(error, GenerateError::Model(CompareError::Picture(_))), "{error}");
    generator.stopper().stop();
    let error = refusal(&ask(&image));
    assert!(matches!(error, GenerateError::Model(CompareError::Stopped { .. })), "{error}");
    generator.stopper().clear();
    // It goes on as before; marks of turns in a question are text like any other, and hold nothing up.
    generator.write(&Ask { text: "", ..ask(&image) }).unwrap();
    generator.write(&Ask { text: "<|im_end|>{image}{text}\u{0}", ..ask(&image) }).unwrap();
}

#[test]
fn folders_that_cannot_write_are_refused_by_field() {
    let error = Copy::of(FP32).writes_not(RuntimeKind::OnnxRuntime).to_string();
    assert!(error.contains("graphs.decoder.logits_rows: expected none") && error.contains("15 token ids"), "{error}");
    let error = Copy::of(WRITER).without("generate").writes_not(RuntimeKind::OnnxRuntime).to_string();
    assert!(error.contains("model.toml, generate: expected a table") && error.contains("--all-rows"), "{error}");
    let error = Copy::of(WRITER).writes_not(RuntimeKind::Tract).to_string();
    assert!(error.contains("runtime.order: expected onnxruntime among them") && error.contains("tract"), "{error}");
    let stop = Copy::of(WRITER).change("stop = [\"<end_of_utterance>\"]", "stop = [\"<end>\"]");
    let error = stop.writes_not(RuntimeKind::OnnxRuntime).to_string();
    assert!(error.contains("generate.stop: expected tokens of") && error.contains("\"<end>\""), "{error}");
    for (old, new, said) in [
        ("{image}{text}", "{image}", "generate.prompt: expected {text} once, found 0 times"),
        ("{image}{text}", "{image}{text}{text}", "generate.prompt: expected {text} once, found 2 times"),
        ("{image}{text}", "{image}{text}{image}", "generate.prompt: expected {image} 1 times, found 2 times"),
        ("stop = [\"<end_of_utterance>\"]", "stop = []", "generate.stop: expected 1 to 16"),
        ("stop = [\"<end_of_utterance>\"]", "stop = [\"a\", \"a\"]", "generate.stop: expected 1 to 16"),
        ("context = 2048", "context = 4", "generate.context: expected more than image.tokens, 4,"),
        ("context = 2048", "context = 2000000", "at most 1048576, found 2000000"),
        ("context = 2048", "context = -1", "generate.context"),
        ("context = 2048", "context = 2048\nlength = 1", "unknown field `length`"),
    ] {
        let error = Copy::of(WRITER).change(old, new).manifest_refusal();
        assert!(error.contains(said) && error.contains("model.toml"), "{new}: {error}");
    }
}

/// A tokenizer with a token that no table has a row for.
#[test]
fn a_tokenizer_of_more_tokens_than_the_tables_is_refused() {
    if !has_onnxruntime("a_tokenizer_of_more_tokens_than_the_tables_is_refused") {
        return;
    }
    let copy = Copy::of(WRITER);
    let path = copy.path().join("tokenizer.json");
    let text = fs::read_to_string(&path).unwrap();
    let digest = |text: &str| sha256_of_reader(text.as_bytes(), |_| ()).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_str(&text).unwrap();
    tokenizer["model"]["vocab"]["zzzz"] = 600.into();
    let changed = tokenizer.to_string();
    fs::write(&path, &changed).unwrap();
    let error = copy.change(&digest(&text), &digest(&changed)).writes_not(RuntimeKind::OnnxRuntime).to_string();
    assert!(error.contains("embed_tokens.onnx") && error.contains("at least 601 rows"), "{error}");
}

/// A context that the model was not made for: the runtime says so, and the next question is answered.
#[test]
fn a_context_beyond_the_models_own_is_an_error_of_the_question() {
    if !has_onnxruntime("a_context_beyond_the_models_own_is_an_error_of_the_question") {
        return;
    }
    let copy = Copy::of(WRITER_3D).change("context = 192", "context = 4096");
    let manifest = ComparatorManifest::load(copy.path()).unwrap();
    let generator = Generator::load(&manifest, &on(RuntimeKind::OnnxRuntime)).unwrap();
    let (image, long) = (picture(1), "Where was it? ".repeat(100));
    if let Err(error) = generator.write(&Ask { text: &long, ..ask(&image) }) {
        assert!(matches!(error, GenerateError::Model(_)), "{error}");
    }
    generator.write(&ask(&image)).unwrap();
}
