//! The identity rules of a workspace: which kinds of identifier there are, in which priority, under which limits.

use serde::{Deserialize, Serialize};

use crate::clock::DAY_MS;

/// The rules of a workspace. JSON; made active by a command, so a rebuild applies them from the same place on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The kinds, highest priority first. An identifier of a kind that is not listed counts under the rule `*`.
    pub kinds: Vec<KindRule>,
    /// Values that are no identifiers, whatever their kind; compared without case. `*` stands for any characters.
    pub blocked: Vec<String>,
    /// More identifiers than this in one profile are refused, with an alarm: it is a fault in the data (a shared test
    /// account, a constant), not a person.
    pub cluster_nodes_max: usize,
}

/// The rule of one kind of identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindRule {
    /// `user_id`, `email`, `phone`, `anonymous_id`, or the `type` of an external id; `*` for all not listed.
    pub kind: String,
    /// How many of them a profile may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Values of this kind that are no identifiers, as in [`Rules::blocked`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<String>,
    /// Set for identifiers of a browser or device: a profile that has no others and was silent for so many days goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_days: Option<u32>,
}

/// How many identifiers of a kind a profile may have: at all, or first seen within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// At most so many.
    pub max: u32,
    /// Counting those first seen in the so many days before; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_days: Option<u32>,
}

impl Default for Rules {
    fn default() -> Self {
        let rule = |kind: &str, max: u32, anonymous_days: Option<u32>| KindRule {
            kind: kind.to_owned(),
            limit: Some(Limit { max, window_days: None }),
            blocked: vec![],
            anonymous_days,
        };
        Rules {
            kinds: vec![
                rule("user_id", 1, None),
                rule("*", 5, None),
                rule("email", 5, None),
                rule("phone", 5, None),
                rule("device_id", 50, Some(90)),
                rule("advertising_id", 50, Some(90)),
                rule("anonymous_id", 200, Some(90)),
            ],
            blocked: BLOCKED.iter().map(|b| (*b).to_owned()).collect(),
            cluster_nodes_max: 1000,
        }
    }
}

/// What software writes where it knows no identifier, and what people type into forms.
const BLOCKED: &[&str] = &[
    "null",
    "nil",
    "none",
    "nan",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "unset",
    "empty",
    "missing",
    "default",
    "anonymous",
    "guest",
    "user",
    "test",
    "true",
    "false",
    "-",
    "-1",
    "[object object]",
    "{}",
    "[]",
    "test@test.com",
    "test@example.com",
    "test@test",
    "a@a.com",
    "no@email.com",
    "none@none.com",
    "noreply@*",
    "no-reply@*",
    "donotreply@*",
];

impl Rules {
    /// The rule of `kind` and its rank: 0 is the highest priority. A kind that neither is listed nor falls under `*` ranks
    /// last and has no limit.
    pub fn rank(&self, kind: &str) -> (usize, Option<&KindRule>) {
        let place = |name: &str| self.kinds.iter().position(|rule| rule.kind == name);
        match place(kind).or_else(|| place("*")) {
            Some(rank) => (rank, Some(&self.kinds[rank])),
            None => (self.kinds.len(), None),
        }
    }

    /// Whether `value` is no identifier of `kind`.
    pub fn is_blocked(&self, kind: &str, value: &str) -> bool {
        // Nothing but zeros and separators: an unset UUID, a blanked advertising id.
        if value.bytes().all(|b| matches!(b, b'0' | b'-' | b'.' | b':' | b' ')) {
            return true;
        }
        let own = self.rank(kind).1.map_or(&[][..], |rule| &rule.blocked);
        self.blocked.iter().chain(own).any(|pattern| matches(pattern.as_bytes(), value.as_bytes()))
    }

    /// How long a profile with only identifiers of `kind` is kept when it is silent; `None`: for ever.
    pub fn anonymous_ms(&self, kind: &str) -> Option<i64> {
        self.rank(kind).1.and_then(|rule| rule.anonymous_days).map(|days| i64::from(days) * DAY_MS)
    }

    /// What is wrong with the rules, in a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        for (i, rule) in self.kinds.iter().enumerate() {
            if rule.kind.is_empty() || rule.kind.len() > 100 {
                problems.push(format!("kinds[{i}].kind must have 1 to 100 characters"));
            }
            if self.kinds[..i].iter().any(|earlier| earlier.kind == rule.kind) {
                problems.push(format!("kinds[{i}].kind: {} stands twice", rule.kind));
            }
            if rule.limit.is_some_and(|limit| limit.max == 0) {
                problems.push(format!(
                    "kinds[{i}].limit.max must be at least 1; to use no {} at all, block \"*\"",
                    rule.kind
                ));
            }
        }
        if self.cluster_nodes_max < 2 {
            problems.push("cluster_nodes_max must be at least 2".to_owned());
        }
        problems
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters; ASCII case does not count.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // After the last star: where the pattern goes on, and how far the star reaches.
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
        } else if pattern.get(p).is_some_and(|b| b.eq_ignore_ascii_case(&text[t])) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((after, reach)) = star {
            (p, t) = (after, reach + 1);
            star = Some((p, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_identifier_is_blocked() {
        let rules = Rules::default();
        let check = |value: &str, blocked: bool| assert_eq!(rules.is_blocked("user_id", value), blocked, "{value}");
        check("null", true);
        check("NULL", true);
        check("[object Object]", true);
        check("00000000-0000-0000-0000-000000000000", true);
        check("0", true);
        check("noreply@shop.example", true);
        check("ada@example.com", false);
        check("nullable", false);
        check("1000", false);
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches(b"a*c*", b"abcd"));
        assert!(matches(b"*", b""));
        assert!(!matches(b"a*c", b"ab"));
        assert!(matches(b"*@TEST.example", b"x@test.example"));
        assert!(matches(b"a*bc*d", b"abcabcxd"));
        assert!(!matches(b"a*bc*d", b"abcabcx"));
        assert!(!matches(b"", b"a") && matches(b"", b"") && matches(b"**", b"a"));
    }

    #[test]
    fn unlisted_kinds_fall_under_the_star() {
        let rules = Rules::default();
        assert_eq!(rules.rank("user_id").0, 0);
        assert_eq!(rules.rank("loyalty_card").0, 1);
        assert!(rules.rank("anonymous_id").0 > rules.rank("email").0);
        assert_eq!(rules.anonymous_ms("anonymous_id"), Some(90 * DAY_MS));
        assert_eq!(rules.anonymous_ms("email"), None);
        assert!(rules.problems().is_empty());
    }
}
