//! Every crate that is built in has a licence the project may use.

use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// SPDX identifiers that are allowed.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
    // BSD in all but name; of libbz2-rs-sys, which comes with DataFusion's default features.
    "bzip2-1.0.6",
];

/// Whether one side of every OR, and all sides of every AND, is allowed. `/` is an old way to write OR.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let text = expression.trim();
    let split = |word: &str| -> Option<Vec<String>> {
        let (mut parts, mut depth, mut current) = (vec![], 0i32, String::new());
        for token in text.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
            match token {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 && token == word {
                parts.push(std::mem::take(&mut current));
            } else {
                current.push_str(token);
                current.push(' ');
            }
        }
        parts.push(current);
        (parts.len() > 1).then_some(parts)
    };
    if let Some(parts) = split("OR") {
        return parts.iter().any(|part| allowed(part));
    }
    if let Some(parts) = split("AND") {
        return parts.iter().all(|part| allowed(part));
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|t| t.trim_end().strip_suffix(')')) {
        return allowed(inner);
    }
    ALLOWED.contains(&text)
}

#[test]
fn licences_are_ones_the_project_may_use() {
    assert!(allowed("MIT OR GPL-3.0") && allowed("(MIT OR GPL-3.0) AND Apache-2.0") && allowed("MIT/Apache-2.0"));
    assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && !allowed(""));
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let refused: Vec<String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| !allowed(package["license"].as_str().unwrap_or("")))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
