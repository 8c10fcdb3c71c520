//! Work: some texts on their way to vectors, over the embedder's cores and networks.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use ndarray::{Array2, ArrayView1, ArrayViewMut1};

use crate::batch::{self, Batch};
use crate::embedder::Embedder;
use crate::error::EmbedError;
use crate::share::{among, locked};

/// Texts that a thread cuts into word pieces in one turn.
const TEXTS_IN_A_TURN: usize = 32;

/// See [`Embedder::embed`].
pub(crate) fn embed<S: AsRef<str> + Sync>(
    embedder: &Embedder,
    texts: &[S],
    batch_word_pieces: Option<usize>,
    progress: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Array2<f32>, EmbedError> {
    let work = Work { embedder, progress };
    let word_pieces = work.cut_into_word_pieces(texts)?;
    let lengths: Vec<usize> = word_pieces.iter().map(Vec::len).collect();
    let vectors = Mutex::new(Array2::zeros((texts.len(), embedder.identity().dimensions)));
    let batches = batch::cut(&lengths, embedder.batch_word_pieces(batch_word_pieces));
    // While one batch is computed on a GPU, the vectors of the last are written.
    let threads = embedder.side_by_side.max(2).min(embedder.threads.max(embedder.side_by_side));
    among(threads, batches, |batch| match work.run(&batch, &word_pieces, &vectors) {
        Err(error) if batch.rows.len() > 1 && error.is_out_of_memory() => {
            Ok(work.halve(batch, &lengths, &error).into())
        }
        outcome => {
            outcome?;
            work.report(batch.rows.len()).map(|()| Vec::new())
        }
    })?;
    Ok(vectors.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

#[derive(Clone, Copy)]
struct Work<'a> {
    embedder: &'a Embedder,
    progress: &'a (dyn Fn(usize) -> bool + Sync),
}

impl Work<'_> {
    fn report(&self, done: usize) -> Result<(), EmbedError> {
        if (self.progress)(done) { Ok(()) } else { Err(EmbedError::Cancelled) }
    }

    fn cut_into_word_pieces<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>, EmbedError> {
        let mut word_pieces = vec![Vec::new(); texts.len()];
        let turns = texts.chunks(TEXTS_IN_A_TURN).zip(word_pieces.chunks_mut(TEXTS_IN_A_TURN)).enumerate();
        among(self.embedder.threads, turns, |(turn, (texts, word_pieces))| {
            let _core = self.embedder.cores.take();
            for (at, (text, ids)) in texts.iter().zip(word_pieces).enumerate() {
                *ids = self.embedder.ids(turn * TEXTS_IN_A_TURN + at, text.as_ref())?;
            }
            self.report(0).map(|()| Vec::new())
        })?;
        Ok(word_pieces)
    }

    /// Two batches of one that did not fit in memory; those to come are cut no larger.
    fn halve(&self, batch: Batch, lengths: &[usize], error: &EmbedError) -> [Batch; 2] {
        let padded = batch.rows.len() * batch.longest;
        self.embedder.did_not_fit(padded);
        tracing::warn!(
            error = error.source().map(ToString::to_string),
            "memory ran out at {padded} word pieces: batches are halved"
        );
        batch.halves(lengths)
    }

    /// Computes a batch and writes its vectors.
    fn run(
        &self,
        batch: &Batch,
        word_pieces: &[Vec<u32>],
        vectors: &Mutex<Array2<f32>>,
    ) -> Result<(), EmbedError> {
        let pooled = self.pooled(batch, word_pieces)?;
        let finish = if self.embedder.identity().normalized { normalize } else { copy };
        let mut vectors = locked(vectors);
        for (&row, vector) in batch.rows.iter().zip(pooled.rows()) {
            finish(&vector, vectors.row_mut(row)).ok_or(EmbedError::NotFinite { row })?;
        }
        Ok(())
    }

    fn pooled(&self, batch: &Batch, word_pieces: &[Vec<u32>]) -> Result<Array2<f32>, EmbedError> {
        let embedder = self.embedder;
        let (rows, word_pieces_of_each) = (batch.rows.len(), batch.longest);
        let fail = |source| EmbedError::Inference { rows, word_pieces: word_pieces_of_each, source };
        if rows * word_pieces_of_each > embedder.memory.load(Ordering::Relaxed) {
            return Err(fail(ort::Error::new("Failed to allocate memory, as a test asked for")));
        }
        let mut network = embedder.networks.take();
        let _cores = embedder.cores.take_many(embedder.cores_of_a_network);
        network.get().run(batch, word_pieces).map_err(fail)
    }
}

/// Writes the vector scaled to length one; `None` if its length is not a finite number.
fn normalize(vector: &ArrayView1<'_, f32>, mut target: ArrayViewMut1<'_, f32>) -> Option<()> {
    let squares: f64 = vector.iter().map(|&value| f64::from(value).powi(2)).sum();
    // As in PyTorch's `normalize`, a vector of zeros stays one.
    let length = squares.sqrt().max(1e-12);
    target.zip_mut_with(vector, |target, &value| *target = (f64::from(value) / length) as f32);
    squares.is_finite().then_some(())
}

/// Writes the vector as it is; `None` if it is not made of finite numbers.
fn copy(vector: &ArrayView1<'_, f32>, mut target: ArrayViewMut1<'_, f32>) -> Option<()> {
    target.assign(vector);
    vector.iter().all(|value| value.is_finite()).then_some(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn vectors_are_scaled_to_length_one() {
        let mut target = array![0.0, 0.0];
        assert_eq!(normalize(&array![3.0, -4.0].view(), target.view_mut()), Some(()));
        assert_eq!(target, array![0.6, -0.8]);
        assert_eq!(normalize(&array![0.0, 0.0].view(), target.view_mut()), Some(()));
        assert_eq!(target, array![0.0, 0.0]);
    }

    #[test]
    fn a_vector_that_is_not_finite_is_refused() {
        let mut target = array![0.0, 0.0];
        for finish in [normalize, copy] {
            assert_eq!(finish(&array![f32::NAN, 1.0].view(), target.view_mut()), None);
            assert_eq!(finish(&array![f32::INFINITY, 1.0].view(), target.view_mut()), None);
        }
    }
}
