//! What an HTTP answer means for a delivery.

use onefold_model::Timestamp;
use reqwest::{StatusCode, header::HeaderMap};

use crate::destination::Outcome;

/// The longest wait that a target may ask for, in milliseconds.
pub const RETRY_AFTER_MS_MAX: i64 = 3_600_000;

/// What an answer's status means. `answer`: the beginning of its body.
pub fn outcome(status: StatusCode, headers: &HeaderMap, now: Timestamp, answer: Option<String>) -> Outcome {
    let cause = format!("HTTP {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Outcome::Delivered { detail: cause },
        408 | 425 | 429 | 500..=599 => Outcome::Retry { after_ms: retry_after_ms(headers, now), cause },
        300..=399 => Outcome::Refused {
            cause: format!("{cause}: redirects are not followed. Use the address it leads to"),
            answer,
        },
        410 => Outcome::Refused { cause: format!("{cause}: the target is gone"), answer },
        _ => Outcome::Refused { cause, answer },
    }
}

/// `Retry-After` (RFC 9110, 10.2.3), seconds or a date, in milliseconds from `now`, at most [`RETRY_AFTER_MS_MAX`].
fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait_ms = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1_000)
    } else {
        // An HTTP date is one of RFC 2822 whose zone is written GMT.
        jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond().saturating_sub(now.0)
    };
    Some(wait_ms.clamp(0, RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(status: u16, retry_after: Option<&str>, expect: Expect) {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert("retry-after", text.parse().unwrap());
        }
        // One minute before the date below.
        let now = Timestamp::parse("1994-11-06T08:48:37Z").unwrap();
        let told = match outcome(StatusCode::from_u16(status).unwrap(), &headers, now, None) {
            Outcome::Delivered { detail } => format!("delivered: {detail}"),
            Outcome::Retry { after_ms, cause } => format!("retry after {after_ms:?}: {cause}"),
            Outcome::Refused { cause, .. } => format!("refused: {cause}"),
        };
        expect.assert_eq(&told);
    }

    #[test]
    fn statuses() {
        check(200, None, expect!["delivered: HTTP 200"]);
        check(204, None, expect!["delivered: HTTP 204"]);
        check(302, None, expect!["refused: HTTP 302: redirects are not followed. Use the address it leads to"]);
        check(400, None, expect!["refused: HTTP 400"]);
        check(404, Some("10"), expect!["refused: HTTP 404"]);
        check(410, None, expect!["refused: HTTP 410: the target is gone"]);
        check(408, None, expect!["retry after None: HTTP 408"]);
        check(425, None, expect!["retry after None: HTTP 425"]);
        check(503, None, expect!["retry after None: HTTP 503"]);
    }

    #[test]
    fn retry_after() {
        check(429, Some("120"), expect!["retry after Some(120000): HTTP 429"]);
        check(429, Some("86400"), expect!["retry after Some(3600000): HTTP 429"]);
        check(429, Some("99999999999999999999"), expect!["retry after Some(3600000): HTTP 429"]);
        check(503, Some("Sun, 06 Nov 1994 08:49:37 GMT"), expect!["retry after Some(60000): HTTP 503"]);
        check(503, Some("Sat, 05 Nov 1994 08:49:37 GMT"), expect!["retry after Some(0): HTTP 503"]);
        check(503, Some("soon"), expect!["retry after None: HTTP 503"]);
        check(503, Some("-5"), expect!["retry after None: HTTP 503"]);
    }
}
