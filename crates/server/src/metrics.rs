//! Prometheus metrics: every name and help text stands here.

use std::{fmt::Write as _, sync::Arc};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};

use crate::App;

/// `GET /metrics`, in the text format of Prometheus (version 0.0.4).
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let text = app.block(|app| Ok(render(app))).await.unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn render(app: &App) -> String {
    let mut out = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let meters = &app.ingest.meters;
    let alone = |value: u64| vec![(String::new(), value)];
    metric("onefold_ingest_requests_total", "counter", "Requests that bring events.", &alone(meters.requests.get()));
    metric("onefold_ingest_bytes_total", "counter", "Bytes of their bodies, as they came.", &alone(meters.bytes.get()));
    metric("onefold_events_accepted_total", "counter", "Events appended to the log.", &alone(meters.accepted.get()));
    let suppressed = alone(meters.suppressed.get());
    metric("onefold_events_suppressed_total", "counter", "Events about people who are not let in.", &suppressed);
    let (events, fields) = (alone(meters.minimised_events.get()), alone(meters.minimised_fields.get()));
    metric("onefold_ingest_minimised_events_total", "counter", "Events that no purpose declares.", &events);
    metric("onefold_ingest_minimised_fields_total", "counter", "Fields that no purpose declares.", &fields);
    let by_code = |counts: &mut dyn Iterator<Item = (&'static str, u64)>| -> Vec<(String, u64)> {
        counts.map(|(code, n)| (format!("{{code=\"{code}\"}}"), n)).collect()
    };
    let refused = by_code(&mut meters.refused.iter());
    metric("onefold_events_refused_total", "counter", "Events refused for their content, by code.", &refused);
    let failed = by_code(&mut meters.failed.iter());
    metric("onefold_requests_failed_total", "counter", "Requests answered with an error, by code.", &failed);
    let (mut applied, mut lag) = (vec![], vec![]);
    for partition in 0..app.log.partitions() {
        let labels = format!("{{partition=\"{partition}\"}}");
        let next = app.applied(onefold_model::WorkspaceId(partition)).map_or(0, |a| a.borrow().next_offset);
        applied.push((labels.clone(), next));
        lag.push((labels, app.log.end(partition).unwrap_or(next).saturating_sub(next)));
    }
    metric("onefold_pipeline_applied_offset", "gauge", "Offset after the last record applied.", &applied);
    metric("onefold_pipeline_lag_records", "gauge", "Records in the log and not applied yet.", &lag);
    let behind = app
        .workspaces()
        .into_iter()
        .map(|(workspace, _)| (format!("{{workspace=\"{}\"}}", workspace.0), crate::lake::behind(app, workspace)));
    let behind: Vec<(String, u64)> = behind.collect();
    metric("onefold_lake_lag_records", "gauge", "Records applied and not in the tables yet.", &behind);
    let (mut waiting, mut delivered, mut dead) = (vec![], vec![], vec![]);
    for status in app.delivery_status().unwrap_or_default() {
        let labels = format!("{{workspace=\"{}\",destination=\"{}\"}}", status.workspace.0, status.name);
        waiting.push((labels.clone(), status.waiting));
        delivered.push((labels.clone(), status.delivered));
        dead.push((labels, status.dead_letters));
    }
    metric("onefold_deliveries_waiting", "gauge", "Deliveries that wait.", &waiting);
    metric("onefold_deliveries_delivered_total", "counter", "Deliveries made since the start.", &delivered);
    metric("onefold_deliveries_dead", "gauge", "Deliveries given up and kept.", &dead);
    let up = (app.clock.now().0 - app.started_at().0).max(0) as u64 / 1000;
    metric("onefold_uptime_seconds", "gauge", "Seconds since the start.", &alone(up));
    out
}
