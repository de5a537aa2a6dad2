//! A stored vector: one signed byte per dimension and a scale.
//!
//! The stored vector has unit length exactly (up to the scale's rounding), whatever the bytes lost of the original: its
//! scale is one over the length of the bytes.

use crate::whole::{largest, nearest};

/// Largest component as it is stored.
const FULL: f32 = 127.0;

/// Stores a vector of unit length as bytes and returns their scale. `out` has the vector's width.
pub(crate) fn quantize(vector: &[f32], out: &mut [i8]) -> f32 {
    let largest = largest(vector, 0.0);
    let factor = if largest > 0.0 { FULL / largest } else { 0.0 };
    for (byte, component) in out.iter_mut().zip(vector) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 127 in size by the factor")]
        let rounded = nearest(component * factor) as i8;
        *byte = rounded;
    }
    scale_of(out.iter().copied())
}

/// The scale that gives the bytes unit length; 0 when all of them are zero.
pub(crate) fn scale_of(bytes: impl Iterator<Item = i8>) -> f32 {
    let squares: i64 = bytes.map(|byte| i64::from(byte).pow(2)).sum();
    #[expect(clippy::cast_precision_loss, reason = "at most 2^30 by the widest vector")]
    let length = (squares as f64).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    let scale = if squares > 0 { (1.0 / length) as f32 } else { 0.0 };
    scale
}

/// The scale by which the bytes are nearest to `vector`; 0 when all of them are zero.
pub(crate) fn best_scale(vector: &[f32], bytes: &[u8]) -> f32 {
    let signed = |byte: &u8| f64::from(byte.cast_signed());
    let dot: f64 = bytes.iter().zip(vector).map(|(byte, part)| signed(byte) * f64::from(*part)).sum();
    let squares: f64 = bytes.iter().map(|byte| signed(byte).powi(2)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    let scale = if squares > 0.0 { (dot / squares) as f32 } else { 0.0 };
    scale
}

/// The vector that `scale` and `bytes` stand for. `out` has as many components as there are bytes.
pub(crate) fn dequantize(scale: f32, bytes: &[u8], out: &mut [f32]) {
    for (component, byte) in out.iter_mut().zip(bytes) {
        *component = f32::from(byte.cast_signed()) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_has_no_scale() {
        let mut out = [9; 3];
        assert_eq!(quantize(&[0.0; 3], &mut out), 0.0);
        assert_eq!(out, [0; 3]);
    }

    proptest! {
        #![proptest_config(crate::deterministic())]

        #[test]
        fn stored_vectors_are_near_and_of_unit_length(vector in prop::collection::vec(-1.0_f32..1.0, 1..300)) {
            let length = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
            prop_assume!(length > 0.1);
            let unit: Vec<f32> = vector.iter().map(|component| component / length).collect();
            let mut bytes = vec![0; unit.len()];
            let scale = quantize(&unit, &mut bytes);
            let bytes: Vec<u8> = bytes.into_iter().map(i8::cast_unsigned).collect();
            let mut back = vec![0.0; unit.len()];
            dequantize(scale, &bytes, &mut back);
            let norm = back.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt();
            prop_assert!((norm - 1.0).abs() < 1e-5);
            let largest = unit.iter().fold(0.0_f32, |most, component| most.max(component.abs()));
            prop_assert!(unit.iter().zip(&back).all(|(a, b)| (a - b).abs() <= 0.02 * largest + 1e-6));
        }
    }
}
