//! How a long series is cut for storage.
//!
//! A node may have a million points. Stored in one piece, every new event would rewrite megabytes. So a series of more
//! than [`CHUNK_POINTS`] points is stored as chunks of neighbouring points under numbers that never change: a new
//! point rewrites the last chunk, a late one the chunk it falls into. A chunk that has grown to twice its size is cut
//! in two. Order among the chunks is not stored; it follows from their points.

use super::{CHUNK_POINTS, DecodeError, Series, codec};

/// The cut, in the order of the points.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    list: Vec<Chunk>,
    /// The number that the next new chunk gets.
    next: u32,
    /// Chunks that are gone since the last store.
    removed: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    number: u32,
    points: usize,
    dirty: bool,
}

impl Chunks {
    /// The cut of so many points, of which nothing is stored yet.
    pub(super) fn of(points: usize) -> Self {
        let mut chunks = Chunks::default();
        chunks.rebuild(points);
        chunks
    }

    fn rebuild(&mut self, mut points: usize) {
        while points > 0 {
            let some = points.min(CHUNK_POINTS);
            self.open(self.list.len(), some);
            points -= some;
        }
    }

    fn open(&mut self, place: usize, points: usize) {
        self.list.insert(place, Chunk { number: self.next, points, dirty: true });
        self.next += 1;
    }

    /// One point was inserted at `index` of what were `len` points.
    pub(super) fn inserted(&mut self, index: usize, len: usize) {
        if self.list.is_empty() {
            if len >= CHUNK_POINTS {
                self.rebuild(len + 1);
            }
            return;
        }
        if index == len && self.list.last().is_some_and(|c| c.points >= CHUNK_POINTS) {
            self.open(self.list.len(), 1);
            return;
        }
        // From the end: late points are seldom very late.
        let mut start = len;
        for i in (0..self.list.len()).rev() {
            start -= self.list[i].points;
            if start <= index {
                self.grow(i, 1);
                return;
            }
        }
    }

    /// Points were inserted in front of the old points at `places`, ascending.
    pub(super) fn inserted_all(&mut self, places: &[usize]) {
        let old: usize = self.list.iter().map(|c| c.points).sum();
        if self.list.is_empty() {
            return;
        }
        let late = places.partition_point(|p| *p < old);
        let mut end = old;
        let mut rest = &places[..late];
        for i in (0..self.list.len()).rev() {
            end -= self.list[i].points;
            let (earlier, here) = rest.split_at(rest.partition_point(|p| *p < end));
            if !here.is_empty() {
                self.grow(i, here.len());
            }
            rest = earlier;
        }
        let mut new = places.len() - late;
        if let Some(last) = self.list.last_mut() {
            let some = CHUNK_POINTS.saturating_sub(last.points).min(new);
            last.points += some;
            last.dirty |= some > 0;
            new -= some;
        }
        self.rebuild(new);
    }

    fn grow(&mut self, i: usize, by: usize) {
        let chunk = &mut self.list[i];
        chunk.points += by;
        chunk.dirty = true;
        if chunk.points <= 2 * CHUNK_POINTS {
            return;
        }
        let mut rest = chunk.points - CHUNK_POINTS;
        chunk.points = CHUNK_POINTS;
        let mut place = i + 1;
        while rest > 0 {
            let some = rest.min(CHUNK_POINTS);
            self.open(place, some);
            rest -= some;
            place += 1;
        }
    }

    /// The first `gone` points were removed.
    pub(super) fn removed_front(&mut self, mut gone: usize) {
        let mut emptied = 0;
        for chunk in &mut self.list {
            if chunk.points > gone {
                chunk.points -= gone;
                chunk.dirty |= gone > 0;
                break;
            }
            gone -= chunk.points;
            emptied += 1;
        }
        let left: usize = self.list[emptied..].iter().map(|c| c.points).sum();
        let dropped = if left <= CHUNK_POINTS / 2 { self.list.len() } else { emptied };
        self.removed.extend(self.list.drain(..dropped).map(|c| c.number));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.list.capacity() * size_of::<Chunk>() + self.removed.capacity() * size_of::<u32>()
    }
}

/// Storage of long series. The store keeps [`encode_head`](Series::encode_head) in the node's row, and where
/// [`is_chunked`](Series::is_chunked), one row per chunk under (node, metric, chunk number):
///
/// - to write: the head, every item of [`dirty_chunks`](Series::dirty_chunks) (bytes: put; `None`: delete), and after
///   the commit [`mark_clean`](Series::mark_clean);
/// - to read: the head and all chunk rows, in any order, into [`from_chunks`](Series::from_chunks).
///
/// A series of up to [`CHUNK_POINTS`] points is all in its head.
impl Series {
    /// Whether the points are stored beside the head.
    pub fn is_chunked(&self) -> bool {
        self.chunks.as_ref().is_some_and(|c| !c.list.is_empty())
    }

    /// What is stored in the node's row: all of a short series, of a long one what is not in its chunks.
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        match &self.chunks {
            Some(chunks) if !chunks.list.is_empty() => codec::head(self, Some((chunks.list.len(), chunks.next)), out),
            _ => self.encode(out),
        }
    }

    /// The chunks to write (their bytes) or to delete (`None`) since [`mark_clean`](Self::mark_clean).
    pub fn dirty_chunks(&self) -> impl Iterator<Item = (u32, Option<Vec<u8>>)> + '_ {
        let chunks = self.chunks.as_deref();
        let removed = chunks.map_or(&[][..], |c| &c.removed[..]).iter().map(|number| (*number, None));
        let mut start = 0;
        let changed = chunks.map_or(&[][..], |c| &c.list[..]).iter().filter_map(move |chunk| {
            let range = start..start + chunk.points;
            start = range.end;
            chunk.dirty.then(|| {
                let mut bytes = Vec::with_capacity(chunk.points * 4);
                codec::points(self, range, &mut bytes);
                (chunk.number, Some(bytes))
            })
        });
        removed.chain(changed)
    }

    /// Everything is stored.
    pub fn mark_clean(&mut self) {
        if let Some(chunks) = &mut self.chunks {
            chunks.removed.clear();
            chunks.list.iter_mut().for_each(|c| c.dirty = false);
            if chunks.list.is_empty() {
                self.chunks = None;
            }
        }
    }

    /// Reads a series from its head, which it takes off `head`, and its chunks in any order.
    pub fn from_chunks<B: AsRef<[u8]>>(
        head: &mut &[u8],
        chunks: impl IntoIterator<Item = (u32, B)>,
    ) -> Result<Series, DecodeError> {
        let (mut series, cut) = codec::read_head(head)?;
        let Some((count, next)) = cut else { return Ok(series) };
        let mut parts = Vec::new();
        for (number, bytes) in chunks {
            let mut part = Series::default();
            codec::read_points(&mut part, &mut bytes.as_ref())?;
            if part.times.is_empty() || number >= next {
                return Err(DecodeError("a chunk is empty or has a number that was never given"));
            }
            parts.push((number, part));
        }
        if parts.len() != count {
            return Err(DecodeError("a chunk is missing"));
        }
        parts.sort_by(|(_, a), (_, b)| a.point(0).cmp(&b.point(0)).then_with(|| a.last_point().cmp(&b.last_point())));
        let mut cut = Chunks { list: Vec::with_capacity(count), next, removed: Vec::new() };
        for (number, mut part) in parts {
            cut.list.push(Chunk { number, points: part.times.len(), dirty: false });
            series.times.append(&mut part.times);
            series.amounts.append(&mut part.amounts);
            series.values.append(&mut part.values);
        }
        series.chunks = Some(Box::new(cut));
        codec::validate(&series)?;
        Ok(series)
    }

    /// The point at `i`, to compare by.
    fn point(&self, i: usize) -> (crate::Timestamp, Option<&rust_decimal::Decimal>, Option<&crate::Value>) {
        (self.times[i], self.amounts.get(i), self.values.get(i))
    }

    fn last_point(&self) -> (crate::Timestamp, Option<&rust_decimal::Decimal>, Option<&crate::Value>) {
        self.point(self.times.len() - 1)
    }
}
