//! Pooling: how the vectors of a text's word pieces become one.

use ndarray::{Array1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// A way of pooling, by sentence-transformers' names.
///
/// All but the greatest are a weighted sum over the pieces, so that they differ in the weights alone.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Pooling {
    /// The first piece, `[CLS]`.
    #[serde(rename = "cls")]
    Cls,
    /// The greatest value of each dimension.
    #[serde(rename = "max")]
    Max,
    /// The mean.
    #[default]
    #[serde(rename = "mean")]
    Mean,
    /// The sum over the square root of the number of pieces.
    #[serde(rename = "mean_sqrt_len_tokens")]
    MeanSqrtLength,
    /// The mean with weights 1, 2, 3, ….
    #[serde(rename = "weightedmean")]
    WeightedMean,
    /// The last piece, `[SEP]`.
    #[serde(rename = "lasttoken")]
    LastToken,
}

/// Added to the padding, so that it is the greatest nowhere. In the range of 16-bit numbers.
const BELOW_ALL: f32 = -30_000.0;

impl Pooling {
    /// What the graph's third input holds at the pieces of a text of `length` pieces, and then at `padding`
    /// more: the weight of each, or for [`Self::Max`] what is added to it.
    pub(crate) fn weights(self, length: usize, padding: usize) -> impl Iterator<Item = f32> {
        let of_padding = if self == Self::Max { BELOW_ALL } else { 0.0 };
        let pieces = (0..length).map(move |at| self.weight(at, length));
        pieces.chain(std::iter::repeat_n(of_padding, padding))
    }

    fn weight(self, at: usize, length: usize) -> f32 {
        let count = length as f32;
        match self {
            Self::Max => 0.0,
            Self::Mean => 1.0 / count,
            Self::MeanSqrtLength => 1.0 / count.sqrt(),
            Self::WeightedMean => (at + 1) as f32 / (count * (count + 1.0) / 2.0),
            Self::Cls => f32::from(at == 0),
            Self::LastToken => f32::from(at + 1 == length),
        }
    }

    /// Pools the vectors of a text's pieces, a row each, where the network has not done it itself.
    pub(crate) fn pool(self, pieces: &ArrayView2<'_, f32>) -> Array1<f32> {
        if self == Self::Max {
            return pieces.fold_axis(Axis(0), f32::NEG_INFINITY, |&greatest, &value| greatest.max(value));
        }
        let mut sum = Array1::zeros(pieces.ncols());
        for (piece, weight) in pieces.rows().into_iter().zip(self.weights(pieces.nrows(), 0)) {
            sum.scaled_add(weight, &piece);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn padding_counts_for_nothing() {
        let weights = |pooling: Pooling| pooling.weights(4, 2).collect::<Vec<f32>>();
        assert_eq!(weights(Pooling::Mean), [0.25, 0.25, 0.25, 0.25, 0.0, 0.0]);
        assert_eq!(weights(Pooling::MeanSqrtLength), [0.5, 0.5, 0.5, 0.5, 0.0, 0.0]);
        assert_eq!(weights(Pooling::WeightedMean), [0.1, 0.2, 0.3, 0.4, 0.0, 0.0]);
        assert_eq!(weights(Pooling::Cls), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(weights(Pooling::LastToken), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(weights(Pooling::Max), [0.0, 0.0, 0.0, 0.0, BELOW_ALL, BELOW_ALL]);
    }

    #[test]
    fn pieces_are_pooled_by_dimension() {
        let pieces = array![[1.0, -8.0], [3.0, -4.0]];
        assert_eq!(Pooling::Mean.pool(&pieces.view()), array![2.0, -6.0]);
        assert_eq!(Pooling::Max.pool(&pieces.view()), array![3.0, -4.0]);
        assert_eq!(Pooling::LastToken.pool(&pieces.view()), array![3.0, -4.0]);
        assert_eq!(Pooling::Cls.pool(&pieces.view()), array![1.0, -8.0]);
    }
}
