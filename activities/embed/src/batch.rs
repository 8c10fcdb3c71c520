//! A batch: texts of about the same length that run through the model together.
//!
//! All rows of a batch are padded to its longest, so a batch is measured in padded word pieces, not in
//! rows: that is what its time and memory follow. Batches are cut from the texts sorted by length, the
//! longest first, so that a batch too big for the device fails at once and not hours later. They are a
//! function of the lengths alone: the same texts always meet the same neighbours, and give the same bits.

/// Rows that run together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Batch {
    /// Positions of the texts in the input.
    pub(crate) rows: Vec<usize>,
    /// Word pieces of the longest text, to which the others are padded.
    pub(crate) longest: usize,
}

impl Batch {
    /// The same rows in two batches, the longer ones first.
    pub(crate) fn halves(mut self, lengths: &[usize]) -> [Self; 2] {
        let rows = self.rows.split_off(self.rows.len().div_ceil(2));
        let longest = rows.first().map_or(0, |&row| lengths[row]);
        [self, Self { rows, longest }]
    }
}

/// Cuts texts of the given lengths into batches of at most `budget` padded word pieces.
///
/// A text longer than the budget is a batch of its own.
pub(crate) fn cut(lengths: &[usize], budget: usize) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // A stable sort: texts of one length stay in the order of the input.
    order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    let mut rest = order.as_slice();
    let mut batches = Vec::new();
    while let Some(&first) = rest.first() {
        let longest = lengths[first];
        let rows = (budget / longest.max(1)).clamp(1, rest.len());
        let (batch, after) = rest.split_at(rows);
        batches.push(Batch { rows: batch.to_vec(), longest });
        rest = after;
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_come_first_and_ties_keep_their_order() {
        let batches = cut(&[2, 9, 2, 4, 2], 8);
        let expected = [(vec![1], 9), (vec![3, 0], 4), (vec![2, 4], 2)];
        let expected = expected.map(|(rows, longest)| Batch { rows, longest });
        assert_eq!(batches, expected);
    }

    #[test]
    fn halves_are_of_like_length() {
        let [first, second] = Batch { rows: vec![1, 3, 0], longest: 9 }.halves(&[2, 9, 2, 4]);
        assert_eq!(first, Batch { rows: vec![1, 3], longest: 9 });
        assert_eq!(second, Batch { rows: vec![0], longest: 2 });
    }

    #[test]
    fn no_texts_are_no_batches() {
        assert_eq!(cut(&[], 8), []);
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_within_the_budget(
            lengths in prop::collection::vec(2_usize..300, 0..200),
            budget in 1_usize..2_000,
        ) {
            let batches = cut(&lengths, budget);
            let mut rows: Vec<usize> = batches.iter().flat_map(|batch| batch.rows.clone()).collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                let longest = batch.rows.iter().map(|&row| lengths[row]).max();
                prop_assert_eq!(longest, Some(batch.longest));
                prop_assert!(batch.rows.len() == 1 || batch.rows.len() * batch.longest <= budget);
            }
            prop_assert!(batches.is_sorted_by_key(|batch| std::cmp::Reverse(batch.longest)));
        }

        #[test]
        fn no_batch_is_cut_short(lengths in prop::collection::vec(2_usize..300, 1..200)) {
            let batches = cut(&lengths, 1_000);
            for batch in &batches[..batches.len() - 1] {
                prop_assert!((batch.rows.len() + 1) * batch.longest > 1_000);
            }
        }
    }
}
