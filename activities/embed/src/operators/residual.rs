//! The end of a half-layer: what was computed, its bias and what it was computed from are added, and normalised.
//!
//! ONNX Runtime's `SkipLayerNormalization` updates mean and variance number by number, with a division each, which
//! took a fifth of the time of a network in int8. Here the sums are taken in lanes, as a register holds
//! them, first for the mean, then for the variance around it.

use super::ByRow;

/// Numbers summed side by side; in each of them every sixteenth.
const LANES: usize = 16;

/// One such step, with its weights.
pub(crate) struct Residual {
    /// Numbers in a row, once for each input.
    pub(crate) widths: [usize; 2],
    pub(crate) bias: Vec<f32>,
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl ByRow for Residual {
    fn inputs(&self) -> &[usize] {
        &self.widths
    }

    fn outputs(&self) -> usize {
        self.widths[0]
    }

    fn compute(&self, inputs: &[&[f32]], output: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") {
            #[allow(unsafe_code, reason = "a processor's feature")]
            // SAFETY: the processor has the feature.
            return unsafe { self.rows_in_wide_registers(inputs, output) };
        }
        self.rows(inputs, output);
    }
}

impl Residual {
    /// The same operations in the same order, compiled for registers of 16 numbers.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn rows_in_wide_registers(&self, inputs: &[&[f32]], output: &mut [f32]) {
        self.rows(inputs, output);
    }

    #[expect(
        clippy::inline_always,
        reason = "it must be compiled anew for the wider registers of its caller"
    )]
    #[inline(always)]
    fn rows(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let width = self.widths[0];
        let inputs = inputs[0].chunks_exact(width).zip(inputs[1].chunks_exact(width));
        for ((computed, skipped), output) in inputs.zip(output.chunks_exact_mut(width)) {
            for (((output, computed), skipped), bias) in
                output.iter_mut().zip(computed).zip(skipped).zip(&self.bias)
            {
                *output = computed + skipped + bias;
            }
            let mean = sum(output, |value| value) / width as f32;
            let variance = sum(output, |value| (value - mean) * (value - mean)) / width as f32;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            for ((output, scale), shift) in output.iter_mut().zip(&self.scale).zip(&self.shift) {
                *output = (*output - mean) * inverse * scale + shift;
            }
        }
    }
}

/// The sum over all values, in lanes.
#[expect(clippy::inline_always, reason = "as `rows`")]
#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += term(value);
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_mean_and_variance_of_scale_and_shift() {
        for width in [1, 5, 16, 40] {
            let residual = Residual {
                widths: [width; 2],
                bias: vec![0.5; width],
                scale: vec![2.0; width],
                shift: vec![3.0; width],
                epsilon: 1e-12,
            };
            let computed: Vec<f32> = (0..3 * width).map(|at| (at * at % 17) as f32).collect();
            let skipped: Vec<f32> = (0..3 * width).map(|at| at as f32 / 3.0).collect();
            let (mut output, mut plain) = (vec![f32::NAN; 3 * width], vec![f32::NAN; 3 * width]);
            residual.compute(&[&computed, &skipped], &mut output);
            residual.rows(&[&computed, &skipped], &mut plain);
            assert_eq!(output, plain, "wide registers change no bit");
            for row in 0..3 {
                let of_row = row * width..(row + 1) * width;
                let added = of_row.clone().map(|at| f64::from(computed[at]) + f64::from(skipped[at]) + 0.5);
                let added: Vec<f64> = added.collect();
                let mean = added.iter().sum::<f64>() / width as f64;
                let variance = added.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / width as f64;
                for (found, value) in output[of_row].iter().zip(&added) {
                    let expected = (value - mean) / (variance + 1e-12).sqrt() * 2.0 + 3.0;
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
                }
            }
        }
    }
}
