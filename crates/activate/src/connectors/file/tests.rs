use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use bytes::Bytes;
use expect_test::expect;
use onefold_model::{Timestamp, clock::ManualClock};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use serde_json::json;

use super::*;
use crate::{
    Kind,
    conformance::{self, Rig},
    testing::{Receiver, context, delivery, held},
};

fn house(folder: &Path) -> Context {
    context(&["127.0.0.0/8"], folder, Arc::new(ManualClock::at(Timestamp(0))))
}

fn open(folder: &Path, config: Value) -> Result<Arc<dyn Destination>, ConfigError> {
    File.open(config, &house(folder))
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<(String, Bytes)> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap().into()))
        .collect();
    files.sort();
    files
}

type Line = (Kind, String, String, String);

fn holds(lines: impl IntoIterator<Item = Line>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let lines: Vec<Line> = lines.into_iter().filter(|line| keys.insert(line.1.clone())).collect();
    held(lines.iter().map(|(kind, key, segment, profile)| (*kind, key.as_str(), segment.as_str(), profile.as_str())))
}

/// Key, kind, segment and profile of the rows of an appended file.
fn lines(name: &str, content: &Bytes) -> Vec<Line> {
    let kind = |text: &str| Kind::parse(text).unwrap();
    match name.rsplit('.').next().unwrap() {
        "csv" => csv::Reader::from_reader(&content[..])
            .records()
            .map(|record| record.unwrap())
            .map(|r| (kind(&r[1]), r[0].to_owned(), r[2].to_owned(), r[3].to_owned()))
            .collect(),
        "ndjson" => content
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice::<Value>(line).unwrap())
            .map(|line| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let payload = &line["payload"];
                let profile = text(&payload["profile"]["id"]);
                (kind(&text(&line["kind"])), text(&line["key"]), text(&payload["segment"]), profile)
            })
            .collect(),
        _ => SerializedFileReader::new(content.clone())
            .unwrap()
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap())
            .map(|row| {
                let text = |column: usize| row.get_string(column).unwrap().clone();
                (kind(&text(1)), text(0), text(2), text(3))
            })
            .collect(),
    }
}

async fn appends(format: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("exports/1/out");
    conformance::check(Rig {
        connector: &File,
        context: house(folder.path()),
        good: json!({"location": "out", "format": format, "interval_s": 5, "rows_max": 100}),
        bad: vec![
            (json!({"location": "../out"}), "location"),
            (json!({"location": "/etc"}), "location"),
            (json!({"location": "ftp://host/out"}), "location"),
            (json!({"location": "memory:///"}), "location"),
            (json!({"location": "out", "rows_max": 0}), "rows_max"),
            (json!({"location": "out", "interval_s": 100_000}), "interval_s"),
            (json!({"location": "out", "columns": ["key"]}), "columns"),
            (json!({"location": "out", "columns": ["a", "a"]}), "columns"),
            (json!({"location": "out", "mode": "audience", "format": "parquet"}), "format"),
            (json!({"location": "s3://b/out", "options": {"aws_endpoint": "http://10.0.0.1"}}), "options.aws_endpoint"),
            (
                json!({"location": "s3://b/out", "options": {"aws_web_identity_token_file": "/etc/passwd"}}),
                "options.aws_web_identity_token_file",
            ),
        ],
        kinds: &[Kind::Event, Kind::Enter, Kind::Leave, Kind::Erase],
        seen: Box::new(move || {
            let mut all: Vec<(i64, Line)> = vec![];
            for (name, content) in files(&out) {
                all.extend(lines(&name, &content).into_iter().map(|line| (line.1[1..].parse().unwrap(), line)));
            }
            all.sort_by_key(|(offset, _)| *offset);
            let held = holds(all.into_iter().map(|(_, line)| line));
            Box::pin(async move { held })
        }),
    })
    .await;
}

#[tokio::test]
async fn csv_conforms() {
    appends("csv").await;
}

#[tokio::test]
async fn ndjson_conforms() {
    appends("ndjson").await;
}

#[tokio::test]
async fn parquet_conforms() {
    appends("parquet").await;
}

fn members(segment: &str, content: &[u8]) -> BTreeSet<String> {
    csv::Reader::from_reader(content).records().map(|record| format!("{segment} {}", &record.unwrap()[0])).collect()
}

#[tokio::test]
async fn audiences_conform() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exports/1/out/vip.csv");
    conformance::check(Rig {
        connector: &File,
        context: house(folder.path()),
        good: json!({"location": "out", "mode": "audience", "columns": ["identifiers.email"]}),
        bad: vec![(json!({"location": "out", "mode": "audience", "columns": ["id"]}), "columns")],
        kinds: &[Kind::Enter, Kind::Leave, Kind::Erase],
        seen: Box::new(move || {
            let held = fs::read(&file).map(|content| members("vip", &content)).unwrap_or_default();
            Box::pin(async move { held })
        }),
    })
    .await;
}

#[tokio::test]
async fn s3_conforms() {
    let receiver = Arc::new(Receiver::start().await);
    let seen = Arc::clone(&receiver);
    let folder = tempfile::tempdir().unwrap();
    let options = json!({"aws_endpoint": receiver.url, "aws_region": "eu", "aws_access_key_id": "a",
        "aws_secret_access_key": "b"});
    conformance::check(Rig {
        connector: &File,
        context: house(folder.path()),
        good: json!({"location": "s3://bucket/deep/out", "mode": "audience", "options": options}),
        bad: vec![],
        kinds: &[Kind::Enter, Kind::Leave, Kind::Erase],
        seen: Box::new(move || {
            let objects = seen.objects();
            assert!(objects.iter().all(|(path, _)| path == "/bucket/deep/out/vip.csv"), "{objects:?}");
            let held = objects.iter().flat_map(|(_, content)| members("vip", content)).collect();
            Box::pin(async move { held })
        }),
    })
    .await;
    // Without keys the store would ask the machine's metadata service, which the guard refuses.
    let config = json!({"location": "s3://bucket/out", "options": {"aws_endpoint": receiver.url}});
    let fault = open(folder.path(), config).unwrap().test().await.unwrap_err();
    assert!(fault.cause.contains("link-local"), "{fault}");
}

#[tokio::test]
async fn what_the_files_look_like() {
    let folder = tempfile::tempdir().unwrap();
    let batch = [delivery(1, Kind::Enter, 1), delivery(2, Kind::Event, 2)];
    for (format, columns) in
        [("csv", json!(["profile.traits.note"])), ("ndjson", json!([])), ("ndjson", json!(["event"]))]
    {
        let location = format!("{format}-{}", columns.as_array().unwrap().len());
        let config = json!({"location": location, "format": format, "columns": columns});
        open(folder.path(), config).unwrap().deliver(&batch).await;
    }
    let config =
        json!({"location": "audience", "mode": "audience", "columns": ["identifiers", "traits.note", "traits.none"]});
    open(folder.path(), config).unwrap().deliver(&batch[..1]).await;
    let mut told = String::new();
    for location in ["csv-1", "ndjson-0", "ndjson-1", "audience"] {
        for (name, content) in files(&folder.path().join("exports/1").join(location)) {
            told += &format!("{location}/{name}\n{}", String::from_utf8_lossy(&content));
        }
    }
    expect![[r#"
        csv-1/out_2027-01-15T08-00-00.000Z_1_0.csv
        key,kind,segment,profile,created_at,profile.traits.note
        k1,enter,vip,p_1,2027-01-15T08:00:00.000Z,'=1+1
        k2,event,,p_2,2027-01-15T08:00:00.000Z,
        ndjson-0/out_2027-01-15T08-00-00.000Z_1_0.ndjson
        {"key":"k1","kind":"enter","created_at":"2027-01-15T08:00:00.000Z","payload":{"type":"audience","action":"enter","segment":"vip","at":"2027-01-15T08:00:00.000Z","profile":{"id":"p_1","identifiers":[{"kind":"email","value":"1@example.com"}],"traits":{"plan":"pro","note":"=1+1"}}}}
        {"key":"k2","kind":"event","created_at":"2027-01-15T08:00:00.000Z","payload":{"type":"track","event":"order","profile":{"id":"p_2"}}}
        ndjson-1/out_2027-01-15T08-00-00.000Z_1_0.ndjson
        {"key":"k1","kind":"enter","created_at":"2027-01-15T08:00:00.000Z","segment":"vip","profile":"p_1","event":null}
        {"key":"k2","kind":"event","created_at":"2027-01-15T08:00:00.000Z","segment":"","profile":"p_2","event":"order"}
        audience/vip.csv
        id,identifiers,traits.note,traits.none
        p_1,email:1@example.com,'=1+1,
    "#]]
    .assert_eq(&told);
}

#[tokio::test]
async fn parquet_reads_back_with_its_types() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"location": "out", "format": "parquet", "columns": ["profile.traits.plan"]});
    let batch = [delivery(1, Kind::Enter, 1), delivery(2, Kind::Event, 2)];
    open(folder.path(), config).unwrap().deliver(&batch).await;
    let (_, content) = files(&folder.path().join("exports/1/out")).remove(0);
    let reader = SerializedFileReader::new(content).unwrap();
    let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    expect![[r#"
        {key: "k1", kind: "enter", segment: "vip", profile: "p_1", created_at: 2027-01-15 08:00:00.000 +00:00, profile.traits.plan: "pro"}
        {key: "k2", kind: "event", segment: "", profile: "p_2", created_at: 2027-01-15 08:00:00.000 +00:00, profile.traits.plan: null}"#]]
    .assert_eq(&rows.join("\n"));
    let columns = reader.metadata().row_group(0).columns();
    assert!(columns.iter().all(|column| column.statistics().is_none()), "no values in the footer");
}

#[tokio::test]
async fn a_batch_again_overwrites_and_a_longer_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let target = open(folder.path(), json!({"location": "out"})).unwrap();
    let batch: Vec<Delivery> = (1..4).map(|offset| delivery(offset, Kind::Event, offset)).collect();
    target.deliver(&batch[..2]).await;
    target.deliver(&batch).await;
    let files = files(&folder.path().join("exports/1/out"));
    assert_eq!(files.len(), 1);
    assert_eq!(lines(&files[0].0, &files[0].1).len(), 3);
}

#[tokio::test]
async fn an_audience_file_follows_its_columns_and_takes_no_events() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        |columns: Value| json!({"location": "out", "mode": "audience", "columns": columns, "spreadsheet_safe": false});
    let first = open(folder.path(), config(json!(["traits.plan", "traits.note"]))).unwrap();
    first.deliver(&[delivery(1, Kind::Enter, 1)]).await;
    let second = open(folder.path(), config(json!(["identifiers.email", "traits.note"]))).unwrap();
    let outcomes = second.deliver(&[delivery(2, Kind::Enter, 2), delivery(3, Kind::Event, 1)]).await;
    assert!(matches!(outcomes[..], [Outcome::Delivered { .. }, Outcome::Refused { .. }]), "{outcomes:?}");
    let file = folder.path().join("exports/1/out/vip.csv");
    expect![[r#"
        id,identifiers.email,traits.note
        p_1,,=1+1
        p_2,2@example.com,=1+1
    "#]]
    .assert_eq(&fs::read_to_string(&file).unwrap());
    fs::write(&file, "something else\n").unwrap();
    let outcomes = second.deliver(&[delivery(4, Kind::Enter, 2)]).await;
    assert!(matches!(outcomes[..], [Outcome::Retry { .. }]), "what others wrote is not overwritten: {outcomes:?}");
}

#[tokio::test]
async fn a_segment_s_name_is_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let target = open(folder.path(), json!({"location": "out", "mode": "audience"})).unwrap();
    target.deliver(&[Delivery { segment: "../../x".into(), ..delivery(1, Kind::Enter, 1) }]).await;
    assert_eq!(files(&folder.path().join("exports/1/out"))[0].0, "%2E%2E%2F%2E%2E%2Fx.csv");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_out_is_refused_unless_the_operator_allows_it() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(folder.path().join("exports/1")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("exports/1/link")).unwrap();
    let error = open(folder.path(), json!({"location": "link"})).err().unwrap();
    assert!(error.cause.contains("outside"), "{error}");
    let context = Context { exports_allowed: vec![elsewhere.path().to_owned()], ..house(folder.path()) };
    for location in ["link", elsewhere.path().to_str().unwrap()] {
        File.open(json!({"location": location}), &context).unwrap();
    }
}
