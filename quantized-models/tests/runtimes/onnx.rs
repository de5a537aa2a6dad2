//! Writes ONNX files: just enough of the format to make networks for tests.

/// A message of protocol buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u64, value: u64) -> Self {
        self.raw(field << 3);
        self.raw(value);
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.raw(field << 3 | 2);
        self.raw(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Element types of tensors.
pub(crate) const FLOAT: u64 = 1;
const INT8: u64 = 3;
const INT64: u64 = 7;

/// An attribute of a node.
pub(crate) enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Float(&'a str, f32),
}

/// A graph in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    nodes: Vec<Message>,
    initializers: Vec<Message>,
}

impl Graph {
    pub(crate) fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        assert_eq!(values.len(), dims.iter().product::<usize>(), "{name}");
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializers.push(tensor(name, FLOAT, dims).bytes(9, &raw));
    }

    pub(crate) fn int8s(&mut self, name: &str, dims: &[usize], values: &[i8]) {
        assert_eq!(values.len(), dims.iter().product::<usize>(), "{name}");
        let raw: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
        self.initializers.push(tensor(name, INT8, dims).bytes(9, &raw));
    }

    pub(crate) fn int64s(&mut self, name: &str, values: &[i64]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializers.push(tensor(name, INT64, &[values.len()]).bytes(9, &raw));
    }

    /// Float32 numbers that lie in `file`, from its start.
    pub(crate) fn external_floats(&mut self, name: &str, dims: &[usize], file: &str) {
        let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
        let length = (dims.iter().product::<usize>() * 4).to_string();
        let described = tensor(name, FLOAT, dims)
            .message(13, &entry("location", file))
            .message(13, &entry("offset", "0"))
            .message(13, &entry("length", &length));
        self.initializers.push(described.varint(14, 1));
    }

    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Attribute<'_>]) {
        let mut node = Message::default();
        for input in inputs {
            node = node.text(1, input);
        }
        for output in outputs {
            node = node.text(2, output);
        }
        node = node.text(3, outputs[0]).text(4, operator);
        for attribute in attributes {
            node = node.message(5, &described(attribute));
        }
        self.nodes.push(node);
    }

    /// The file, with one float32 input and one float32 output.
    pub(crate) fn file(self, input: (&str, &[usize]), output: (&str, &[usize])) -> Vec<u8> {
        let mut graph = Message::default();
        for node in &self.nodes {
            graph = graph.message(1, node);
        }
        graph = graph.text(2, "test");
        for initializer in &self.initializers {
            graph = graph.message(5, initializer);
        }
        graph = graph.message(11, &value(input.0, input.1)).message(12, &value(output.0, output.1));
        let opset = Message::default().text(1, "").varint(2, 17);
        Message::default().varint(1, 8).message(8, &opset).message(7, &graph).0
    }
}

fn tensor(name: &str, element: u64, dims: &[usize]) -> Message {
    let shaped = dims.iter().fold(Message::default(), |tensor, &dim| tensor.varint(1, dim as u64));
    shaped.varint(2, element).text(8, name)
}

fn value(name: &str, dims: &[usize]) -> Message {
    let dim = |&dim: &usize| Message::default().varint(1, dim as u64);
    let shape = dims.iter().map(dim).fold(Message::default(), |shape, dim| shape.message(1, &dim));
    let tensor = Message::default().varint(1, FLOAT).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

fn described(attribute: &Attribute<'_>) -> Message {
    match attribute {
        Attribute::Int(name, value) => Message::default().text(1, name).varint(3, value.cast_unsigned()).varint(20, 2),
        Attribute::Ints(name, values) => {
            let named = Message::default().text(1, name);
            values.iter().fold(named, |message, value| message.varint(8, value.cast_unsigned())).varint(20, 7)
        }
        Attribute::Float(name, value) => {
            let mut message = Message::default().text(1, name);
            message.raw(2 << 3 | 5);
            message.0.extend_from_slice(&value.to_le_bytes());
            message.varint(20, 1)
        }
    }
}
