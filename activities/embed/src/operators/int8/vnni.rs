//! The product on AVX-512 VNNI: `vpdpbusd` adds the products of four pairs of bytes to each of 16 sums.

#![allow(unsafe_code, reason = "intrinsics that need a processor's feature, and loads through pointers")]

use std::arch::x86_64::{
    __m512, __m512i, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32, _mm512_cvtepi32_epi8,
    _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_ps,
    _mm512_load_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps,
    _mm512_reduce_add_epi32, _mm512_reduce_max_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
};

use super::{GROUP, LANES, Line, Matrix, PANEL, REGISTERS, Rows, STEP};

/// Rows computed together: with these, all sums stay in registers.
const TILE: usize = 4;
/// Steps in a group.
const STEPS: usize = GROUP / STEP;

impl Matrix {
    /// Multiplies rows of `inputs` numbers, one after the other, to rows of `outputs`.
    pub(super) fn multiply(&self, rows: &[f32], product: &mut [f32]) {
        let count = product.len() / self.outputs;
        assert!(super::is_available(), "sessions in int8 are made only where the processor can");
        assert_eq!((rows.len(), product.len()), (count * self.inputs, count * self.outputs));
        // SAFETY: the processor has the features.
        let rows = unsafe { Rows::new(rows, self.inputs) };
        for (panel, (weights, scales)) in self.panels().enumerate() {
            for first in (0..count).step_by(TILE) {
                let target = Target { first, rows: (count - first).min(TILE), column: panel * PANEL };
                // SAFETY: the processor has the features; that the slices are long enough is checked there.
                unsafe { self.tile(&rows, weights, scales, &target, product) };
            }
        }
    }

    /// The weights and scales of each panel.
    #[expect(clippy::type_complexity, reason = "two slices, each of what the registers take at once")]
    fn panels(&self) -> impl Iterator<Item = (&[[Line<u32>; STEPS * REGISTERS]], &[[Line<f32>; REGISTERS]])> {
        let (weights, scales) = (self.weights.as_chunks().0, self.scales.as_chunks().0);
        weights.chunks(self.groups()).zip(scales.chunks(self.groups()))
    }

    /// Computes a panel's outputs of up to [`TILE`] rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tile(
        &self,
        rows: &Rows,
        weights: &[[Line<u32>; STEPS * REGISTERS]],
        scales: &[[Line<f32>; REGISTERS]],
        target: &Target,
        product: &mut [f32],
    ) {
        // The last rows stand in for those beyond the end, whose sums are dropped.
        let row: [usize; TILE] = std::array::from_fn(|at| target.first + at.min(target.rows - 1));
        let mut sums = [[_mm512_setzero_ps(); REGISTERS]; TILE];
        for group in 0..rows.groups {
            // SAFETY: the caller has seen that the processor has the features.
            unsafe { add_group(rows, row, group, &weights[group], &scales[group], &mut sums) };
        }
        for (at, sums) in sums.iter().enumerate().take(target.rows) {
            let from = (target.first + at) * self.outputs + target.column;
            let line = &mut product[from..(target.first + at + 1) * self.outputs];
            for (register, &sum) in sums.iter().enumerate() {
                let lanes = line.len().saturating_sub(register * LANES).min(LANES);
                if lanes > 0 {
                    let line = &mut line[register * LANES..];
                    // SAFETY: as many numbers are stored as there are in the line.
                    unsafe { _mm512_mask_storeu_ps(line.as_mut_ptr(), mask(lanes), sum) };
                }
            }
        }
    }
}

/// Where a tile's outputs go.
struct Target {
    first: usize,
    rows: usize,
    column: usize,
}

/// Adds one group's products to the sums of a tile.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn add_group(
    rows: &Rows,
    row: [usize; TILE],
    group: usize,
    weights: &[Line<u32>; STEPS * REGISTERS],
    scales: &[Line<f32>; REGISTERS],
    sums: &mut [[__m512; REGISTERS]; TILE],
) {
    let at = row.map(|row| row * rows.groups + group);
    let values = at.map(|at| &rows.values[at]);
    let mut whole: [[__m512i; REGISTERS]; TILE] =
        std::array::from_fn(|tile| [_mm512_set1_epi32(rows.starts[at[tile]]); REGISTERS]);
    for step in 0..STEPS {
        let lines: [__m512i; REGISTERS] = std::array::from_fn(|register| {
            // SAFETY: a line is a register's 64 bytes, at an address that is a multiple of 64.
            unsafe { _mm512_load_si512(weights[step * REGISTERS + register].0.as_ptr().cast()) }
        });
        for tile in 0..TILE {
            let four = _mm512_set1_epi32(values[tile][step]);
            for register in 0..REGISTERS {
                whole[tile][register] = _mm512_dpbusd_epi32(whole[tile][register], lines[register], four);
            }
        }
    }
    // SAFETY: as above.
    let scales: [__m512; REGISTERS] =
        std::array::from_fn(|at| unsafe { _mm512_load_ps(scales[at].0.as_ptr()) });
    for tile in 0..TILE {
        let scale = _mm512_set1_ps(rows.scales[at[tile]]);
        for register in 0..REGISTERS {
            let whole = _mm512_cvtepi32_ps(whole[tile][register]);
            let sum = &mut sums[tile][register];
            *sum = _mm512_fmadd_ps(whole, _mm512_mul_ps(scale, scales[register]), *sum);
        }
    }
}

impl Rows {
    /// Cuts and scales rows of `inputs` numbers.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn new(numbers: &[f32], inputs: usize) -> Self {
        let (groups, count) = (inputs.div_ceil(GROUP), numbers.len() / inputs);
        let mut rows = Self {
            groups,
            values: Vec::with_capacity(count * groups),
            scales: Vec::with_capacity(count * groups),
            starts: Vec::with_capacity(count * groups),
        };
        for group in numbers.chunks(inputs).flat_map(|row| row.chunks(GROUP)) {
            // SAFETY: the caller has seen that the processor has the features.
            let (values, scale, sum) = unsafe { scale_group(group) };
            rows.values.push(values);
            rows.scales.push(scale);
            rows.starts.push(-128 * sum);
        }
        rows
    }
}

/// Up to [`GROUP`] numbers in units of a scale, four bytes to each integer; the scale; and their sum.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn scale_group(numbers: &[f32]) -> ([i32; STEPS], f32, i32) {
    let registers: [__m512; GROUP / LANES] = std::array::from_fn(|at| {
        let rest = &numbers[(at * LANES).min(numbers.len())..];
        // SAFETY: no more numbers are loaded than there are; the others are zeros.
        unsafe { _mm512_maskz_loadu_ps(mask(rest.len().min(LANES)), rest.as_ptr()) }
    });
    let greatest = registers
        .iter()
        .fold(_mm512_setzero_ps(), |most, &register| _mm512_max_ps(most, _mm512_abs_ps(register)));
    let scale = _mm512_reduce_max_ps(greatest) / 127.0;
    let inverse = _mm512_set1_ps(if scale > 0.0 { 1.0 / scale } else { 0.0 });
    let mut sum = _mm512_set1_epi32(0);
    let mut values = [0_i32; STEPS];
    for (register, target) in registers.into_iter().zip(values.as_chunks_mut::<STEP>().0) {
        let whole = _mm512_cvtps_epi32(_mm512_mul_ps(register, inverse));
        sum = _mm512_add_epi32(sum, whole);
        // SAFETY: the target has the 16 bytes that are stored.
        unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(whole)) };
    }
    (values, scale, _mm512_reduce_add_epi32(sum))
}

/// The first `lanes` of 16.
fn mask(lanes: usize) -> u16 {
    ((1_u32 << lanes) - 1) as u16
}
