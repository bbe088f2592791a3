//! A steward's work on dirty sources: preparation tried and set, the golden record, a steward's own value, a household.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

use serde_json::{Value, json};

use crate::support::{Folder, pause};

const CRM: &str = "id,Name,E-Mail,Telefon,Ort,Kraj,Haushalt,Rolle\n\
    1,ANNA NOWAK, Anna@Example.PL ,22 123 45 67,Warszawa,Polska,h1,parent\n\
    2,Мария Иванова,n/a,+7 495 123-45-67,-,Россия,,\n\
    3,jan kowalski,jan@example.pl,brak,Łódź,pl,h1,child\n";

const MAPPING: &str = "[[events]]\nkind = \"identify\"\nidentifiers = { crm = \"id\" }\n\
    traits = { name = \"Name\", email = \"E-Mail\", phone = \"Telefon\", city = \"Ort\", country = \"Kraj\" }\n\
    [[events]]\nkind = \"group\"\nidentifiers = { crm = \"id\" }\ngroup_id = \"Haushalt\"\ngroup_type = \"household\"\n\
    role = { column = \"Rolle\" }\nskip_if_empty = [\"Haushalt\"]\n";

fn preparation() -> Value {
    json!({ "description": "the CRM's export", "steps": [
        { "step": "clean", "of": ["traits.*"], "events": ["identify"] },
        { "step": "normalise", "of": "traits.name", "as": "name" },
        { "step": "normalise", "of": "traits.email", "as": { "email": {} } },
        { "step": "normalise", "of": "traits.phone", "as": { "phone": { "country": "PL" } } },
        { "step": "normalise", "of": "traits.country", "as": "country" },
        { "step": "derive", "cel": "traits.country in ['PL', 'DE'] ? 'EU' : 'other'", "into": "traits.region", "events": ["identify"] }
    ] })
}

fn traits(folder: &Folder, who: &str) -> String {
    let profile = folder.json(&["profile", "show", who]);
    let shown = profile["traits"].as_object().unwrap().iter();
    shown.map(|(name, shown)| format!("{name}={}", shown["value"])).collect::<Vec<_>>().join(" ")
}

#[test]
fn one_person_from_dirty_sources() {
    let folder = Folder::new();
    let _server = folder.serve();
    let (crm, mapping) = (folder.file("crm.csv", CRM), folder.file("crm.toml", MAPPING));
    let steps = folder.file("steps.json", &preparation().to_string());
    let steps = steps.to_str().unwrap();
    folder.run(&["source", "add", "crm"]);
    folder.run(&["import", crm.to_str().unwrap(), "--source", "crm", "--mapping", mapping.to_str().unwrap()]);
    assert!(traits(&folder, "crm:1").contains("name=\"ANNA NOWAK\""));

    // What a look at the source proposes, and what the steps would do.
    let quality = folder.json(&["source", "quality", "crm"]);
    let findings = |place: &str| {
        let fields = quality["fields"].as_array().unwrap();
        fields.iter().find(|field| field["place"] == place).unwrap()["findings"].to_string()
    };
    assert!(findings("traits.phone").contains("1 nulls in disguise"), "{quality}");
    let tried = folder.json(&["source", "prepare", "crm", "--try", steps]);
    assert_eq!((&tried["events"], &tried["steps"][0]["values"]), (&json!(5), &json!(4)), "{tried}");
    let example = &tried["steps"][1]["examples"][0];
    assert_eq!(
        example,
        &json!({ "before": { "traits": { "name": "jan kowalski" } }, "after": { "traits": { "name": "Jan Kowalski" } } })
    );
    assert!(traits(&folder, "crm:1").contains("name=\"ANNA NOWAK\""), "to try changes nothing");

    // Set, with all that came before: a rebuild carries it out.
    folder.run(&["source", "prepare", "crm", "--set", steps, "--replay"]);
    assert_eq!(folder.json(&["source", "prepare", "crm"])["waits_for_rebuild"], true);
    folder.run(&["rebuild"]);
    assert_eq!(
        [traits(&folder, "crm:1"), traits(&folder, "crm:2"), traits(&folder, "crm:3")],
        [
            r#"city="Warszawa" country="PL" email="anna@example.pl" name="Anna Nowak" phone="+48221234567" region="EU""#,
            r#"country="RU" name="Мария Иванова" phone="+74951234567" region="other""#,
            r#"city="Łódź" country="PL" email="jan@example.pl" name="Jan Kowalski" region="EU""#,
        ]
    );
    // The tables, and the index that is filled from them, say the same.
    let sql = folder.json(&["sql", "SELECT count(*) AS n FROM events WHERE traits->>'country' IN ('PL', 'RU')"]);
    assert!(sql.to_string().contains('3'), "{sql}");
    let found = folder.json(&[
        "segment",
        "preview",
        "trait region = \"EU\" and count(\"identify\" where $traits.country = \"PL\") >= 1",
    ]);
    assert_eq!(found["count"], 2, "{found}");
    // An address that came clean is an identifier now.
    assert_eq!(
        folder.json(&["profile", "show", "anna@example.pl"])["id"],
        folder.json(&["profile", "show", "crm:1"])["id"]
    );
    let now = folder.json(&["source", "prepare", "crm"]);
    assert_eq!((&now["waits_for_rebuild"], &now["changed"][0]["values"]), (&json!(false), &json!(4)), "{now}");

    // Bought data fills gaps and overwrites nothing; the rules say who is believed.
    folder.run(&["source", "add", "bought"]);
    let bought = folder.file("bought.csv", "mail,town,income\nanna@example.pl,Radom,high\n");
    let map =
        "kind = \"identify\"\nidentifiers = { email = \"mail\" }\ntraits = { city = \"town\", income = \"income\" }\n";
    let map = folder.file("bought.toml", map);
    folder.run(&["import", bought.to_str().unwrap(), "--source", "bought", "--mapping", map.to_str().unwrap()]);
    assert_eq!(folder.json(&["profile", "show", "crm:1"])["traits"]["city"]["value"], "Radom");
    let rules = json!({ "survivorship": { "traits": { "name": { "most_trusted": ["crm"] } }, "parties": { "bought": "third" } } });
    let rules = folder.file("rules.json", &rules.to_string());
    folder.run(&["settings", "set", rules.to_str().unwrap()]);
    assert_eq!(folder.json(&["settings", "show"])["survivorship"]["parties"]["bought"], "third");
    let anna = folder.json(&["profile", "show", "crm:1"]);
    assert_eq!(
        (&anna["traits"]["city"]["value"], &anna["traits"]["income"]["source"]),
        (&json!("Warszawa"), &json!("bought"))
    );
    assert_eq!(anna["traits"]["city"]["conflict"].as_array().unwrap().len(), 2, "{anna}");
    let conflicts = folder.json(&["profile", "conflicts", "--trait", "city"]);
    assert_eq!(
        (conflicts["conflicts"].as_array().unwrap().len(), &conflicts["conflicts"][0]["value"]),
        (1, &json!("Warszawa"))
    );

    // A steward knows better, until the value is taken back.
    folder.run(&["profile", "override", "crm:1", "name", "Anna Nowak-Kowalska"]);
    let name = |folder: &Folder| {
        let name = folder.json(&["profile", "show", "crm:1"])["traits"]["name"].clone();
        (name["value"].clone(), name["rule"].clone())
    };
    assert_eq!(name(&folder), (json!("Anna Nowak-Kowalska"), json!("steward")));
    folder.run(&["profile", "override", "anna@example.pl", "name", "--withdraw"]);
    assert_eq!(name(&folder), (json!("Anna Nowak"), json!("most_trusted")));
    let again = folder.output(&["profile", "override", "crm:1", "name", "--withdraw"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("steward"));

    let household = folder.json(&["object", "show", "household", "h1"]);
    let members = household["members"].as_array().unwrap().iter();
    let members: Vec<_> =
        members.map(|member| (member["identifier"]["value"].clone(), member["role"].clone())).collect();
    assert_eq!(members, [(json!("1"), json!("parent")), (json!("3"), json!("child"))]);
    assert_eq!(anna["groups"][0]["role"], "parent");
}

/// Answers every question with the same JSON, and gives back the first lines of what it was asked.
fn register(answer: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let length = answer.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}").unwrap();
            if tell.send(head[0].clone()).is_err() {
                return;
            }
        }
    });
    (url, asked)
}

#[test]
fn others_are_asked_about_the_people_of_a_segment() {
    let folder = Folder::with(vec![("ONEFOLD_EGRESS__ALLOWED", r#"["127.0.0.0/8"]"#.to_owned())]);
    let _server = folder.serve();
    let (url, asked) = register(r#"{"employer": {"name": "Acme"}, "town": "Radom"}"#);
    let (crm, mapping) = (folder.file("crm.csv", CRM), folder.file("crm.toml", MAPPING));
    folder.run(&["source", "add", "crm"]);
    folder.run(&["source", "add", "register"]);
    folder.run(&["import", crm.to_str().unwrap(), "--source", "crm", "--mapping", mapping.to_str().unwrap()]);
    folder.run(&[
        "segment",
        "set",
        "--name",
        "to-ask",
        "--text",
        r#"trait city = "Łódź" and trait company does not exist"#,
    ]);

    let destination = json!({ "name": "register", "kind": "lookup", "segments": ["to-ask"], "config": {
        "purpose": "enrichment", "url": format!("{url}/people?email={{key}}"), "source": "register",
        "traits": { "company": "$.employer.name", "city": "$.town" } } });
    let destination = folder.file("register.json", &destination.to_string());
    let set = ["destination", "set", destination.to_str().unwrap()];
    let refused = folder.output(&set);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("as our own data"), "answers need terms");

    let terms = json!({ "consent_default": "allow", "survivorship": { "parties": { "register": { "party": "third", "contract": "R 1", "expires_days": 90 } } } });
    let terms = folder.file("terms.json", &terms.to_string());
    folder.run(&["settings", "set", terms.to_str().unwrap()]);
    folder.run(&set);
    assert_eq!(asked.recv().unwrap(), "GET /people?email=jan%40example%2Epl HTTP/1.1");
    let jan = loop {
        let jan = folder.json(&["profile", "show", "crm:3"]);
        if jan["traits"]["company"].is_object() {
            break jan;
        }
        pause();
    };
    let company = &jan["traits"]["company"];
    assert_eq!((&company["value"], &company["source"]), (&json!("Acme"), &json!("register")));
    assert_eq!(jan["traits"]["city"]["value"], "Łódź", "an answer fills gaps and overwrites nothing");
    assert_eq!(folder.json(&["segment", "count", "to-ask"])["count"], 0, "and is not asked for again");
    assert!(asked.try_recv().is_err(), "nobody else was asked about");
}
