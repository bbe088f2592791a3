//! What a cluster says when something fails. It says it in words: the errors of executors come as their debug form.

use datafusion::common::DataFusionError;
use onefold_lake::QueryError;

/// What an error of a cluster is in our words; `None`: it is none of a cluster's.
pub fn said(error: &DataFusionError) -> Option<QueryError> {
    let DataFusionError::Execution(message) = error else { return None };
    if message.starts_with("tonic::") || message.starts_with("Status {") {
        return Some(QueryError::Engine(format!("the scheduler of the cluster does not answer: {message}")));
    }
    let (_, cause) = message.strip_prefix("Job ")?.split_once(" failed: ")?;
    let wrong = |message: String, cure: &str| Some(QueryError::Wrong { message, place: None, cure: cure.to_owned() });
    if cause.contains("ResourcesExhausted(") {
        let cure = "group by fewer values or ask for fewer days, or start executors with a larger --memory-mib";
        return wrong("the query needs more memory than an executor has".to_owned(), cure);
    }
    if !OF_VALUES.iter().any(|kind| cause.contains(kind)) {
        return Some(QueryError::Engine(format!("the cluster: {cause}")));
    }
    // The innermost is the text of the error itself.
    let text = cause.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(cause, |(text, _)| text);
    let text = text.replace("\\\"", "\"").replace("\\'", "'");
    wrong(text, "try_cast gives null where a value does not fit, instead of an error")
}

/// Errors that values make, and not machines.
const OF_VALUES: [&str; 5] = ["CastError(", "ParseError(", "ComputeError(", "ArithmeticOverflow(", "DivideByZero"];

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(message: &str, expect: &Expect) {
        let said = said(&DataFusionError::Execution(message.to_owned()));
        expect.assert_eq(&said.map_or("none of a cluster's".to_owned(), |said| format!("{said}; {}", said.cure())));
    }

    #[test]
    fn errors_of_executors_are_told_as_those_of_the_engine() {
        let failed = |cause: &str| {
            format!(
                "Job 038G4H8S04000 failed: Job failed due to stage 0 failed: Task failed due to runtime execution error: \
                 DataFusionError(Shared({cause}))"
            )
        };
        check(
            &failed(r#"External(ArrowError(CastError("Cannot cast string 'a \"b\"' to value of Int64 type")))"#),
            &expect![[
                r#"Cannot cast string 'a "b"' to value of Int64 type; try_cast gives null where a value does not fit, instead of an error"#
            ]],
        );
        check(
            &failed(r#"ResourcesExhausted("Failed to allocate additional 2.0 MB")"#),
            &expect![
                "the query needs more memory than an executor has; group by fewer values or ask for fewer days, or start executors with a larger --memory-mib"
            ],
        );
        check(
            "Job 038 failed: no executors are left",
            &expect![
                "the tables cannot be read: the cluster: no executors are left; look whether the object store named in [lake] url, and the scheduler in [engine], can be reached, then ask again"
            ],
        );
        check(
            "tonic::transport::Error(Transport, ConnectError(ConnectError(\"tcp connect error\")))",
            &expect![[
                r#"the tables cannot be read: the scheduler of the cluster does not answer: tonic::transport::Error(Transport, ConnectError(ConnectError("tcp connect error"))); look whether the object store named in [lake] url, and the scheduler in [engine], can be reached, then ask again"#
            ]],
        );
        check("division by zero", &expect!["none of a cluster's"]);
    }
}
