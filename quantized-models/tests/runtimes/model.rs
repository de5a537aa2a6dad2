//! Model folders that tests make.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use quantized_models::{Encoder, LoadError, LoadOptions, Manifest, RgbImage, RuntimeKind, View};

pub(crate) use crate::onnxruntime::has_onnxruntime;
use crate::onnxruntime::library;
use crate::vit::ENDS;

/// Options for one runtime and no other.
pub(crate) fn on(runtime: RuntimeKind) -> LoadOptions {
    let named = std::env::var_os("GEOLOCATED_ONNXRUNTIME").is_some();
    let onnxruntime = if named { None } else { library() };
    LoadOptions { runtime: Some(runtime), onnxruntime, ..LoadOptions::default() }
}

/// A picture that differs from those of other seeds in every patch.
pub(crate) fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(96, 80, |x, y| {
        let mixed = (x / 4 + 7).wrapping_mul(2_654_435_761 ^ seed.wrapping_mul(40_503));
        let mixed = (mixed ^ (y / 4 + 3).wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917);
        image::Rgb([(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8])
    })
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder with a model.
pub(crate) struct Model {
    folder: tempfile::TempDir,
    image: usize,
    dimensions: usize,
    /// Lines that follow `[graph]`.
    pub(crate) graph_lines: String,
    /// Tables that stand before the goldens.
    pub(crate) tables: String,
    min_cosine: f32,
}

impl Model {
    /// A folder with this graph, whose golden vectors are not known yet.
    pub(crate) fn new(onnx: &[u8], image: usize, dimensions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), onnx).unwrap();
        for name in ["a", "b"] {
            picture(u32::from(name == "b") + 1).save(folder.path().join(format!("{name}.png"))).unwrap();
        }
        let model =
            Self { folder, image, dimensions, graph_lines: String::new(), tables: String::new(), min_cosine: 1e-6 };
        model.write_axes([1.0, 1.0]);
        model
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Golden vectors along two axes: whatever a runtime gives, some pair of signs fits.
    fn write_axes(&self, signs: [f32; 2]) {
        for (at, (name, sign)) in ["a", "b"].into_iter().zip(signs).enumerate() {
            let mut vector = vec![0.0; self.dimensions];
            vector[at] = sign;
            self.write_vector(name, &vector);
        }
    }

    pub(crate) fn write_vector(&self, name: &str, vector: &[f32]) {
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(self.file(&format!("{name}.f32")), bytes).unwrap();
    }

    /// Takes what `runtime` gives for the golden pictures as their vectors, from now on with this bound.
    pub(crate) fn record(&mut self, runtime: RuntimeKind, min_cosine: f32) {
        let mut signs = [1.0, 1.0];
        let encoder = loop {
            self.write_axes(signs);
            match self.load(&on(runtime)) {
                Ok(encoder) => break encoder,
                Err(LoadError::GoldenMissed { path, .. }) => {
                    let at = usize::from(path.ends_with("b.f32"));
                    assert!(signs[at] > 0.0, "neither sign fits");
                    signs[at] = -1.0;
                }
                Err(error) => panic!("{error}"),
            }
        };
        for (name, seed) in [("a", 1), ("b", 2)] {
            self.write_vector(name, encoder.embed(&picture(seed), View::Reference).unwrap().as_slice());
        }
        self.min_cosine = min_cosine;
        self.write_manifest();
    }

    pub(crate) fn manifest_text(&self) -> String {
        let mut text = "format = 1\nkind = \"encoder\"\nname = \"test\"\nlicence = \"MIT\"\nsource = \"random\"\n\
                        trained = false\n"
            .to_owned();
        let (image, dimensions) = (self.image, self.dimensions);
        let digest = sha256(&fs::read(self.file("model.onnx")).unwrap());
        write!(text, "[space]\nid = \"test@0\"\ndimensions = {dimensions}\n").unwrap();
        write!(text, "[graph]\nfile = \"model.onnx\"\nsha256 = \"{digest}\"\n").unwrap();
        write!(text, "input = \"{}\"\noutput = \"{}\"\n{}\n", ENDS.0, ENDS.1, self.graph_lines).unwrap();
        write!(text, "[preprocess]\nwidth = {image}\nheight = {image}\nresize = \"stretch\"\n").unwrap();
        text += "filter = \"bicubic\"\nchannels = \"rgb\"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n";
        text += &self.tables;
        for name in ["a", "b"] {
            let min_cosine = self.min_cosine;
            write!(text, "[[golden]]\nimage = \"{name}.png\"\nembedding = \"{name}.f32\"\nmin_cosine = {min_cosine}\n")
                .unwrap();
        }
        text
    }

    pub(crate) fn write_manifest(&self) {
        fs::write(self.file("model.toml"), self.manifest_text()).unwrap();
    }

    pub(crate) fn manifest(&self) -> Manifest {
        self.write_manifest();
        Manifest::load(self.path()).unwrap()
    }

    pub(crate) fn load(&self, options: &LoadOptions) -> Result<Encoder, LoadError> {
        Encoder::load(&self.manifest(), options)
    }

    /// Why it is refused.
    pub(crate) fn refusal(&self, options: &LoadOptions) -> LoadError {
        self.load(options).err().expect("must be refused")
    }
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
