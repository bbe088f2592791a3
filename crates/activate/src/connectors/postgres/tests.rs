use std::{collections::BTreeSet, path::Path, sync::Arc};

use onefold_model::{Timestamp, clock::ManualClock};
use onefold_state::testing::Postgres as Server;
use serde_json::json;
use tokio_postgres::NoTls;

use super::*;
use crate::{
    Kind,
    conformance::{self, Rig},
    testing::{context, delivery},
};

/// The socket's folder, which the operator lists.
fn socket(url: &str) -> String {
    url.split(' ').find_map(|part| part.strip_prefix("host=")).unwrap().to_owned()
}

fn house(url: &str) -> Context {
    context(&[&socket(url)], Path::new("unused"), Arc::new(ManualClock::at(Timestamp(0))))
}

async fn rows(url: &str, query: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn execute(url: &str, statements: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
}

#[tokio::test]
async fn it_conforms() {
    let server = Server::shared();
    let url = server.url();
    let table = r#"people "x""#;
    let seen = url.clone();
    conformance::check(Rig {
        connector: &Postgres,
        context: house(&url),
        good: json!({"url": url, "table": table, "events_table": "public.happened", "create": true}),
        bad: vec![
            (json!({"url": "nonsense"}), "url"),
            (json!({"url": "postgresql://10.0.0.1/x"}), "url"),
            (json!({"url": "postgresql://db.example/x?sslmode=disable"}), "url"),
            (json!({"url": "host=/elsewhere"}), "url"),
            (json!({"url": "host=db.example hostaddr=10.0.0.1"}), "url"),
            (json!({"url": url, "table": "a.b.c"}), "table"),
            (json!({"url": url, "events_table": "onefold_audience"}), "events_table"),
        ],
        kinds: &[Kind::Event, Kind::Enter, Kind::Leave, Kind::Erase],
        seen: Box::new(move || {
            let url = seen.clone();
            Box::pin(async move {
                let query = "SELECT segment || ' ' || id FROM \"people \"\"x\"\"\" \
                             UNION ALL SELECT 'event ' || key FROM happened";
                rows(&url, query).await.into_iter().collect::<BTreeSet<_>>()
            })
        }),
    })
    .await;
}

#[tokio::test]
async fn a_member_s_row_has_what_was_said_last() {
    let server = Server::shared();
    let url = server.url();
    let config = json!({"url": url, "table": "last_said", "events_table": "last_said_events"});
    let target = Postgres.open(config, &house(&url)).unwrap();
    let mut changed = delivery(2, Kind::Enter, 1);
    changed.body = String::from_utf8(changed.body).unwrap().replace(r#""plan":"pro""#, r#""plan":"free""#).into_bytes();
    target.deliver(&[delivery(1, Kind::Enter, 1), changed]).await;
    target.deliver(&[delivery(3, Kind::Event, 1)]).await;
    let query = "SELECT concat_ws(' ', id, identifiers, traits, entered_at AT TIME ZONE 'UTC', key) FROM last_said";
    expect_test::expect![[
        r#"p_1 [{"kind": "email", "value": "1@example.com"}] {"note": "=1+1", "plan": "free"} 2027-01-15 08:00:00 k2"#
    ]]
    .assert_eq(&rows(&url, query).await.join("\n"));
    let query = "SELECT concat_ws(' ', key, profile, event) FROM last_said_events";
    expect_test::expect![[r#"k3 p_1 {"type": "track", "event": "order", "profile": {"id": "p_1"}}"#]]
        .assert_eq(&rows(&url, query).await.join("\n"));
}

#[tokio::test]
async fn a_row_that_breaks_a_constraint_is_refused_alone_and_its_values_are_not_told() {
    let server = Server::shared();
    let url = server.url();
    let config = json!({"url": url, "table": "strict", "events_table": "strict_events"});
    let target = Postgres.open(config, &house(&url)).unwrap();
    target.test().await.unwrap();
    execute(&url, "ALTER TABLE strict ADD CHECK (id <> 'p_2')").await;
    let mut nul = delivery(4, Kind::Event, 4);
    nul.body = br#"{"event":"\u0000","profile":{"id":"p_4"}}"#.to_vec();
    let batch = [delivery(1, Kind::Enter, 1), delivery(2, Kind::Enter, 2), delivery(3, Kind::Enter, 3), nul];
    let outcomes = target.deliver(&batch).await;
    let [Outcome::Delivered { .. }, Outcome::Refused { cause, .. }, Outcome::Delivered { .. }, Outcome::Refused { .. }] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!(cause, "ERROR (SQLSTATE 23514)");
    assert_eq!(rows(&url, "SELECT id FROM strict ORDER BY id").await, ["p_1", "p_3"]);
}

#[tokio::test]
async fn a_table_that_went_is_made_again_and_a_server_that_went_is_tried_again() {
    let server = Server::start();
    let url = server.url();
    let target = Postgres.open(json!({"url": url}), &house(&url)).unwrap();
    let batch = [delivery(1, Kind::Enter, 1)];
    assert!(matches!(target.deliver(&batch).await[..], [Outcome::Delivered { .. }]));
    execute(&url, "DROP TABLE onefold_audience").await;
    assert!(matches!(target.deliver(&batch).await[..], [Outcome::Retry { .. }]));
    assert!(matches!(target.deliver(&batch).await[..], [Outcome::Delivered { .. }]));
    drop(server);
    assert!(matches!(target.deliver(&batch).await[..], [Outcome::Retry { .. }]));
    assert!(target.test().await.is_err());
}
