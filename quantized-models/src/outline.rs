//! What an ONNX file says it needs: files of external data, operators. Read before a runtime sees the file, so that
//! what is missing is named the same way whatever the runtime.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, TensorProto};
use tract_onnx::prelude::Framework;

use crate::error::LoadError;
use crate::manifest::GraphFiles;

/// An operator: its domain, empty for ONNX's own, and its name.
pub(crate) type Operator = (String, String);

/// What a graph needs.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Files of external data, as the graph names them.
    data: BTreeSet<String>,
    operators: BTreeSet<Operator>,
}

impl Outline {
    /// Collects what `model` and the graphs in it need.
    pub(crate) fn of(model: &ModelProto) -> Self {
        let mut outline = Self::default();
        if let Some(graph) = &model.graph {
            outline.add_graph(graph);
        }
        outline
    }

    pub(crate) fn operators(&self) -> &BTreeSet<Operator> {
        &self.operators
    }

    /// Refuses external data outside the folder of the graph, and such that the manifest does not list.
    pub(crate) fn check_data(&self, files: &GraphFiles) -> Result<(), LoadError> {
        let path = &files.graph.path;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for data in &self.data {
            let parts: Vec<Component<'_>> = Path::new(data).components().collect();
            let stays_inside = parts.iter().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !stays_inside || parts.is_empty() {
                return Err(LoadError::DataOutside { path: path.clone(), data: data.clone() });
            }
            let file: std::path::PathBuf = parts.iter().filter(|part| **part != Component::CurDir).collect();
            let is_listed = files.data.iter().any(|listed| listed.path == folder.join(&file));
            if !is_listed {
                let names = files.data.iter().map(|listed| listed.path.display().to_string()).collect::<Vec<_>>();
                let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(LoadError::DataNotListed { path: path.clone(), data: data.clone(), found });
            }
        }
        Ok(())
    }

    fn add_graph(&mut self, graph: &GraphProto) {
        graph.initializer.iter().for_each(|tensor| self.add_tensor(tensor));
        for sparse in &graph.sparse_initializer {
            sparse.values.iter().chain(&sparse.indices).for_each(|tensor| self.add_tensor(tensor));
        }
        for node in &graph.node {
            let domain = if node.domain == "ai.onnx" { String::new() } else { node.domain.clone() };
            self.operators.insert((domain, node.op_type.clone()));
            node.attribute.iter().for_each(|attribute| self.add_attribute(attribute));
        }
    }

    fn add_attribute(&mut self, attribute: &AttributeProto) {
        attribute.t.iter().chain(&attribute.tensors).for_each(|tensor| self.add_tensor(tensor));
        for sparse in attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors) {
            sparse.values.iter().chain(&sparse.indices).for_each(|tensor| self.add_tensor(tensor));
        }
        attribute.g.iter().chain(&attribute.graphs).for_each(|graph| self.add_graph(graph));
    }

    fn add_tensor(&mut self, tensor: &TensorProto) {
        let location = tensor.external_data.iter().find(|entry| entry.key == "location");
        self.data.extend(location.map(|entry| entry.value.clone()));
    }
}

/// Reads an ONNX file.
pub(crate) fn parse(onnx: &[u8]) -> Result<ModelProto, String> {
    let mut reader = onnx;
    let model = tract_onnx::onnx().proto_model_for_read(&mut reader).map_err(|error| format!("{error:#}"))?;
    match &model.graph {
        Some(_) => Ok(model),
        None => Err("it holds no graph".to_owned()),
    }
}

/// Names of operators for people: `Gelu, com.microsoft.MatMulNBits`.
pub(crate) fn names<'a>(operators: impl IntoIterator<Item = &'a Operator>) -> String {
    let name = |(domain, name): &Operator| if domain.is_empty() { name.clone() } else { format!("{domain}.{name}") };
    operators.into_iter().map(name).collect::<Vec<_>>().join(", ")
}
