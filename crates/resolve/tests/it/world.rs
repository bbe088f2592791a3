//! A pipeline with a resolver behind it.

use onefold_model::{
    NodeId,
    command::Command,
    identity::{Rules, links::Found},
};
use onefold_pipeline::links;
use onefold_resolve::{Error, Resolver, Trained, models::Records};
use onefold_sim::World;
use onefold_state::schema;

/// Rules under which people may have several of everything, so that links are not refused.
pub fn loose() -> Rules {
    let mut rules = Rules::default();
    rules.kinds.iter_mut().for_each(|rule| rule.limit = None);
    rules
}

pub fn resolver(world: &World) -> Resolver {
    Resolver::new(world.log.clone(), world.store.clone())
}

/// One look, and what it gave carried out; how many pairs that was about.
pub fn step(world: &mut World, resolver: &Resolver) -> usize {
    world.run();
    let commands = resolver.step(&world.access(), &world.definitions()).unwrap();
    let pairs = commands.iter().map(|command| match command {
        Command::Links { found, gone, .. } => found.len() + gone.len(),
        _ => 0,
    });
    let pairs = pairs.sum();
    for command in commands {
        world.command(command);
    }
    world.run();
    pairs
}

/// Trains a model on what there is and makes it active.
pub fn train(world: &mut World, resolver: &Resolver) -> onefold_resolve::models::Would {
    world.run();
    let trained = trained(world).unwrap();
    let version = resolver.models().save(&world.access(), world.now(), &trained).unwrap();
    world.command(Command::LinkModel { version: Some(version) });
    world.run();
    trained.would
}

/// A model of what there is.
pub fn trained(world: &World) -> Result<Trained, Error> {
    Records::read(&mut *world.reader(), &world.access(), &world.definitions(), None)?.train()
}

/// What is on record of pairs: the nodes, the weight, and the state.
pub fn linked(world: &World) -> Vec<(NodeId, NodeId, i64, String)> {
    let page = links::page(&mut *world.reader(), &world.access(), None, usize::MAX).unwrap();
    page.into_iter().map(|link| (link.a, link.b, link.millibits, link.finding.name().to_owned())).collect()
}

/// What a resolver would say that has seen nothing before.
pub fn afresh(world: &World) -> Vec<Found> {
    let commands = resolver(world).step(&world.access(), &world.definitions()).unwrap();
    commands
        .into_iter()
        .flat_map(|command| match command {
            Command::Links { found, gone, .. } => {
                assert!(gone.is_empty(), "nothing is to be taken back: {gone:?}");
                found
            }
            other => panic!("a link was to come: {other:?}"),
        })
        .collect()
}

pub fn node(world: &World, value: &str) -> NodeId {
    let rows = world.rows(&schema::IDENTIFIER);
    NodeId(rows.iter().find(|row| row[3].as_text().unwrap() == value).unwrap()[4].as_int().unwrap())
}
