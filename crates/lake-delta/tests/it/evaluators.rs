//! Live segments, the audience index and SQL, held against the plain meaning of conditions over raw events.
//!
//! People of several identifiers, merged and parted, whose events come late; conditions of every kind; at random instants. There
//! are enough of them that some members of JSON become columns between the first and the last.

use std::{collections::BTreeSet, sync::Arc};

use onefold_audience::{Keeper, Tables};
use onefold_lake::{Lake as _, Settings, Step, Writer, segments};
use onefold_lake_delta::{DeltaLake, Engine};
use onefold_model::{
    ProfileId, Timestamp, Value,
    clock::DAY_MS,
    command::Command,
    consent::State,
    segment::{Condition, text},
};
use onefold_pipeline::views;
use onefold_sim::{World, identify, track};
use proptest::prelude::*;
use serde_json::{Map, json};
use tempfile::TempDir;

use crate::{
    raw::{Event, Known, Person, conditions, instants, people, plain},
    support::{BUDGET, ask, in_folder},
};

/// The definitions of [`Known`].
const DEFINED: [&str; 3] = ["spent = sum(\"A\", price)", "lately = count(\"B\") within 2 days", "last_b = last(\"B\")"];

fn json_of(value: &Value) -> serde_json::Value {
    // Of the generator's values only this one is no JSON that a tree can hold.
    serde_json::from_str(&value.to_json()).unwrap_or(json!([1]))
}

/// As they look when they have been sent.
fn sent<'a>(values: impl Iterator<Item = (&'a String, &'a mut Value)>) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    for (name, value) in values {
        let json = json_of(value);
        *value = Value::from_json(&serde_json::value::to_raw_value(&json).expect("JSON"));
        object.insert(name.clone(), json);
    }
    object
}

/// A node's identifier.
fn node(person: usize, node: usize) -> String {
    if node == 0 { format!("u{person}") } else { format!("a{person}x{node}") }
}

/// Everything that answers.
struct Answering {
    world: World,
    lake: Arc<DeltaLake>,
    engine: Arc<Engine>,
    index: Keeper,
    _folder: TempDir,
}

impl Answering {
    fn new(conditions: &[Condition], begin: Timestamp) -> Answering {
        let mut world = World::new();
        world.clock.set(begin);
        world.command(Command::TimeZone("America/St_Johns".to_owned()));
        for line in DEFINED {
            world.computed(line);
        }
        world.segment("seg", "trait x >= 2 or count(\"C\") >= 1 within 3 days");
        for (number, condition) in conditions.iter().enumerate() {
            world.segment(&format!("c{number}"), &text::print(condition));
        }
        world.run();
        let folder = TempDir::new().expect("a folder");
        let lake = in_folder(folder.path());
        let index = Keeper::new(world.log.clone(), world.store.clone(), 1 << 30);
        Answering { engine: Arc::new(Engine::new(lake.clone())), world, lake, index, _folder: folder }
    }

    /// An index with nothing in it, which reads the tables.
    fn of_tables(&self) -> Keeper {
        let keeper = Keeper::new(self.world.log.clone(), self.world.store.clone(), 1 << 30);
        keeper.with_tables(Tables::new(self.engine.clone(), BUDGET))
    }

    /// Sends what happened before `now` and was not sent yet; notes in `people` what is known of them then.
    fn live_until(&mut self, now: Timestamp, people: &mut [Person], unsent: &mut Vec<(usize, Event)>) {
        let world = &mut self.world;
        world.clock.set(now);
        let (due, later): (Vec<_>, Vec<_>) = unsent.drain(..).partition(|(_, event)| event.at < now);
        *unsent = later;
        for (person, mut event) in due {
            let properties = sent(event.properties.iter_mut());
            let call = track(&node(person, event.node), &event.name).at(event.at);
            world.send(call.with(properties.into()));
            if event.node > 0 {
                world.run();
                world.merge(&node(person, 0), &node(person, event.node));
            }
            people[person].events.push(event);
        }
        world.run();
    }

    fn by_live(&self, name: &str) -> BTreeSet<ProfileId> {
        let reader = &mut *self.world.reader();
        let number = views::segment_number(reader, &self.world.access(), name).expect("a store").expect(name);
        let live = views::memberships(reader, &self.world.access()).expect("a store");
        live.into_iter().filter(|(n, _)| *n == number).map(|(_, id)| id).collect()
    }

    fn by(&self, index: &Keeper, conditions: &[Condition]) -> (Timestamp, Vec<BTreeSet<ProfileId>>) {
        let (access, definitions) = (self.world.access(), self.world.definitions());
        let asked = index.ask(&access, &definitions, conditions, &[], |asked| {
            let ids = |set: &onefold_audience::Set| set.iter().map(|number| asked.index.id(number)).collect();
            (asked.as_of, asked.sets.iter().map(ids).collect())
        });
        asked.expect("the index answers")
    }

    fn by_sql(&self, condition: &Condition, now: Timestamp) -> BTreeSet<String> {
        let definitions = self.world.definitions();
        let members = segments::members(condition, &definitions, &definitions.policy, now).expect("it has a query");
        let sql = format!("SELECT id FROM ({members}) members");
        let found = ask(&self.world, &self.engine, &sql, BUDGET).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
        found.into_iter().collect()
    }

    fn write(&self) -> Timestamp {
        let (log, store) = (self.world.log.clone(), self.world.store.clone());
        let writer = Writer::new(log, store, self.lake.clone(), Settings::default());
        while writer.step(&self.world.access(), &self.world.definitions()).expect("it is written") == Step::More {}
        self.lake.published(self.world.workspace).expect("it is published").at
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn live_index_and_sql_answer_as_the_raw_events_do(
        conditions in prop::collection::vec(conditions(), 1..12),
        generated in prop::collection::vec(people(), 8..20),
        first in instants(),
        then in instants(),
        order in any::<prop::sample::Index>(),
    ) {
        let (first, then) = (first.min(then), first.max(then));
        let mut unsent: Vec<(usize, Event)> = vec![];
        let mut people = generated;
        let mut answering = Answering::new(&conditions, first.minus(DAY_MS));
        for (number, person) in people.iter_mut().enumerate() {
            unsent.extend(person.events.drain(..).map(|event| (number, event)));
            let traits = sent(person.traits.iter_mut());
            let at = answering.world.now();
            answering.world.send(identify(&node(number, 0), traits.into()).at(at));
            person.events.push(Event { properties: Default::default(), ..Event::new("identify", at, 0) });
            answering.world.run();
            if person.consents {
                answering.world.consent(&node(number, 0), "marketing", None, State::Granted);
                answering.world.consent(&node(number, 0), "marketing", Some("sms"), State::Denied);
            }
        }
        if !unsent.is_empty() {
            let place = order.index(unsent.len());
            unsent.rotate_left(place);
        }

        answering.live_until(first, &mut people, &mut unsent);
        answering.by(&answering.index, &conditions);
        answering.world.merge("u0", "u1");
        answering.world.run();
        answering.write();
        // Of tables that are up to date, that lag, and that lag behind what the index has already.
        let (widened, lagging, current) = (answering.of_tables(), answering.of_tables(), answering.of_tables());
        answering.by(&widened, &conditions[..conditions.len() / 2]);
        answering.world.unmerge("u0", Some("u1"));
        answering.live_until(then, &mut people, &mut unsent);
        answering.by(&widened, &conditions);
        answering.by(&lagging, &conditions);
        let now = answering.write();

        let indexes = [("log", &answering.index), ("widened", &widened), ("lagging", &lagging), ("current", &current)];
        let by_index = indexes.map(|(name, index)| (name, answering.by(index, &conditions)));
        let known = Known::default();
        let ids: Vec<ProfileId> = (0..people.len()).map(|number| answering.world.find(&node(number, 0)).unwrap()).collect();
        for (number, condition) in conditions.iter().enumerate() {
            let holds = |(id, person): (&ProfileId, &Person)| plain(condition, &known, person, now).then_some(*id);
            let expect: BTreeSet<ProfileId> = ids.iter().zip(&people).filter_map(holds).collect();
            let words = text::print(condition);
            prop_assert_eq!(&answering.by_live(&format!("c{number}")), &expect, "live: {}", words);
            for (name, (as_of, found)) in &by_index {
                prop_assert_eq!(*as_of, now);
                prop_assert_eq!(&found[number], &expect, "by the index, {}: {}", name, words);
            }
            let expect: BTreeSet<String> = expect.iter().map(ToString::to_string).collect();
            prop_assert_eq!(&answering.by_sql(condition, now), &expect, "by SQL: {}", words);
        }
    }
}
