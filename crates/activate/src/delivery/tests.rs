//! The loop under tokio's paused time: hours pass in milliseconds, and nothing waits for a real clock.

mod failures;
mod flow;
mod order;

use std::{collections::HashMap, sync::Arc};

use onefold_model::rng::SeededRng;
use onefold_state::{MemoryStore, SqliteSettings, SqliteStore, Txn, Value};
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use super::*;
use crate::{
    Delivery, Kind, Outcome,
    testing::{BATCHES, Fake, FakeConnector, ONE_BY_ONE, START_MS, TokioClock, context, delivery, ok},
};

/// Everything around the loop, for one test.
struct House {
    store: Arc<dyn StateStore>,
    clock: Arc<TokioClock>,
    fakes: HashMap<&'static str, Arc<Fake>>,
    denied: Arc<Mutex<FxHashSet<i64>>>,
    settings: Settings,
    wake: watch::Sender<u64>,
    seed: u64,
}

/// Denies some profiles.
struct Denies(Arc<Mutex<FxHashSet<i64>>>);

impl Permission for Denies {
    fn decide(
        &self,
        _reader: &mut dyn Reader,
        access: &Access,
        channel: Option<&str>,
        profiles: &[i64],
    ) -> Result<Vec<Permit>, Error> {
        assert_eq!((access.purpose.0.as_str(), channel), ("ads", Some("email")));
        let denied = self.0.lock();
        let permit = |profile: &i64| Permit { allowed: !denied.contains(profile), reason: "denied by row 7".into() };
        Ok(profiles.iter().map(permit).collect())
    }
}

impl House {
    fn new() -> House {
        House::on(Arc::new(MemoryStore::new(schema::ALL)))
    }

    fn on(store: Arc<dyn StateStore>) -> House {
        House {
            store,
            clock: TokioClock::start(),
            fakes: HashMap::new(),
            denied: Arc::default(),
            settings: Settings::default(),
            wake: watch::Sender::new(0),
            seed: 1,
        }
    }

    /// A destination of this name, a fake that does as `script` says.
    fn fake(
        &mut self,
        name: &'static str,
        limits: crate::Limits,
        script: impl FnMut(&Delivery, i64) -> Outcome + Send + 'static,
    ) -> Arc<Fake> {
        let fake = Fake::new(self.clock.clone(), limits, script);
        self.fakes.insert(name, Arc::clone(&fake));
        self.configure(name, "active", "");
        fake
    }

    fn configure(&self, name: &str, state: &str, more: &str) {
        let config = format!(r#"{{"id":"{name}","purpose":"ads","channel":"email"{more}}}"#);
        let row = vec![1_i64.into(), name.into(), "fake".into(), state.into(), 0_i64.into(), config.into()];
        self.write(|txn| txn.put(&schema::DESTINATION, vec![row.clone()]));
    }

    fn write(&self, mut write: impl FnMut(&mut dyn Txn) -> Result<(), Error>) {
        let mut txn = self.store.begin_shared().unwrap();
        write(&mut *txn).unwrap();
        txn.commit().unwrap();
    }

    /// Writes outbox rows for a destination, and wakes as the pipeline does.
    fn put(&self, destination: &str, deliveries: impl IntoIterator<Item = Delivery>) {
        let created = onefold_model::Clock::now(&*self.clock);
        let rows: Vec<Row> = deliveries
            .into_iter()
            .map(|d| rows::outbox_row(&Delivery { destination: destination.into(), created, ..d }, created.0))
            .collect();
        self.write(|txn| txn.put(&schema::OUTBOX, rows.clone()));
        self.wake.send_modify(|n| *n += 1);
    }

    fn start(&self) -> Handle {
        let deliverer = Deliverer {
            store: Arc::clone(&self.store),
            registry: Arc::new(Registry::of(vec![Box::new(FakeConnector(self.fakes.clone()))])),
            context: context(&[], std::path::Path::new("unused"), self.clock.clone()),
            rng: Arc::new(SeededRng::new(self.seed)),
            settings: self.settings.clone(),
            permission: Arc::new(Denies(Arc::clone(&self.denied))),
        };
        deliverer.start(self.wake.subscribe())
    }

    fn count(&self, table: &'static onefold_state::Table, destination: &str) -> u64 {
        let prefix = [Value::Int(1), destination.into()];
        self.store.reader().unwrap().count(table, &prefix).unwrap()
    }

    /// Receipts as `offset status attempts detail`.
    fn receipts(&self, destination: &str) -> Vec<String> {
        let scan = Scan::prefix(&schema::RECEIPT, vec![1_i64.into(), destination.into()], usize::MAX);
        let rows = self.store.reader().unwrap().scan(&scan).unwrap();
        let text = |value: &Value| value.as_text().unwrap().to_owned();
        let int = |value: &Value| value.as_int().unwrap();
        rows.iter().map(|r| format!("{} {} {} {}", int(&r[2]), text(&r[8]), int(&r[9]), text(&r[11]))).collect()
    }
}

fn events(offsets: std::ops::Range<i64>, profiles: i64) -> impl Iterator<Item = Delivery> {
    offsets.map(move |offset| delivery(offset, Kind::Event, offset % profiles))
}

fn down() -> Outcome {
    Outcome::retry("down")
}
