//! Division by scores: of all divisions of a text into pieces, the one with the largest sum.

use super::{
    SentencePiece,
    model::{Kind, Model},
};

/// What an unknown character costs beside the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// What of all pieces decides about single ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores {
    unknown: f32,
    /// For each byte of a piece that users defined: nothing else is as good.
    defined: f32,
    /// Bytes of the longest piece.
    longest: usize,
}

/// The best division that ends at a place: its last piece, where that begins, and the sum.
#[derive(Clone, Copy)]
struct Best {
    id: Option<u32>,
    start: usize,
    sum: f32,
}

impl Scores {
    pub(super) fn of(model: &Model) -> Self {
        let normal = model.pieces.iter().filter(|p| p.kind == Kind::Normal);
        let scores = normal.map(|piece| piece.score);
        let least = scores.clone().fold(f32::MAX, f32::min);
        Self {
            unknown: least - UNKNOWN_PENALTY,
            // SentencePiece begins with the smallest positive number, not the most negative.
            defined: scores.fold(f32::MIN_POSITIVE, f32::max),
            longest: model.pieces.iter().map(|p| p.text.len()).max().unwrap_or(0),
        }
    }

    /// Appends the ids of a normalised text.
    ///
    /// Sums are rounded to single precision at each piece, as SentencePiece's are: of equals the first one stays.
    pub(super) fn encode(&self, of: &SentencePiece, text: &str, ids: &mut Vec<u32>) {
        let none = Best {
            id: None,
            start: usize::MAX,
            sum: 0.0,
        };
        let mut best = vec![none; text.len() + 1];
        for (start, character) in text.char_indices() {
            let before = best[start].sum;
            let single = start + character.len_utf8();
            let mut has_single = false;
            let ends = text[start..]
                .char_indices()
                .map(|(at, c)| start + at + c.len_utf8());
            for end in ends.take_while(|end| end - start <= self.longest) {
                let Some(&id) = of.ids.get(&text[start..end]) else {
                    continue;
                };
                let piece = &of.model.pieces[id as usize];
                let score = match piece.kind {
                    Kind::Unused => continue,
                    Kind::UserDefined => f64::from((end - start) as f32 * self.defined) - 0.1,
                    _ => f64::from(piece.score),
                };
                has_single |= end == single;
                best[end].improve(start, Some(id), score + f64::from(before));
            }
            if !has_single {
                let sum = self.unknown + before;
                best[single].improve(start, None, f64::from(sum));
            }
        }
        let first = ids.len();
        let mut end = text.len();
        let mut parts = Vec::new();
        while end > 0 {
            let Best { id, start, .. } = best[end];
            parts.push((id, start..end));
            end = start;
        }
        ids.reserve(parts.len());
        for (id, part) in parts.into_iter().rev() {
            match id {
                Some(id) => ids.push(id),
                None => of.push_unknown(&text[part], ids),
            }
        }
        debug_assert!(text.is_empty() || ids.len() > first);
    }
}

impl Best {
    fn improve(&mut self, start: usize, id: Option<u32>, sum: f64) {
        if self.start == usize::MAX || sum > f64::from(self.sum) {
            *self = Self {
                id,
                start,
                sum: sum as f32,
            };
        }
    }
}
