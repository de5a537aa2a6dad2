//! Manifests that say too little, too much, or the impossible.

use quantized_models::{
    ActivationKind, Channels, Filter, Manifest, ManifestError, Margin, Preprocess, Resize, RuntimeKind, View,
    WeightKind,
};
use std::path::Path;

const GOOD: &str = r#"
format = 1
kind = "encoder"
name = "tiny"
licence = "MIT"
source = "made here"

[space]
id = "tiny@0123"
dimensions = 4

[graph]
file = "weights/tiny.onnx"
sha256 = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
input = "input"
output = "embedding"

[preprocess]
width = 8
height = 6
resize = "crop"
filter = "bicubic"
channels = "bgr"
mean = [0.5, 0, 1]
std = [1, 1, 0.25]

[[golden]]
image = "a.jpg"
embedding = "a.f32"
min_cosine = 0.999

[[golden]]
image = "b.jpg"
embedding = "b.f32"
min_cosine = 1
"#;

fn load(text: &str) -> Result<Manifest, ManifestError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.toml"), text).unwrap();
    Manifest::load(folder.path())
}

/// The message for [`GOOD`] with one text replaced, without the folder's name.
fn refusal(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from} must occur once");
    let message = load(&GOOD.replace(from, to)).expect_err(to).to_string();
    let at = message.find("model.toml").expect("the message names the file");
    message[at..].to_owned()
}

#[test]
fn a_good_manifest_is_read_whole() {
    let manifest = load(GOOD).unwrap();
    assert_eq!((manifest.name(), manifest.licence(), manifest.source()), ("tiny", "MIT", "made here"));
    assert_eq!((manifest.space().as_str(), manifest.dimensions()), ("tiny@0123", 4));
    assert_eq!(manifest.space().to_string(), "tiny@0123");
    assert!(manifest.graph_sha256().starts_with("ba7816bf"), "digests are compared in lower case");
    assert!(manifest.path().ends_with("model.toml"));
    let preprocess = manifest.preprocess();
    assert_eq!((preprocess.width, preprocess.height), (8, 6));
    assert_eq!((preprocess.resize, preprocess.filter), (Resize::Crop, Filter::Bicubic));
    assert_eq!(preprocess.channels, Channels::Bgr);
    assert_eq!((preprocess.mean, preprocess.std), ([0.5, 0.0, 1.0], [1.0, 1.0, 0.25]));
}

#[test]
fn a_manifest_file_is_as_good_as_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model_w8.toml");
    std::fs::write(&path, GOOD).unwrap();
    assert_eq!(Manifest::load(&path).unwrap().path(), path);
}

#[test]
fn a_missing_manifest_is_named() {
    let error = Manifest::load(Path::new("/nonexistent/model")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read model manifest /nonexistent/model: "), "{error}");
}

#[test]
fn unknown_keys_are_refused_by_name_and_line() {
    let message = refusal("filter =", "filtre =");
    assert!(message.starts_with("model.toml line 22, preprocess.filtre: unknown field `filtre`"), "{message}");
    assert!(refusal("licence =", "license =").contains("unknown field `license`"));
}

#[test]
fn missing_keys_are_named() {
    assert!(refusal("source = \"made here\"", "").contains("missing field `source`"));
    let message = refusal("output = \"embedding\"\n", "");
    assert!(message.contains("graph") && message.contains("missing field `output`"), "{message}");
}

#[test]
fn wrong_types_are_named() {
    let message = refusal("dimensions = 4", "dimensions = \"four\"");
    assert!(message.starts_with("model.toml line 10, space.dimensions: invalid type: string \"four\""), "{message}");
    assert!(refusal("mean = [0.5, 0, 1]", "mean = [0.5, 0]").contains("preprocess.mean"));
    let message = refusal("resize = \"crop\"", "resize = \"squash\"");
    assert!(message.contains("preprocess.resize: unknown variant `squash`, expected `stretch` or `crop`"), "{message}");
    assert!(refusal("dimensions = 4", "dimensions = -4").contains("space.dimensions"));
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    assert!(refusal("[space]", "[space").starts_with("model.toml line 8, the file: "));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.toml"), b"\xFF\xFE").unwrap();
    assert!(matches!(Manifest::load(folder.path()), Err(ManifestError::Read { .. })));
}

#[test]
fn another_format_is_refused_before_its_keys_are_judged() {
    let message = refusal("format = 1", "format = 2\nnew_key = true");
    assert_eq!(message, "model.toml, format: expected 1, found 2");
}

#[test]
fn other_kinds_of_model_are_refused_by_name() {
    let message = refusal("kind = \"encoder\"", "kind = \"comparator\"\ntokenizer = \"t.json\"");
    let expected = "model.toml, kind: expected \"encoder\", found \"comparator\": a comparator cannot embed pictures";
    assert_eq!(message, expected);
    assert!(refusal("kind = \"encoder\"", "kind = \"generator\"").contains("found \"generator\""));
    let message = refusal("kind = \"encoder\"", "kind = \"toaster\"");
    assert_eq!(message, "model.toml, kind: expected encoder, comparator or generator, found \"toaster\"");
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    for path in ["/etc/passwd", "../tiny.onnx", "weights/../../tiny.onnx", "", ".", "..", "weights/.."] {
        let message = refusal("weights/tiny.onnx", path);
        let expected =
            format!("model.toml, graph.file: expected a relative path inside the model's folder, found {path:?}");
        assert_eq!(message, expected);
    }
    assert!(refusal("b.f32", "../b.f32").starts_with("model.toml, golden[1].embedding: expected a relative path"));
    assert!(refusal("a.jpg", "/a.jpg").starts_with("model.toml, golden[0].image: expected a relative path"));
}

#[test]
fn impossible_values_are_refused() {
    for (from, to, expected) in [
        ("dimensions = 4", "dimensions = 0", "space.dimensions: expected 1 to 65536, found 0"),
        ("dimensions = 4", "dimensions = 65537", "space.dimensions: expected 1 to 65536, found 65537"),
        ("width = 8", "width = 0", "preprocess.width: expected 1 to 4096 pixels, found 0"),
        ("height = 6", "height = 5000", "preprocess.height: expected 1 to 4096 pixels, found 5000"),
        ("mean = [0.5, 0, 1]", "mean = [0, 0, nan]", "preprocess.mean: expected three finite numbers"),
        ("std = [1, 1, 0.25]", "std = [1, 1, 0]", "preprocess.std: expected three finite numbers above zero"),
        ("std = [1, 1, 0.25]", "std = [1, 1, inf]", "preprocess.std: expected three finite numbers above zero"),
        ("std = [1, 1, 0.25]", "std = [1, 1, -1]", "preprocess.std: expected three finite numbers above zero"),
        ("min_cosine = 0.999", "min_cosine = 0", "golden[0].min_cosine: expected above 0, at most 1, found 0"),
        ("min_cosine = 0.999", "min_cosine = nan", "golden[0].min_cosine: expected above 0, at most 1, found NaN"),
        ("min_cosine = 1\n", "min_cosine = 1.01\n", "golden[1].min_cosine: expected above 0, at most 1, found 1.01"),
        ("name = \"tiny\"", "name = \" \"", "name: expected one line of text, found \" \""),
        ("tiny@0123", "tiny\\n", "space.id: expected one line of text, found \"tiny\\n\""),
        ("BA7816BF", "BA7816B", "graph.sha256: expected 64 hexadecimal digits"),
        ("BA7816BF", "XA7816BF", "graph.sha256: expected 64 hexadecimal digits"),
    ] {
        let message = refusal(from, to);
        assert!(message.starts_with(&format!("model.toml, {expected}")), "{to}: {message}");
    }
}

#[test]
fn an_overlong_name_is_refused() {
    let name = format!("name = \"{}\"", "x".repeat(1025));
    assert_eq!(refusal("name = \"tiny\"", &name), "model.toml, name: expected at most 1024 bytes, found 1025");
}

#[test]
fn one_golden_picture_is_too_few() {
    let at = GOOD.rfind("[[golden]]").unwrap();
    let message = load(&GOOD[..at]).unwrap_err().to_string();
    assert!(message.ends_with("golden: expected at least two tables [[golden]], found 1"), "{message}");
}

/// [`GOOD`] with more in `[graph]` and `[preprocess]`, and tables before the goldens.
fn extended(graph: &str, preprocess: &str, tables: &str) -> String {
    let with_graph = GOOD.replace("[preprocess]\n", &format!("{graph}\n[preprocess]\n{preprocess}\n"));
    with_graph.replacen("[[golden]]", &format!("{tables}\n[[golden]]"), 1)
}

const DIGEST: &str = "26a1d8c06d5b33582d604fc46b924e8f5d1eb94dfe678654f26b94b7a1f22ca4";

#[test]
fn what_is_not_said_has_a_default() {
    let manifest = load(GOOD).unwrap();
    assert!(manifest.trained() && !manifest.is_asymmetric() && manifest.quantization().is_none());
    assert_eq!(manifest.runtimes(), RuntimeKind::ALL);
    let preprocess = manifest.preprocess();
    let found = (preprocess.shortest_side, preprocess.margin, preprocess.rescale);
    assert_eq!(found, (None, Margin::Round, Preprocess::RESCALE));
    assert_eq!(manifest.preprocess_of(View::Query), preprocess);
    assert_eq!(manifest.files().len(), 1);
}

#[test]
fn everything_that_can_be_said_is_read() {
    let graph = format!("[[graph.data]]\nfile = \"weights/tiny.data\"\nsha256 = \"{DIGEST}\"\n");
    let tables = format!(
        "[quantization]\nweights = \"int8\"\nactivations = \"int8_dynamic\"\nreduce_range = true\n\
         reference = \"{DIGEST}\"\nmeasured_on = \"x86-64\"\npictures = 100\ncosine_least = 0.9991\n\
         cosine_median = 0.9996\nrecall_at_1 = 0.87\nrecall_at_1_reference = 0.88\n\
         [runtime]\norder = [\"tract\", \"onnxruntime\"]\n"
    );
    let text = extended(&graph, "shortest_side = 12\nmargin = \"floor\"\nrescale = 0.5\n", &tables);
    let manifest = load(&text.replace("source = ", "trained = false\nsource = ")).unwrap();
    assert!(!manifest.trained());
    assert_eq!(manifest.runtimes(), [RuntimeKind::Tract, RuntimeKind::OnnxRuntime]);
    let files = manifest.files();
    assert_eq!(files.len(), 2);
    assert!(files[1].path.ends_with("weights/tiny.data") && files[1].sha256 == DIGEST);
    let preprocess = manifest.preprocess();
    let found = (preprocess.shortest_side, preprocess.margin, preprocess.rescale);
    assert_eq!(found, (Some(12), Margin::Floor, 0.5));
    let quantization = manifest.quantization().unwrap();
    assert_eq!(quantization.weights, WeightKind::Int8);
    assert_eq!((quantization.activations, quantization.reduce_range), (ActivationKind::Int8Dynamic, true));
    assert_eq!((quantization.pictures, quantization.recall_at_1), (Some(100), Some(0.87)));
}

#[test]
fn what_cannot_be_is_refused_in_the_new_tables_too() {
    let data = |file: &str| format!("[[graph.data]]\nfile = \"{file}\"\nsha256 = \"{DIGEST}\"\n");
    let tower = format!("file = \"q.onnx\"\nsha256 = \"{DIGEST}\"\ninput = \"i\"\noutput = \"o\"\n");
    let cases = [
        (data("../tiny.data"), "", "", "graph.data[0].file: expected a relative path inside the model's folder"),
        (data("/tiny.data"), "", "", "graph.data[0].file: expected a relative path inside the model's folder"),
        (
            format!("[graph.query]\n{tower}[graph.query.query]\n{tower}"),
            "",
            "",
            "graph.query.query: expected no further tower",
        ),
        (format!("[graph.query]\n{tower}"), "", "", "golden: expected at least two [[golden]] of references and two"),
        (String::new(), "shortest_side = 7", "", "preprocess.shortest_side: expected 8 to 4096 pixels"),
        (String::new(), "rescale = 0", "", "preprocess.rescale: expected a finite number above zero, found 0"),
        (String::new(), "", "[runtime]\norder = []", "runtime.order: expected runtimes, each at most once, found []"),
        (
            String::new(),
            "",
            "[runtime]\norder = [\"tract\", \"tract\"]",
            "runtime.order: expected runtimes, each at most once, found [\"tract\", \"tract\"]",
        ),
        (
            String::new(),
            "",
            "[quantization]\nweights = \"int8\"\ncosine_least = 1.5",
            "quantization.cosine_least: expected -1 to 1, found 1.5",
        ),
        (
            String::new(),
            "",
            "[quantization]\nweights = \"int8\"\nreference = \"26a1\"",
            "quantization.reference: expected 64 hexadecimal digits",
        ),
    ];
    for (graph, preprocess, tables, expected) in cases {
        let message = load(&extended(&graph, preprocess, tables)).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    }
    for (tables, expected) in [
        ("[quantization]\nweights = \"int2\"", "quantization.weights: unknown variant `int2`"),
        ("[runtime]\norder = [\"rten\"]", "unknown variant `rten`, expected `onnxruntime` or `tract`"),
        ("[runtime]\nthreads = 2", "runtime.threads: unknown field `threads`"),
    ] {
        let message = load(&extended("", "", tables)).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    }
    let stretched = GOOD.replace("\"crop\"", "\"stretch\"\nshortest_side = 8");
    let message = load(&stretched).unwrap_err().to_string();
    assert!(
        message.contains("preprocess.shortest_side: expected nothing unless resize = \"crop\", found 8"),
        "{message}"
    );
}

#[test]
fn a_manifest_of_gigabytes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toml");
    std::fs::File::create(&path).unwrap().set_len(5 << 30).unwrap();
    let message = Manifest::load(folder.path()).unwrap_err().to_string();
    assert!(message.ends_with("the file: expected at most 1048576 bytes, found 5368709120 bytes"), "{message}");
}

#[test]
fn the_kind_of_any_model_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toml");
    std::fs::write(&path, GOOD.replace("\"encoder\"", "\"comparator\"")).unwrap();
    assert_eq!(Manifest::kind_of(folder.path()).unwrap(), "comparator");
    std::fs::write(&path, GOOD.replace("\"encoder\"", "\"toaster\"")).unwrap();
    assert!(Manifest::kind_of(folder.path()).is_err());
}

#[test]
fn the_manifest_that_is_shown_is_accepted() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/models.md")).unwrap();
    let shown = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    // It shows both ways of resizing at once.
    let manifest = load(&shown.replace("resize = \"stretch\"", "resize = \"crop\"")).unwrap();
    assert!(manifest.quantization().is_some() && manifest.files().len() == 2);
}
