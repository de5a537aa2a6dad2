//! A vision transformer with an attention-pooling head, as SigLIP has it, with random weights of any size. It shows
//! speed, memory and agreement between runtimes; nothing can be seen with it.

use crate::onnx::{Attribute, Graph};

/// Name of the input and of the output.
pub(crate) const ENDS: (&str, &str) = ("pixel_values", "embedding");

/// The size of a tower.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) image: usize,
    pub(crate) patch: usize,
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
}

impl Size {
    /// Small enough for a test that runs in a moment.
    pub(crate) const NARROW: Self = Self { image: 64, patch: 16, width: 64, layers: 2, heads: 4, hidden: 128 };
    /// SigLIP base, patches of 16, 224 pixels.
    pub(crate) const BASE: Self = Self { image: 224, patch: 16, width: 768, layers: 12, heads: 12, hidden: 3072 };

    fn tokens(self) -> usize {
        (self.image / self.patch).pow(2)
    }
}

/// What the weights of linear layers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weights {
    Float32,
    /// Dynamic int8 with weights up to this magnitude: 127, or 63 for `reduce_range`.
    Int8(i8),
}

/// Random numbers that are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Of mean 0 and deviation 1, flat.
    fn float(&mut self) -> f32 {
        ((self.next() >> 40) as f32 / (1 << 24) as f32 - 0.5) * 12.0_f32.sqrt()
    }
}

struct Builder {
    size: Size,
    weights: Weights,
    random: Random,
    graph: Graph,
}

/// The ONNX file of a tower.
pub(crate) fn tower(size: Size, weights: Weights) -> Vec<u8> {
    let mut builder = Builder { size, weights, random: Random(0x9E37_79B9_7F4A_7C15), graph: Graph::default() };
    builder.constants();
    let mut tokens = builder.patches();
    for layer in 0..size.layers {
        tokens = builder.layer(&format!("l{layer}"), &tokens);
    }
    let tokens = builder.normalised("post", &tokens);
    builder.head(&tokens);
    let (image, width) = (size.image, size.width);
    builder.graph.file((ENDS.0, &[1, 3, image, image]), (ENDS.1, &[1, width]))
}

impl Builder {
    fn constants(&mut self) {
        let Size { width, heads, .. } = self.size;
        let (tokens, per_head) = (self.size.tokens() as i64, (width / heads) as i64);
        let (width, heads) = (width as i64, heads as i64);
        self.graph.int64s("shape.flat", &[1, width, tokens]);
        self.graph.int64s("shape.heads", &[1, tokens, heads, per_head]);
        self.graph.int64s("shape.merged", &[1, tokens, width]);
        self.graph.int64s("shape.one.heads", &[1, 1, heads, per_head]);
        self.graph.int64s("shape.one.merged", &[1, 1, width]);
        self.graph.int64s("shape.out", &[1, width]);
        self.graph.floats("scale", &[], &[1.0 / (per_head as f32).sqrt()]);
        for (name, value) in [("cube", 0.044_715), ("root", 0.797_884_6), ("one", 1.0), ("half", 0.5), ("three", 3.0)] {
            self.graph.floats(name, &[], &[value]);
        }
    }

    fn floats(&mut self, name: &str, dims: &[usize], deviation: f32) {
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| self.random.float() * deviation).collect();
        self.graph.floats(name, dims, &values);
    }

    fn op(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[Attribute<'_>]) -> String {
        self.graph.node(operator, inputs, &[output], attributes);
        output.to_owned()
    }

    fn patches(&mut self) -> String {
        let Size { patch, width, .. } = self.size;
        self.floats("patch.w", &[width, 3, patch, patch], 1.0 / (patch as f32));
        self.floats("patch.b", &[width], 0.1);
        let sides = [patch as i64; 2];
        let attributes = [Attribute::Ints("kernel_shape", &sides), Attribute::Ints("strides", &sides)];
        let patches = self.op("Conv", &[ENDS.0, "patch.w", "patch.b"], "patches", &attributes);
        let flat = self.op("Reshape", &[&patches, "shape.flat"], "flat", &[]);
        let tokens = self.op("Transpose", &[&flat], "tokens", &[Attribute::Ints("perm", &[0, 2, 1])]);
        self.floats("position", &[self.size.tokens(), width], 0.1);
        self.op("Add", &[&tokens, "position"], "embedded", &[])
    }

    fn layer(&mut self, name: &str, input: &str) -> String {
        let Size { width, .. } = self.size;
        let normal = self.normalised(&format!("{name}.n1"), input);
        let parts = ["q", "k", "v"].map(|part| self.linear(&format!("{name}.{part}"), &normal, width, width));
        let attended = self.attention(name, &parts, false);
        let out = self.linear(&format!("{name}.o"), &attended, width, width);
        let first = self.op("Add", &[input, &out], &format!("{name}.r1"), &[]);
        let mlp = self.mlp(name, &first);
        self.op("Add", &[&first, &mlp], &format!("{name}.r2"), &[])
    }

    /// A probe attends to all tokens.
    fn head(&mut self, tokens: &str) {
        let Size { width, .. } = self.size;
        self.floats("probe", &[1, 1, width], 1.0);
        let query = self.linear("h.q", "probe", width, width);
        let [key, value] = ["h.k", "h.v"].map(|part| self.linear(part, tokens, width, width));
        let attended = self.attention("h", &[query, key, value], true);
        let out = self.linear("h.o", &attended, width, width);
        let mlp = self.mlp("h", &out);
        let sum = self.op("Add", &[&out, &mlp], "h.sum", &[]);
        self.op("Reshape", &[&sum, "shape.out"], ENDS.1, &[]);
    }

    fn normalised(&mut self, name: &str, input: &str) -> String {
        let width = self.size.width;
        let (gain, offset) = (format!("{name}.g"), format!("{name}.z"));
        self.graph.floats(&gain, &[width], &vec![1.0; width]);
        self.graph.floats(&offset, &[width], &vec![0.0; width]);
        let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", 1e-6)];
        self.op("LayerNormalization", &[input, &gain, &offset], name, &attributes)
    }

    fn mlp(&mut self, name: &str, input: &str) -> String {
        let Size { width, hidden, .. } = self.size;
        let normal = self.normalised(&format!("{name}.n2"), input);
        let wide = self.linear(&format!("{name}.f1"), &normal, width, hidden);
        let bent = self.gelu(&format!("{name}.g"), &wide);
        self.linear(&format!("{name}.f2"), &bent, hidden, width)
    }

    /// The approximation by a hyperbolic tangent.
    fn gelu(&mut self, name: &str, input: &str) -> String {
        let part = |end: &str| format!("{name}.{end}");
        let cubed = self.op("Pow", &[input, "three"], &part("p"), &[]);
        let scaled = self.op("Mul", &[&cubed, "cube"], &part("c"), &[]);
        let sum = self.op("Add", &[input, &scaled], &part("s"), &[]);
        let inner = self.op("Mul", &[&sum, "root"], &part("i"), &[]);
        let bent = self.op("Tanh", &[&inner], &part("t"), &[]);
        let shifted = self.op("Add", &[&bent, "one"], &part("a"), &[]);
        let product = self.op("Mul", &[input, &shifted], &part("m"), &[]);
        self.op("Mul", &[&product, "half"], &part("h"), &[])
    }

    fn attention(&mut self, name: &str, [query, key, value]: &[String; 3], is_head: bool) -> String {
        let part = |end: &str| format!("{name}.{end}");
        let (heads, merged) =
            if is_head { ("shape.one.heads", "shape.one.merged") } else { ("shape.heads", "shape.merged") };
        let mut split = |input: &str, shape: &str, end: &str, order: &[i64]| {
            let shaped = self.op("Reshape", &[input, shape], &part(&format!("{end}r")), &[]);
            self.op("Transpose", &[&shaped], &part(&format!("{end}t")), &[Attribute::Ints("perm", order)])
        };
        let query = split(query, heads, "aq", &[0, 2, 1, 3]);
        let key = split(key, "shape.heads", "ak", &[0, 2, 3, 1]);
        let value = split(value, "shape.heads", "av", &[0, 2, 1, 3]);
        let products = self.op("MatMul", &[&query, &key], &part("qk"), &[]);
        let scaled = self.op("Mul", &[&products, "scale"], &part("qs"), &[]);
        let shares = self.op("Softmax", &[&scaled], &part("sm"), &[Attribute::Int("axis", -1)]);
        let mixed = self.op("MatMul", &[&shares, &value], &part("mv"), &[]);
        let turned = self.op("Transpose", &[&mixed], &part("mt"), &[Attribute::Ints("perm", &[0, 2, 1, 3])]);
        self.op("Reshape", &[&turned, merged], &part("mr"), &[])
    }

    fn linear(&mut self, name: &str, input: &str, from: usize, to: usize) -> String {
        let part = |end: &str| format!("{name}.{end}");
        let deviation = 1.0 / (from as f32).sqrt();
        let bias = part("b");
        self.floats(&bias, &[to], 0.1);
        let product = match self.weights {
            Weights::Float32 => {
                self.floats(&part("w"), &[from, to], deviation);
                self.op("MatMul", &[input, &part("w")], &part("mm"), &[])
            }
            Weights::Int8(most) => self.quantized(name, input, [from, to], most, deviation),
        };
        self.op("Add", &[&product, &bias], &part("out"), &[])
    }

    /// As ONNX Runtime's `quantize_dynamic` writes it, with a scale per output channel.
    fn quantized(&mut self, name: &str, input: &str, dims: [usize; 2], most: i8, deviation: f32) -> String {
        let part = |end: &str| format!("{name}.{end}");
        let range = i64::from(most) * 2 + 1;
        let mut level = || (self.random.next() % range.cast_unsigned()) as i64 - i64::from(most);
        let values: Vec<i8> = (0..dims[0] * dims[1]).map(|_| level() as i8).collect();
        self.graph.int8s(&part("w"), &dims, &values);
        self.graph.int8s(&part("wz"), &[dims[1]], &vec![0; dims[1]]);
        let step = deviation * 12.0_f32.sqrt() / f32::from(most) / 2.0;
        self.graph.floats(&part("ws"), &[dims[1]], &vec![step; dims[1]]);
        let [levels, scale, zero] = ["xq", "xs", "xz"].map(part);
        self.graph.node("DynamicQuantizeLinear", &[input], &[&levels, &scale, &zero], &[]);
        let sums = self.op("MatMulInteger", &[&levels, &part("w"), &zero, &part("wz")], &part("mi"), &[]);
        let cast = self.op("Cast", &[&sums], &part("mc"), &[Attribute::Int("to", 1)]);
        let scales = self.op("Mul", &[&scale, &part("ws")], &part("ms"), &[]);
        self.op("Mul", &[&cast, &scales], &part("mm"), &[])
    }
}
