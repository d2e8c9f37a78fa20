//! Chains by texts.
//!
//! In: texts and chains. Out: a [`Table`]. Invariant: sorted, each text once; all texts are one piece of memory, since most are short and a
//! config may have very many.

use super::ChainId;

/// Chains by texts.
#[derive(Debug, Clone, Default)]
pub struct Table {
    texts: Box<[u8]>,
    /// Where each text ends.
    ends: Box<[u32]>,
    /// The chain of each text.
    chains: Box<[ChainId]>,
}

impl Table {
    /// The chain of this text.
    pub fn get(&self, text: &[u8]) -> Option<ChainId> {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.text(middle).cmp(text) {
                std::cmp::Ordering::Equal => return self.chains.get(middle).copied(),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The texts in order.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.text(at))
    }

    /// The chains in the order of their texts.
    pub fn chains(&self) -> impl Iterator<Item = ChainId> {
        self.chains.iter().copied()
    }

    fn text(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.ends.get(at).map_or(0, |&end| end as usize);
        let start = at.checked_sub(1).map_or(0, end);
        self.texts.get(start..end(at)).unwrap_or_default()
    }
}

/// Of equal texts the first stays.
impl<T: AsRef<[u8]>> FromIterator<(T, ChainId)> for Table {
    fn from_iter<I: IntoIterator<Item = (T, ChainId)>>(rows: I) -> Table {
        let mut rows: Vec<(T, ChainId)> = rows.into_iter().collect();
        rows.sort_by(|(one, _), (two, _)| one.as_ref().cmp(two.as_ref()));
        rows.dedup_by(|(next, _), (last, _)| next.as_ref() == last.as_ref());
        let mut texts = Vec::with_capacity(rows.iter().map(|(text, _)| text.as_ref().len()).sum());
        let ends = rows.iter().map(|(text, _)| {
            texts.extend_from_slice(text.as_ref());
            // A config has at most 64 MiB, and a text of it stands here twice at most.
            texts.len() as u32
        });
        let ends = ends.collect();
        Table { texts: texts.into(), ends, chains: rows.into_iter().map(|(_, chain)| chain).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found() {
        let rows = [("b", 1), ("", 2), ("ab", 3), ("a", 4), ("b", 5)];
        let table: Table = rows.into_iter().map(|(text, chain)| (text, ChainId(chain))).collect();
        assert_eq!(table.texts().collect::<Vec<_>>(), [&b""[..], b"a", b"ab", b"b"]);
        for (text, chain) in [("", 2), ("a", 4), ("ab", 3), ("b", 1)] {
            assert_eq!(table.get(text.as_bytes()), Some(ChainId(chain)));
        }
        assert!(table.get(b"abc").is_none() && table.get(b"c").is_none() && Table::default().get(b"").is_none());
    }
}
