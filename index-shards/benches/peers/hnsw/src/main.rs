//! The crate hnsw_rs as a peer in the benchmark of `index-shards`: builds a graph from a `.npy` file and stores it; or
//! loads a stored one, its vectors mapped, and answers requests on standard input.
//!
//! - `peer-hnsw build BASE.npy DIR CONNECTIONS EF_CONSTRUCTION` builds with one thread.
//! - `peer-hnsw serve DIR` writes one line of JSON when it is ready. A request is a line `near|far EF K QUERIES.npy
//!   OUT.i32`: it searches for each query alone (the far end by the negated query), writes the rows found (int32, -1
//!   where there is none) and answers with a line of JSON, the milliseconds of each search. It ends with its input.
//!
//! Distances are L2: on unit vectors they order rows as the inner product does, and near-duplicates whose product rounds
//! to more than 1 are no problem.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::Instant;

use hnsw_rs::anndists::dist::DistL2;
use hnsw_rs::api::AnnT;
use hnsw_rs::hnsw::Hnsw;
use hnsw_rs::hnswio::{HnswIo, ReloadOptions};

/// Name of the stored graph in its folder.
const NAME: &str = "graph";
/// Most layers that hnsw_rs can have.
const LAYERS: usize = 16;
/// What a search that finds too little has in place of a row.
const NO_ROW: i32 = -1;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["build", base, dir, connections, ef] => {
            build(Path::new(base), Path::new(dir), connections.parse()?, ef.parse()?)
        }
        ["serve", dir] => serve(Path::new(dir)),
        _ => Err("expected: build BASE.npy DIR CONNECTIONS EF_CONSTRUCTION | serve DIR".into()),
    }
}

fn build(base: &Path, dir: &Path, connections: usize, ef: usize) -> Result<()> {
    let mut rows = Rows::open(base)?;
    let graph = Hnsw::<f32, DistL2>::new(connections, rows.count, LAYERS, ef, DistL2 {});
    for number in 0..rows.count {
        graph.insert((&rows.next()?, number));
    }
    fs::create_dir_all(dir)?;
    graph.file_dump(dir, NAME)?;
    Ok(())
}

fn serve(dir: &Path) -> Result<()> {
    let start = Instant::now();
    let options = ReloadOptions::default().set_mmap(true);
    let mut stored = HnswIo::new_with_options(dir, NAME, options);
    let graph: Hnsw<f32, DistL2> = stored.load_hnsw()?;
    println!("{{\"open_ms\":{:.3},\"rows\":{}}}", start.elapsed().as_secs_f64() * 1e3, graph.get_nb_point());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let ["near" | "far", ef, k, queries, out] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("expected: near|far EF K QUERIES.npy OUT.i32, found {line:?}").into());
        };
        let sign = if line.starts_with("far") { -1.0 } else { 1.0 };
        let times_ms = answer(&graph, sign, ef.parse()?, k.parse()?, Path::new(queries), Path::new(out))?;
        println!("{{\"ms\":{times_ms:?}}}");
        io::stdout().flush()?;
    }
    Ok(())
}

fn answer(graph: &Hnsw<f32, DistL2>, sign: f32, ef: usize, k: usize, queries: &Path, out: &Path) -> Result<Vec<f64>> {
    let mut queries = Rows::open(queries)?;
    let mut found = Vec::new();
    let mut times_ms = Vec::new();
    for _ in 0..queries.count {
        let query: Vec<f32> = queries.next()?.iter().map(|value| sign * value).collect();
        let start = Instant::now();
        let hits = graph.search(&query, k, ef);
        times_ms.push(start.elapsed().as_secs_f64() * 1e3);
        let rows = hits.iter().map(|hit| i32::try_from(hit.d_id).unwrap_or(NO_ROW));
        rows.chain(std::iter::repeat(NO_ROW)).take(k).for_each(|row| found.extend(row.to_le_bytes()));
    }
    fs::write(out, found)?;
    Ok(times_ms)
}

/// The rows of a float32 `.npy` file of version 1, one after the other.
struct Rows {
    input: BufReader<File>,
    count: usize,
    columns: usize,
}

impl Rows {
    fn open(path: &Path) -> Result<Self> {
        let mut input = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut start = [0_u8; 10];
        input.read_exact(&mut start)?;
        let mut header = vec![0_u8; usize::from(u16::from_le_bytes([start[8], start[9]]))];
        input.read_exact(&mut header)?;
        let header = String::from_utf8(header)?;
        let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
        let (count, columns) = shape.and_then(|(shape, _)| shape.split_once(", ")).ok_or("no shape in the header")?;
        Ok(Self { input, count: count.parse()?, columns: columns.parse()? })
    }

    fn next(&mut self) -> Result<Vec<f32>> {
        let mut bytes = vec![0_u8; self.columns * 4];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
    }
}
