//! Matrix products in 8 bits: four times as many to an instruction as in 32.
//!
//! Weights and activations are cut along the inputs into groups of [`GROUP`], and each group of a row is scaled
//! so that its greatest number is 127. A product is then a sum over groups, in whole numbers within a group
//! and in 32-bit floating point between them. One scale for a whole matrix, as ONNX Runtime's
//! `DynamicQuantizeMatMul` has, lets one outlier take the bits of all others: with all-MiniLM-L6-v2 it gives
//! a mean cosine of 0.988 to fp32, and every vector depends on its neighbours in the batch; here a row depends
//! on itself alone. `MatMulNBits` groups likewise, and is no faster than fp32.
//!
//! The processor must have AVX-512 VNNI, which multiplies unsigned by signed bytes. So weights are stored with 128
//! added, and 128 times the sum of a group's activations is where its sum starts from.

#[cfg(target_arch = "x86_64")]
mod vnni;

use super::ByRow;

/// Inputs that share a scale. Half of it would cost a tenth more time, twice of it some accuracy.
const GROUP: usize = 64;
/// Inputs in one instruction's step, for each output.
const STEP: usize = 4;
/// Outputs in one register.
const LANES: usize = 16;
/// Registers of outputs in a panel.
const REGISTERS: usize = 3;
/// Outputs computed together.
const PANEL: usize = LANES * REGISTERS;

/// Whether this processor can.
pub(crate) fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// 64 bytes, at an address that is a multiple of it: what a register is loaded from.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line<T>([T; 16]);

/// A matrix of weights, `[inputs, outputs]`, cut and scaled.
pub(crate) struct Matrix {
    inputs: usize,
    outputs: usize,
    /// Panel after panel, in each group after group, in each step after step: a register's [`STEP`] bytes for each of
    /// its outputs, for each register of the panel.
    weights: Vec<Line<u32>>,
    /// Panel after panel, in each group after group: a scale for each output.
    scales: Vec<Line<f32>>,
}

impl Matrix {
    /// Cuts and scales a matrix given row by row, a row for each input.
    pub(crate) fn new(values: &[f32], [inputs, outputs]: [usize; 2]) -> Self {
        let mut matrix = Self { inputs, outputs, weights: Vec::new(), scales: Vec::new() };
        for panel in 0..outputs.div_ceil(PANEL) {
            for group in 0..matrix.groups() {
                matrix.push_group(values, panel * PANEL, group * GROUP);
            }
        }
        matrix
    }

    fn groups(&self) -> usize {
        self.inputs.div_ceil(GROUP)
    }

    /// Appends the weights and scales from `input` on of the outputs from `output` on.
    fn push_group(&mut self, values: &[f32], output: usize, input: usize) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        // Beyond the edges there are zeros.
        let value = |row: usize, column: usize| {
            if row < inputs && column < outputs { values[row * outputs + column] } else { 0.0 }
        };
        let scales: [f32; PANEL] = std::array::from_fn(|lane| {
            let column = (input..input + GROUP).map(|row| value(row, output + lane).abs());
            column.fold(0.0, f32::max) / 127.0
        });
        for step in (input..input + GROUP).step_by(STEP) {
            for register in 0..REGISTERS {
                let word = |lane: usize| {
                    let lane = register * LANES + lane;
                    let byte = |row: usize| biased(value(step + row, output + lane), scales[lane]);
                    u32::from_le_bytes(std::array::from_fn(byte))
                };
                self.weights.push(Line(std::array::from_fn(word)));
            }
        }
        for register in scales.as_chunks::<LANES>().0 {
            self.scales.push(Line(*register));
        }
    }
}

impl ByRow for Matrix {
    fn inputs(&self) -> &[usize] {
        std::slice::from_ref(&self.inputs)
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn compute(&self, inputs: &[&[f32]], output: &mut [f32]) {
        self.multiply(inputs[0], output);
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Matrix {
    fn multiply(&self, _rows: &[f32], _product: &mut [f32]) {
        unreachable!("sessions in int8 are made only where the processor can");
    }
}

/// A weight in units of its scale, with 128 added.
fn biased(value: f32, scale: f32) -> u8 {
    let units = if scale > 0.0 { (value / scale).round_ties_even().clamp(-127.0, 127.0) } else { 0.0 };
    (units as i32 + 128) as u8
}

/// Rows of activations, cut and scaled as weights are.
struct Rows {
    groups: usize,
    /// Row after row, for each group its [`GROUP`] bytes, [`STEP`] to an integer.
    values: Vec<[i32; GROUP / STEP]>,
    /// Row after row, one for each group.
    scales: Vec<f32>,
    /// Where the sum of each group starts from.
    starts: Vec<i32>,
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "whole numbers are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in plain words: numbers of both sides scaled by group, whole sums within a group.
    fn plainly(matrix: &[f32], [inputs, outputs]: [usize; 2], rows: &[f32]) -> Vec<f32> {
        let scaled = |values: &[f32]| {
            let scale = values.iter().fold(0.0_f32, |most, value| most.max(value.abs())) / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            (scale, values.iter().map(|value| (value * inverse).round_ties_even() as i32).collect::<Vec<_>>())
        };
        let column =
            |output: usize| (0..inputs).map(|input| matrix[input * outputs + output]).collect::<Vec<_>>();
        let mut product = Vec::new();
        for row in rows.chunks(inputs) {
            for output in 0..outputs {
                let mut sum = 0.0_f32;
                for (left, right) in row.chunks(GROUP).zip(column(output).chunks(GROUP)) {
                    let ((left_scale, left), (right_scale, right)) = (scaled(left), scaled(right));
                    let whole: i32 = left.iter().zip(&right).map(|(left, right)| left * right).sum();
                    sum += whole as f32 * left_scale * right_scale;
                }
                product.push(sum);
            }
        }
        product
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_are_those_of_the_plain_way(
            inputs in 1_usize..200,
            outputs in 1_usize..120,
            rows in 1_usize..20,
            seed in any::<u64>(),
        ) {
            if !is_available() {
                return Ok(());
            }
            let mut state = seed | 1;
            let mut number = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let matrix: Vec<f32> = (0..inputs * outputs).map(|_| number()).collect();
            let rows: Vec<f32> = (0..rows * inputs).map(|at| if at % 7 == 0 { 0.0 } else { number() * 5.0 }).collect();
            let mut found = vec![f32::NAN; rows.len() / inputs * outputs];
            Matrix::new(&matrix, [inputs, outputs]).multiply(&rows, &mut found);
            for (found, expected) in found.iter().zip(plainly(&matrix, [inputs, outputs], &rows)) {
                // Halves may be rounded to either side, since one way divides and the other multiplies.
                prop_assert!((found - expected).abs() < 0.02 * (inputs as f32).sqrt(), "{found} {expected}");
            }
        }
    }

    /// Numbers that are whole in every group are multiplied without any error.
    #[test]
    fn whole_numbers_are_exact() {
        if !is_available() {
            return;
        }
        let (inputs, outputs, rows) = (130, 100, 9);
        let number = |at: usize| if at.is_multiple_of(5) { 127.0 } else { (at * 37 % 255) as f32 - 127.0 };
        let matrix: Vec<f32> = (0..inputs * outputs)
            .map(|at| if (at / outputs) % GROUP == 0 { 127.0 } else { number(at) })
            .collect();
        let left: Vec<f32> = (0..rows * inputs)
            .map(|at| if (at % inputs) % GROUP == 0 { -127.0 } else { number(at + 3) })
            .collect();
        let mut found = vec![0.0; rows * outputs];
        Matrix::new(&matrix, [inputs, outputs]).multiply(&left, &mut found);
        for row in 0..rows {
            for output in 0..outputs {
                let expected: f32 =
                    (0..inputs).map(|at| left[row * inputs + at] * matrix[at * outputs + output]).sum();
                assert_eq!(found[row * outputs + output], expected, "row {row}, output {output}");
            }
        }
    }
}
