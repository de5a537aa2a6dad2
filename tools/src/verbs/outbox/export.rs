//! `geolocate outbox export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use geolocated::service::{ArchivedMessage, MessageFate, OutboxArchive, SeqRange};
use serde::{Deserialize, Serialize};

use super::form::{Form, FormWriter};
use crate::cli::Status;
use crate::output::JsonTarget;

/// Writes fixes of the outbox to a file; changes nothing in the outbox.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The daemon's state_dir
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
    /// How fixes are written
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Form,
    /// Where they are written
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    out: PathBuf,
    /// Which fixes
    #[arg(long, value_enum, default_value = "waiting")]
    which: Which,
    /// Only fixes of this start of the daemon
    #[arg(long, value_name = "N")]
    boot: Option<u64>,
    /// Only fixes from this number on
    #[arg(long, value_name = "N", requires = "boot")]
    from_seq: Option<u64>,
    /// Only fixes up to this number
    #[arg(long, value_name = "N", requires = "boot")]
    to_seq: Option<u64>,
}

/// Which fixes of an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Those that no broker has
    Waiting,
    /// Those that a broker has, as far as they are kept
    Delivered,
    /// Those that no broker would take
    SetAside,
    /// All that are kept
    All,
}

/// What was exported; `geolocate outbox ack` takes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) schema: u32,
    pub(super) fixes: u64,
    /// Fixes without a position, in a form that has room for positions only. They are not part of the receipt.
    pub(super) left_out: u64,
    /// What could not be read, in words.
    pub(super) damage: Vec<String>,
    pub(super) exported: Vec<SeqRange>,
}

/// Version of the receipt.
pub(super) const RECEIPT_SCHEMA: u32 = 1;

impl ExportArgs {
    fn wants(&self, message: &ArchivedMessage) -> bool {
        let fate = match self.which {
            Which::Waiting => message.fate == MessageFate::Waiting,
            Which::Delivered => message.fate == MessageFate::Delivered,
            Which::SetAside => message.fate == MessageFate::SetAside,
            Which::All => true,
        };
        let seqs = self.from_seq.unwrap_or(0)..=self.to_seq.unwrap_or(u64::MAX);
        fate && self.boot.is_none_or(|boot| message.boot == boot && seqs.contains(&message.seq))
    }
}

/// Runs the verb.
///
/// # Errors
/// The outbox cannot be read, or the file cannot be written.
pub(super) fn run(args: &ExportArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let to_stdout = args.out.as_os_str() == "-";
    ensure!(
        !(to_stdout && json == Some(&JsonTarget::Stdout)),
        "--json -: standard output is for the fixes; give --out a file"
    );
    let archive = OutboxArchive::read(&args.state_dir)?;
    let receipt = if to_stdout {
        export(args, &archive, BufWriter::new(std::io::stdout().lock()))?.0
    } else {
        let cannot = || format!("{}: cannot be written", args.out.display());
        let file = File::create(&args.out).with_context(cannot)?;
        let (receipt, out) = export(args, &archive, BufWriter::new(file)).with_context(cannot)?;
        // Who has a receipt may clear the outbox: the file must be on its disk by then.
        out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).with_context(cannot)?;
        receipt
    };
    for damage in &receipt.damage {
        eprintln!("geolocate: {}: {damage}", args.state_dir.display());
    }
    let without = if receipt.left_out == 0 {
        String::new()
    } else {
        format!("; {} without a position are left out", receipt.left_out)
    };
    eprintln!("{}: {} fixes exported{without}", args.state_dir.display(), receipt.fixes);
    if let Some(json) = json {
        json.write(&receipt)?;
    }
    Ok(if receipt.damage.is_empty() { Status::Done } else { Status::Failed })
}

fn export<W: Write>(args: &ExportArgs, archive: &OutboxArchive, out: W) -> anyhow::Result<(Receipt, W)> {
    let mut writer = FormWriter::new(args.format, out)?;
    let (mut fixes, mut left_out) = (0, 0);
    let mut exported: Vec<SeqRange> = Vec::new();
    archive.messages(|message| -> anyhow::Result<()> {
        if !args.wants(&message) {
            return Ok(());
        }
        if !writer.write(&message)? {
            left_out += 1;
            return Ok(());
        }
        fixes += 1;
        let (boot, seq) = (message.boot, message.seq);
        match exported.last_mut().filter(|last| last.boot == boot && last.to_seq.checked_add(1) == Some(seq)) {
            Some(last) => last.to_seq = seq,
            None => exported.push(SeqRange { boot, from_seq: seq, to_seq: seq }),
        }
        Ok(())
    })?;
    let damage = archive.damage().to_vec();
    let mut out = writer.finish()?;
    out.flush()?;
    Ok((Receipt { schema: RECEIPT_SCHEMA, fixes, left_out, damage, exported }, out))
}
