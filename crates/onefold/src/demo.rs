//! The demonstration: the main job on real purchases, from raw events to synced audiences, in one command.
//!
//! The purchases are CDNOW's (public research data, 1997 and 1998), moved in time so that the last one is today. The CRM,
//! web and support records that overlap with them are made here, the same at every run.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::Method, routing::post};
use onefold_collect::Mapping;
use onefold_model::{Clock as _, Timestamp, clock::SystemClock, rng::SeededRng};
use serde_json::{Value, json};

use crate::{
    Failure,
    cli::Common,
    client::Client,
    commands::{ImportJob, ImportReport},
    serve::{Server, asked_to_stop},
    settings::Settings,
};

const PURCHASES: &[u8] = include_bytes!("../../../data/cdnow_sample.txt");
const PURCHASES_MAPPING: &str = include_str!("../../../data/cdnow.toml");
const CRM_MAPPING: &str = include_str!("../../../data/crm.toml");

/// Customers of the shop, by their number in the CDNOW sample.
const CUSTOMERS: u64 = 2357;

/// Runs the demonstration. With `keep`, in the data folder that was named, and it goes on serving.
pub async fn run(common: &Common, settings: &Settings, keep: bool) -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let mut settings = settings.clone();
    if !keep {
        settings.data = temporary.path().join("onefold-data");
        settings.server.listen = "127.0.0.1:0".to_owned();
    } else if settings.data.join("log.db").exists() {
        let cause = format!("{} holds data already", settings.data.display());
        return Err(Failure::new(cause, "run `onefold serve` to go on with it, or give another folder with --data"));
    }
    // The webhook receiver of this demonstration listens on loopback.
    settings.egress.allowed.push("127.0.0.1/32".to_owned());
    let started = SystemClock.now();
    let receiver = Receiver::start().await?;
    let server = Server::start(&settings).await?;
    let client = Client::of_server(&settings.data, &common.workspace)
        .await?
        .ok_or_else(|| Failure::new("the server that was just started does not answer", "run it again"))?;
    let demo = Demo { client, url: format!("http://{}", server.address), folder: temporary.path() };
    demo.play(&settings.data, &receiver).await?;
    println!("\nDone in {:.1} s.", (SystemClock.now().0 - started.0) as f64 / 1000.0);
    if keep {
        println!("Serving on {}; the token is in {}. Ctrl-C ends it.", demo.url, settings.data.join("token").display());
        asked_to_stop().await;
    }
    demo.client.close().await?;
    server.stop().await;
    Ok(())
}

struct Demo<'a> {
    client: Client,
    url: String,
    folder: &'a Path,
}

impl Demo<'_> {
    async fn play(&self, data: &Path, receiver: &Receiver) -> Result<(), Failure> {
        heading("Sources");
        let mut keys = vec![];
        for (name, kind) in [("shop", "import"), ("crm", "import"), ("web", "http"), ("support", "http")] {
            let made =
                self.client.send(Method::POST, "/api/v1/sources", &json!({ "name": name, "kind": kind })).await?;
            keys.push(made["write_key"].as_str().unwrap_or_default().to_owned());
            println!("  {name:<8} {kind}");
        }
        let (web, support) = (keys[2].clone(), keys[3].clone());
        self.define().await?;
        self.import().await?;
        self.send_live(&web, &support).await?;
        self.destinations(data, receiver).await?;
        self.live_change(&web, receiver).await?;
        self.show(data, receiver).await
    }

    /// Computed traits and segments, before there is any data: they are kept live from the first event on.
    async fn define(&self) -> Result<(), Failure> {
        heading("Computed traits and segments");
        for (name, measure) in [
            ("orders", json!("count")),
            ("total_spent", json!({ "sum": "revenue" })),
            ("average_order", json!({ "average": "revenue" })),
            ("last_order", json!("last_time")),
        ] {
            let definition = json!({ "name": name, "measure": measure, "event": "Order Completed" });
            self.client.send(Method::PUT, "/api/v1/computed", &definition).await?;
            println!("  computed {name}");
        }
        for (name, text) in SEGMENTS {
            let definition = json!({ "name": name, "condition": text });
            self.client.send(Method::PUT, "/api/v1/segments", &definition).await?;
            println!("  segment  {name:<22} {text}");
        }
        Ok(())
    }

    async fn import(&self) -> Result<(), Failure> {
        heading(
            "Import: CDNOW purchases 1997-01 to 1998-06, moved by whole weeks so that the last one is this week; a CRM file",
        );
        let purchases = self.folder.join("cdnow_sample.txt");
        std::fs::write(&purchases, PURCHASES)?;
        let crm = self.folder.join("crm.csv");
        std::fs::write(&crm, crm_file())?;
        for (source, file, mapping, shift) in
            [("shop", &purchases, PURCHASES_MAPPING, true), ("crm", &crm, CRM_MAPPING, false)]
        {
            let mapping = Mapping::parse(mapping).map_err(|error| Failure::new(error.to_string(), ""))?;
            let started = SystemClock.now();
            let job = ImportJob {
                client: &self.client,
                source,
                file,
                mapping: &mapping,
                shift_to_now: shift,
                incremental: false,
                progress: false,
            };
            let (report, end): (ImportReport, u64) = job.run().await?;
            crate::commands::wait_applied(&self.client, end, false).await?;
            println!(
                "  {source:<8} {} rows, {} events, {} refused: in profiles after {} ms",
                report.rows,
                report.accepted,
                report.refused,
                SystemClock.now().0 - started.0
            );
        }
        Ok(())
    }

    /// People browse before they log in, and then say who they are; some write to support by e-mail.
    async fn send_live(&self, web: &str, support: &str) -> Result<(), Failure> {
        heading("Live events over HTTP, as the stock SDKs send them");
        let rng = SeededRng::new(11);
        let mut batches = vec![];
        let mut events = vec![];
        let mut sent = 0;
        for visit in 0..4000u64 {
            let customer = rng.below(CUSTOMERS) + 1;
            let browser = format!("browser-{visit}");
            for page in 0..3 {
                events.push(json!({ "type": "track", "event": "Product Viewed", "anonymousId": browser,
                    "messageId": format!("v-{visit}-{page}"), "properties": { "category": format!("cat{:02}", rng.below(40)) } }));
            }
            if visit % 4 != 0 {
                let agrees = rng.below(10) < 7;
                events.push(json!({ "type": "identify", "userId": user_id(customer), "anonymousId": browser,
                    "messageId": format!("i-{visit}"), "traits": { "email": email(customer) },
                    "context": { "consent": { "categoryPreferences": { "marketing": agrees } } } }));
            }
            if events.len() >= 100 {
                sent += events.len();
                batches.push(std::mem::take(&mut events));
            }
        }
        let started = SystemClock.now();
        self.post_all(web, batches).await?;
        let acknowledged_ms = (SystemClock.now().0 - started.0).max(1);
        let tickets: Vec<Value> = (0..200u64)
            .map(|ticket| {
                let customer = rng.below(CUSTOMERS) + 1;
                json!({ "type": "track", "event": "Ticket Opened", "messageId": format!("t-{ticket}"),
                    "context": { "traits": { "email": email(customer).to_uppercase() } },
                    "properties": { "subject": "Where is my parcel?", "priority": if ticket % 2 == 0 { "low" } else { "high" } } })
            })
            .collect();
        self.post_all(support, vec![tickets]).await?;
        let end = self.caught_up().await?;
        let applied_ms = (SystemClock.now().0 - started.0).max(1);
        println!(
            "  {sent} web events acknowledged in {acknowledged_ms} ms: {} a second, each on disk before its answer",
            sent as i64 * 1000 / acknowledged_ms
        );
        println!("  200 support tickets, known by e-mail address only");
        println!("  all in profiles after {applied_ms} ms; log offset {end}");
        Ok(())
    }

    /// Posts batches, eight at a time.
    async fn post_all(&self, key: &str, batches: Vec<Vec<Value>>) -> Result<(), Failure> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(|e| Failure::new(e.to_string(), ""))?;
        let mut tasks = tokio::task::JoinSet::new();
        for batch in batches {
            let request = http
                .post(format!("{}/v1/batch", self.url))
                .basic_auth(key, Some(""))
                .json(&json!({ "batch": batch, "sentAt": SystemClock.now().to_string() }));
            if tasks.len() >= 8 {
                answered(tasks.join_next().await)?;
            }
            tasks.spawn(request.send());
        }
        while let Some(answer) = tasks.join_next().await {
            answered(Some(answer))?;
        }
        Ok(())
    }

    /// Waits until all that is in the log is applied.
    async fn caught_up(&self) -> Result<u64, Failure> {
        let stats = self.client.get("/api/v1/stats").await?;
        let end = stats["applied"].as_u64().unwrap_or(0) + stats["lag"].as_u64().unwrap_or(0);
        crate::commands::wait_applied(&self.client, end, false).await?;
        Ok(end)
    }

    async fn destinations(&self, data: &Path, receiver: &Receiver) -> Result<(), Failure> {
        heading("Destinations, each for the purpose marketing: who has not agreed is not handed over");
        let webhook = json!({ "name": "crm-webhook", "kind": "webhook", "segments": ["high-value"],
            "config": { "url": receiver.url, "secret": "whsec_b25lZm9sZC1kZW1vLXNlY3JldC1vbmVmb2xkISE=", "purpose": "marketing", "batch": 50 } });
        self.client.send(Method::PUT, "/api/v1/destinations", &webhook).await?;
        println!("  crm-webhook  high-value → {}", receiver.url);
        let file = json!({ "name": "lapsed-file", "kind": "file", "segments": ["lapsed-180-days"],
            "config": { "location": "lapsed", "format": "csv", "mode": "audience", "interval_s": 1, "columns": ["identifiers.email", "traits.first_name", "traits.city"],
                        "purpose": "marketing" } });
        self.client.send(Method::PUT, "/api/v1/destinations", &file).await?;
        println!("  lapsed-file  lapsed-180-days → {}", data.join("exports").join("lapsed").display());
        match std::env::var("ONEFOLD_DEMO_POSTGRES") {
            Ok(url) if !url.is_empty() => {
                let table = json!({ "name": "recent-table", "kind": "postgres", "segments": ["bought-last-90-days"],
                    "config": { "url": url, "table": "onefold_demo_recent_buyers", "create": true, "purpose": "marketing" } });
                self.client.send(Method::PUT, "/api/v1/destinations", &table).await?;
                println!("  recent-table bought-last-90-days → PostgreSQL table onefold_demo_recent_buyers");
            }
            _ => println!(
                "  no PostgreSQL server was named (ONEFOLD_DEMO_POSTGRES=postgresql://…): the table is left out"
            ),
        }
        self.delivered().await
    }

    /// Waits until the outbox is empty, a minute at the most.
    async fn delivered(&self) -> Result<(), Failure> {
        for _ in 0..600 {
            let stats = self.client.get("/api/v1/stats").await?;
            let waiting: u64 =
                stats["deliveries"].as_array().into_iter().flatten().filter_map(|d| d["waiting"].as_u64()).sum();
            if waiting == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// One person buys: the time from the request to the webhook.
    async fn live_change(&self, web: &str, receiver: &Receiver) -> Result<(), Failure> {
        heading("One live purchase, from the request to the webhook");
        let before = receiver.received.load(Ordering::SeqCst);
        let person = json!({ "type": "identify", "userId": "new-customer", "messageId": "new-1",
            "traits": { "email": "grace@example.com", "first_name": "Grace" },
            "context": { "consent": { "categoryPreferences": { "marketing": true } } } });
        let orders: Vec<Value> = (0..3)
            .map(|n| {
                json!({ "type": "track", "event": "Order Completed", "userId": "new-customer", "messageId": format!("new-order-{n}"),
                    "properties": { "revenue": 60.10, "quantity": 2, "currency": "USD" } })
            })
            .collect();
        let started = SystemClock.now();
        self.post_all(web, vec![[vec![person], orders].concat()]).await?;
        for _ in 0..2000 {
            if receiver.received.load(Ordering::SeqCst) > before {
                println!("  delivered after {} ms", SystemClock.now().0 - started.0);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        println!("  not delivered within four seconds; see `onefold destination receipts crm-webhook`");
        Ok(())
    }

    async fn show(&self, data: &Path, receiver: &Receiver) -> Result<(), Failure> {
        self.delivered().await?;
        let stats = self.client.get("/api/v1/stats").await?;
        heading("Counts");
        let total = |name: &str| stats["totals"][name].as_i64().unwrap_or(0);
        for (label, name) in [
            ("events accepted", "events.accepted"),
            ("events seen twice", "events.duplicate"),
            ("profiles", "profiles"),
            ("merges", "identity.merges"),
            ("merges refused by a limit", "identity.merge_refused"),
        ] {
            println!("  {label:<26} {}", total(name));
        }
        heading("Segments");
        for (name, _) in SEGMENTS {
            let count = self.client.get(&format!("/api/v1/segments/{name}/count")).await?;
            println!("  {name:<26} {:>6}   as of {}", count["count"], count["as_of"].as_str().unwrap_or_default());
        }
        self.show_profile().await?;
        heading("Deliveries");
        for delivery in stats["deliveries"].as_array().into_iter().flatten() {
            println!(
                "  {:<14} delivered {:>5}, skipped without consent {:>5}, waiting {}, dead {}",
                delivery["destination"].as_str().unwrap_or_default(),
                delivery["delivered"],
                delivery["skipped"],
                delivery["waiting"],
                delivery["dead_letters"]
            );
        }
        println!("  the webhook receiver got {} requests", receiver.received.load(Ordering::SeqCst));
        for file in files_below(&data.join("exports")) {
            let lines = std::fs::read_to_string(&file).map(|text| text.lines().count().saturating_sub(1)).unwrap_or(0);
            println!("  {}: {lines} people", file.display());
        }
        Ok(())
    }

    async fn show_profile(&self) -> Result<(), Failure> {
        // The member of the best segment who has the most identifiers.
        let members = self.client.call(Method::GET, "/api/v1/segments/high-value/members?limit=500", vec![]).await?;
        let members: Vec<Value> = members.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let richest = members.iter().max_by_key(|m| m["identifiers"].as_array().map_or(0, Vec::len));
        let Some(id) = richest.and_then(|m| m["id"].as_str()) else { return Ok(()) };
        let profile = self.client.get(&format!("/api/v1/profiles/{id}")).await?;
        heading(&format!("One person: {id}"));
        for identifier in profile["identifiers"].as_array().into_iter().flatten() {
            let text = |name: &str| identifier[name].as_str().unwrap_or_default().to_owned();
            println!("  {:<13} {:<32} {:>3} events", text("kind"), text("value"), identifier["events"]);
        }
        for (name, value) in profile["traits"].as_object().into_iter().flatten() {
            println!(
                "  trait    {name:<12} {:<28} from {} at {}",
                value["value"].to_string(),
                value["source"].as_str().unwrap_or_default(),
                value["at"].as_str().unwrap_or_default()
            );
        }
        for (name, value) in profile["computed"].as_object().into_iter().flatten() {
            println!("  computed {name:<12} {value}");
        }
        for (name, decision) in profile["consent"].as_object().into_iter().flatten() {
            println!("  consent  {name:<12} {}", if decision["allowed"] == json!(true) { "granted" } else { "denied" });
        }
        let segments: Vec<&str> =
            profile["segments"].as_array().into_iter().flatten().filter_map(|s| s["name"].as_str()).collect();
        println!("  segments {}", segments.join(", "));
        println!("  timeline");
        let timeline = self.client.get(&format!("/api/v1/profiles/{id}/timeline?limit=6")).await?;
        for entry in timeline.as_array().into_iter().flatten() {
            let event = &entry["event"];
            println!(
                "    {}  {:<8} {}",
                event["timestamp"].as_str().unwrap_or_default(),
                entry["source"].as_str().unwrap_or_default(),
                event["event"].as_str().or(event["type"].as_str()).unwrap_or_default()
            );
        }
        Ok(())
    }
}

/// What is kept live.
const SEGMENTS: &[(&str, &str)] = &[
    ("bought-last-90-days", r#"count("Order Completed") >= 1 within 90 days"#),
    ("high-value", r#"count("Order Completed") >= 3 and sum("Order Completed", revenue) > 100"#),
    ("lapsed-180-days", r#"count("Order Completed") >= 1 and count("Order Completed") = 0 within 180 days"#),
    ("asked-for-help", r#"count("Ticket Opened") >= 1 within 30 days and count("Order Completed") >= 1"#),
];

fn heading(text: &str) {
    println!("\n{text}");
}

fn user_id(customer: u64) -> String {
    // The customer numbers that the purchases have.
    let line = String::from_utf8_lossy(PURCHASES);
    let wanted = format!("{customer:04}");
    line.lines()
        .find_map(|line| {
            let mut columns = line.split_whitespace();
            let id = columns.next()?;
            (columns.next()? == wanted).then(|| id.to_owned())
        })
        .unwrap_or(wanted)
}

fn email(customer: u64) -> String {
    format!("customer{customer}@example.com")
}

/// 1,500 of the shop's customers, as a CRM would export them.
fn crm_file() -> String {
    let rng = SeededRng::new(5);
    let first = ["Ada", "Alan", "Grace", "Kurt", "Emmy", "Wisława", "Zoë", "Jürgen", "Анна", "李"];
    let cities = ["Berlin", "Kraków", "Paris", "Lisboa", "Köln", "Wien"];
    let mut file = String::from("customer_no,e_mail,first_name,city,loyalty_card,since\n");
    for customer in 1..=CUSTOMERS {
        if rng.below(CUSTOMERS) >= 1500 {
            continue;
        }
        let _ = writeln!(
            file,
            "{},{},{},{},LC-{:06},{}",
            user_id(customer),
            email(customer),
            first[rng.below(10) as usize],
            cities[rng.below(6) as usize],
            customer * 7,
            Timestamp(1_600_000_000_000 + rng.below(100_000_000_000) as i64)
        );
    }
    file
}

fn answered(
    answer: Option<Result<Result<reqwest::Response, reqwest::Error>, tokio::task::JoinError>>,
) -> Result<(), Failure> {
    match answer {
        None => Ok(()),
        Some(Ok(Ok(response))) if response.status().is_success() => Ok(()),
        Some(Ok(Ok(response))) => Err(Failure::new(format!("an event batch was answered {}", response.status()), "")),
        Some(Ok(Err(error))) => Err(Failure::new(error.to_string(), "")),
        Some(Err(error)) => Err(Failure::new(error.to_string(), "")),
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A webhook receiver that counts what it gets.
struct Receiver {
    url: String,
    received: Arc<AtomicU64>,
}

impl Receiver {
    async fn start() -> Result<Receiver, Failure> {
        let received = Arc::new(AtomicU64::new(0));
        let count = |State(received): State<Arc<AtomicU64>>| async move {
            received.fetch_add(1, Ordering::SeqCst);
            "ok"
        };
        let router = Router::new().route("/hook", post(count)).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Receiver { url, received })
    }
}
