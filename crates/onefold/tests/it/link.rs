//! `onefold link` as a plain tool, on the data that the field compares itself on.

use serde_json::Value;

use crate::support::{Folder, root};

#[test]
fn records_of_a_file_become_people() {
    let folder = Folder::new();
    let febrl = root().join("crates/link/tests/data/febrl1.csv.gz");
    let input = febrl.to_str().unwrap();
    let at = |name: &str| folder.file(name, "").to_str().unwrap().to_owned();
    let [model, clusters, pairs, report] = ["model.toml", "clusters.csv", "pairs.csv", "report.html"].map(at);

    std::fs::write(&model, folder.run(&["link", "--input", input, "--guess"])).unwrap();
    let written = ["--output", &clusters, "--pairs", &pairs, "--report", &report, "--save", &model];
    let figures = folder.json(&[&["link", "--input", input, "--model", &model, "--json"], &written[..]].concat());
    assert_eq!(figures["records"], 1000);
    // There are 500 people, each with one duplicate.
    assert!((498..=502).contains(&figures["people"].as_u64().unwrap()), "{figures}");
    let lines = std::fs::read_to_string(&clusters).unwrap();
    assert!(lines.starts_with("rec_id,cluster_id\n") && lines.lines().count() == 1001);
    assert!(std::fs::read_to_string(&pairs).unwrap().lines().count() > 490);
    assert!(std::fs::read_to_string(&report).unwrap().contains("<svg"));

    // With the weights that were learned the answer is the same, and is explained.
    let again = folder.json(&["link", "--input", input, "--model", &model, "--output", &pairs, "--json"]);
    assert_eq!((&again["people"], std::fs::read_to_string(&pairs).unwrap()), (&figures["people"], lines));
    let two = ["--explain", "rec-223-org", "rec-223-dup-0"];
    let explained = folder.run(&[&["link", "--input", input, "--model", &model], &two[..]].concat());
    assert!(explained.contains("surname"), "{explained}");

    let said = |args: &[&str]| {
        let refused = folder.output(args);
        assert!(!refused.status.success());
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let other = folder.file("other.csv", "id,name\n1,Ann\n2,Ann\n");
    let missing = said(&["link", "--input", other.to_str().unwrap(), "--model", &model]);
    assert!(missing.contains("surname") || missing.contains("given_name"), "{missing}");
    assert!(said(&["link", "--input", "nothing.csv"]).contains("nothing.csv"));
    let nobody = said(&["link", "--input", input, "--model", &model, "--explain", "rec-223-org", "nobody"]);
    assert!(nobody.contains("nobody"), "{nobody}");
}

#[test]
fn the_benchmark_holds_clusters_against_the_truth() {
    let folder = Folder::new();
    let mut rows = String::from("unique_id,person_id,given_name,surname,dob,email\n");
    let names = ["Ada", "Bela", "Cora", "Dora", "Emil", "Finn", "Gina", "Hugo", "Ines", "Jana"];
    for person in 0..400 {
        let (given, surname) = (names[person % 10], format!("{}{}", names[person / 10 % 10], names[person / 100]));
        let born = format!("19{:02}{:02}{:02}", 40 + person % 60, 1 + person % 12, 1 + person % 28);
        for source in 0..2 {
            let email = if source == 0 { format!("{given}.{surname}{person}@example.org") } else { String::new() };
            rows.push_str(&format!("{},{person},{given},{surname},{born},{email}\n", person * 2 + source));
        }
    }
    let file = folder.file("people.csv", &rows);
    let figures: Value = folder.json(&["bench", "link", file.to_str().unwrap(), "--peers", "nowhere", "--json"]);
    assert_eq!((&figures["records"], &figures["splink"]), (&800.into(), &Value::Null));
    let ours = &figures["onefold"];
    for figure in ["pair_f1", "cluster_precision", "cluster_recall", "cluster_f1"] {
        let value = ours[figure].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{figures}");
    }
    assert!(ours["cluster_precision"].as_f64().unwrap() > 0.95, "{figures}");
    assert!(ours["wall_s"].as_f64().is_some() && ours["rss_mib"].as_u64().unwrap() > 0, "{figures}");
}
