//! Vectors and matrices of the plane, as the filter needs them.

use std::ops::{Add, Mul, Sub};

/// A vector of the plane: metres, or metres per second, to the east and to the north.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Vector {
    pub(super) e: f64,
    pub(super) n: f64,
}

impl Vector {
    pub(super) fn new(e: f64, n: f64) -> Self {
        Self { e, n }
    }

    pub(super) fn dot(self, other: Self) -> f64 {
        self.e * other.e + self.n * other.n
    }

    pub(super) fn length(self) -> f64 {
        self.e.hypot(self.n)
    }

    /// The product of this column with `other` as a row.
    pub(super) fn outer(self, other: Self) -> Matrix {
        Matrix { ee: self.e * other.e, en: self.e * other.n, ne: self.n * other.e, nn: self.n * other.n }
    }

    pub(super) fn is_finite(self) -> bool {
        self.e.is_finite() && self.n.is_finite()
    }
}

impl Add for Vector {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.e + other.e, self.n + other.n)
    }
}

impl Sub for Vector {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::new(self.e - other.e, self.n - other.n)
    }
}

impl Mul<f64> for Vector {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self::new(self.e * factor, self.n * factor)
    }
}

/// A 2 x 2 matrix; `en` stands in the row of east and the column of north.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Matrix {
    pub(super) ee: f64,
    pub(super) en: f64,
    pub(super) ne: f64,
    pub(super) nn: f64,
}

impl Matrix {
    /// `value` on the diagonal.
    pub(super) fn diagonal(value: f64) -> Self {
        Self { ee: value, en: 0.0, ne: 0.0, nn: value }
    }

    pub(super) fn transposed(self) -> Self {
        Self { en: self.ne, ne: self.en, ..self }
    }

    pub(super) fn determinant(self) -> f64 {
        self.ee * self.nn - self.en * self.ne
    }

    pub(super) fn trace(self) -> f64 {
        self.ee + self.nn
    }

    /// The inverse of a matrix whose determinant is above 0.
    pub(super) fn inverse(self) -> Self {
        let scale = 1.0 / self.determinant();
        Self { ee: self.nn * scale, en: -self.en * scale, ne: -self.ne * scale, nn: self.ee * scale }
    }

    pub(super) fn of(self, vector: Vector) -> Vector {
        Vector::new(self.ee * vector.e + self.en * vector.n, self.ne * vector.e + self.nn * vector.n)
    }

    /// A covariance after rounding: symmetric, its variances not below `least`, its correlation below 1.
    pub(super) fn covariance(self, least: f64) -> Self {
        let (ee, nn) = (self.ee.max(least), self.nn.max(least));
        let most = 0.999_999 * (ee * nn).sqrt();
        let en = f64::midpoint(self.en, self.ne).clamp(-most, most);
        Self { ee, en, ne: en, nn }
    }

    /// Both eigenvalues of a symmetric matrix, the larger one first.
    pub(super) fn eigenvalues(self) -> (f64, f64) {
        let middle = self.trace() / 2.0;
        let half = ((self.ee - self.nn) / 2.0).hypot(f64::midpoint(self.en, self.ne));
        (middle + half, (middle - half).max(0.0))
    }
}

impl Add for Matrix {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (en, ne) = (self.en + other.en, self.ne + other.ne);
        Self { ee: self.ee + other.ee, en, ne, nn: self.nn + other.nn }
    }
}

impl Sub for Matrix {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl Mul for Matrix {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self {
            ee: self.ee * other.ee + self.en * other.ne,
            en: self.ee * other.en + self.en * other.nn,
            ne: self.ne * other.ee + self.nn * other.ne,
            nn: self.ne * other.en + self.nn * other.nn,
        }
    }
}

impl Mul<f64> for Matrix {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self { ee: self.ee * factor, en: self.en * factor, ne: self.ne * factor, nn: self.nn * factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_and_eigenvalues_are_those_computed_by_hand() {
        let matrix = Matrix { ee: 4.0, en: 1.0, ne: 1.0, nn: 3.0 };
        let one = matrix * matrix.inverse();
        assert!((one.ee - 1.0).abs() < 1e-12 && one.en.abs() < 1e-12 && (one.nn - 1.0).abs() < 1e-12);
        let (large, small) = Matrix { ee: 2.0, en: 1.0, ne: 1.0, nn: 2.0 }.eigenvalues();
        assert!((large - 3.0).abs() < 1e-12 && (small - 1.0).abs() < 1e-12);
        let (large, small) = Matrix { ee: 1.0, en: 9.0, ne: 9.0, nn: 1.0 }.covariance(0.1).eigenvalues();
        assert!(large < 2.0 && small > 0.0);
    }
}
