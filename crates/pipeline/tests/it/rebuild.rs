//! Rebuilding gives equal derived state and sends nothing; how the log was cut does not matter.

use std::sync::Arc;

use onefold_log::{MemoryLog, SqliteLog, SqliteLogSettings};
use onefold_model::command::Command;
use onefold_pipeline::Settings;
use onefold_sim::{
    World, alias, dump, group, identify, oracle, track,
    world::{DAY, HOUR},
};
use onefold_state::{SqliteSettings, SqliteStore, StateStore, schema};
use serde_json::json;

/// Something of everything.
fn story(world: &mut World) {
    world.segment("active", "count(any event) >= 2 within 5 days");
    world.computed("spent = sum(\"Order\", revenue)");
    world.subscribe("crm", &["active", "spenders"], &["Order"]);
    for n in 0..120i64 {
        world.advance(3 * HOUR);
        let who = format!("u{} a{}", n % 6, n % 9);
        match n % 8 {
            0 => world.send(identify(&format!("u{} p{}@example.com", n % 6, n % 4), json!({ "plan": n % 3 }))),
            1 => world.send(track(&format!("a{}", n % 12), "Viewed")),
            2 => world.send(group(&who, "acme", json!({ "n": n }))),
            3 => world.send(track(&who, "Order").with(json!({ "revenue": n })).consent("ads", n % 16 == 3)),
            4 => world.send(track(&who, "Order").id(&format!("d{}", n % 3)).with(json!({ "revenue": n }))),
            _ => world.send(track(&who, "Viewed")),
        };
        match n {
            30 => world.send(alias("u1", "u2")),
            40 => world.segment("spenders", "computed spent > 100 and in segment \"active\""),
            50 => world.merge("u3", "u4"),
            60 => world.unmerge("u3", Some("u4")),
            70 => world.segment("active", "count(\"Order\") >= 1 within 20 days or trait plan = 2"),
            80 => world.unmerge("u1", None),
            90 => world.command(Command::SegmentRemove("spenders".to_owned())),
            _ => 0,
        };
        if n % 7 == 0 {
            world.run();
        }
    }
    world.run();
    world.advance(100 * DAY);
    world.run();
}

fn same(left: &dump::Dump, right: &dump::Dump) {
    let differences = dump::differences(left, right);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_rebuild_gives_equal_tables_and_sends_nothing() {
    let mut world = World::new();
    story(&mut world);
    world.deliver(5);
    oracle::check(&world);
    let before = dump::all(&*world.store);
    let rebuilt = world.rebuild().unwrap();
    same(&before, &dump::all(&*world.store));
    assert_eq!(rebuilt.records, world.log.end(0).unwrap());
    assert_eq!(rebuilt.waiting, world.rows(&schema::OUTBOX).len());
    assert!(rebuilt.waiting > 0);
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(
        world.rows(&schema::OUTBOX).len(),
        rebuilt.waiting + 2,
        "afterwards it sends again: the order, and who entered"
    );
    oracle::check(&world);
}

/// What came while the rebuild ran was not applied before, so it must be sent after.
#[test]
fn a_rebuild_goes_as_far_as_the_old_state_had_come() {
    let mut world = World::new();
    world.subscribe("crm", &[], &["Order"]);
    world.send(track("u1", "Order"));
    world.run();
    world.send(track("u1", "Order"));
    world.rebuild().unwrap();
    assert_eq!(world.outbox("crm").len(), 1);
    assert_eq!(world.profile("u1").unwrap().events, 1);
    world.run();
    assert_eq!(world.outbox("crm").len(), 2);
}

#[test]
fn batches_of_any_size_give_the_same() {
    let mut world = World::new();
    story(&mut world);
    let live = dump::all(&*world.store);
    for batch_bytes_max in [1, 700, 5_000, 4 << 20] {
        let settings = Settings { batch_bytes_max, backfill_bytes_max: batch_bytes_max, ..world.settings.clone() };
        same(&live, &dump::all(&*world.replayed(settings).store));
    }
    let settings = Settings { cache_bytes_max: 4_000, batch_bytes_max: 3_000, ..world.settings.clone() };
    same(&live, &dump::all(&*world.replayed(settings).store));
}

#[test]
fn sqlite_holds_what_memory_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("state.db"), schema::ALL, SqliteSettings::default()).unwrap();
    let log = SqliteLog::open(&folder.path().join("log.db"), SqliteLogSettings::default()).unwrap();
    let mut on_disk = World::on(Arc::new(log), Arc::new(store));
    on_disk.settings.cache_bytes_max = 20_000;
    story(&mut on_disk);
    let mut in_memory = World::on(Arc::new(MemoryLog::new(1)), Arc::new(onefold_state::MemoryStore::new(schema::ALL)));
    story(&mut in_memory);
    same(&dump::all(&*in_memory.store), &dump::all(&*on_disk.store));
    on_disk.crash();
    on_disk.rebuild().unwrap();
    same(&dump::all(&*in_memory.store), &dump::all(&*on_disk.store));
    oracle::check(&on_disk);
}

#[test]
fn workspaces_of_other_partitions_are_left_alone() {
    let store: Arc<dyn StateStore> = Arc::new(onefold_state::MemoryStore::new(schema::ALL));
    let log = Arc::new(MemoryLog::new(2));
    let mut worlds: Vec<World> = (1..=2)
        .map(|n| {
            let mut world = World::on(log.clone(), store.clone());
            world.workspace = onefold_model::WorkspaceId(n);
            world
        })
        .collect();
    for (n, world) in worlds.iter_mut().enumerate() {
        world.segment("active", "count(\"Order\") >= 1 within 2 days");
        world.run();
        world.send(track(&format!("u{n}"), "Order"));
        world.run();
    }
    // Only the first partition's clock goes on.
    worlds[0].crash();
    let later = worlds[0].now().plus(10 * DAY);
    worlds[0].run_at(later);
    assert_eq!(worlds[0].members("active"), [""; 0]);
    assert_eq!(worlds[1].members("active"), ["u1"]);
    let before = dump::all(&*store);
    worlds[0].rebuild().unwrap();
    same(&before, &dump::all(&*store));
}
