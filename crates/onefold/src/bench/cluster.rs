//! The eight audiences by executors of a cluster, beside the embedded engine, and with one of them killed in the middle.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use onefold_lake::QueryError;
use onefold_lake_delta::Engine;
use onefold_model::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::{
    segments::{Shop, made, round},
    sql::{self, Asker, Tables},
};
use crate::Failure;

/// What is measured.
pub struct Settings {
    pub users: u64,
    pub events: u64,
    pub executors: u16,
    /// The object store; without it a folder.
    pub url: Option<Url>,
    pub options: Vec<(String, String)>,
    pub now: Timestamp,
}

/// How long processes may take to start.
const START: Duration = Duration::from_secs(60);

/// A process that ends with this.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // One that is gone already is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it.
pub fn run(settings: &Settings) -> Result<Value, Failure> {
    let folder = tempfile::tempdir()?;
    let data = made(folder.path(), settings.users, settings.events, settings.now)?;
    let (shop, _) = Shop::open(folder.path(), &data, settings.now)?;
    let url = match &settings.url {
        Some(url) => url.clone(),
        None => {
            let lake = folder.path().join("lake");
            std::fs::create_dir(&lake)?;
            Url::from_directory_path(lake).map_err(|()| Failure::new("the folder is no URL", ""))?
        }
    };
    let tables = Tables::write(&shop, url.clone(), settings.options.clone())?;
    let (embedded, cluster) = (Engine::new(tables.lake.clone()), Cluster::start(folder.path(), settings, &url)?);
    let spread = Engine::on_cluster(tables.lake.clone(), cluster.scheduler.clone());
    let (here, there) = (Asker::new(&embedded, &shop.access)?, Asker::new(&spread, &shop.access)?);
    let asked: Vec<String> = sql::eight(settings.now).collect();
    let mut rows = vec![];
    for (place, (query, definition)) in asked.iter().zip(sql::defined(&shop, settings.now)?).enumerate() {
        let ((count, embedded_ms), (theirs, cluster_ms)) = (here.measure(query)?, there.measure(query)?);
        let defined = there.count(&definition)?;
        rows.push(json!({
            "audience": place + 1,
            "count": count,
            "embedded_ms": round(embedded_ms),
            "cluster_ms": round(cluster_ms),
            "overhead_ms": round(cluster_ms - embedded_ms),
            "equal": theirs == count && defined == count,
        }));
    }
    let lost = match settings.executors {
        0 | 1 => None,
        _ => Some(without_one(cluster, &here, &there)?),
    };
    Ok(json!({ "executors": settings.executors, "rows": rows, "one_killed": lost }))
}

/// What every event is read for, and handed from one executor to another.
const LONG: &str = "select count(*) from (select i.profile, event, count(*) as n, max(time) as t, \
     max(properties->>'category') as c from events join identifiers i using (node) group by 1, 2) a \
     join (select i.profile, count(*) as n from events join identifiers i using (node) group by 1) b using (profile)";

/// Kills an executor when it has put something down for others in the middle of a query.
fn without_one(mut cluster: Cluster, here: &Asker<'_>, there: &Asker<'_>) -> Result<Value, Failure> {
    let count = here.count(LONG)?;
    let (mut victim, work) = cluster.executors.remove(0);
    let before = files(&work);
    let began = Instant::now();
    let killed = std::thread::spawn(move || {
        while files(&work) == before && began.elapsed() < START {
            std::thread::sleep(Duration::from_millis(1));
        }
        let after_ms = began.elapsed().as_millis() as u64;
        victim.0.kill().map(|()| after_ms)
    });
    // Now and then the scheduler does not notice, and the question waits for ever: it is given up, and asked again of who is left.
    let (found, asked_again) = match there.count_within(LONG, START) {
        Err(QueryError::Time(_)) => (there.count(LONG)?, true),
        found => (found.map_err(|error| Failure::new(error.to_string(), error.cure()))?, false),
    };
    let took_ms = began.elapsed().as_millis() as u64;
    let after_ms = killed.join().map_err(|_| Failure::new("the executor was not killed", "run it again"))??;
    Ok(json!({
        "equal": found == count,
        "count": count,
        "killed_after_ms": after_ms,
        "asked_again": asked_again,
        "in_the_middle": after_ms < took_ms,
        "answered_after_ms": took_ms,
    }))
}

/// How many files there are in a folder and those in it.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: PathBuf| if path.is_dir() { files(&path) } else { 1 };
    entries.flatten().map(|entry| count(entry.path())).sum()
}

/// A scheduler and its executors, each a process.
struct Cluster {
    scheduler: String,
    /// With the folders that they work in.
    executors: Vec<(Node, PathBuf)>,
    _scheduler: Node,
}

impl Cluster {
    fn start(folder: &Path, settings: &Settings, url: &Url) -> Result<Cluster, Failure> {
        let options: serde_json::Map<String, Value> =
            settings.options.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let config = folder.join("cluster.toml");
        let quoted: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let text = format!("[lake]\nurl = {}\noptions = {{ {} }}\n", json!(url.as_str()), quoted.join(", "));
        std::fs::write(&config, text)?;
        let own = std::env::current_exe()?;
        let node = |arguments: &[&str]| -> Result<Node, Failure> {
            let mut command = Command::new(&own);
            command.arg("cluster").args(arguments).arg("--config").arg(&config).arg("--data").arg(folder);
            Ok(Node(command.stdin(Stdio::null()).spawn()?))
        };
        let at = format!("127.0.0.1:{}", free_port()?);
        let wanted = settings.executors.to_string();
        let scheduler = node(&["scheduler", "--listen", &at, "--executors-min", &wanted])?;
        let mut executors = vec![];
        for number in 0..settings.executors {
            let work = folder.join(format!("executor-{number}"));
            let ports = format!("{},{}", free_port()?, free_port()?);
            let path = work.display().to_string();
            let arguments = ["executor", "--scheduler", &at, "--ports", &ports, "--folder", &path, "--threads", "1"];
            executors.push((node(&arguments)?, work));
        }
        ready(&at)?;
        Ok(Cluster { scheduler: format!("http://{at}"), executors, _scheduler: scheduler })
    }
}

/// Waits until the scheduler has its executors.
fn ready(at: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    loop {
        let answer = runtime.block_on(reqwest::get(format!("http://{at}/readyz")));
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if began.elapsed() > START {
            let cause = format!("the executors did not come to the scheduler within {} s", START.as_secs());
            return Err(Failure::new(cause, "what they wrote stands above"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
