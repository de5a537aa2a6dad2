//! Which token comes next.

/// Draws tokens by their logits; the same seed draws the same ones.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    temperature: f64,
    state: u64,
}

impl Sampler {
    /// `temperature` 0, or one that is no number above it, always takes the likeliest token.
    pub(super) fn new(temperature: f64, seed: u64) -> Self {
        Self { temperature, state: seed }
    }

    /// The column of the next token; 0 of none.
    pub(super) fn pick(&mut self, logits: &[f32]) -> usize {
        let best = logits.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((best, most)) = best else { return 0 };
        let is_drawn = self.temperature > 0.0 && self.temperature.is_finite();
        if !is_drawn {
            return best;
        }
        let weight = |logit: &f32| ((f64::from(*logit) - f64::from(*most)) / self.temperature).exp();
        let total: f64 = logits.iter().map(weight).sum();
        let mut left = total * unit(&mut self.state);
        for (column, logit) in logits.iter().enumerate() {
            left -= weight(logit);
            if left < 0.0 {
                return column;
            }
        }
        // Rounding can leave a rest.
        best
    }
}

/// A number from 0, below 1 (`SplitMix64`; Steele, Lea, Flood, OOPSLA 2014).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_temperature_the_likeliest_is_taken_and_of_several_the_first() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampler::new(temperature, 7).pick(&[0.0, 3.0, 3.0, -1.0]), 1);
        }
        assert_eq!(Sampler::new(0.0, 0).pick(&[]), 0);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_the_softmax_says_and_alike_by_the_same_seed() {
        let logits = [1.0_f32.ln(), 2.0_f32.ln(), 5.0_f32.ln()];
        let draw = |temperature, seed| {
            let mut sampler = Sampler::new(temperature, seed);
            (0..100_000).map(|_| sampler.pick(&logits)).collect::<Vec<_>>()
        };
        let drawn = draw(1.0, 1);
        for (column, share) in [0.125, 0.25, 0.625].into_iter().enumerate() {
            let found = drawn.iter().filter(|&&at| at == column).count() as f64 / 100_000.0;
            assert!((found - share).abs() < 0.01, "{column}: {found}");
        }
        assert_eq!(drawn, draw(1.0, 1));
        assert_ne!(drawn, draw(1.0, 2));
        assert!(draw(0.01, 1).iter().all(|&at| at == 2), "a low temperature leaves the likeliest");
    }
}
