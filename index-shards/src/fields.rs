//! Reading little-endian fields one after the other, without a panic when bytes are missing.

use crate::fault::Fault;

/// What has not been read yet of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(record: &'a [u8]) -> Self {
        Self { rest: record }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Fault> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| Fault::new(field, format_args!("{N} bytes"), format_args!("{} bytes", self.rest.len())))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next `length` bytes.
    pub(crate) fn bytes(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| {
            Fault::new(field, format_args!("{length} bytes"), format_args!("{} bytes", self.rest.len()))
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Fault> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Fault> {
        self.array(field).map(u64::from_le_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, Fault> {
        self.array(field).map(i32::from_le_bytes)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, Fault> {
        self.array(field).map(i64::from_le_bytes)
    }

    pub(crate) fn f32(&mut self, field: &'static str) -> Result<f32, Fault> {
        self.array(field).map(f32::from_le_bytes)
    }

    /// Every byte that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes when every byte that is left is zero.
    pub(crate) fn rest_is_zero(&self, field: &'static str) -> Result<(), Fault> {
        zero(field, self.rest)
    }
}

/// Passes when every one of `bytes` is zero.
pub(crate) fn zero(field: &'static str, bytes: &[u8]) -> Result<(), Fault> {
    match bytes.iter().position(|&byte| byte != 0) {
        None => Ok(()),
        Some(at) => Err(Fault::new(field, "zero bytes only", format_args!("another byte at position {at} of it"))),
    }
}
