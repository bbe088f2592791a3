//! From a payload to the cells of a table.

use serde_json::Value;

/// What stands in a payload at a dotted path (`profile.traits.plan`), as text; `None` where nothing does, or null.
///
/// In a list of `{kind, value}`, as identifiers are, a step names the kind: `identifiers.email`; several values are
/// joined with ` | `. A name with a dot in it is found as well: at each step the whole rest is tried first.
pub fn cell(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(members) if !path.is_empty() => {
            if let Some(member) = members.get(path) {
                return cell(member, "");
            }
            let (first, rest) = path.split_once('.')?;
            cell(members.get(first)?, rest)
        }
        Value::Array(items) if !path.is_empty() => {
            let of_kind = items.iter().filter(|item| item.get("kind").and_then(Value::as_str) == Some(path));
            joined(of_kind.filter_map(|item| cell(item.get("value")?, "")))
        }
        _ if !path.is_empty() => None,
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| item.get("kind").is_some()) => joined(
            items
                .iter()
                .filter_map(|item| Some(format!("{}:{}", cell(item.get("kind")?, "")?, cell(item.get("value")?, "")?))),
        ),
        other => Some(other.to_string()),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    parts.reduce(|left, right| left + " | " + &right)
}

/// A cell that a spreadsheet does not take for a formula: a quote before what begins with `=`, `+`, `-`, `@`, a tab or
/// a line break (OWASP, "CSV Injection").
pub fn spreadsheet_safe(cell: String) -> String {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => format!("'{cell}"),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let payload = json!({"id": "p_1", "n": 3, "none": null, "a.b": "dotted", "deep": {"x.y": true},
            "traits": {"plan": "pro", "tags": ["a", "b"]},
            "identifiers": [{"kind": "email", "value": "a@x"}, {"kind": "user_id", "value": "7"}, {"kind": "email", "value": "b@x"}]});
        let check = |path: &str, expect: Option<&str>| assert_eq!(cell(&payload, path).as_deref(), expect, "{path}");
        check("id", Some("p_1"));
        check("n", Some("3"));
        check("none", None);
        check("missing", None);
        check("id.more", None);
        check("a.b", Some("dotted"));
        check("deep.x.y", Some("true"));
        check("traits.plan", Some("pro"));
        check("traits.tags", Some(r#"["a","b"]"#));
        check("identifiers.email", Some("a@x | b@x"));
        check("identifiers.phone", None);
        check("identifiers", Some("email:a@x | user_id:7 | email:b@x"));
    }

    #[test]
    fn formulas_are_quoted() {
        let check = |cell: &str, expect: &str| assert_eq!(spreadsheet_safe(cell.to_owned()), expect);
        check("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")");
        check("+49", "'+49");
        check("-1", "'-1");
        check("@a", "'@a");
        check("\tx", "'\tx");
        check("\rx", "'\rx");
        check("a=b", "a=b");
        check("", "");
    }
}
