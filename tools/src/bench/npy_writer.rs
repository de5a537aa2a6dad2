//! Writes matrices as NumPy's `.npy` files, version 1.0, row after row.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Bytes of the preamble and the header together, as NumPy aligns them.
const HEADER_BYTES: usize = 128;

/// A type of number that can stand in such a file.
pub trait Number: Copy {
    /// NumPy's name of the type.
    const DESCR: &'static str;

    /// Its bytes, little-endian.
    fn bytes(self) -> [u8; 4];
}

impl Number for f32 {
    const DESCR: &'static str = "<f4";

    fn bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }
}

impl Number for i32 {
    const DESCR: &'static str = "<i4";

    fn bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }
}

/// A matrix that is being written. The caller writes as many values as the shape has.
#[derive(Debug)]
pub struct NpyWriter<T> {
    out: BufWriter<File>,
    number: std::marker::PhantomData<T>,
}

impl<T: Number> NpyWriter<T> {
    /// Makes or replaces a file and writes its header.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path, rows: usize, columns: usize) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        out.write_all(b"\x93NUMPY\x01\x00")?;
        let width = HEADER_BYTES - 10;
        out.write_all(&u16::try_from(width).unwrap_or_default().to_le_bytes())?;
        let header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}", T::DESCR);
        out.write_all(format!("{header:<width$}\n", width = width - 1).as_bytes())?;
        Ok(Self { out, number: std::marker::PhantomData })
    }

    /// Writes the next values.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn push(&mut self, values: &[T]) -> io::Result<()> {
        values.iter().try_for_each(|value| self.out.write_all(&value.bytes()))
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
