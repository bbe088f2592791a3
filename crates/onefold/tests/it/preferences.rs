//! The preference centre: by HTTP as mail programs use it, and in a browser as people do.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Folder, Server, http, root};

const POLICY: &str = r#"{
    "purposes": {
        "newsletter": { "title": "News", "description": "New shoes, once a month.", "channels": ["email", "sms"],
                        "notice": { "id": "news", "version": "3" } },
        "fraud": { "title": "Fraud prevention", "basis": "legitimate_interest" },
        "orders": { "title": "Your <orders>", "basis": "contract" }
    }
}"#;

struct Shop {
    folder: Folder,
    server: Server,
}

impl Shop {
    fn open() -> Shop {
        let folder = Folder::new();
        let server = folder.serve();
        let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
        let policy = folder.file("policy.json", POLICY);
        folder.run(&["consent", "policy", policy.to_str().unwrap()]);
        let ada = json!({ "type": "identify", "userId": "ada@example.com", "messageId": "1",
            "traits": { "email": "ada@example.com", "city": "Łódź-secret" },
            "context": { "consent": { "categoryPreferences": { "newsletter": true } } } });
        let batch = json!({ "batch": [ada] });
        let answer = http().post(format!("{}/v1/batch", server.url)).basic_auth(key, Some("")).json(&batch).send();
        assert!(answer.unwrap().status().is_success());
        Shop { folder, server }
    }

    fn link(&self, args: &[&str]) -> Value {
        let mut all = vec!["privacy", "link", "email:ada@example.com"];
        all.extend_from_slice(args);
        self.folder.json(&all)
    }

    fn url(&self, link: &Value, name: &str) -> String {
        let path = link[name].as_str().unwrap().split_once("/preferences/").unwrap().1;
        format!("{}/preferences/{path}", self.server.url)
    }

    fn allows(&self, purpose: &str, channel: &str) -> bool {
        let decided = self.folder.json(&["consent", "decide", "ada@example.com", purpose, "--channel", channel]);
        decided["allowed"].as_bool().unwrap()
    }
}

#[test]
fn one_click_unsubscribes_and_no_look_does() {
    let shop = Shop::open();
    assert!(shop.allows("newsletter", "email"));
    let link = shop.link(&["--purpose", "newsletter", "--channel", "email"]);
    assert_eq!(link["headers"]["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click");
    let (page, unsubscribe) = (shop.url(&link, "url"), shop.url(&link, "unsubscribe_url"));
    assert!(!page.contains("ada"), "the link names nobody");
    for url in [&page, &unsubscribe, &format!("{page}?do=refuse"), &format!("{unsubscribe}?List-Unsubscribe=One-Click")]
    {
        let answer = http().get(url).header("Accept-Language", "en").send().unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].to_str().unwrap()), (200, "no-store"));
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        let text = answer.text().unwrap();
        assert!(text.contains("lang=\"en\"") && !text.contains("<script"));
        assert!(!text.contains("secret") && !text.contains("ada@example.com"), "kinds of data, and no values");
    }
    assert!(shop.allows("newsletter", "email") && shop.allows("fraud", "email"), "a look changes nothing");

    let form = "List-Unsubscribe=One-Click";
    let one_click = |url: &str| {
        let request = http().post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(one_click(&unsubscribe), 200);
    assert!(!shop.allows("newsletter", "email"));
    assert!(shop.allows("newsletter", "sms"), "of one channel");
    assert_eq!(one_click(&unsubscribe), 200, "again is no fault");

    let everything = shop.link(&[]);
    assert_eq!(one_click(&shop.url(&everything, "unsubscribe_url")), 200);
    assert!(!shop.allows("newsletter", "sms") && !shop.allows("fraud", "email") && shop.allows("orders", "email"));

    // Another's token, a cut one, and one of somebody who is gone.
    assert_eq!(one_click(&unsubscribe.replace("/unsubscribe", "A/unsubscribe")), 404);
    shop.folder.run(&["privacy", "erase", "ada@example.com", "--yes"]);
    assert_eq!(http().get(&page).send().unwrap().status().as_u16(), 404);
    assert_eq!(one_click(&unsubscribe), 404);
}

#[test]
fn people_choose_in_a_browser_without_scripts() {
    let shop = Shop::open();
    let link = shop.link(&["--purpose", "newsletter", "--channel", "sms"]);
    let script = Command::new("node")
        .args(["preferences.mjs", &shop.url(&link, "url"), &shop.url(&link, "unsubscribe_url")])
        .current_dir(root().join("tests/sdk"))
        .output()
        .expect("Node is missing; `make test` installs it");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    let found: Value = serde_json::from_slice(&script.stdout).unwrap();
    assert_eq!(found["violations"], json!([]), "what axe found");
    assert_eq!(found["elsewhere"], json!([]), "nothing is asked of others");
    assert_eq!((&found["title"], &found["before"]), (&json!("Ihre Einstellungen"), &json!([true, true, true])));
    // The first box is the first purpose by name: fraud prevention, objected to.
    assert_eq!(
        (&found["saved"], &found["after"]),
        (&json!("Ihre Auswahl ist gespeichert."), &json!([false, true, true]))
    );
    assert_eq!((&found["polish"], &found["lang"]), (&json!("Twoje preferencje"), &json!("pl")));
    assert_eq!(found["unsubscribed"], "Sie sind abgemeldet.");
    assert!(!shop.allows("fraud", "email") && shop.allows("newsletter", "email") && !shop.allows("newsletter", "sms"));
    let rows = shop.folder.json(&["sql", "select state, strength from consents where strength = 'person' order by 1"]);
    assert_eq!(rows["rows"], json!([["objected", "person"], ["withdrawn", "person"]]));
}
