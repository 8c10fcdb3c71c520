//! Places: some of the shards of a snapshot, by their places in its order.

use serde::{Deserialize, Serialize};

/// A set of places, kept as stretches: ten thousand shards that failed together are one pair of numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Places {
    /// First and last of each stretch, sorted, without overlap.
    stretches: Vec<(u32, u32)>,
}

impl Places {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.stretches.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether this is one of them.
    pub fn contains(&self, place: u32) -> bool {
        self.stretches.iter().any(|&(first, last)| (first..=last).contains(&place))
    }

    /// Adds a place; it is no error when it is there.
    pub fn insert(&mut self, place: u32) {
        let mut all = std::mem::take(&mut self.stretches);
        all.push((place, place));
        all.sort_unstable();
        for (first, last) in all {
            match self.stretches.last_mut() {
                Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
                _ => self.stretches.push((first, last)),
            }
        }
    }

    /// The first place.
    pub fn first(&self) -> Option<u32> {
        self.stretches.first().map(|&(first, _)| first)
    }

    /// Takes the first place out.
    pub fn pop_first(&mut self) -> Option<u32> {
        let (first, last) = self.stretches.first_mut()?;
        let place = *first;
        if first == last {
            self.stretches.remove(0);
        } else {
            *first += 1;
        }
        Some(place)
    }
}

impl FromIterator<u32> for Places {
    fn from_iter<I: IntoIterator<Item = u32>>(places: I) -> Self {
        let mut all = Self::default();
        places.into_iter().for_each(|place| all.insert(place));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_join_to_stretches_and_come_out_in_order() {
        let mut places: Places = [7, 3, 5, 4, 3, 9, 8].into_iter().collect();
        assert_eq!(places, Places { stretches: vec![(3, 5), (7, 9)] });
        assert_eq!((places.count(), places.first()), (6, Some(3)));
        assert!(places.contains(4) && !places.contains(6));
        let out: Vec<u32> = std::iter::from_fn(|| places.pop_first()).collect();
        assert_eq!(out, [3, 4, 5, 7, 8, 9]);
        assert!(places.is_empty());
    }
}
