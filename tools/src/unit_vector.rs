//! Vectors that were made elsewhere, brought to unit length.

use anyhow::bail;

/// Scales a vector to unit length; whether that was needed (it was off by more than 1e-4).
///
/// # Errors
/// A number that is not finite, with its column; a vector of zeros.
#[expect(clippy::cast_possible_truncation, reason = "vectors are float32")]
pub fn normalise(vector: &mut [f32]) -> anyhow::Result<bool> {
    if let Some((column, value)) = vector.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        bail!("expected finite numbers, found {value} in column {column}");
    }
    let length = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
    if length == 0.0 {
        bail!("expected a direction, found a vector of zeros");
    }
    if (length - 1.0).abs() <= 1e-4 {
        return Ok(false);
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_scaled_only_where_needed_and_refused_where_they_have_no_direction() {
        let mut vector = [3.0, 4.0];
        assert!(normalise(&mut vector).unwrap());
        assert_eq!(vector, [0.6, 0.8]);
        assert!(!normalise(&mut vector).unwrap());
        assert!(normalise(&mut [0.0, 0.0]).unwrap_err().to_string().contains("zeros"));
        assert!(normalise(&mut [0.0, f32::NAN]).unwrap_err().to_string().contains("column 1"));
        let mut huge = [f32::MAX, f32::MAX];
        assert!(normalise(&mut huge).unwrap() && (huge[0] - 0.5_f32.sqrt()).abs() < 1e-6);
    }
}
