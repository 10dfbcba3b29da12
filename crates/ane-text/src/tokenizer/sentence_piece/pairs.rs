//! Division by pairs: of two pieces side by side, those whose union has the best score are joined, again and again.

use super::{SentencePiece, model::Kind};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Words that are kept.
const MOST_WORDS: usize = 1 << 18;

/// Bytes of the longest word that is kept.
const LONGEST: usize = 64;

/// The ids of words that came before: a word goes from one place at which no piece can lie across to the next.
#[derive(Default)]
pub(super) struct Pairs {
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    words: HashMap<Box<str>, Range<u32>>,
    ids: Vec<u32>,
}

/// A part of a word that is not divided: neighbours by index, and where it lies.
struct Symbol {
    before: Option<usize>,
    behind: Option<usize>,
    /// Empty once it is joined to the one before.
    text: Range<usize>,
    /// Never joined.
    is_frozen: bool,
}

/// Two symbols that may be joined.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both, by which a pair is known that is gone.
    length: usize,
}

impl Ord for Pair {
    /// The best score first, and of equals the one that stands first.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.total_cmp(&other.score);
        by_score.then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl Pairs {
    /// Appends the ids of a normalised text.
    pub(super) fn encode(&self, of: &SentencePiece, text: &str, ids: &mut Vec<u32>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for word in words(of, text) {
            if let Some(at) = cache.words.get(word) {
                let known = at.start as usize..at.end as usize;
                ids.extend_from_slice(&cache.ids[known]);
                continue;
            }
            let start = ids.len();
            divide(of, word, ids);
            if word.len() <= LONGEST && cache.words.len() < MOST_WORDS {
                // At most `MOST_WORDS` × `LONGEST` ids.
                let first = cache.ids.len() as u32;
                cache.ids.extend_from_slice(&ids[start..]);
                let last = cache.ids.len() as u32;
                cache.words.insert(word.into(), first..last);
            }
        }
    }
}

/// The parts of a text between places at which no piece can lie across.
fn words<'a>(of: &SentencePiece, text: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices();
        let (_, mut before) = characters.next()?;
        let end = characters.find(|&(_, behind)| {
            let is_apart = of.is_apart(before, behind);
            before = behind;
            is_apart
        });
        let (word, behind) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = behind;
        Some(word)
    })
}

fn divide(of: &SentencePiece, word: &str, ids: &mut Vec<u32>) {
    let mut symbols = symbols(of, word);
    let mut agenda = BinaryHeap::new();
    // Pieces that are there to be divided again.
    let mut unused = HashMap::new();
    for right in 1..symbols.len() {
        offer(
            of,
            word,
            &symbols,
            right - 1,
            right,
            &mut agenda,
            &mut unused,
        );
    }
    while let Some(pair) = agenda.pop() {
        let (left, right) = (&symbols[pair.left].text, &symbols[pair.right].text);
        if left.is_empty() || right.is_empty() || left.len() + right.len() != pair.length {
            continue;
        }
        let (text, behind) = (left.start..right.end, symbols[pair.right].behind);
        symbols[pair.right].text = 0..0;
        symbols[pair.left].text = text;
        symbols[pair.left].behind = behind;
        if let Some(behind) = behind {
            symbols[behind].before = Some(pair.left);
        }
        if let Some(before) = symbols[pair.left].before {
            offer(
                of,
                word,
                &symbols,
                before,
                pair.left,
                &mut agenda,
                &mut unused,
            );
        }
        if let Some(behind) = behind {
            offer(
                of,
                word,
                &symbols,
                pair.left,
                behind,
                &mut agenda,
                &mut unused,
            );
        }
    }
    let mut next = Some(0);
    while let Some(at) = next {
        push(of, word, symbols[at].text.clone(), &unused, ids);
        next = symbols[at].behind;
    }
}

/// The characters of a word, and whole the pieces that users defined.
fn symbols(of: &SentencePiece, word: &str) -> Vec<Symbol> {
    let mut symbols = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        let rest = &word[at..];
        let defined = of.user_defined(rest).map(str::len);
        let length = defined.or_else(|| rest.chars().next().map(char::len_utf8));
        let end = at + length.unwrap_or(rest.len());
        let index = symbols.len();
        symbols.push(Symbol {
            before: index.checked_sub(1),
            behind: (end < word.len()).then_some(index + 1),
            text: at..end,
            is_frozen: defined.is_some(),
        });
        at = end;
    }
    symbols
}

/// A place in a word, and where the piece of it is divided.
type Unused<'a> = HashMap<&'a str, usize>;

fn offer<'a>(
    of: &SentencePiece,
    word: &'a str,
    symbols: &[Symbol],
    left: usize,
    right: usize,
    agenda: &mut BinaryHeap<Pair>,
    unused: &mut Unused<'a>,
) {
    let (first, second) = (&symbols[left], &symbols[right]);
    if first.is_frozen || second.is_frozen {
        return;
    }
    let text = &word[first.text.start..second.text.end];
    let Some(&id) = of.ids.get(text) else { return };
    let piece = &of.model.pieces[id as usize];
    if piece.kind == Kind::Unused {
        unused.insert(text, first.text.len());
    }
    agenda.push(Pair {
        score: piece.score,
        left,
        right,
        length: text.len(),
    });
}

/// Appends the id of a part of a word; an unused piece is divided as it was joined.
fn push(
    of: &SentencePiece,
    word: &str,
    part: Range<usize>,
    unused: &Unused<'_>,
    ids: &mut Vec<u32>,
) {
    // What is divided last is pushed first.
    let mut parts = vec![part];
    while let Some(part) = parts.pop() {
        let text = &word[part.clone()];
        let id = of.ids.get(text).copied();
        let is_unused = |id: u32| of.model.pieces[id as usize].kind == Kind::Unused;
        match (id, unused.get(text)) {
            (Some(id), Some(&at)) if is_unused(id) => {
                parts.push(part.start + at..part.end);
                parts.push(part.start..part.start + at);
            }
            (Some(id), _) => ids.push(id),
            (None, _) => of.push_unknown(text, ids),
        }
    }
}
