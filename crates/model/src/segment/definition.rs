//! A segment's definition: its name, what it is for, and its condition, in JSON.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Condition, ParseError, text};

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct Definition {
    /// Its name, by which others refer to it.
    pub name: String,
    /// What it means, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The purpose its use is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who is in. In JSON a tree, or its text form in a string; written as a tree.
    pub condition: Condition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    description: Option<String>,
    purpose: Option<String>,
    owner: Option<String>,
    condition: Box<RawValue>,
}

/// A definition that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text form of its condition.
    #[error("read the segment's condition: {0}")]
    Text(#[from] ParseError),
    /// The JSON form.
    #[error("read the segment's condition: {0}")]
    Json(#[from] serde_json::Error),
}

impl TryFrom<Form> for Definition {
    type Error = Error;

    fn try_from(form: Form) -> Result<Self, Error> {
        let Form { name, description, purpose, owner, condition } = form;
        let json = condition.get();
        let condition = if json.starts_with('"') {
            text::parse(&serde_json::from_str::<String>(json)?)?
        } else {
            serde_json::from_str(json)?
        };
        Ok(Definition { name, description, purpose, owner, condition })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn both_forms_give_one_definition() {
        let text = r#"{"name":"big spenders","purpose":"marketing","condition":
            "sum(\"Order Completed\" where currency = \"EUR\", revenue) > 500.10 within 90 days and not in segment staff"}"#;
        let definition: Definition = serde_json::from_str(text).unwrap();
        let json = serde_json::to_string_pretty(&definition).unwrap();
        expect![[r#"
            {
              "name": "big spenders",
              "purpose": "marketing",
              "condition": {
                "all": [
                  {
                    "events": {
                      "measure": {
                        "sum": "revenue"
                      },
                      "event": "Order Completed",
                      "where": [
                        {
                          "property": "currency",
                          "is": {
                            "equals": "EUR"
                          }
                        }
                      ],
                      "window": {
                        "within_ms": 7776000000
                      },
                      "is": {
                        "greater": 500.1
                      }
                    }
                  },
                  {
                    "not": {
                      "segment": "staff"
                    }
                  }
                ]
              }
            }"#]]
        .assert_eq(&json);
        assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), definition);
        assert_eq!(serde_json::from_value::<Definition>(serde_json::from_str(&json).unwrap()).unwrap(), definition);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = r#"{"trait":{"name":"balance","is":{"equals":0.1234567890123456789}}}"#;
        let condition: Condition = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&condition).unwrap(), json);
        let in_where = r#"{"events":{"measure":"count","where":[{"property":"x","is":{"in":[0.1234567890123456789,"a",[1, 2]]}}],"is":{"at_least":1}}}"#;
        let condition: Condition = serde_json::from_str(in_where).unwrap();
        assert_eq!(serde_json::to_string(&condition).unwrap(), in_where);
    }

    #[test]
    fn errors_name_the_place() {
        let check = |json: &str, expect: expect_test::Expect| {
            expect.assert_eq(&serde_json::from_str::<Definition>(json).unwrap_err().to_string());
        };
        check(
            r#"{"name":"a","condition":"trait x >> 1"}"#,
            expect![[r#"
            read the segment's condition: line 1, column 9: `>>` does not fit here
              trait x >> 1
                      ^^
              write a test: = != < <= > >= in (…) between … and … contains, starts with, ends with, exists, does not exist, is a date …"#]],
        );
        check(
            r#"{"name":"a","condition":{"events":{"measure":"count","window":"ever","tests":1,"is":{"at_least":1}}}}"#,
            expect![
                "read the segment's condition: unknown field `tests`, expected one of `measure`, `event`, `where`, `window`, `is` at line 1 column 52"
            ],
        );
        check(
            r#"{"name":"a","condition":{"trait":{"name":"x","is":{"greater":}}}}"#,
            expect!["expected value at line 1 column 62"],
        );
        check(
            r#"{"name":"a","conditions":"everyone"}"#,
            expect![
                "unknown field `conditions`, expected one of `name`, `description`, `purpose`, `owner`, `condition` at line 1 column 24"
            ],
        );
    }
}
