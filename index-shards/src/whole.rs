//! From floats to whole numbers, in few instructions of any CPU.

/// One and a half times 2^23: from here to 2^24, all floats are whole numbers and all whole numbers floats.
const OFFSET: f32 = 12_582_912.0;
/// Numbers of which the largest is found side by side.
const LANES: usize = 16;

/// The nearest whole number, of two equally near ones the even one, of a number below 2^22 in size; of others, some
/// number. `f32::round_ties_even` and `as` give the same, but x86-64 without SSE 4.1 has no instruction for the one, and
/// no CPU has one for the other.
pub(crate) fn nearest(value: f32) -> i32 {
    (value + OFFSET).to_bits().cast_signed().wrapping_sub(OFFSET.to_bits().cast_signed())
}

/// The largest component in size, or `least` where that is larger; components that are no numbers do not count.
pub(crate) fn largest(vector: &[f32], least: f32) -> f32 {
    let mut most = [least; LANES];
    let (lines, rest) = vector.as_chunks::<LANES>();
    for line in lines.iter().map(|line| line.as_slice()).chain([rest]) {
        for (most, component) in most.iter_mut().zip(line) {
            *most = if component.abs() > *most { component.abs() } else { *most };
        }
    }
    most.into_iter().fold(least, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_that_of_the_standard_library() {
        let ties = (-20_000..20_000).map(|half| half as f32 / 2.0);
        let between = (-40_000..40_000).map(|at| at as f32 * 0.37);
        let far = [4_194_303.5, -4_194_303.5, 4_194_302.5, 1e-30, -0.0, f32::MIN_POSITIVE];
        let beside = ties.clone().map(f32::next_up).chain(ties.clone().map(f32::next_down));
        for value in ties.chain(beside).chain(between).chain(far) {
            assert_eq!(nearest(value), value.round_ties_even() as i32, "{value}");
        }
        for other in [f32::NAN, f32::INFINITY, f32::MIN, f32::MAX] {
            nearest(other);
        }
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        for length in 1..70 {
            for at in 0..length {
                let mut vector = vec![0.25; length];
                vector[at] = -3.0;
                assert_eq!(largest(&vector, 1.0), 3.0);
                assert_eq!(largest(&vector, 4.0), 4.0);
                vector[at] = f32::NAN;
                assert_eq!(largest(&vector, 0.0), if length > 1 { 0.25 } else { 0.0 });
            }
        }
        assert_eq!(largest(&[], 0.5), 0.5);
    }
}
