//! Models with a tower, or a preprocessing, for each view.

use std::fs;

use quantized_models::{LoadError, Manifest, RuntimeKind, View};

use crate::model::{Model, on, picture, sha256};
use crate::onnx::Graph;
use crate::vit::ENDS;

const SIDE: usize = 4;
const DIMENSIONS: usize = 3;

/// The mean of each colour plane, times `gain`.
fn means(gain: [f32; 3]) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.floats("gain", &[3], &gain);
    graph.int64s("shape", &[1, 3]);
    graph.node("GlobalAveragePool", &[ENDS.0], &["mean"], &[]);
    graph.node("Reshape", &["mean", "shape"], &["flat"], &[]);
    graph.node("Mul", &["flat", "gain"], &[ENDS.1], &[]);
    graph.file((ENDS.0, &[1, 3, SIDE, SIDE]), (ENDS.1, &[1, DIMENSIONS]))
}

/// A model of two towers; goldens of queries are those of references unless they are written anew.
fn model() -> Model {
    let mut model = Model::new(&means([1.0, 1.0, 1.0]), SIDE, DIMENSIONS);
    red(&model, "a", [255, 0, 0]);
    red(&model, "b", [0, 0, 255]);
    model.record(RuntimeKind::Tract, 0.9999);
    let query = means([1.0, -1.0, 1.0]);
    fs::write(model.file("query.onnx"), &query).unwrap();
    model.graph_lines = format!(
        "[graph.query]\nfile = \"query.onnx\"\nsha256 = \"{}\"\ninput = \"{}\"\noutput = \"{}\"\n",
        sha256(&query),
        ENDS.0,
        ENDS.1
    );
    model.tables = "[[golden]]\nimage = \"a.png\"\nembedding = \"qa.f32\"\nmin_cosine = 0.9999\nview = \"query\"\n\
                    [[golden]]\nimage = \"b.png\"\nembedding = \"qb.f32\"\nmin_cosine = 0.9999\nview = \"query\"\n"
        .to_owned();
    // Red gives (1, -1, -1), and the query tower turns the sign of green.
    model.write_vector("a", &[1.0, -1.0, -1.0]);
    model.write_vector("b", &[-1.0, -1.0, 1.0]);
    model.write_vector("qa", &[1.0, 1.0, -1.0]);
    model.write_vector("qb", &[-1.0, 1.0, 1.0]);
    model
}

fn red(model: &Model, name: &str, colour: [u8; 3]) {
    let image = quantized_models::RgbImage::from_pixel(8, 8, image::Rgb(colour));
    image.save(model.file(&format!("{name}.png"))).unwrap();
}

#[test]
fn each_view_has_its_tower() {
    let model = model();
    let encoder = model.load(&on(RuntimeKind::Tract)).unwrap();
    let vector = |view| encoder.embed(&picture(5), view).unwrap();
    let (reference, query) = (vector(View::Reference), vector(View::Query));
    let [r, q] = [reference.as_slice(), query.as_slice()];
    assert!((r[0] - q[0]).abs() < 1e-6 && (r[1] + q[1]).abs() < 1e-6 && (r[2] - q[2]).abs() < 1e-6, "{r:?} {q:?}");
    assert_eq!(model.manifest().files().len(), 2);
}

#[test]
fn goldens_of_both_views_are_checked() {
    let model = model();
    model.write_vector("qb", &[-1.0, -1.0, 1.0]);
    let error = model.refusal(&on(RuntimeKind::Tract));
    assert!(matches!(&error, LoadError::GoldenMissed { path, .. } if path.ends_with("qb.f32")), "{error}");
}

#[test]
fn a_preprocessing_of_queries_may_stand_alone() {
    let mut model = model();
    model.graph_lines.clear();
    let normal = "width = 4\nheight = 4\nresize = \"stretch\"\nfilter = \"bilinear\"\nchannels = \"bgr\"\n\
                  mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n";
    model.tables = format!("[preprocess.query]\n{normal}{}", model.tables);
    // Blue comes first for queries.
    model.write_vector("qa", &[-1.0, -1.0, 1.0]);
    model.write_vector("qb", &[1.0, -1.0, -1.0]);
    let encoder = model.load(&on(RuntimeKind::Tract)).unwrap();
    let blue = quantized_models::RgbImage::from_pixel(3, 3, image::Rgb([0, 0, 255]));
    let vector = encoder.embed(&blue, View::Query).unwrap();
    assert!(vector.as_slice()[0] > 0.5, "{vector:?}");
}

#[test]
fn too_few_goldens_of_a_view_are_refused() {
    let mut model = model();
    let one = model.tables.rfind("[[golden]]").unwrap();
    model.tables.truncate(one);
    model.write_manifest();
    let error = Manifest::load(model.path()).unwrap_err().to_string();
    assert!(error.contains("golden: expected at least two [[golden]] of references and two of queries"), "{error}");
    model.graph_lines.clear();
    model.write_manifest();
    let error = Manifest::load(model.path()).unwrap_err().to_string();
    assert!(error.contains("no golden of queries without [graph.query]"), "{error}");
}
