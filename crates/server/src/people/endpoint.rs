//! Which action each endpoint is, and what of people it shows: the one place where that stands.
//!
//! An endpoint that is not in the table is nobody's but the operator's. A test holds the table against the description of the API, so
//! that one cannot be forgotten.

use axum::http::Method;
use onefold_role::Action::{self, *};

/// What an endpoint shows or changes of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Nobody: definitions, totals of the system.
    Nobody,
    /// Numbers about everybody. Whoever sees some people only is not told of the others.
    Numbers,
    /// People, and it heeds who is seen and how much of each field.
    People,
    /// People, and it heeds how much of each field is seen, but not who: only for whoever sees everybody.
    Everybody,
    /// Fields of everybody as they are, and it can heed neither: only for whoever sees everything.
    Everything,
}

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// What is done; `None`: what everybody may do who is signed in, for themselves.
    pub action: Option<Action>,
    /// What it shows.
    pub shows: Shows,
}

/// What of a request stands in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audited {
    /// Nothing: it looks at one person, or at definitions.
    No,
    /// That people are read in bulk.
    Read,
    /// What it changes.
    Change,
}

/// What of a request stands in the audit log. What is not known to change nothing counts as a change.
pub(crate) fn audited(method: &Method, path: &str) -> Audited {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    match (method.as_str(), path) {
        ("GET", "/profiles" | "/conflicts" | "/segments/{name}/members" | "/objects/{type}" | "/stream") => {
            Audited::Read
        }
        ("GET", "/linkage/queue" | "/linkage/suspects" | "/dead-letters" | "/log/records") => Audited::Read,
        ("POST", "/segments/export" | "/segments/export/anonymous" | "/sql" | "/privacy/access") => Audited::Read,
        ("GET", "/requests/{id}/answer" | "/opendsr/requests/{id}/results" | "/reports/exposure") => Audited::Read,
        ("GET" | "HEAD", _) => Audited::No,
        // They only ask.
        (
            "POST",
            "/segments/parse" | "/segments/preview" | "/segments/overlap" | "/settings/try" | "/access-policies/try",
        ) => Audited::No,
        ("POST", "/consents/decide" | "/consents/reach" | "/consents/policy/try") => Audited::No,
        ("POST", "/sources/{name}/preparation/try" | "/privacy/erasures/preview" | "/privacy/receipts/check") => {
            Audited::No
        }
        ("POST", "/log/verify" | "/audit/check" | "/uploads/{id}/try") => Audited::No,
        _ => Audited::Change,
    }
}

const fn of(action: Action, shows: Shows) -> Endpoint {
    Endpoint { action: Some(action), shows }
}

const OWN: Endpoint = Endpoint { action: None, shows: Shows::Nobody };

/// The endpoint of this method and path, as the router has it: without the values of its parameters.
pub(crate) fn endpoint(method: &Method, path: &str) -> Option<Endpoint> {
    use Shows::{Everybody, Everything, Nobody, Numbers, People};
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    Some(match (method.as_str(), path) {
        ("GET" | "DELETE", "/session") => OWN,
        ("POST", "/session/password") => OWN,
        ("POST" | "PUT" | "DELETE", "/session/second-factor") => OWN,
        ("GET", "/api/openapi.json" | "/api/docs") => OWN,
        ("GET", "/metrics") => of(SystemView, Nobody),

        ("GET", "/workspaces") => OWN,
        ("POST", "/workspaces") => of(WorkspacesEdit, Nobody),
        ("GET", "/stats") => of(StatsView, Numbers),
        ("GET", "/properties") => of(SourcesView, Nobody),
        ("GET", "/alarms") => of(SystemView, Everybody),

        ("GET", "/sources") => of(SourcesView, Nobody),
        ("POST", "/sources") | ("PATCH", "/sources/{name}") | ("POST", "/sources/{name}/key") => {
            of(SourcesEdit, Nobody)
        }
        ("GET", "/sources/{name}/preparation") => of(SourcesView, Nobody),
        ("PUT" | "DELETE", "/sources/{name}/preparation") => of(SourcesEdit, Nobody),
        ("POST", "/sources/{name}/preparation/try") => of(SourcesView, Everything),
        ("GET", "/sources/{name}/quality") => of(SourcesView, Numbers),
        ("POST", "/import") => of(EventsImport, Nobody),
        // Who brought a file sees it, and nobody else.
        ("POST", "/uploads" | "/uploads/{id}/try" | "/uploads/{id}/import") => of(EventsImport, Nobody),
        ("GET" | "DELETE", "/uploads/{id}") => of(EventsImport, Nobody),

        ("GET", "/profiles" | "/profiles/{identifier}") => of(ProfilesView, People),
        ("GET", "/profiles/{identifier}/timeline") => of(ProfilesView, People),
        ("GET", "/profiles/{identifier}/evidence" | "/profiles/{identifier}/then") => of(ProfilesView, Everybody),
        ("POST", "/profiles/merge" | "/profiles/unmerge" | "/profiles/{identifier}/withdraw") => {
            of(ProfilesEdit, Everybody)
        }
        ("PUT" | "DELETE", "/profiles/{identifier}/traits/{name}") => of(ProfilesEdit, People),
        ("GET", "/conflicts") => of(ProfilesView, Everybody),
        ("GET", "/stream") => of(EventsView, Everybody),

        ("GET", "/linkage/models" | "/linkage/models/{version}") => of(LinkageView, Nobody),
        ("POST", "/linkage/models") | ("PUT", "/linkage/active") => of(LinkageEdit, Nobody),
        ("GET", "/linkage/queue" | "/linkage/explain" | "/linkage/suspects") => of(LinkageView, Everybody),
        ("POST", "/linkage/decide") => of(LinkageEdit, Everybody),

        ("GET", "/segments" | "/segments/{name}" | "/segments/{name}/count") => of(SegmentsView, People),
        ("PUT", "/segments") => of(SegmentsEdit, Everybody),
        ("DELETE", "/segments/{name}") => of(SegmentsDelete, Nobody),
        ("GET", "/segments/{name}/members" | "/segments/{name}/explain") => of(ProfilesView, People),
        ("POST", "/segments/parse") => of(SegmentsView, Nobody),
        ("POST", "/segments/preview" | "/segments/overlap") => of(SegmentsView, People),
        ("POST", "/segments/export") => of(ProfilesExport, People),
        ("POST", "/segments/export/anonymous") => of(SegmentsView, People),
        ("GET", "/segments/{name}/history") => of(SegmentsView, Numbers),
        ("GET", "/computed") => of(SegmentsView, Nobody),
        ("PUT", "/computed") => of(SegmentsEdit, Nobody),
        ("DELETE", "/computed/{name}") => of(SegmentsDelete, Nobody),

        ("GET", "/object-types") => of(SettingsView, Nobody),
        ("PUT", "/object-types") => of(SettingsEdit, Nobody),
        ("GET", "/objects/{type}" | "/objects/{type}/{id}") => of(ProfilesView, Everybody),
        ("GET", "/settings") => of(SettingsView, Nobody),
        ("PATCH", "/settings") => of(SettingsEdit, Nobody),
        ("POST", "/settings/try") => of(SettingsView, Numbers),
        ("GET", "/fields") => of(SettingsView, Nobody),
        ("PUT", "/fields/{name}") => of(FieldsEdit, Nobody),

        ("POST", "/consents") => of(ConsentsEdit, People),
        ("PUT", "/consents/policy") => of(ConsentsEdit, Nobody),
        ("POST", "/consents/decide") => of(ConsentsView, People),
        ("POST", "/consents/reach") => of(ConsentsView, Numbers),
        ("POST", "/consents/policy/try") => of(ConsentsView, Numbers),
        ("GET", "/consents/ledger") => of(ConsentsView, Nobody),

        ("GET", "/destinations" | "/connectors") => of(DestinationsView, Nobody),
        ("PUT", "/destinations") => of(DestinationsEdit, Nobody),
        ("DELETE", "/destinations/{name}") => of(DestinationsDelete, Nobody),
        ("POST", "/destinations/{name}/test" | "/destinations/{name}/sync" | "/destinations/{name}/replay") => {
            of(DestinationsUse, Nobody)
        }
        ("GET", "/destinations/{name}/receipts") => of(DestinationsView, Everybody),

        ("GET", "/dead-letters" | "/dead-letters/{id}") => of(LettersView, Everybody),
        ("POST", "/dead-letters/retry") => of(LettersUse, Nobody),

        ("POST", "/privacy/erasures/preview") => of(PrivacyView, Everything),
        ("POST", "/privacy/erasures") => of(PrivacyErase, Everything),
        ("POST", "/privacy/access" | "/privacy/links") => of(PrivacyAnswer, Everything),
        ("GET", "/privacy/requests" | "/privacy/requests/{id}") => of(PrivacyView, Nobody),
        ("POST", "/privacy/receipts/check") => of(PrivacyView, Nobody),
        ("GET", "/privacy/suppressions") => of(PrivacyView, Everything),
        ("POST", "/privacy/suppressions" | "/privacy/suppressions/lift") => of(PrivacyAnswer, Everything),

        ("POST", "/sql") => of(SqlAsk, People),
        ("GET", "/log/records") => of(SystemUse, Everything),
        ("POST", "/log/verify" | "/rebuild") => of(SystemUse, Nobody),

        ("GET", "/requests" | "/requests/{id}") => of(PrivacyView, Everything),
        ("GET", "/requests/statistics") => of(PrivacyView, Numbers),
        ("POST", "/requests" | "/requests/{id}/verify" | "/requests/{id}/extend" | "/requests/{id}/cancel") => {
            of(PrivacyAnswer, Everything)
        }
        ("POST", "/requests/{id}/carry-out") => of(PrivacyErase, Everything),
        ("GET", "/requests/{id}/answer") => of(PrivacyAnswer, Everything),
        ("GET", "/opendsr/discovery") => of(PrivacyAnswer, Nobody),
        ("POST", "/opendsr/requests") | ("DELETE", "/opendsr/requests/{id}") => of(PrivacyAnswer, Everything),
        ("GET", "/opendsr/requests/{id}" | "/opendsr/requests/{id}/results") => of(PrivacyAnswer, Everything),

        ("GET", "/governance/{name}" | "/approvals" | "/catalog") => of(GovernanceView, Nobody),
        ("GET", "/reports/processing" | "/retention") => of(GovernanceView, Numbers),
        ("PUT", "/governance/{name}") => of(GovernanceEdit, Nobody),
        ("POST", "/approvals/{id}") => of(GovernanceApprove, Nobody),
        ("POST", "/retention") => of(PrivacyErase, Everything),
        ("GET", "/reports/exposure") => of(PrivacyAnswer, Everybody),

        ("GET", "/backups") => of(SystemView, Nobody),
        ("POST", "/backups") => of(SystemUse, Nobody),

        ("GET", "/people" | "/grants" | "/keys" | "/access-policies") => of(PeopleView, Nobody),
        ("POST", "/people" | "/people/{email}/link" | "/keys") => of(PeopleEdit, Numbers),
        ("PATCH", "/people/{email}") => of(PeopleEdit, Numbers),
        ("PUT", "/grants" | "/access-policies" | "/teams/{team}/members/{email}") => of(PeopleEdit, Numbers),
        ("DELETE", "/grants" | "/keys/{number}" | "/teams/{team}/members/{email}") => of(PeopleEdit, Numbers),
        ("POST", "/access-policies/try") => of(PeopleView, Nobody),
        ("GET", "/audit" | "/audit/head") => of(AuditView, Nobody),
        ("POST", "/audit/check") => of(AuditCheck, Nobody),
        _ => return None,
    })
}
