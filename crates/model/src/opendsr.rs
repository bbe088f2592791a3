//! A request under privacy law as a controller sends it by OpenDSR 2.0 (formerly OpenGDPR): its body, read and checked.

use serde::Deserialize;

/// The version that is spoken.
pub const VERSION: &str = "2.0";

/// Places that are told of one request at most.
pub const CALLBACKS_MAX: usize = 5;

/// Identity types that are known, with the kind of identifier that each is.
pub const IDENTITIES: [(&str, &str); 11] = [
    ("email", "email"),
    ("phone", "phone"),
    ("mobile_number", "phone"),
    ("controller_customer_id", "user_id"),
    ("customer_id", "user_id"),
    ("cookie_id", "anonymous_id"),
    ("anonymous_id", "anonymous_id"),
    ("device_id", "device_id"),
    ("advertising_id", "advertising_id"),
    ("ios_advertising_id", "advertising_id"),
    ("android_advertising_id", "advertising_id"),
];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// What is held.
    Access,
    /// The same, to take along.
    Portability,
    /// That it be erased.
    Erasure,
}

/// Under which law.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// The General Data Protection Regulation.
    #[default]
    Gdpr,
    /// The California Consumer Privacy Act.
    Ccpa,
}

/// A request that can be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the controller calls it.
    pub id: String,
    /// What is asked for.
    pub ask: Ask,
    /// Under which law.
    pub law: Law,
    /// Who asks, as `kind:value`.
    pub identifiers: Vec<String>,
    /// When it was sent.
    pub submitted: Option<String>,
    /// Where the controller is told of each change.
    pub callbacks: Vec<String>,
}

#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    regulation: Option<Law>,
    subject_request_id: String,
    subject_request_type: Ask,
    #[serde(default)]
    submitted_time: Option<String>,
    subject_identities: Vec<Identity>,
    #[serde(default)]
    status_callback_urls: Option<Vec<String>>,
    #[serde(default)]
    api_version: Option<String>,
}

#[derive(Deserialize)]
struct Identity {
    identity_type: String,
    identity_value: String,
    #[serde(default)]
    identity_format: Option<String>,
}

/// Reads a body, or says why it cannot be taken.
pub fn read(body: &[u8]) -> Result<Request, String> {
    let sent: Sent =
        serde_json::from_slice(body).map_err(|error| format!("the body is no OpenDSR request: {error}"))?;
    if let Some(version) = sent.api_version.filter(|version| !matches!(version.as_str(), VERSION | "1.0" | "0.1")) {
        return Err(format!("api_version {version:?} is not spoken here, but {VERSION}"));
    }
    if sent.subject_request_id.is_empty()
        || sent.subject_request_id.len() > 100
        || sent.subject_request_id.chars().any(char::is_control)
    {
        return Err("subject_request_id is missing, too long, or holds control characters".to_owned());
    }
    let callbacks = sent.status_callback_urls.unwrap_or_default();
    if callbacks.len() > CALLBACKS_MAX {
        return Err(format!("there are more than {CALLBACKS_MAX} status_callback_urls"));
    }
    let identifier = |identity: Identity| {
        if identity.identity_format.is_some_and(|format| format != "raw") {
            return Err("identity_format must be raw: of hashed identities nobody is found".to_owned());
        }
        let known = IDENTITIES.iter().find(|(name, _)| *name == identity.identity_type);
        let unknown = || format!("identity_type {:?} is not known; see discovery", identity.identity_type);
        known.map(|(_, kind)| format!("{kind}:{}", identity.identity_value)).ok_or_else(unknown)
    };
    Ok(Request {
        id: sent.subject_request_id,
        ask: sent.subject_request_type,
        law: sent.regulation.unwrap_or_default(),
        identifiers: sent.subject_identities.into_iter().map(identifier).collect::<Result<_, _>>()?,
        submitted: sent.submitted_time,
        callbacks,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_read_and_what_cannot_be_taken_is_said() {
        let body = json!({
            "regulation": "ccpa", "subject_request_id": "a7551968", "subject_request_type": "erasure",
            "submitted_time": "2018-10-02T15:00:00Z", "api_version": "2.0",
            "subject_identities": [
                { "identity_type": "email", "identity_value": "a@example.com", "identity_format": "raw" },
                { "identity_type": "controller_customer_id", "identity_value": "7" },
            ],
            "status_callback_urls": ["https://controller.example/callbacks"], "extensions": null,
        });
        let request = read(body.to_string().as_bytes()).unwrap();
        assert_eq!((request.ask, request.law, request.id.as_str()), (Ask::Erasure, Law::Ccpa, "a7551968"));
        assert_eq!(request.identifiers, ["email:a@example.com", "user_id:7"]);
        assert_eq!(request.callbacks.len(), 1);
        let changed = |name: &str, value: serde_json::Value| {
            let mut body = body.clone();
            body[name] = value;
            read(body.to_string().as_bytes()).unwrap_err()
        };
        assert!(changed("subject_request_type", json!("teleport")).contains("teleport"));
        assert!(changed("regulation", json!("lgpd")).contains("lgpd"));
        assert!(changed("api_version", json!("9")).contains('9'));
        assert!(changed("subject_request_id", json!("")).contains("subject_request_id"));
        let hashed = json!([{ "identity_type": "email", "identity_value": "x", "identity_format": "sha256" }]);
        assert!(changed("subject_identities", hashed).contains("raw"));
        assert!(
            changed("subject_identities", json!([{ "identity_type": "fax", "identity_value": "1" }])).contains("fax")
        );
        assert!(read(b"{}").is_err() && read(b"").is_err());
    }
}
