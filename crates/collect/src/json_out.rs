//! Writes event JSON into a buffer that is used again.

/// Appends `text` as a JSON string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, text).expect("writing to memory does not fail, and text is always JSON");
}

/// `text` as a JSON member's name with its colon, for names that are written once per row.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut name = vec![];
    string(text, &mut name);
    name.push(b':');
    name
}

/// Appends the member `name` with a string value; `name` must need no escapes.
pub(crate) fn string_member(name: &str, value: &str, out: &mut Vec<u8>) {
    member(name, out);
    string(value, out);
    out.push(b',');
}

/// Appends `"name":`; `name` must need no escapes.
pub(crate) fn member(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Ends an object or array of which every member was written with a comma behind it.
pub(crate) fn close(bracket: u8, out: &mut Vec<u8>) {
    match out.last_mut() {
        Some(comma @ b',') => *comma = bracket,
        _ => out.push(bracket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_serde_reads() {
        let mut out = b"{".to_vec();
        string_member("a", "q\"\\\n\u{1}é", &mut out);
        out.extend_from_slice(&name("n \"x\""));
        out.extend_from_slice(b"{");
        close(b'}', &mut out);
        out.push(b',');
        close(b'}', &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!({"a": "q\"\\\n\u{1}é", "n \"x\"": {}}));
    }
}
