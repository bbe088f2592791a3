//! The console in a real browser, on the demo's data; its tests stand in `console/tests`.

use std::process::Command;

use crate::support::{Folder, http, root};

/// The description that the console's client is made from. After a change of the API: `UPDATE_EXPECT=1`, then `npm run api` in `console/`.
#[test]
fn the_consoles_client_is_made_from_this_api() {
    let folder = Folder::new();
    let server = folder.serve();
    let url = format!("{}/api/openapi.json", server.url);
    let described: serde_json::Value = http().get(url).bearer_auth(folder.token()).send().unwrap().json().unwrap();
    let text = serde_json::to_string_pretty(&described).unwrap() + "\n";
    expect_test::expect_file![root().join("console/openapi.json")].assert_eq(&text);
}

#[test]
fn the_console_works_in_a_browser() {
    let folder = Folder::new();
    let server = folder.serve_demo();
    let link = folder.json(&["user", "add", "admin@example.com", "--role", "admin"])["link"].clone();
    let console = root().join("console");
    assert!(console.join("node_modules/.bin/playwright").exists(), "Playwright is missing; `make test` installs it");
    let output = Command::new("node_modules/.bin/playwright")
        .arg("test")
        .current_dir(console)
        .env("ONEFOLD_URL", &server.url)
        .env("ONEFOLD_INVITATION", link.as_str().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
