//! The inverse of the Burrows-Wheeler transform: from the last column of sorted rotations back to the text.
//!
//! The text is found by walking a permutation, each step a load that depends on the one before and misses
//! the cache. One walk therefore waits for memory most of the time. But a permutation can be entered
//! anywhere: we walk it from many places at once, [`LANES`] at a time, each until it meets the place where
//! another walk began, and put the pieces together in order afterwards.

use super::MAX_BLOCK_BYTES;

/// Walks in flight at a time: enough to hide a load's latency, few enough to stay in registers.
const LANES: usize = 8;
/// Pieces a full block is cut into. Many, because their lengths differ and the last lane to finish decides.
const PIECES: usize = 1024;
/// A power of two above the block size, so that a masked index needs no check.
const ROWS: usize = 1 << 20;
const ROW_MASK: usize = ROWS - 1;
/// Set on the rows where pieces begin.
const MARK: u32 = 1 << 31;
/// A row outside of any block that leads to itself: where lanes without work walk.
const IDLE_ROW: usize = ROWS - 1;

const _: () = assert!(MAX_BLOCK_BYTES + 2 * PIECES < ROWS, "idle lanes must not wrap around");

/// Inverts transforms. Keeps its memory between blocks.
pub(super) struct Transform {
    /// For each row its first byte in the low 8 bits, the next row in the 20 above, and [`MARK`].
    rows: Box<[u32; ROWS]>,
    /// What each lane has walked, piece after piece.
    lanes: [Box<[u8; ROWS]>; LANES],
    pieces: Vec<Piece>,
}

/// A stretch of the text: where it lies in the lanes, and the piece that follows it.
#[derive(Clone, Copy, Default)]
struct Piece {
    row: u32,
    lane: u32,
    start: u32,
    end: u32,
    next: u32,
}

impl Transform {
    pub(super) fn new() -> Self {
        let mut rows = zeros::<u32>();
        rows[IDLE_ROW] = (IDLE_ROW as u32) << 8;
        Self { rows, lanes: std::array::from_fn(|_| zeros::<u8>()), pieces: Vec::with_capacity(PIECES + 2) }
    }

    /// Appends to `text` the text whose sorted rotations end in `last_column`. `origin` is its own row;
    /// `counts` says how often each byte occurs.
    pub(super) fn invert(
        &mut self,
        last_column: &[u8],
        counts: &[u32; 256],
        origin: usize,
        text: &mut Vec<u8>,
    ) {
        debug_assert!(origin < last_column.len(), "checked by the caller");
        self.build_rows(last_column, counts);
        let cut = Cut::new(last_column.len(), origin);
        self.place_marks(&cut);
        self.walk(&cut);
        self.join(&cut, text);
    }

    fn build_rows(&mut self, last_column: &[u8], counts: &[u32; 256]) {
        let mut next = [0_u32; 256];
        let mut sum = 0;
        for (slot, count) in next.iter_mut().zip(counts) {
            *slot = sum;
            sum += count;
        }
        for (row, &byte) in last_column.iter().enumerate() {
            let slot = &mut next[usize::from(byte)];
            self.rows[*slot as usize & ROW_MASK] = (row as u32) << 8 | u32::from(byte);
            *slot += 1;
        }
    }

    fn place_marks(&mut self, cut: &Cut) {
        self.pieces.clear();
        for row in cut.starts() {
            self.rows[row & ROW_MASK] |= MARK;
            self.pieces.push(Piece { row: row as u32, ..Piece::default() });
        }
    }

    fn walk(&mut self, cut: &Cut) {
        let rows = &*self.rows;
        let mut walkers = Walkers {
            at: [IDLE_ROW; LANES],
            written: [0; LANES],
            piece: [None; LANES],
            outputs: self.lanes.each_mut().map(|lane| &mut **lane),
            unassigned: 0,
        };
        (0..LANES).for_each(|lane| walkers.assign(lane, rows, &mut self.pieces));
        while walkers.piece.iter().any(Option::is_some) {
            walkers.advance(rows);
            for lane in 0..LANES {
                if rows[walkers.at[lane] & ROW_MASK] & MARK != 0 {
                    walkers.close(lane, cut, &mut self.pieces);
                    walkers.assign(lane, rows, &mut self.pieces);
                }
            }
        }
    }

    /// Follows the pieces from the origin. A text that repeats itself goes round a shorter cycle many times.
    fn join(&self, cut: &Cut, text: &mut Vec<u8>) {
        let end = text.len() + cut.length;
        let mut piece = self.pieces[cut.piece_at(cut.origin)];
        while text.len() < end {
            let bytes = &self.lanes[piece.lane as usize][piece.start as usize..piece.end as usize];
            text.extend_from_slice(&bytes[..bytes.len().min(end - text.len())]);
            piece = self.pieces[piece.next as usize];
        }
    }
}

/// The walks in flight.
struct Walkers<'a> {
    at: [usize; LANES],
    written: [usize; LANES],
    piece: [Option<usize>; LANES],
    outputs: [&'a mut [u8; ROWS]; LANES],
    unassigned: usize,
}

impl Walkers<'_> {
    /// Walks all lanes until at least one stands on a marked row.
    fn advance(&mut self, rows: &[u32; ROWS]) {
        let (mut at, mut written) = (self.at, self.written);
        loop {
            let entries: [u32; LANES] = std::array::from_fn(|lane| rows[at[lane] & ROW_MASK]);
            if entries.iter().fold(0, |all, entry| all | entry) & MARK != 0 {
                break;
            }
            for lane in 0..LANES {
                self.outputs[lane][written[lane] & ROW_MASK] = entries[lane] as u8;
                written[lane] += 1;
                at[lane] = (entries[lane] >> 8) as usize;
            }
        }
        (self.at, self.written) = (at, written);
    }

    fn close(&mut self, lane: usize, cut: &Cut, pieces: &mut [Piece]) {
        if let Some(index) = self.piece[lane].take() {
            pieces[index].end = self.written[lane] as u32;
            pieces[index].next = cut.piece_at(self.at[lane] & ROW_MASK) as u32;
        }
    }

    /// Gives the lane the next piece and walks its first row, which is marked.
    fn assign(&mut self, lane: usize, rows: &[u32; ROWS], pieces: &mut [Piece]) {
        let Some(piece) = pieces.get_mut(self.unassigned) else {
            self.at[lane] = IDLE_ROW;
            return;
        };
        (piece.lane, piece.start) = (lane as u32, self.written[lane] as u32);
        let entry = rows[piece.row as usize & ROW_MASK] & !MARK;
        self.outputs[lane][self.written[lane] & ROW_MASK] = entry as u8;
        self.written[lane] += 1;
        self.at[lane] = (entry >> 8) as usize;
        self.piece[lane] = Some(self.unassigned);
        self.unassigned += 1;
    }
}

/// How a block is cut into pieces: one begins at every multiple of `stride`, and one at the origin.
struct Cut {
    length: usize,
    origin: usize,
    stride: usize,
}

impl Cut {
    fn new(length: usize, origin: usize) -> Self {
        Self { length, origin, stride: length.div_ceil(PIECES).max(16) }
    }

    fn starts(&self) -> impl Iterator<Item = usize> {
        let origin = (!self.origin.is_multiple_of(self.stride)).then_some(self.origin);
        (0..self.length).step_by(self.stride).chain(origin)
    }

    /// The index of the piece that begins at the marked row `row`.
    fn piece_at(&self, row: usize) -> usize {
        let at_origin = !row.is_multiple_of(self.stride);
        if at_origin { self.length.div_ceil(self.stride) } else { row / self.stride }
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "the arrays are megabytes")]
fn zeros<T: Copy + Default>() -> Box<[T; ROWS]> {
    match vec![T::default(); ROWS].into_boxed_slice().try_into() {
        Ok(boxed) => boxed,
        Err(_) => unreachable!("the length is that of the array"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transform by its definition.
    fn forward(text: &[u8]) -> (Vec<u8>, usize) {
        let n = text.len();
        let mut rotations: Vec<usize> = (0..n).collect();
        let rotation = |start: usize| (0..n).map(move |i| text[(start + i) % n]);
        rotations.sort_by(|&a, &b| rotation(a).cmp(rotation(b)));
        let last = rotations.iter().map(|&start| text[(start + n - 1) % n]).collect();
        (last, rotations.iter().position(|&start| start == 0).unwrap())
    }

    #[test]
    fn inversion_gives_the_text_back() {
        let mut transform = Transform::new();
        let pangram = b"the quick brown fox jumps over the lazy dog, and the dog does not mind. ";
        let texts: [&[u8]; 6] =
            [b"a", b"ab", b"banana", b"aaaaaaa", &b"abcabc".repeat(20), &pangram.repeat(3)];
        for text in texts {
            let (last, origin) = forward(text);
            let mut counts = [0; 256];
            for &byte in &last {
                counts[usize::from(byte)] += 1;
            }
            let mut inverted = Vec::new();
            transform.invert(&last, &counts, origin, &mut inverted);
            assert_eq!(inverted, text);
        }
    }
}
