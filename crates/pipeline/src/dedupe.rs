//! Exact dedupe: every message id of the window, on disk, with filters in memory.
//!
//! A message id is remembered as 128 bits. Each micro-batch writes its new ids as one sorted run; eight runs of a level
//! are merged into one of the next; so an id is rewritten once per level, and a day of ten million has about thirty runs
//! at the most, one after it has passed. A lookup asks each run's split block Bloom filter (12 bits an id, about one in
//! 250 wrong), and only where that says "maybe" reads one page and searches it: ids are hashes, so their place in a
//! run follows from their value. Days that have passed out of the window are dropped whole.
//!
//! 16 bytes an id on disk, 1.5 for its filter, and the store's overhead.

use onefold_model::{Timestamp, WorkspaceId};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use rustc_hash::FxHashSet;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::{collections::BTreeMap, hash::Hasher, sync::Arc};

use crate::Error;

/// The day under which ids are remembered for ever: those of imported rows.
pub const FOR_EVER: i64 = -1;

/// Small enough that reading one to find a duplicate costs little, large enough that a run has few.
const PAGE_IDS: usize = 256;
const FAN: usize = 8;

/// A message id as it is remembered: 128 bits of SipHash-1-3 over workspace, source and id.
pub fn key(workspace: WorkspaceId, source: u32, message_id: &str) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(0x6465_6475_7065_0001, 0x6f6e_6566_6f6c_6400);
    hasher.write_u32(workspace.0);
    hasher.write_u32(source);
    hasher.write(message_id.as_bytes());
    hasher.finish128().as_u128()
}

#[derive(Debug, Clone)]
struct Run {
    number: i64,
    level: i64,
    ids: usize,
    filter: Filter,
}

/// Runs by day.
type Days = BTreeMap<i64, Vec<Run>>;

/// What was remembered before the micro-batch at work, for another thread to ask.
#[derive(Debug)]
pub struct Remembered(Arc<Days>);

impl Remembered {
    /// Whether `key` may have been seen; where not, it has not.
    pub fn may_hold(&self, key: u128) -> bool {
        self.0.values().flatten().any(|run| run.filter.may_hold(key))
    }
}

/// The message ids of one partition.
#[derive(Debug)]
pub struct Dedupe {
    partition: i64,
    window_days: i64,
    days: Arc<Days>,
    next_run: i64,
    /// Ids of the micro-batch at work, by day.
    fresh: BTreeMap<i64, FxHashSet<u128>>,
}

impl Dedupe {
    /// Reads the runs that the store has.
    pub fn load(store: &mut dyn Reader, partition: u32, window_days: u32) -> Result<Dedupe, Error> {
        let mut dedupe = Dedupe {
            partition: partition.into(),
            window_days: window_days.into(),
            days: Arc::default(),
            next_run: 0,
            fresh: BTreeMap::new(),
        };
        let rows = store.scan(&Scan::prefix(&schema::DEDUPE_RUN, vec![Value::Int(dedupe.partition)], usize::MAX))?;
        for row in rows {
            let filter = Filter::from_bytes(row[5].as_bytes()?)
                .ok_or_else(|| Error::unreadable("a dedupe filter", "its length is wrong"))?;
            let run = Run { number: row[2].as_int()?, level: row[3].as_int()?, ids: row[4].as_int()? as usize, filter };
            dedupe.next_run = dedupe.next_run.max(run.number + 1);
            dedupe.days_mut().entry(row[1].as_int()?).or_default().push(run);
        }
        Ok(dedupe)
    }

    /// What is remembered until [`Dedupe::flush`].
    pub fn remembered(&self) -> Remembered {
        Remembered(self.days.clone())
    }

    fn days_mut(&mut self) -> &mut Days {
        Arc::make_mut(&mut self.days)
    }

    /// Remembers `key`; says whether it is new. `now` is engine time, which never goes back. `may_be_known`: what
    /// [`Remembered::may_hold`] says, or true.
    pub fn insert(
        &mut self,
        store: &mut dyn Txn,
        key: u128,
        may_be_known: bool,
        now: Timestamp,
        for_ever: bool,
    ) -> Result<bool, Error> {
        let day = if for_ever { FOR_EVER } else { now.day().max(0) };
        let oldest = oldest_day(now, self.window_days);
        let known = |(day, ids): (&i64, &FxHashSet<u128>)| (*day == FOR_EVER || *day >= oldest) && ids.contains(&key);
        if self.fresh.iter().any(known) {
            return Ok(false);
        }
        for (run_day, runs) in self.days.iter().filter(|_| may_be_known) {
            if *run_day != FOR_EVER && *run_day < oldest {
                continue;
            }
            for run in runs {
                if run.filter.may_hold(key) && self.search(store, *run_day, run, key)? {
                    return Ok(false);
                }
            }
        }
        self.fresh.entry(day).or_default().insert(key);
        Ok(true)
    }

    fn search(&self, store: &mut dyn Txn, day: i64, run: &Run, key: u128) -> Result<bool, Error> {
        let pages = run.ids.div_ceil(PAGE_IDS);
        // Ids are uniform: the expected place is their value's share of all values.
        let mut page = (((key >> 64) * run.ids as u128) >> 64) as usize / PAGE_IDS;
        let mut seen = (None, None);
        loop {
            let row = [Value::Int(self.partition), Value::Int(day), Value::Int(run.number), Value::Int(page as i64)];
            let body = store.get(&schema::DEDUPE_PAGE, &[row.to_vec()])?.pop().flatten();
            let body = body.ok_or_else(|| Error::unreadable("a dedupe run", "a page is missing"))?;
            let ids = Ids(body[4].as_bytes()?);
            match ids.place(key) {
                Ok(_) => return Ok(true),
                Err(0) if page > 0 && seen.1 != Some(page - 1) => {
                    seen.0 = Some(page);
                    page -= 1;
                }
                Err(place) if place == ids.len() && page + 1 < pages && seen.0 != Some(page + 1) => {
                    seen.1 = Some(page);
                    page += 1;
                }
                Err(_) => return Ok(false),
            }
        }
    }

    /// Writes the ids of the micro-batch, merges what has become many, and drops the days that have passed.
    pub fn flush(&mut self, store: &mut dyn Txn, now: Timestamp) -> Result<(), Error> {
        for (day, ids) in std::mem::take(&mut self.fresh) {
            let mut sorted: Vec<u128> = ids.into_iter().collect();
            sorted.sort_unstable();
            let run = self.write(store, day, 0, &sorted)?;
            self.days_mut().entry(day).or_default().push(run);
            self.merge(store, day)?;
        }
        let oldest = oldest_day(now, self.window_days);
        while let Some((&day, _)) = self.days.range(FOR_EVER + 1..oldest).next() {
            let prefix = [Value::Int(self.partition), Value::Int(day)];
            store.delete_prefix(&schema::DEDUPE_PAGE, &prefix)?;
            store.delete_prefix(&schema::DEDUPE_RUN, &prefix)?;
            self.days_mut().remove(&day);
        }
        // A day that has passed gets no more ids (but a late one or two): one run answers for it.
        let passed =
            self.days.range(FOR_EVER + 1..now.day().max(0)).find(|(_, runs)| runs.len() > 1).map(|(day, _)| *day);
        if let Some(day) = passed {
            let runs = self.days_mut().remove(&day).unwrap_or_default();
            let level = runs.iter().map(|run| run.level).max().unwrap_or(0) + 1;
            self.rewrite(store, day, runs, level)?;
        }
        Ok(())
    }

    /// Forgets the micro-batch at work: its transaction failed.
    pub fn discard(&mut self) {
        self.fresh.clear();
    }

    fn write(&mut self, store: &mut dyn Txn, day: i64, level: i64, sorted: &[u128]) -> Result<Run, Error> {
        let number = self.next_run;
        self.next_run += 1;
        let mut filter = Filter::for_ids(sorted.len());
        let mut rows: Vec<Row> = Vec::with_capacity(sorted.len() / PAGE_IDS + 1);
        for (page, ids) in sorted.chunks(PAGE_IDS).enumerate() {
            let mut body = Vec::with_capacity(ids.len() * 16);
            for id in ids {
                filter.insert(*id);
                body.extend_from_slice(&id.to_be_bytes());
            }
            let key = [self.partition, day, number, page as i64].map(Value::Int);
            rows.push(key.into_iter().chain([Value::Bytes(body)]).collect());
        }
        store.put(&schema::DEDUPE_PAGE, rows)?;
        let key = [self.partition, day, number, level, sorted.len() as i64].map(Value::Int);
        let row: Row = key.into_iter().chain([Value::Bytes(filter.to_bytes())]).collect();
        store.put(&schema::DEDUPE_RUN, vec![row])?;
        Ok(Run { number, level, ids: sorted.len(), filter })
    }

    /// Merges the runs of a level wherever there are [`FAN`] of them.
    fn merge(&mut self, store: &mut dyn Txn, day: i64) -> Result<(), Error> {
        loop {
            let runs = self.days_mut().entry(day).or_default();
            let of_level = |level: i64| runs.iter().filter(move |run| run.level == level).count();
            let Some(level) = runs.iter().map(|run| run.level).find(|level| of_level(*level) >= FAN) else {
                return Ok(());
            };
            let (merged, kept) = std::mem::take(runs).into_iter().partition(|run| run.level == level);
            *runs = kept;
            self.rewrite(store, day, merged, level + 1)?;
        }
    }

    /// Makes one run of several.
    fn rewrite(&mut self, store: &mut dyn Txn, day: i64, runs: Vec<Run>, level: i64) -> Result<(), Error> {
        let mut ids: Vec<u128> = Vec::with_capacity(runs.iter().map(|run| run.ids).sum());
        for run in &runs {
            let prefix = [self.partition, day, run.number].map(Value::Int).to_vec();
            for page in store.scan(&Scan::prefix(&schema::DEDUPE_PAGE, prefix.clone(), usize::MAX))? {
                ids.extend(Ids(page[4].as_bytes()?).iter());
            }
            store.delete_prefix(&schema::DEDUPE_PAGE, &prefix)?;
            store.delete(&schema::DEDUPE_RUN, &[prefix])?;
        }
        ids.sort_unstable();
        let run = self.write(store, day, level, &ids)?;
        self.days_mut().entry(day).or_default().push(run);
        Ok(())
    }
}

/// The oldest day that is remembered at `now`. Days before 1970 count as its first.
fn oldest_day(now: Timestamp, window_days: i64) -> i64 {
    (now.day().max(0) - window_days).max(0)
}

/// A page's ids: 16 big-endian bytes each, ascending.
struct Ids<'a>(&'a [u8]);

impl Ids<'_> {
    fn len(&self) -> usize {
        self.0.len() / 16
    }

    fn get(&self, i: usize) -> u128 {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[i * 16..][..16]);
        u128::from_be_bytes(bytes)
    }

    fn iter(&self) -> impl Iterator<Item = u128> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    fn place(&self, id: u128) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle).cmp(&id) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

/// A split block Bloom filter (Putze, Sanders, Singler 2007; the block and salts of the Apache Parquet specification):
/// one cache line per question.
#[derive(Debug, Clone)]
struct Filter(Vec<[u32; 8]>);

const BITS_PER_ID: usize = 12;
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

impl Filter {
    fn for_ids(ids: usize) -> Filter {
        Filter(vec![[0; 8]; (ids * BITS_PER_ID).div_ceil(256).max(1)])
    }

    fn block(&self, id: u128) -> usize {
        ((((id as u64) >> 32) * self.0.len() as u64) >> 32) as usize
    }

    fn insert(&mut self, id: u128) {
        let block = self.block(id);
        for (word, salt) in self.0[block].iter_mut().zip(SALT) {
            *word |= 1 << ((id as u32).wrapping_mul(salt) >> 27);
        }
    }

    fn may_hold(&self, id: u128) -> bool {
        let block = &self.0[self.block(id)];
        block.iter().zip(SALT).all(|(word, salt)| word & (1 << ((id as u32).wrapping_mul(salt) >> 27)) != 0)
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(32) {
            return None;
        }
        let word = |at: &[u8]| u32::from_le_bytes([at[0], at[1], at[2], at[3]]);
        Some(Filter(bytes.chunks(32).map(|block| std::array::from_fn(|i| word(&block[i * 4..]))).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onefold_model::{clock::DAY_MS, rng::SeededRng};
    use onefold_state::{MemoryStore, StateStore};

    fn id(n: u64) -> u128 {
        key(WorkspaceId(1), 1, &n.to_string())
    }

    /// Against a plain set, over days, restarts, failed transactions and merges of several levels.
    #[test]
    fn it_is_exact() {
        let store = MemoryStore::new(schema::ALL);
        let epoch = store.take_over(0).unwrap();
        let rng = SeededRng::new(7);
        let mut plain: std::collections::HashMap<u128, i64> = std::collections::HashMap::new();
        let mut dedupe = Dedupe::load(&mut *store.reader().unwrap(), 0, 30).unwrap();
        for batch in 0..300i64 {
            let now = Timestamp(batch * DAY_MS / 20);
            let mut txn = store.begin(0, epoch, None).unwrap();
            let mut before = plain.clone();
            for _ in 0..40 {
                let key = id(rng.below(6000));
                let new = plain.get(&key).is_none_or(|day| *day < now.day() - 30);
                assert_eq!(
                    dedupe.insert(&mut *txn, key, dedupe.remembered().may_hold(key), now, false).unwrap(),
                    new,
                    "batch {batch}"
                );
                if new {
                    plain.insert(key, now.day());
                }
            }
            match rng.below(10) {
                0 => {
                    dedupe.discard();
                    std::mem::swap(&mut plain, &mut before);
                }
                fate => {
                    dedupe.flush(&mut *txn, now).unwrap();
                    txn.commit().unwrap();
                    if fate == 1 {
                        dedupe = Dedupe::load(&mut *store.reader().unwrap(), 0, 30).unwrap();
                    }
                }
            }
        }
        let runs: usize = dedupe.days.values().map(Vec::len).sum();
        assert!(dedupe.days.len() <= 32 && runs < 32 * 16, "{} days, {runs} runs", dedupe.days.len());
    }

    #[test]
    fn an_imported_row_is_remembered_for_ever() {
        let store = MemoryStore::new(schema::ALL);
        let epoch = store.take_over(0).unwrap();
        let mut dedupe = Dedupe::load(&mut *store.reader().unwrap(), 0, 30).unwrap();
        for (day, new) in [(0, true), (400, false)] {
            let mut txn = store.begin(0, epoch, None).unwrap();
            let now = Timestamp(day * DAY_MS);
            assert_eq!(dedupe.insert(&mut *txn, id(1), true, now, true).unwrap(), new);
            dedupe.flush(&mut *txn, now).unwrap();
            txn.commit().unwrap();
        }
    }

    #[test]
    fn a_filter_is_rarely_wrong_and_never_forgets() {
        let mut filter = Filter::for_ids(10_000);
        (0..10_000).for_each(|n| filter.insert(id(n)));
        assert!((0..10_000).all(|n| filter.may_hold(id(n))));
        let wrong = (10_000..110_000).filter(|n| filter.may_hold(id(*n))).count();
        assert!(wrong < 1000, "{wrong} of 100,000");
        let bytes = filter.to_bytes();
        assert_eq!(Filter::from_bytes(&bytes).unwrap().0, filter.0);
    }
}
