//! The description as a page for people: plain HTML made from the same OpenAPI document, without scripts.

use std::fmt::Write as _;

/// The page.
pub fn render(api: &utoipa::openapi::OpenApi) -> String {
    let document = serde_json::to_value(api).unwrap_or_default();
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Onefold API</title>\
         <style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}code{background:#8882;padding:0 .2rem}\
         dt{margin-top:1rem}</style><h1>Onefold API</h1>\
         <p>Send <code>Authorization: Bearer TOKEN</code>; the token is in the file <code>token</code> of the data folder. \
         <code>Onefold-Workspace</code> names the workspace. The whole description: <a href=/api/openapi.json>openapi.json</a>.</p><dl>",
    );
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or("");
            let about = operation["description"].as_str().unwrap_or("");
            let _ = write!(
                html,
                "<dt><code>{} {}</code></dt><dd>{}<br>{}</dd>",
                method.to_uppercase(),
                escape(path),
                escape(summary),
                escape(about)
            );
        }
    }
    html.push_str("</dl></html>");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
