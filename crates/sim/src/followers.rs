//! Those who keep a copy of the world in another form, held against it.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{RecordBatch, cast::AsArray as _, types::Int64Type};
use onefold_audience::{AskError, Keeper};
use onefold_lake::{Lake as _, MemoryLake, Settings, Step, Table, Writer};
use onefold_model::ProfileId;
use onefold_pipeline::{feed, views};
use std::sync::Arc;

use crate::{World, oracle::Broken};

/// They keep up from one look to the next, whatever happens in between.
pub struct Followers {
    audiences: Keeper,
    tables: Arc<MemoryLake>,
    writer: Writer,
}

impl Followers {
    /// Of this world, with nothing kept yet.
    pub fn of(world: &World) -> Followers {
        let tables = Arc::new(MemoryLake::default());
        // So small that a story needs many commits, and sometimes all people are written anew.
        let settings = Settings { offsets_max: 23, bytes_max: 1500, idle_offsets: 40, changed_max: 3 };
        Followers {
            audiences: Keeper::new(world.log.clone(), world.store.clone(), 1 << 30),
            writer: Writer::new(world.log.clone(), world.store.clone(), tables.clone(), settings),
            tables,
        }
    }

    /// Brings them up to the world; says where they differ from it.
    pub fn differ(&self, world: &World) -> Vec<Broken> {
        let mut broken: Vec<Broken> = self.index_differs(world).into_iter().collect();
        broken.extend(self.tables_differ(world));
        broken
    }

    /// Where the audience index has other members than the live segments.
    fn index_differs(&self, world: &World) -> Option<Broken> {
        let (definitions, access) = (world.definitions(), world.access());
        let in_force = definitions.segments.values().filter_map(|segment| segment.in_force.as_ref());
        let segments: Vec<_> = in_force.map(|(_, definition)| definition).collect();
        let conditions: Vec<_> = segments.iter().map(|definition| definition.condition.clone()).collect();
        let asked = self.audiences.ask(&access, &definitions, &conditions, &[], |asked| {
            let ids = |set: &onefold_audience::Set| set.iter().map(|n| asked.index.id(n)).collect();
            asked.sets.iter().map(ids).collect::<Vec<BTreeSet<ProfileId>>>()
        });
        let found = match asked {
            Ok(found) => found,
            // It names a segment that was removed: nobody is in, and it cannot be asked.
            Err(AskError::Compile(_)) => return None,
            Err(error) => return Some(format!("the index cannot be asked: {error}")),
        };
        let reader = &mut *world.reader();
        let live = views::memberships(reader, &access).expect("the store is there");
        segments.iter().zip(found).find_map(|(definition, found)| {
            let number = views::segment_number(reader, &access, &definition.name).expect("the store is there")?;
            let live: BTreeSet<ProfileId> = live.iter().filter(|(n, _)| *n == number).map(|(_, id)| *id).collect();
            let name = &definition.name;
            (live != found).then(|| format!("{name}: live {live:?}, by the index {found:?}"))
        })
    }

    /// Where the tables say something else than the store.
    fn tables_differ(&self, world: &World) -> Vec<Broken> {
        let (definitions, access) = (world.definitions(), world.access());
        loop {
            match self.writer.step(&access, &definitions) {
                Ok(Step::More) => {}
                Ok(Step::UpToDate(_)) => break,
                Err(error) => return vec![format!("the tables cannot be written: {error}")],
            }
        }
        let reader = &mut *world.reader();
        let partition = access.workspace.partition(world.log.partitions());
        let (next, at) = views::as_of(reader, partition).expect("the store is there");

        let (mut events, mut profiles, mut identifiers) = (vec![], vec![], vec![]);
        feed::accepted(reader, &*world.log, &access, &definitions, 0..next, usize::MAX, &mut |node, event| {
            events.push(format!("{} of {}: {}", event.offset, node.0, event.name));
        })
        .expect("the log is there");
        let mut after = None;
        loop {
            after = feed::next_people(reader, &access, &definitions, after, at, &mut |person| {
                profiles.push(format!("{}: {}", person.id(), person.traits_json()));
                let id = person.id().0.0;
                identifiers.extend(
                    person.identifiers().map(|(node, kind, value)| format!("{} of {id}: {kind} {value}", node.0)),
                );
            })
            .expect("the store is there");
            if after.is_none() {
                break;
            }
        }
        let stated = feed::consents(reader, &access, 0..next).expect("the store is there");
        let consents =
            stated.iter().map(|row| format!("{} of {}: {} {}", row.offset, row.node.0, row.purpose, row.state));
        let live = views::memberships(reader, &access).expect("the store is there");
        let named =
            live.iter().filter_map(|(number, id)| Some(format!("{}: {}", definitions.segment_name(*number)?, id.0.0)));

        let text = |rows: &RecordBatch, row: usize, name: &str| {
            rows.column_by_name(name).expect(name).as_string::<i32>().value(row).to_owned()
        };
        let number = |rows: &RecordBatch, row: usize, name: &str| {
            rows.column_by_name(name).expect(name).as_primitive::<Int64Type>().value(row)
        };
        let mut segments = BTreeMap::new();
        let written = |table: Table, line: &mut dyn FnMut(&RecordBatch, usize) -> String| {
            let mut lines = vec![];
            let read = self.tables.read(access.workspace, table, &mut |rows| {
                lines.extend((0..rows.num_rows()).map(|row| line(&rows, row)));
                Ok(())
            });
            read.expect("the tables are there");
            lines
        };
        let mut broken = vec![];
        let mut compare = |table: Table, mut expect: Vec<String>, mut found: Vec<String>| {
            expect.sort_unstable();
            found.sort_unstable();
            if expect != found {
                broken.push(format!("table {table}: there is {expect:?}, written {found:?}"));
            }
        };
        compare(
            Table::Events,
            events,
            written(Table::Events, &mut |rows, row| {
                let (offset, node) = (number(rows, row, "offset"), number(rows, row, "node"));
                format!("{offset} of {node}: {}", text(rows, row, "event"))
            }),
        );
        compare(
            Table::Profiles,
            profiles,
            written(Table::Profiles, &mut |rows, row| {
                format!("{}: {}", text(rows, row, "id"), text(rows, row, "traits"))
            }),
        );
        compare(
            Table::Identifiers,
            identifiers,
            written(Table::Identifiers, &mut |rows, row| {
                let (node, profile) = (number(rows, row, "node"), number(rows, row, "profile"));
                format!("{node} of {profile}: {} {}", text(rows, row, "kind"), text(rows, row, "value"))
            }),
        );
        compare(
            Table::Consents,
            consents.collect(),
            written(Table::Consents, &mut |rows, row| {
                let (offset, node) = (number(rows, row, "offset"), number(rows, row, "node"));
                format!("{offset} of {node}: {} {}", text(rows, row, "purpose"), text(rows, row, "state"))
            }),
        );
        written(Table::SegmentMembers, &mut |rows, row| {
            let key = (text(rows, row, "segment"), number(rows, row, "profile"));
            let entered = rows.column_by_name("entered").expect("entered").as_boolean().value(row);
            segments.insert(key, entered);
            String::new()
        });
        let is_defined = |segment: &String| definitions.segments.contains_key(segment.as_str());
        let members = segments.into_iter().filter(|((segment, _), entered)| *entered && is_defined(segment));
        compare(Table::SegmentMembers, named.collect(), members.map(|((s, id), _)| format!("{s}: {id}")).collect());
        broken
    }
}
