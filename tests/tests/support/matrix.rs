//! A matrix of vectors with places, as somebody has it who embeds elsewhere.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary;

/// Files for `geolocate build --vectors`.
pub struct Matrix {
    pub vectors: PathBuf,
    pub poses: PathBuf,
}

impl Matrix {
    /// Writes `rows` unit vectors of `dimensions` below `folder`, the same ones for the same `seed`: walks of a hundred
    /// rows, on the ground and among the vectors.
    pub fn write(folder: &Path, rows: usize, dimensions: usize, seed: u64) -> Self {
        let files = Self { vectors: folder.join("vectors.npy"), poses: folder.join("poses.csv") };
        let create = |path: &Path| BufWriter::new(std::fs::File::create(path).unwrap());
        let (mut vectors, mut poses) = (create(&files.vectors), create(&files.poses));
        vectors.write_all(&header(rows, dimensions)).unwrap();
        writeln!(poses, "file,lat,lon,time").unwrap();
        let mut numbers = Numbers(seed);
        let mut vector = vec![0.0; dimensions];
        let mut place = (0.0, 0.0);
        for row in 0..rows {
            if row % 100 == 0 {
                vector.fill_with(|| numbers.next());
                place = (50.0 + numbers.next(), 8.0 + numbers.next());
            }
            vector.iter_mut().for_each(|part| *part += 0.1 * numbers.next());
            let length = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
            for part in &vector {
                vectors.write_all(&((part / length) as f32).to_le_bytes()).unwrap();
            }
            place.0 += 1e-4 * numbers.next();
            let (lat, lon) = place;
            writeln!(poses, "row-{row:06}.jpg,{lat:.7},{lon:.7},2026-06-01T12:{:02}:{:02}Z", row / 60 % 60, row % 60)
                .unwrap();
        }
        vectors.flush().unwrap();
        poses.flush().unwrap();
        files
    }

    /// `geolocate build` of them, made at a fixed time.
    pub fn build(&self, space: &str, out: &Path) -> Command {
        let mut command = Command::new(binary("geolocate"));
        command.env("SOURCE_DATE_EPOCH", "1700000000").args(["build", "--space", space]);
        command.arg("--vectors").arg(&self.vectors).arg("--poses").arg(&self.poses).arg("--out").arg(out);
        command
    }
}

/// The header of a NumPy file with a matrix of float32.
fn header(rows: usize, dimensions: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimensions}), }}");
    let text = format!("{text}{}\n", " ".repeat(64 - (text.len() + 11) % 64));
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    header.extend(text.as_bytes());
    header
}

/// Numbers that look random and are the same for the same seed (G. Steele et al., "Fast Splittable Pseudorandom Number
/// Generators", 2014).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one, from -1 to 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// The next one, from 0 to `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((self.next() + 1.0) / 2.0 * end as f64) as u64
    }
}
