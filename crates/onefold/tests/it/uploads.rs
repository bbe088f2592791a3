//! Files that are brought to the server, mapped there, and imported.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Folder, http};

#[test]
fn a_file_is_brought_mapped_and_imported_by_the_server_and_enters_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let token = folder.token();
    let other = folder.json(&["key", "add", "other", "admin"])["key"].as_str().unwrap().to_owned();
    let call = |by: &str, method: Method, path: &str, body: &Value| {
        let url = format!("{}/api/v1{path}", server.url);
        let answer = http().request(method, url).bearer_auth(by).json(body).send().unwrap();
        (answer.status().as_u16(), answer.json::<Value>().unwrap())
    };
    let source = json!({ "name": "crm", "kind": "import" });
    assert_eq!(call(&token, Method::POST, "/sources", &source).0, 200);
    let bring = |file: &str| {
        let url = format!("{}/api/v1/uploads?file=people.csv", server.url);
        let answer = http().post(url).bearer_auth(&token).body(file.to_owned()).send().unwrap();
        answer.json::<Value>().unwrap()
    };
    let file = "customer_id,email,city\n1,a@example.com,Kraków\n2,b@example.com,Köln\n,,nowhere\n";
    let uploads = folder.path().join("uploads");
    for _ in 0..2 {
        let found = bring(file);
        assert_eq!(
            found["columns"][2],
            json!({ "name": "city", "examples": ["Kraków", "Köln", "nowhere"] }),
            "{found}"
        );
        let path = format!("/uploads/{}", found["id"].as_str().unwrap());
        let body = json!({ "source": "crm", "mapping": found["mapping"] });
        let (status, tried) = call(&token, Method::POST, &format!("{path}/try"), &body);
        assert_eq!((status, &tried["events"][0]["traits"]["city"]), (200, &json!("Kraków")), "{tried}");
        assert!(tried["bad"][0].as_str().unwrap().contains("no identifier"), "{tried}");
        // It is nobody else's.
        assert_eq!(call(&other, Method::GET, &path, &json!({})).0, 404);
        let wrong = json!({ "source": "crm", "mapping": { "kind": "identify", "identifiers": { "user_id": "no" } } });
        assert_eq!(call(&token, Method::POST, &format!("{path}/import"), &wrong).0, 400);
        assert_eq!(call(&token, Method::POST, &format!("{path}/import"), &body).0, 200);
        let mut now = json!(null);
        for _ in 0..3000 {
            now = call(&token, Method::GET, &path, &json!({})).1;
            if now["standing"] != "running" {
                break;
            }
            crate::support::pause();
        }
        assert_eq!(
            (&now["standing"], &now["rows"], &now["accepted"], &now["refused"]),
            (&json!("done"), &json!(3), &json!(2), &json!(1))
        );
        assert_eq!(std::fs::read_dir(&uploads).unwrap().count(), 1);
        assert_eq!(call(&token, Method::DELETE, &path, &json!({})).0, 200);
        assert_eq!(std::fs::read_dir(&uploads).unwrap().count(), 0, "nothing of it stays");
        call(&token, Method::GET, &format!("/stats?wait_for={}", now["next_offset"]), &json!({}));
    }
    // As by the command line: a row is the same row, whoever reads it.
    let path = folder.file("people.csv", file);
    folder.run(&["import", path.to_str().unwrap(), "--source", "crm"]);
    let timeline = call(&token, Method::GET, "/profiles/1/timeline", &json!({})).1;
    assert_eq!(timeline.as_array().unwrap().len(), 1, "{timeline}");
}
