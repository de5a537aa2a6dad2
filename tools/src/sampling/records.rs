//! What is written of a choice: poses, and records for fine-tuning.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use csv::ByteRecord;
use geolocated::generator::{PromptOptions, prompt};
use h3o::CellIndex;
use serde_json::json;

use super::Candidate;

/// The chosen rows with all their columns, and the cell.
pub(super) fn write_poses(path: &Path, header: &ByteRecord, chosen: &[(CellIndex, &Candidate)]) -> anyhow::Result<()> {
    let failed = || format!("{}: cannot write", path.display());
    let mut writer = csv::Writer::from_path(path).with_context(failed)?;
    let mut names = header.clone();
    names.push_field(b"h3_cell");
    writer.write_byte_record(&names).with_context(failed)?;
    for (cell, candidate) in chosen {
        let mut record = candidate.record.clone();
        record.push_field(cell.to_string().as_bytes());
        writer.write_byte_record(&record).with_context(failed)?;
    }
    writer.flush().with_context(failed)
}

/// Records in ShareGPT's form: the question that `evaluate --system sft` asks, and the place as its answer.
pub(super) fn write_sharegpt(path: &Path, chosen: &[(CellIndex, &Candidate)]) -> anyhow::Result<()> {
    let failed = || format!("{}: cannot write", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    let options = PromptOptions { similar: 0, dissimilar: 0, ..PromptOptions::default() };
    let question = format!("<image>\n{}", prompt(&options, &[], &[]));
    write!(file, "[").with_context(failed)?;
    for (number, (_, candidate)) in chosen.iter().enumerate() {
        let answer = format!("{{\"latitude\": {:.5}, \"longitude\": {:.5}}}", candidate.lat, candidate.lon);
        let record = json!({
            "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
            "images": [candidate.file],
        });
        let separator = if number == 0 { "\n" } else { ",\n" };
        write!(file, "{separator}{record}").with_context(failed)?;
    }
    writeln!(file, "\n]").with_context(failed)?;
    file.flush().with_context(failed)
}
