//! `geolocate bench search`: recall, time, memory and size of searches for both ends.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use anyhow::{Context, ensure};
use clap::Args;
use index_shards::{Effort, Kernel, LayoutChoice, ListEffort, SearchOptions, force_kernel};

use super::make::{MakeOptions, Source, make};
use super::measure::{Asked, measure};
use super::report::Report;
use super::vectors::REPORTED_SEED;
use super::{run_again, scaling, text};
use crate::bench::questions::{QueryFile, Questions, Truth};
use crate::bench::vectors::VectorWorld;
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::npy::NpyReader;
use crate::output::{JsonTarget, say};

/// Rows of a list where only lists are asked for.
const ROWS_PER_LIST: usize = 1000;

/// Measures searches for both ends on one thread: recall against exact search, time, bytes, memory, file.
///
/// Vectors are made (--rows), read (--vectors), or those of a shard (--index). They stream into a temporary shard below
/// TMPDIR (or --keep), and an exact search runs over them meanwhile; memory stays flat. A process of its own then opens
/// the shard and searches. The truth about a shard that is given is looked for among the vectors that it holds. Where
/// --truth-dir has the truth, there is no exact search.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate bench search --rows 1000000 --json bench.json\n  \
    geolocate bench search --index a.shard --query-vectors queries.npy\n  \
    geolocate bench search --scaling 10000,100000,1000000")]
pub(super) struct SearchBenchArgs {
    /// Make so many vectors that look like embeddings
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_one)]
    rows: usize,
    /// Values of a vector that is made
    #[arg(long, value_name = "D", default_value_t = 768, value_parser = at_least_one)]
    dimensions: usize,
    /// Seed of the vectors that are made
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many queries of each kind are made
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    queries: usize,
    /// Measure with these vectors: float32, one per row
    #[arg(long, value_name = "FILE.npy", requires = "query_vectors",
        conflicts_with_all = ["index", "rows", "dimensions", "seed"])]
    vectors: Option<PathBuf>,
    /// Measure this shard
    #[arg(long, value_name = "FILE.shard", requires = "query_vectors",
        conflicts_with_all = ["rows", "dimensions", "seed"])]
    index: Option<PathBuf>,
    /// Queries: float32, one per row; KIND is a name for the report
    #[arg(long, value_name = "[KIND=]FILE.npy", conflicts_with = "queries")]
    query_vectors: Vec<QueryFile>,
    /// Folder with truth_near_KIND.npy and truth_far_KIND.npy: int32, rows in the order given to the writer
    #[arg(long, value_name = "DIR", requires = "query_vectors")]
    truth_dir: Option<PathBuf>,
    /// How many references to find at either end
    #[arg(short, long, default_value_t = 16, value_parser = at_least_one)]
    k: usize,
    /// How the codes are laid out: auto, flat, lists, lists=N
    #[arg(long, value_name = "LAYOUT", default_value = "auto", conflicts_with = "index")]
    layout: LayoutArg,
    /// Keep the shard under this name
    #[arg(long, value_name = "FILE.shard", conflicts_with = "index")]
    keep: Option<PathBuf>,
    /// How many threads build; one searches [default: all cores]
    #[arg(long, value_parser = at_least_one)]
    threads: Option<usize>,
    /// CPU instructions: auto, avx512, avx2, neon, portable
    #[arg(long, default_value_t = Kernel::Auto)]
    kernel: Kernel,
    /// How often every query is asked
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    rounds: usize,
    /// Do not measure the first query with cold pages
    #[arg(long)]
    no_cold: bool,
    /// Make a table of runs with so many vectors each
    #[arg(long, value_name = "N[,N...]", value_delimiter = ',', value_parser = at_least_one,
        conflicts_with_all = ["rows", "vectors", "index", "keep", "query_vectors"])]
    scaling: Vec<usize>,
    #[command(flatten)]
    effort: EffortArgs,
}

/// Settings of the search, to find out what they do.
#[derive(Debug, Args)]
struct EffortArgs {
    /// Standard deviations of the first layer's error that a row is given
    #[arg(long, value_name = "X")]
    first_slack: Option<f32>,
    /// The same for the estimate by both layers
    #[arg(long, value_name = "X")]
    second_slack: Option<f32>,
    /// Lists for the similar end: standard deviations that they are expected to reach, least and greatest share of them
    #[arg(long, value_name = "REACH,LEAST,MOST")]
    near_lists: Option<ListsArg>,
    /// The same for the dissimilar end
    #[arg(long, value_name = "REACH,LEAST,MOST")]
    far_lists: Option<ListsArg>,
    /// Most rows per end whose vectors are read, as a multiple of k
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    candidates_per_k: Option<usize>,
}

impl EffortArgs {
    fn effort(&self) -> Effort {
        let usual = Effort::default();
        Effort {
            first_slack: self.first_slack.unwrap_or(usual.first_slack),
            second_slack: self.second_slack.unwrap_or(usual.second_slack),
            near_lists: self.near_lists.map_or(usual.near_lists, |ListsArg(lists)| lists),
            far_lists: self.far_lists.map_or(usual.far_lists, |ListsArg(lists)| lists),
            candidates_per_k: self.candidates_per_k.unwrap_or(usual.candidates_per_k),
        }
    }

    /// The same as arguments.
    fn arguments(&self) -> Vec<OsString> {
        let Effort { first_slack, second_slack, near_lists, far_lists, candidates_per_k } = self.effort();
        let lists = |ListEffort { reach, least, most }: ListEffort| format!("{reach},{least},{most}");
        let named = [
            ("first-slack", first_slack.to_string()),
            ("second-slack", second_slack.to_string()),
            ("near-lists", lists(near_lists)),
            ("far-lists", lists(far_lists)),
            ("candidates-per-k", candidates_per_k.to_string()),
        ];
        named.map(|(name, value)| format!("--{name}={value}").into()).to_vec()
    }
}

/// Which lists are scanned, written `REACH,LEAST,MOST`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ListsArg(ListEffort);

impl FromStr for ListsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(|part| part.trim().parse::<f32>()).collect::<Result<Vec<_>, _>>();
        match parts.as_deref() {
            Ok(&[reach, least, most]) if reach >= 0.0 && 0.0 <= least && least <= most && most <= 1.0 => {
                Ok(Self(ListEffort { reach, least, most }))
            }
            _ => Err(format!("found {text:?}, expected REACH,LEAST,MOST like 5,0.01,0.3, with LEAST and MOST up to 1")),
        }
    }
}

/// A layout as it is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayoutArg {
    Choice(LayoutChoice),
    /// Lists, as many as the builder usually makes.
    Lists,
}

impl LayoutArg {
    /// The layout of a shard of so many rows.
    fn choice(self, rows: usize) -> LayoutChoice {
        match self {
            Self::Choice(choice) => choice,
            Self::Lists => LayoutChoice::Lists(u32::try_from(rows / ROWS_PER_LIST).unwrap_or(u32::MAX).max(2)),
        }
    }
}

impl FromStr for LayoutArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, expected auto, flat, lists or lists=N");
        match (text, text.strip_prefix("lists=")) {
            ("auto", _) => Ok(Self::Choice(LayoutChoice::Auto)),
            ("flat", _) => Ok(Self::Choice(LayoutChoice::Flat)),
            ("lists", _) => Ok(Self::Lists),
            (_, Some(lists)) => {
                let lists = lists.parse().ok().filter(|&lists: &u32| lists > 0);
                lists.map(|lists| Self::Choice(LayoutChoice::Lists(lists))).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// Vectors or the shard cannot be used, a temporary shard cannot be written, or this CPU lacks the kernel.
pub(super) fn run(args: &SearchBenchArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    force_kernel(args.kernel)?;
    if !args.scaling.is_empty() {
        return scaling::run(args, &args.scaling, json);
    }
    let report = match (&args.index, &args.vectors) {
        (Some(index), _) => measure_given(args, index)?,
        (_, Some(vectors)) => {
            let questions = read_questions(&args.query_vectors)?;
            let source = Source::File(NpyReader::open(vectors)?);
            make_and_measure(args, source, &questions, vectors.display().to_string())?
        }
        _ => measure_made(args, args.rows)?,
    };
    say(json, &text::one(&report))?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(Status::Done)
}

/// Makes so many vectors and measures searches among them.
///
/// # Errors
/// The temporary shard cannot be written or searched.
pub(super) fn measure_made(args: &SearchBenchArgs, rows: usize) -> anyhow::Result<Report> {
    let world = VectorWorld::new(args.seed, args.dimensions, rows);
    let questions = match args.query_vectors.as_slice() {
        [] => Questions::made(&world, args.queries, REPORTED_SEED),
        files => read_questions(files)?,
    };
    make_and_measure(args, Source::World(world), &questions, format!("made, seed {}", args.seed))
}

fn measure_given(args: &SearchBenchArgs, index: &Path) -> anyhow::Result<Report> {
    let questions = read_questions(&args.query_vectors)?;
    let read = |dir: &PathBuf| questions.iter().map(|questions| Truth::read(dir, questions, args.k)).collect();
    let truths = args.truth_dir.as_ref().map(read).transpose()?;
    let options = SearchOptions { k: args.k, effort: args.effort.effort(), ..SearchOptions::default() };
    measure(index, &Asked { questions, truths, options, rounds: args.rounds, cold: !args.no_cold })
}

fn make_and_measure(
    args: &SearchBenchArgs,
    source: Source,
    questions: &[Questions],
    vectors: String,
) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let shard = args.keep.clone().unwrap_or_else(|| folder.path().join("bench.shard"));
    let threads = args.threads.or_else(|| thread::available_parallelism().ok().map(NonZero::get)).unwrap_or(1);
    for questions in questions {
        let (expected, found) = (source.dimensions(), questions.dimensions);
        ensure!(expected == found, "{}: expected queries of {expected} dimensions, found {found}", questions.kind);
    }
    let unknown = if args.truth_dir.is_some() { &[] } else { questions };
    let options = MakeOptions { layout: args.layout.choice(source.rows()), threads, k: args.k };
    let made = make(source, unknown, &shard, options)?;
    for (questions, truth) in unknown.iter().zip(&made.truths) {
        truth.write(folder.path(), &questions.kind)?;
    }
    let files = questions.iter().map(|questions| questions.write(folder.path())).collect::<Result<Vec<_>, _>>()?;
    let truth_dir = args.truth_dir.as_deref().unwrap_or(folder.path());
    let mut report = run_again::measure(&shard, &files, truth_dir, &settings(args))?;
    report.vectors = Some(vectors);
    report.build_seconds = Some(made.writing.as_secs_f64());
    Ok(report)
}

/// What the measuring process must know beside the files.
fn settings(args: &SearchBenchArgs) -> Vec<OsString> {
    let mut settings = args.effort.arguments();
    settings.extend([format!("-k={}", args.k), format!("--rounds={}", args.rounds)].map(OsString::from));
    settings.push(format!("--kernel={}", args.kernel).into());
    if args.no_cold {
        settings.push("--no-cold".into());
    }
    settings
}

fn read_questions(files: &[QueryFile]) -> anyhow::Result<Vec<Questions>> {
    files.iter().map(Questions::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_a_reach_and_two_shares() {
        let lists = ListEffort { reach: 4.5, least: 0.01, most: 1.0 };
        assert_eq!("4.5, 0.01,1".parse(), Ok(ListsArg(lists)));
        for bad in ["", "4.5", "4.5,0.2", "4.5,0.3,0.2", "4.5,0,1.5", "-1,0,1", "nan,0,1", "1,2,3,4"] {
            assert!(bad.parse::<ListsArg>().unwrap_err().contains("REACH,LEAST,MOST"), "{bad}");
        }
    }

    #[test]
    fn a_layout_is_a_word_or_a_number_of_lists() {
        let layout = |text: &str| text.parse::<LayoutArg>().map(|layout| layout.choice(50_000));
        assert_eq!(layout("auto"), Ok(LayoutChoice::Auto));
        assert_eq!(layout("flat"), Ok(LayoutChoice::Flat));
        assert_eq!(layout("lists"), Ok(LayoutChoice::Lists(50)));
        assert_eq!(layout("lists=32"), Ok(LayoutChoice::Lists(32)));
        for bad in ["", "list", "lists=", "lists=0", "lists=-1", "Flat"] {
            assert!(layout(bad).unwrap_err().contains("expected auto"), "{bad}");
        }
    }
}
