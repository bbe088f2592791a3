//! The suite that every connector passes: the contract of [`Destination`](crate::Destination), tried on a real target.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    Connector, Context, Delivery, Kind, Outcome,
    testing::{delivery, held},
};

/// A connector, a target for it, and how to see what the target holds.
pub struct Rig<'r> {
    pub connector: &'r dyn Connector,
    pub context: Context,
    pub good: Value,
    /// Configurations that cannot work, and the member that the error names.
    pub bad: Vec<(Value, &'static str)>,
    /// What the target takes.
    pub kinds: &'static [Kind],
    /// What it holds, as [`held`] says it, each key counted once.
    pub seen: Box<dyn Fn() -> BoxFuture<'static, BTreeSet<String>> + 'r>,
}

pub async fn check(rig: Rig<'_>) {
    bad_configurations_are_refused(&rig);
    the_form_names_what_is_read(&rig);
    let destination = rig.connector.open(rig.good.clone(), &rig.context).unwrap();
    assert_eq!(destination.kind(), rig.connector.kind());
    let limits = destination.limits();
    assert!(limits.batch_max >= 1 && limits.concurrency >= 1 && limits.concurrency <= limits.concurrency_max);
    assert!(!destination.test().await.unwrap().is_empty());
    assert_eq!((rig.seen)().await, BTreeSet::new(), "a test leaves nothing behind");
    assert_eq!(destination.deliver(&[]).await, []);

    let script = [
        (Kind::Enter, 1),
        (Kind::Enter, 2),
        (Kind::Event, 1),
        (Kind::Leave, 1),
        (Kind::Enter, 3),
        (Kind::Enter, 1),
        (Kind::Leave, 2),
        (Kind::Event, 2),
    ];
    let all: Vec<Delivery> = script
        .iter()
        .enumerate()
        .filter(|(_, (kind, _))| rig.kinds.contains(kind))
        .map(|(offset, (kind, profile))| delivery(offset as i64, *kind, *profile))
        .collect();

    // Each batch is handed over twice, as after a crash between the hand-off and its receipt.
    for batch in all.chunks(limits.batch_max.min(3)) {
        for _ in 0..2 {
            let outcomes = destination.deliver(batch).await;
            assert_eq!(outcomes.len(), batch.len());
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered { .. })), "{outcomes:?}");
        }
    }
    let profiles: Vec<String> = all.iter().map(|delivery| format!("p_{}", delivery.profile)).collect();
    let expect = held(
        all.iter().zip(&profiles).map(|(d, profile)| (d.kind, d.key.as_str(), d.segment.as_str(), profile.as_str())),
    );
    assert!(!expect.is_empty());
    assert_eq!((rig.seen)().await, expect);

    one_bad_delivery_hurts_only_itself(&rig, limits.batch_max).await;

    if rig.kinds.contains(&Kind::Erase) {
        // Twice, as after a crash.
        for _ in 0..2 {
            let outcomes = destination.deliver(&[delivery(30, Kind::Erase, 1)]).await;
            assert!(matches!(outcomes[..], [Outcome::Delivered { .. }]), "{outcomes:?}");
        }
        let held = (rig.seen)().await;
        let theirs = |d: &&Delivery| d.profile == 1;
        let keys: Vec<String> = all.iter().filter(theirs).map(|d| format!("event {}", d.key)).collect();
        assert!(!held.contains("vip p_1") && keys.iter().all(|key| !held.contains(key)), "{held:?}");
        assert!(held.contains("vip p_3"), "others stay: {held:?}");
    }
}

fn bad_configurations_are_refused(rig: &Rig<'_>) {
    let unknown = {
        let mut config = rig.good.clone();
        config["no_such_member"] = true.into();
        (config, "config")
    };
    for (config, field) in rig.bad.iter().chain([&unknown]) {
        let error = rig.connector.open(config.clone(), &rig.context).err();
        let error = error.unwrap_or_else(|| panic!("{config} was taken"));
        assert_eq!(error.field, *field, "{error}");
        assert!(!error.cause.is_empty() && !error.cure.is_empty() && !error.cure.ends_with('.'), "{error}");
    }
}

fn the_form_names_what_is_read(rig: &Rig<'_>) {
    let schema = rig.connector.config_schema();
    assert_eq!(schema["type"], "object");
    let properties = schema["properties"].as_object().unwrap();
    for member in rig.good.as_object().unwrap().keys() {
        assert!(properties.contains_key(member), "the form has no {member}");
    }
    for required in schema["required"].as_array().unwrap() {
        let mut config = rig.good.clone();
        config.as_object_mut().unwrap().remove(required.as_str().unwrap());
        assert!(rig.connector.open(config, &rig.context).is_err(), "{required} is not required");
    }
}

async fn one_bad_delivery_hurts_only_itself(rig: &Rig<'_>, batch_max: usize) {
    if batch_max < 2 || rig.connector.kind() == "webhook" {
        return;
    }
    let destination = rig.connector.open(rig.good.clone(), &rig.context).unwrap();
    let bad = Delivery { body: b"no json".to_vec(), ..delivery(20, Kind::Enter, 8) };
    let outcomes = destination.deliver(&[bad, delivery(21, Kind::Enter, 9)]).await;
    assert!(matches!(outcomes[..], [Outcome::Refused { .. }, Outcome::Delivered { .. }]), "{outcomes:?}");
    assert!((rig.seen)().await.contains("vip p_9"));
}
