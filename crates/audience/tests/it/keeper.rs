//! The keeper where it cannot answer.

use std::sync::Arc;

use onefold_audience::{AskError, Keeper};
use onefold_log::MemoryLog;
use onefold_model::{
    Timestamp, WorkspaceId,
    access::{Access, Caller, Purpose, Sight},
    segment::text,
};
use onefold_pipeline::definitions::Workspace;
use onefold_sim::{World, track};
use onefold_state::{MemoryStore, StateStore, schema};

fn ask(keeper: &Keeper, store: &MemoryStore) -> Result<usize, AskError> {
    let workspace = WorkspaceId(1);
    let access = Access {
        caller: Caller::Operator,
        workspace,
        purpose: Purpose::administration(),
        at: Timestamp(0),
        sight: Sight::all(),
    };
    let definitions =
        Workspace::load(&mut *store.reader().expect("a store in memory"), workspace).expect("an empty workspace");
    let condition = text::parse("count(\"Order\") = 0 within 2 days").expect("a condition");
    keeper.ask(&access, &definitions, &[condition], &[], |asked| asked.sets[0].len())
}

#[test]
fn who_is_asked_while_it_stops_says_so_and_answers_afterwards() {
    let store = Arc::new(MemoryStore::new(schema::ALL));
    let keeper = Keeper::new(Arc::new(MemoryLog::new(1)), store.clone(), 1 << 20);
    keeper.stop();
    let said = ask(&keeper, &store).unwrap_err().to_string();
    assert!(said.contains("the server is stopping; ask again when it is back"), "{said}");
    keeper.clear();
    assert_eq!(ask(&keeper, &store).unwrap(), 0);
}

#[test]
fn what_would_pass_the_bound_is_refused_and_not_tried_again() {
    let mut world = World::new();
    world.send(track("u1", "Order"));
    world.run();
    let ask = |keeper: &Keeper| {
        let condition = text::parse("count(\"Order\") >= 1").unwrap();
        keeper.ask(&world.access(), &world.definitions(), &[condition], &[], |asked| asked.sets[0].len())
    };
    let small = Keeper::new(world.log.clone(), world.store.clone(), 10);
    for _ in 0..2 {
        assert!(matches!(ask(&small), Err(AskError::Full { bytes_max: 10 })));
        assert_eq!(small.heap_bytes(), 0);
    }
    assert_eq!(ask(&Keeper::new(world.log.clone(), world.store.clone(), 1 << 20)).unwrap(), 1);
}
