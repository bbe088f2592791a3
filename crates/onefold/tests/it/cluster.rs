//! The cluster engine: the same answers from a scheduler and its executors, each a process of its own.

use std::{net::TcpListener, process::Child};

use serde_json::{Value, json};

use crate::{
    sql::shop,
    support::{Folder, http, pause},
};

/// A process of the cluster; killed when it is dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn executors_count_as_one_process_does_and_as_well_without_one_of_them() {
    let figures = Folder::new().json(&["bench", "cluster", "--users", "400", "--events", "8000", "--json"]);
    let rows = figures["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row["equal"] == true), "{figures}");
    assert!(rows.iter().any(|row| row["count"].as_u64().unwrap() > 0), "{figures}");
    let killed = &figures["one_killed"];
    assert_eq!((&killed["equal"], &killed["in_the_middle"]), (&true.into(), &true.into()), "{figures}");
}

#[test]
fn a_server_asks_its_scheduler() {
    let at = format!("127.0.0.1:{}", free_port());
    let folder = Folder::with(vec![
        ("ONEFOLD_ENGINE__KIND", "ballista".to_owned()),
        ("ONEFOLD_ENGINE__SCHEDULER", format!("http://{at}")),
    ]);
    let server = folder.serve();
    shop(&folder, &server);
    let scheduler = Node(folder.start(&["cluster", "scheduler", "--listen", &at]));
    let ports = format!("{},{}", free_port(), free_port());
    let _executor =
        Node(folder.start(&["cluster", "executor", "--scheduler", &at, "--ports", &ports, "--threads", "1"]));
    let ready = || http().get(format!("http://{at}/readyz")).send().is_ok_and(|answer| answer.status().is_success());
    while !ready() {
        pause();
    }

    // What is asked of JSON, of history, of tables without rows, and with the functions of segments.
    let ask = |sql: &str| folder.json(&["sql", sql])["rows"].clone();
    let sum = "SELECT event, sum((properties->>'total')::decimal(9,2)) FROM events GROUP BY 1 ORDER BY 1";
    assert_eq!(ask(sum), json!([["Order", 27.40], ["identify", null]]));
    assert_eq!(ask("SELECT count(*) FROM segment_members"), json!([[0]]));
    assert_eq!(ask("SELECT value FROM identifiers WHERE value LIKE 'u%' ORDER BY 1"), json!([["u1"], ["u2"]]));
    assert_eq!(ask("SELECT 1 + 1"), json!([[2]]));
    let definition = "SELECT count(*) FROM profiles WHERE passes(value_of(traits, 'plan'), '{\"equals\":\"pro\"}')";
    assert_eq!(ask(definition), json!([[1]]));

    // What is wrong is said as by the embedded engine.
    let said = |sql: &str| {
        let refused = folder.output(&["sql", sql]);
        assert!(!refused.status.success());
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let wrong = said("SELECT usr_id FROM events");
    assert!(wrong.contains("line 1, column 8") && wrong.contains("user_id"), "{wrong}");
    let wrong = said("SELECT event::bigint FROM events");
    assert!(wrong.contains("Cannot cast") && wrong.contains("ry_cast"), "{wrong}");

    drop(scheduler);
    let gone = said("SELECT count(*) FROM events");
    assert!(gone.contains("scheduler"), "{gone}");
    let stats: Value = folder.json(&["stats"]);
    assert!(stats.is_object(), "the rest of the server goes on: {stats}");
}
