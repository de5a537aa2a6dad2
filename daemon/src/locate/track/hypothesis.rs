//! One idea of where a camera is and how it moves.

use std::f64::consts::TAU;

use super::matrix::{Matrix, Vector};
use super::options::Motion;

/// Variances do not fall below this, so that arithmetic with them stays sound: (0.1 m)².
const LEAST_M2: f64 = 0.01;
/// Beyond this squared distance, in deviations, a bell is 0.
const FARTHEST: f64 = 60.0;

/// A Gaussian over position and velocity, with its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hypothesis {
    pub(super) weight: f64,
    pub(super) position: Vector,
    pub(super) velocity: Vector,
    /// Covariance of the position, m².
    pub(super) pp: Matrix,
    /// Covariance of position (rows) and velocity (columns), m²/s.
    pub(super) pv: Matrix,
    /// Covariance of the velocity, m²/s².
    pub(super) vv: Matrix,
}

/// The mean over a hypothesis of a bell around a place: with the volume of one of height 1 that is as wide as the place's
/// ground, and the higher the narrower it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bell {
    centre: Vector,
    inverse: Matrix,
    height: f64,
}

impl Bell {
    /// Its value for a place, not negative: 0 where it is too small to matter.
    pub(super) fn at(&self, place: Vector) -> f64 {
        let off = place - self.centre;
        let squared = off.dot(self.inverse.of(off));
        if squared < FARTHEST { self.height * (-squared / 2.0).exp() } else { 0.0 }
    }
}

impl Hypothesis {
    /// A camera at `position` with this standard deviation along each axis, whose velocity is not known.
    pub(super) fn born(weight: f64, position: Vector, deviation_m: f64, speed_m_s: f64) -> Self {
        Self {
            weight,
            position,
            velocity: Vector::default(),
            pp: Matrix::diagonal(deviation_m * deviation_m),
            pv: Matrix::default(),
            vv: Matrix::diagonal(speed_m_s * speed_m_s),
        }
    }

    /// After `dt_s` seconds at a velocity that wanders: the integrated Ornstein-Uhlenbeck process.
    pub(super) fn moved(&self, dt_s: f64, motion: &Motion) -> Self {
        let (lasts_s, variance) = (motion.persistence_s, motion.speed_m_s * motion.speed_m_s);
        let lost = -(-dt_s / lasts_s).exp_m1();
        let kept = 1.0 - lost;
        let reach_s = lasts_s * lost;
        let noise_v = variance * lost * (1.0 + kept);
        let noise_pv = variance * lasts_s * lost * lost;
        let noise_p = 2.0 * variance * lasts_s * (dt_s - 2.0 * reach_s + lasts_s / 2.0 * lost * (1.0 + kept));
        let pv = self.pv + self.vv * reach_s;
        let pp = self.pp + (self.pv + self.pv.transposed()) * reach_s + self.vv * (reach_s * reach_s);
        Self {
            weight: self.weight,
            position: self.position + self.velocity * reach_s,
            velocity: self.velocity * kept,
            pp: pp + Matrix::diagonal(noise_p.max(0.0)),
            pv: pv * kept + Matrix::diagonal(noise_pv),
            vv: self.vv * (kept * kept) + Matrix::diagonal(noise_v),
        }
        .sound()
    }

    /// After `dt_s` seconds at a velocity of which nothing is known but its deviation.
    pub(super) fn turned(&self, dt_s: f64, speed_m_s: f64) -> Self {
        let variance = speed_m_s * speed_m_s;
        Self {
            velocity: Vector::default(),
            pp: self.pp + Matrix::diagonal(variance * dt_s * dt_s),
            pv: Matrix::diagonal(variance * dt_s),
            vv: Matrix::diagonal(variance),
            ..*self
        }
        .sound()
    }

    /// How well it agrees with places of this deviation, whose ground reaches so far.
    pub(super) fn bell(&self, deviation_m: f64, extent_m: f64) -> Bell {
        let spread = self.pp + Matrix::diagonal(deviation_m * deviation_m);
        let height = extent_m * extent_m / spread.determinant().sqrt();
        Bell { centre: self.position, inverse: spread.inverse(), height }
    }

    /// The hypothesis that the camera is at `place`, give or take `deviation_m` along each axis.
    pub(super) fn at_place(&self, place: Vector, deviation_m: f64) -> Self {
        let inverse = (self.pp + Matrix::diagonal(deviation_m * deviation_m)).inverse();
        let (of_p, of_v) = (self.pp * inverse, self.pv.transposed() * inverse);
        let off = place - self.position;
        Self {
            weight: self.weight,
            position: self.position + of_p.of(off),
            velocity: self.velocity + of_v.of(off),
            pp: self.pp - of_p * self.pp,
            pv: self.pv - of_p * self.pv,
            vv: self.vv - of_v * self.pv,
        }
        .sound()
    }

    /// The hypothesis that it moves at `velocity`, give or take `deviation_m_s` along each axis, weighed by how well that
    /// agrees.
    pub(super) fn at_velocity(&self, velocity: Vector, deviation_m_s: f64) -> Self {
        let variance = deviation_m_s * deviation_m_s;
        let spread = self.vv + Matrix::diagonal(variance);
        let inverse = spread.inverse();
        let off = velocity - self.velocity;
        let squared = off.dot(inverse.of(off));
        let (of_p, of_v) = (self.pv * inverse, self.vv * inverse);
        Self {
            weight: self.weight * variance / spread.determinant().sqrt() * (-squared / 2.0).exp(),
            position: self.position + of_p.of(off),
            velocity: self.velocity + of_v.of(off),
            pp: self.pp - of_p * self.pv.transposed(),
            pv: self.pv - of_p * self.vv,
            vv: self.vv - of_v * self.vv,
        }
        .sound()
    }

    /// The hypothesis that it moves this fast, give or take `deviation_m_s`, in whatever direction it moves, weighed by how
    /// well that agrees.
    pub(super) fn at_speed(&self, speed_m_s: f64, deviation_m_s: f64) -> Self {
        let length = self.velocity.length();
        if length * length <= self.vv.trace() {
            return self.at_speed_somewhere(speed_m_s, deviation_m_s);
        }
        let along = self.velocity * (1.0 / length);
        let spread = along.dot(self.vv.of(along)) + deviation_m_s * deviation_m_s;
        let off = speed_m_s - length;
        let (of_p, of_v) = (self.pv.of(along) * (1.0 / spread), self.vv.of(along) * (1.0 / spread));
        Self {
            weight: self.weight * deviation_m_s / spread.sqrt() * (-off * off / spread / 2.0).exp(),
            position: self.position + of_p * off,
            velocity: self.velocity + of_v * off,
            pp: self.pp - of_p.outer(of_p) * spread,
            pv: self.pv - of_p.outer(of_v) * spread,
            vv: self.vv - of_v.outer(of_v) * spread,
        }
        .sound()
    }

    /// The same where the direction is not known: the speed says how far the velocity may spread. It agrees as well as a
    /// speed of a Rayleigh distribution does, and for one near 0 as well as a velocity near 0 does.
    fn at_speed_somewhere(&self, speed_m_s: f64, deviation_m_s: f64) -> Self {
        let (variance, noise) = (self.vv.trace() / 2.0, deviation_m_s * deviation_m_s);
        let squared = speed_m_s * speed_m_s;
        let rayleigh = speed_m_s / variance * (-squared / variance / 2.0).exp() * TAU.sqrt() * deviation_m_s;
        let agrees = (rayleigh + noise / (variance + noise) * (-squared / noise / 2.0).exp()).min(1.0);
        let kept = ((squared / 2.0 + noise) / variance).min(1.0);
        Self {
            weight: self.weight * agrees,
            pp: self.pp - self.pv * self.vv.inverse() * self.pv.transposed() * (1.0 - kept),
            pv: self.pv * kept,
            vv: self.vv * kept,
            ..*self
        }
        .sound()
    }

    /// The one Gaussian with the weight, the mean and the covariance of several; `None` of nothing.
    pub(super) fn merged<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Option<Self> {
        let weight: f64 = all.clone().map(|one| one.weight).sum();
        if !(weight > 0.0 && weight.is_finite()) {
            return None;
        }
        let mean = |of: fn(&Self) -> Vector| {
            all.clone().fold(Vector::default(), |sum, one| sum + of(one) * (one.weight / weight))
        };
        let (position, velocity) = (mean(|one| one.position), mean(|one| one.velocity));
        let nothing = Self { weight, position, velocity, ..Self::born(weight, position, 0.0, 0.0) };
        let sum = all.fold(nothing, |sum, one| {
            let (p, v, share) = (one.position - position, one.velocity - velocity, one.weight / weight);
            Self {
                pp: sum.pp + (one.pp + p.outer(p)) * share,
                pv: sum.pv + (one.pv + p.outer(v)) * share,
                vv: sum.vv + (one.vv + v.outer(v)) * share,
                ..sum
            }
        });
        Some(sum.sound())
    }

    /// What tells whether others say nearly the same: their squared distance from this one, in deviations of this one.
    pub(super) fn distance(&self) -> impl Fn(&Self) -> f64 + use<> {
        let (position, velocity, of_p, of_v) = (self.position, self.velocity, self.pp.inverse(), self.vv.inverse());
        move |other| {
            let (p, v) = (other.position - position, other.velocity - velocity);
            p.dot(of_p.of(p)) + v.dot(of_v.of(v))
        }
    }

    /// The same hypothesis in a plane in which its position is `position` and vectors are turned by `turn`.
    pub(super) fn carried(&self, position: Vector, turn: Matrix) -> Self {
        let turned = |matrix: Matrix| turn * matrix * turn.transposed();
        Self {
            weight: self.weight,
            position,
            velocity: turn.of(self.velocity),
            pp: turned(self.pp),
            pv: turned(self.pv),
            vv: turned(self.vv),
        }
        .sound()
    }

    pub(super) fn is_finite(&self) -> bool {
        let variances = self.pp.trace() + self.vv.trace();
        self.weight.is_finite() && self.position.is_finite() && self.velocity.is_finite() && variances.is_finite()
    }

    fn sound(self) -> Self {
        Self { pp: self.pp.covariance(LEAST_M2), vv: self.vv.covariance(LEAST_M2), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_has_the_volume_of_one_as_wide_as_the_ground_however_narrow_it_is() {
        let extent_m = 24.0;
        for (deviation_m, known_m) in [(24.0, 10.0), (8.0, 10.0), (8.0, 40.0), (2.0, 30.0)] {
            let bell = Hypothesis::born(1.0, Vector::new(5.0, -7.0), known_m, 1.0).bell(deviation_m, extent_m);
            let along = || (-250..=250).map(|step| f64::from(step) * 2.0);
            let volume: f64 = along().flat_map(|x| along().map(move |y| bell.at(Vector::new(x, y)) * 4.0)).sum();
            let expected = TAU * extent_m * extent_m;
            assert!((volume / expected - 1.0).abs() < 1e-3, "{deviation_m} {known_m}: {volume} {expected}");
        }
    }
}
