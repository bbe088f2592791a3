//! The tables of Onefold, declared once for every store.
//!
//! Keys begin with the workspace, or with the partition where a thing belongs to the partition. People and their nodes
//! are numbered in the order of the log, so new rows land together at the end of their table.
//!
//! A `body` is a versioned binary form that only the crate that writes it reads; what an operator filters or sorts by
//! stands in a column of its own.

use crate::table::{Column, Index, Part, Table};

const fn derived(name: &'static str, key: usize, columns: &'static [Column], indexes: &'static [Index]) -> Table {
    Table { name, part: Part::Derived, key, columns, indexes }
}

const fn kept(name: &'static str, key: usize, columns: &'static [Column], indexes: &'static [Index]) -> Table {
    Table { name, part: Part::Kept, key, columns, indexes }
}

const WORKSPACE: Column = Column::int("workspace");
const PARTITION: Column = Column::int("partition");
const ENTITY: Column = Column::int("entity");
const BODY: Column = Column::bytes("body");

// Derived: the pipeline's own place.

/// How far the pipeline of a partition has come, and its engine time.
pub static PROGRESS: Table =
    derived("progress", 1, &[PARTITION, Column::int("next_offset"), Column::int("now_ms"), BODY], &[]);

/// What became of each offset: one row per micro-batch; `body` has a verdict per offset.
pub static VERDICT: Table =
    derived("verdict", 2, &[PARTITION, Column::int("first_offset"), Column::int("records"), BODY], &[]);

/// Message ids seen, by day of receipt (−1: for ever): sorted runs, each with its filter.
pub static DEDUPE_RUN: Table = derived(
    "dedupe_run",
    3,
    &[
        PARTITION,
        Column::int("day"),
        Column::int("run"),
        Column::int("level"),
        Column::int("ids"),
        Column::bytes("filter"),
    ],
    &[],
);

/// The pages of a dedupe run: sorted 16-byte ids.
pub static DEDUPE_PAGE: Table =
    derived("dedupe_page", 4, &[PARTITION, Column::int("day"), Column::int("run"), Column::int("page"), BODY], &[]);

// Derived: identity and profiles.

/// From an identifier to its node.
pub static IDENTIFIER: Table = derived(
    "identifier",
    4,
    &[WORKSPACE, ENTITY, Column::text("kind"), Column::text("value"), Column::int("node")],
    &[],
);

/// A node of the identity graph and what is folded at it.
pub static NODE: Table = derived(
    "node",
    3,
    &[
        WORKSPACE,
        ENTITY,
        Column::int("node"),
        Column::text("kind"),
        Column::text("value"),
        Column::int("profile"),
        Column::int("first_seen_ms"),
        Column::int("last_seen_ms"),
        Column::int("events"),
        BODY,
    ],
    &[],
);

/// Full chunks of long series, so that a new point does not rewrite them.
pub static SERIES_CHUNK: Table = derived(
    "series_chunk",
    5,
    &[WORKSPACE, ENTITY, Column::int("node"), Column::int("metric"), Column::int("chunk"), BODY],
    &[],
);

/// Offsets of a node's older events, a page at a time; the newest are in the node's body.
pub static EVENT_PAGE: Table =
    derived("event_page", 4, &[WORKSPACE, ENTITY, Column::int("node"), Column::int("first_offset"), BODY], &[]);

/// A person: the nodes joined, the segments they are in, and when to look again.
pub static PROFILE: Table = derived(
    "profile",
    3,
    &[
        WORKSPACE,
        ENTITY,
        Column::int("profile"),
        Column::int("due_ms").or_null(),
        Column::int("first_seen_ms"),
        Column::int("last_seen_ms"),
        Column::int("events"),
        BODY,
    ],
    &[Index { name: "due", columns: &["due_ms"] }],
);

/// What was said about identity, in log order. What was withdrawn counts no more, and stays, to tell who was who before.
/// What an earlier build wrote has no time.
pub static STATEMENT: Table = derived(
    "statement",
    4,
    &[
        WORKSPACE,
        ENTITY,
        Column::int("at_offset"),
        Column::int("place"),
        BODY,
        Column::int("at_ms").or_null(),
        Column::int("withdrawn_offset").or_null(),
        Column::int("withdrawn_ms").or_null(),
    ],
    &[],
);

/// From a node to the statements that name it.
pub static STATEMENT_NODE: Table = derived(
    "statement_node",
    5,
    &[WORKSPACE, ENTITY, Column::int("node"), Column::int("at_offset"), Column::int("place")],
    &[],
);

/// What record linkage found about two nodes, the lesser first, and what a steward decided. `state`: `joined`, `doubt`, `gone`,
/// or the decision: `accept`, `reject`, `never`.
pub static LINK: Table = derived(
    "link",
    4,
    &[
        WORKSPACE,
        ENTITY,
        Column::int("a"),
        Column::int("b"),
        Column::int("model"),
        Column::int("millibits"),
        Column::text("state"),
        Column::int("at_ms"),
        BODY,
    ],
    &[
        Index { name: "of_b", columns: &["workspace", "b"] },
        Index { name: "queue", columns: &["workspace", "state", "millibits"] },
    ],
);

/// Things that are no person: accounts, households, the workspace's own object types.
pub static OBJECT: Table = derived(
    "object",
    3,
    &[WORKSPACE, ENTITY, Column::text("id"), Column::int("first_seen_ms"), Column::int("last_seen_ms"), BODY],
    &[],
);

/// Which people (by node) belong to which account or household: since when it was first said, and what was said last.
pub static OBJECT_MEMBER: Table = derived(
    "object_member",
    4,
    &[
        WORKSPACE,
        ENTITY,
        Column::text("id"),
        Column::int("node"),
        Column::int("since_ms"),
        Column::bytes("body").or_null(),
    ],
    &[Index { name: "of_node", columns: &["workspace", "node"] }],
);

/// Numbers of the workspace's own entity types.
pub static ENTITY_TYPE: Table = derived("entity_type", 2, &[WORKSPACE, Column::text("name"), ENTITY], &[]);

// Derived: definitions and what follows from them.

/// Definitions in force, by kind (`segment`, `computed`, `object_type`, `subscription`, `setting`) and name.
/// `number` is the segment's own, never used again. `live_version` is the version in force: an earlier one while the log
/// before this one is folded in, none where there was none.
pub static DEFINITION: Table = derived(
    "definition",
    3,
    &[
        WORKSPACE,
        Column::text("kind"),
        Column::text("name"),
        Column::int("version"),
        Column::int("number"),
        Column::int("at_offset"),
        Column::int("at_ms"),
        Column::int("live_version").or_null(),
        Column::text("definition"),
    ],
    &[],
);

/// All versions of definitions.
pub static DEFINITION_VERSION: Table = derived(
    "definition_version",
    4,
    &[
        WORKSPACE,
        Column::text("kind"),
        Column::text("name"),
        Column::int("version"),
        Column::int("at_offset"),
        Column::int("at_ms"),
        Column::text("caller"),
        Column::text("definition"),
    ],
    &[],
);

/// Metrics that definitions ask for; numbers are never used again.
pub static METRIC: Table = derived(
    "metric",
    2,
    &[WORKSPACE, Column::int("metric"), Column::int("live_from_offset"), Column::text("definition")],
    &[],
);

/// Who entered and left which segment: of each micro-batch that has any, by the first of its offsets.
pub static SEGMENT_CHANGE: Table = derived(
    "segment_change",
    2,
    &[Column::int("partition"), Column::int("first_offset"), Column::bytes("changes")],
    &[],
);

/// Which profiles came, went, or changed their nodes, traits or consent: of each micro-batch that has any, by the first of
/// its offsets.
pub static PROFILE_CHANGE: Table = derived("profile_change", 2, &[PARTITION, Column::int("first_offset"), BODY], &[]);

/// The property registry: every trait and property seen. `scope`: `trait`, `property`, `object`; `event` is empty for
/// traits. `types`: JSON types seen, comma-separated.
pub static PROPERTY: Table = derived(
    "property",
    4,
    &[
        WORKSPACE,
        Column::text("scope"),
        Column::text("event"),
        Column::text("name"),
        Column::text("types"),
        Column::text("class"),
        Column::int("first_seen_ms"),
        Column::int("last_seen_ms"),
        Column::int("source"),
    ],
    &[],
);

/// The log offset that last changed what a workspace has defined: who holds a compiled copy sees by it that it is old.
pub static DEFINED: Table = derived("defined", 1, &[WORKSPACE, Column::int("at_offset")], &[]);

/// Running totals by name: `events.accepted`, `profiles`, `segment.NAME`, `refused.CODE`, …
pub static TALLY: Table = derived("tally", 2, &[WORKSPACE, Column::text("name"), Column::int("value")], &[]);

/// What a person should look at: a refused merge, a cluster at its bound.
pub static ALARM: Table = derived(
    "alarm",
    3,
    &[
        WORKSPACE,
        Column::int("at_offset"),
        Column::int("place"),
        Column::text("kind"),
        Column::int("at_ms"),
        Column::text("detail"),
    ],
    &[],
);

/// What is to be delivered, per destination in order. Written in the transaction that decided it; a rebuild carries
/// over what is still waiting and adds nothing.
/// `kind`: `event`, `enter`, `leave`. `key` is the stable idempotency key. `body` is the payload, JSON.
/// `next_ms` is when to try next; it is null while the row is dead (see `DELIVERY_DEAD`).
pub static OUTBOX: Table = derived(
    "outbox",
    4,
    &[
        WORKSPACE,
        Column::text("destination"),
        Column::int("at_offset"),
        Column::int("place"),
        Column::text("key"),
        Column::text("kind"),
        Column::text("segment"),
        Column::int("profile"),
        Column::int("created_ms"),
        Column::int("attempts"),
        Column::int("next_ms"),
        BODY,
    ],
    &[],
);

// Kept.

/// Tenants.
pub static WORKSPACES: Table = kept("workspace", 1, &[WORKSPACE, Column::text("name"), Column::int("created_ms")], &[]);

/// Where events come from. Of the write key only its SHA-256 is kept, and its last four characters to tell keys apart.
pub static SOURCE: Table = kept(
    "source",
    2,
    &[
        WORKSPACE,
        Column::int("source"),
        Column::text("name"),
        Column::text("kind"),
        Column::bytes("key_hash"),
        Column::text("key_hint"),
        Column::int("enabled"),
        Column::int("created_ms"),
        Column::text("config"),
    ],
    &[],
);

/// Models of record linkage: TOML with the weights, and how often values occurred in what it was trained on, as the linker
/// keeps it.
pub static LINK_MODEL: Table = kept(
    "link_model",
    2,
    &[
        WORKSPACE,
        Column::int("version"),
        Column::int("created_ms"),
        Column::text("caller"),
        Column::int("records"),
        Column::text("model"),
        Column::bytes("frequencies"),
    ],
    &[],
);

/// What leaves the house, and how. `config` is JSON for the connector, secrets included; `state` is `active` or `paused`.
pub static DESTINATION: Table = kept(
    "destination",
    2,
    &[
        WORKSPACE,
        Column::text("name"),
        Column::text("kind"),
        Column::text("state"),
        Column::int("created_ms"),
        Column::text("config").sealed(),
    ],
    &[],
);

/// What was delivered, skipped or given up, per destination. `status`: `delivered`, `skipped`, `dead`. `sequence` grows by one with
/// every outcome in the workspace, so that who follows knows what is new; what an earlier build wrote has none.
pub static RECEIPT: Table = kept(
    "receipt",
    4,
    &[
        WORKSPACE,
        Column::text("destination"),
        Column::int("at_offset"),
        Column::int("place"),
        Column::text("key"),
        Column::text("kind"),
        Column::text("segment"),
        Column::int("profile"),
        Column::text("status"),
        Column::int("attempts"),
        Column::int("at_ms"),
        Column::text("detail"),
        Column::int("sequence").or_null(),
    ],
    &[
        Index { name: "recent", columns: &["workspace", "destination", "at_ms"] },
        Index { name: "following", columns: &["workspace", "sequence"] },
    ],
);

/// Deliveries given up, with their payload, until they are replayed or dropped.
pub static DELIVERY_DEAD: Table = kept(
    "delivery_dead",
    4,
    &[
        WORKSPACE,
        Column::text("destination"),
        Column::int("at_offset"),
        Column::int("place"),
        Column::text("key"),
        Column::text("kind"),
        Column::text("segment"),
        Column::int("profile"),
        Column::int("created_ms"),
        Column::int("attempts"),
        Column::int("at_ms"),
        Column::text("reason"),
        BODY,
    ],
    &[],
);

/// Events refused for their content, durable before the answer. `line`: of an imported file. `state`: `waiting`,
/// `retried`.
pub static DEAD_LETTER: Table = kept(
    "dead_letter",
    2,
    &[
        WORKSPACE,
        Column::text("id"),
        Column::int("source"),
        Column::text("code"),
        Column::text("reason"),
        Column::int("at_ms"),
        Column::int("line").or_null(),
        Column::text("state"),
        BODY,
    ],
    &[Index { name: "recent", columns: &["workspace", "at_ms"] }],
);

/// The consent ledger: append-only rows, by the offset that brought them, each chained to the one before: `leaf` and `link` are
/// SHA-256. Of an erased row the salt is null.
pub static CONSENT: Table = kept(
    "consent",
    3,
    &[
        WORKSPACE,
        Column::int("at_offset"),
        Column::int("place"),
        Column::int("node"),
        Column::text("purpose"),
        Column::text("channel").or_null(),
        Column::text("state"),
        Column::text("strength"),
        Column::int("at_ms"),
        Column::int("recorded_ms"),
        Column::int("source"),
        Column::text("details").or_null(),
        Column::bytes("salt").or_null(),
        Column::bytes("leaf").or_null(),
        Column::bytes("link").or_null(),
    ],
    &[Index { name: "of_node", columns: &["workspace", "node"] }],
);

/// Secrets that the workspace makes for itself, by name: what identifiers on the suppression list are hashed with, what receipts
/// are signed with.
pub static SECRET: Table = kept("secret", 2, &[WORKSPACE, Column::text("name"), Column::bytes("value").sealed()], &[]);

/// Who is not let in: keyed hashes of identifiers, in hex, and by which request. `until_offset`: the person came back; what
/// stands in the log before it counts for nothing all the same. `from_offset`: the log's end then; what was before counts for nothing as
/// well where it is `erased`.
pub static SUPPRESSED: Table = kept(
    "suppressed",
    2,
    &[
        WORKSPACE,
        Column::text("hash"),
        Column::int("until_offset").or_null(),
        Column::int("at_ms"),
        Column::text("request"),
        Column::int("from_offset"),
        Column::int("erased"),
    ],
    &[],
);

/// What people asked for under privacy law, and how far that is. `status`: `in_progress`, `completed`,
/// `completed_with_exceptions`. `body` is JSON, without personal data once it is completed.
pub static REQUEST: Table = kept(
    "request",
    2,
    &[
        WORKSPACE,
        Column::text("id"),
        Column::text("kind"),
        Column::text("status"),
        Column::int("created_ms"),
        Column::int("changed_ms"),
        BODY,
    ],
    &[Index { name: "recent", columns: &["workspace", "created_ms"] }],
);

/// What people ask for under privacy law, from when it comes until it is answered. `controller_request`: what whoever sent it by
/// OpenDSR calls it. `body` is JSON.
pub static SUBJECT_REQUEST: Table = kept(
    "subject_request",
    2,
    &[
        WORKSPACE,
        Column::text("id"),
        Column::text("kind"),
        Column::text("status"),
        Column::int("received_ms"),
        Column::int("due_ms"),
        Column::text("controller_request").or_null(),
        Column::text("body").sealed(),
    ],
    &[
        Index { name: "recent", columns: &["workspace", "received_ms"] },
        Index { name: "of_controller", columns: &["workspace", "controller_request"] },
    ],
);

/// What took a second person: by the SHA-256 of what was asked for, and by whom.
pub static APPROVAL: Table = kept(
    "approval",
    2,
    &[
        WORKSPACE,
        Column::text("id"),
        Column::text("digest"),
        Column::text("standing"),
        Column::int("asked_ms"),
        Column::text("body"),
    ],
    &[
        Index { name: "recent", columns: &["workspace", "asked_ms"] },
        Index { name: "of_digest", columns: &["workspace", "digest"] },
    ],
);

/// Who was in an anonymous export, by profile number, so that another that differs by a few of them is refused. `digest`: SHA-256 of its
/// columns' names.
pub static ANONYMOUS_EXPORT: Table = kept(
    "anonymous_export",
    2,
    &[WORKSPACE, Column::text("id"), Column::int("at_ms"), Column::text("digest"), Column::bytes("people")],
    &[],
);

/// Who works here, in all workspaces. `password` is a PHC string; `totp` the secret of the second factor, `totp_step` the last step
/// whose code was taken. `state`: `invited`, `active`, `disabled`.
pub static ACCOUNT: Table = kept(
    "account",
    1,
    &[
        Column::int("account"),
        Column::text("email"),
        Column::text("name"),
        Column::text("state"),
        Column::text("password").or_null(),
        Column::bytes("totp").or_null().sealed(),
        Column::int("totp_step"),
        Column::int("created_ms"),
    ],
    &[Index { name: "by_email", columns: &["email"] }],
);

/// Which role somebody has in a workspace (0: in all). `holder`: `user:7`, `key:3`, `team:crm`. `only`: JSON list of the segments whose
/// members they see; null: everybody.
pub static ROLE_GRANT: Table = kept(
    "role_grant",
    3,
    &[WORKSPACE, Column::text("holder"), Column::text("role"), Column::text("only").or_null(), Column::int("at_ms")],
    &[Index { name: "of_holder", columns: &["holder"] }],
);

/// Who is in which team.
pub static TEAM_MEMBER: Table = kept(
    "team_member",
    2,
    &[Column::text("team"), Column::int("account")],
    &[Index { name: "of_account", columns: &["account"] }],
);

/// Who is signed in: by the SHA-256 of the cookie.
pub static SESSION: Table = kept(
    "session",
    1,
    &[
        Column::bytes("hash"),
        Column::int("account"),
        Column::int("second_factor"),
        Column::int("created_ms"),
        Column::int("seen_ms"),
    ],
    &[Index { name: "of_account", columns: &["account"] }],
);

/// Links by which somebody chooses a password, once: by the SHA-256 of the token.
pub static INVITE: Table = kept(
    "invite",
    1,
    &[Column::bytes("hash"), Column::int("account"), Column::int("expires_ms")],
    &[Index { name: "of_account", columns: &["account"] }],
);

/// Keys of programs. Of the key only its SHA-256 is kept, and its last four characters to tell keys apart.
pub static API_KEY: Table = kept(
    "api_key",
    1,
    &[
        Column::int("key"),
        Column::text("name"),
        Column::bytes("hash"),
        Column::text("hint"),
        Column::text("caller"),
        Column::int("created_ms"),
        Column::int("expires_ms").or_null(),
        Column::int("used_ms").or_null(),
        Column::int("revoked_ms").or_null(),
    ],
    &[],
);

/// A workspace's own policies of who may do what, in Cedar, by version.
pub static ACCESS_POLICY: Table = kept(
    "access_policy",
    2,
    &[WORKSPACE, Column::int("version"), Column::text("policies"), Column::text("caller"), Column::int("at_ms")],
    &[],
);

/// The audit log: who read people's data in bulk, changed something, or was refused, as leaves of a Merkle tree. `kind`: `begun`, `read`,
/// `done`, `failed`, `refused`, `alarm`. `digest` is SHA-256 over salt and details; of details that were erased it is what is left. `leaf` is the leaf's
/// hash (RFC 6962).
pub static AUDIT: Table = kept(
    "audit",
    1,
    &[
        Column::int("number"),
        Column::int("at_ms"),
        WORKSPACE,
        Column::text("caller"),
        Column::text("action"),
        Column::text("kind"),
        Column::text("path"),
        Column::text("details").or_null(),
        Column::bytes("salt").or_null(),
        Column::bytes("digest"),
        Column::bytes("leaf"),
    ],
    &[Index { name: "of_caller", columns: &["caller", "at_ms"] }],
);

/// The tree over the audit log: how many leaves, and the roots of its perfect subtrees.
pub static AUDIT_TREE: Table =
    kept("audit_tree", 1, &[Column::int("tree"), Column::int("size"), Column::bytes("peaks")], &[]);

/// Every table.
pub static ALL: &[&Table] = &[
    &PROGRESS,
    &VERDICT,
    &DEDUPE_RUN,
    &DEDUPE_PAGE,
    &IDENTIFIER,
    &NODE,
    &SERIES_CHUNK,
    &EVENT_PAGE,
    &PROFILE,
    &STATEMENT,
    &STATEMENT_NODE,
    &LINK,
    &OBJECT,
    &OBJECT_MEMBER,
    &ENTITY_TYPE,
    &DEFINITION,
    &DEFINITION_VERSION,
    &METRIC,
    &DEFINED,
    &SEGMENT_CHANGE,
    &PROFILE_CHANGE,
    &PROPERTY,
    &TALLY,
    &ALARM,
    &OUTBOX,
    &WORKSPACES,
    &SOURCE,
    &LINK_MODEL,
    &DESTINATION,
    &RECEIPT,
    &DELIVERY_DEAD,
    &DEAD_LETTER,
    &CONSENT,
    &SECRET,
    &SUPPRESSED,
    &REQUEST,
    &SUBJECT_REQUEST,
    &APPROVAL,
    &ANONYMOUS_EXPORT,
    &ACCOUNT,
    &ROLE_GRANT,
    &TEAM_MEMBER,
    &SESSION,
    &INVITE,
    &API_KEY,
    &ACCESS_POLICY,
    &AUDIT,
    &AUDIT_TREE,
];
