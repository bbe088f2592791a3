//! A request, and what may become of it.

use std::collections::BTreeMap;

use onefold_model::{Timestamp, clock::DAY_MS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiError, erasure};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What is held of me (GDPR 15).
    Access,
    /// The same, to take along (GDPR 20).
    Portability,
    /// Correct it (GDPR 16).
    Rectify,
    /// Keep it, and do not use it (GDPR 18).
    Restrict,
    /// I object to a use, or to all (GDPR 21).
    Object,
    /// Do not sell or share it (CCPA 1798.120).
    OptOutOfSale,
    /// Limit the use of what is sensitive (CCPA 1798.121).
    LimitSensitive,
    /// No decision by a machine alone (GDPR 22).
    NoAutomated,
    /// Erase it (GDPR 17, CCPA 1798.105).
    Erase,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 9] = [
        Kind::Access,
        Kind::Portability,
        Kind::Rectify,
        Kind::Restrict,
        Kind::Object,
        Kind::OptOutOfSale,
        Kind::LimitSensitive,
        Kind::NoAutomated,
        Kind::Erase,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Access => "access",
            Kind::Portability => "portability",
            Kind::Rectify => "rectify",
            Kind::Restrict => "restrict",
            Kind::Object => "object",
            Kind::OptOutOfSale => "opt_out_of_sale",
            Kind::LimitSensitive => "limit_sensitive",
            Kind::NoAutomated => "no_automated",
            Kind::Erase => "erase",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is not known yet whether the person asked.
    Unverified,
    /// It is, and nobody has begun.
    Pending,
    /// It is being carried out.
    InProgress,
    /// Done.
    Completed,
    /// Done but for what the result says.
    CompletedWithExceptions,
    /// Not to be done.
    Cancelled,
}

impl Status {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Status::Unverified => "unverified",
            Status::Pending => "pending",
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::CompletedWithExceptions => "completed_with_exceptions",
            Status::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of it.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::CompletedWithExceptions | Status::Cancelled)
    }
}

/// Under which law, and so by when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Regulation {
    /// A month (12(3)), here 30 days; two more where it is said why.
    #[default]
    Gdpr,
    /// 45 days (1798.130), once 45 more.
    Ccpa,
}

impl Regulation {
    /// Days in which it is to be answered.
    pub fn days(self) -> i64 {
        match self {
            Regulation::Gdpr => 30,
            Regulation::Ccpa => 45,
        }
    }

    /// Days that may be added once.
    pub fn more_days(self) -> i64 {
        match self {
            Regulation::Gdpr => 60,
            Regulation::Ccpa => 45,
        }
    }
}

/// A request as it comes in.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What is asked for.
    pub kind: Kind,
    /// Who asks: e-mail addresses, phone numbers with `+`, user ids, `kind:value`; all of one person.
    pub identifiers: Vec<String>,
    /// How it is known that the person asked. Absent: the person is asked by e-mail, and the request waits for that.
    #[serde(default)]
    pub identified: Option<String>,
    /// Of a request to rectify: the traits as they should be.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub corrections: BTreeMap<String, serde_json::Value>,
    /// Of an objection: to which purpose; absent: to all.
    #[serde(default)]
    pub purpose: Option<String>,
    /// The law: `gdpr` if not said, or `ccpa`.
    #[serde(default)]
    pub regulation: Option<Regulation>,
    /// When it came, where that was earlier.
    #[serde(default)]
    pub received: Option<String>,
    /// For whoever carries it out.
    #[serde(default)]
    pub note: Option<String>,
}

/// Who sent a request by OpenDSR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// What the controller calls the request.
    pub request: String,
    /// Where it is told of each change.
    pub callbacks: Vec<String>,
    /// The status that it was told last.
    pub told: Option<Status>,
    /// Tries that failed since.
    pub failed: u32,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its id.
    pub id: String,
    /// What is asked for.
    pub kind: Kind,
    /// How far it is.
    pub status: Status,
    /// Under which law.
    pub regulation: Regulation,
    /// When it came.
    pub received: Timestamp,
    /// By when it is to be answered.
    pub due: Timestamp,
    /// Who asks; none once they are forgotten.
    pub identifiers: Vec<String>,
    /// Of a request to rectify.
    pub corrections: BTreeMap<String, serde_json::Value>,
    /// Of an objection.
    pub purpose: Option<String>,
    /// For whoever carries it out.
    pub note: Option<String>,
    /// How it is known that the person asked.
    pub identified: Option<String>,
    /// Why the deadline was extended.
    pub extended: Option<String>,
    /// Who sent it, where a program did.
    pub controller: Option<Controller>,
    /// What came of it.
    pub result: Option<serde_json::Value>,
    /// The language that the person asked in.
    pub language: Option<String>,
    /// What was done, in order.
    pub history: Vec<Step>,
}

/// A step of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// When.
    #[schema(value_type = i64)]
    pub at: Timestamp,
    /// By whom: `operator`, `user:7`, `key:3`, `subject`.
    pub by: String,
    /// What it was after.
    pub status: Status,
    /// Why.
    pub why: String,
}

impl Case {
    pub(super) fn step(&mut self, at: Timestamp, by: impl Into<String>, status: Status, why: &str) {
        if self.status != status
            && let Some(controller) = &mut self.controller
        {
            // Something else to be told, and tried anew.
            controller.failed = 0;
        }
        self.status = status;
        self.history.push(Step { at, by: by.into(), status, why: why.to_owned() });
    }

    /// An error where it is in none of these states.
    pub(super) fn must_be(&self, states: &[Status]) -> Result<(), ApiError> {
        if states.contains(&self.status) {
            return Ok(());
        }
        let cure = match self.status {
            Status::Unverified => "first say how the person was identified: `onefold request verify`",
            _ => "enter another request if need be",
        };
        Err(ApiError::conflict(format!("the request is {}", self.status.name()), cure))
    }

    /// When it ended.
    pub fn ended(&self) -> Option<Timestamp> {
        self.history.last().filter(|_| self.status.is_final()).map(|step| step.at)
    }

    /// Whether its time is up.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        !self.status.is_final() && now > self.due
    }

    /// Days that are left, to the nearest; negative: it is late.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.due.0 - now.0 + DAY_MS / 2).div_euclid(DAY_MS)
    }

    /// The e-mail address that it came by, if it names one.
    pub(super) fn address(&self) -> Option<String> {
        let email =
            |text: &String| erasure::identifier(text).ok().filter(|one| one.kind == "email").map(|one| one.value);
        self.identifiers.iter().find_map(email)
    }

    /// Takes out who it was about.
    pub(super) fn forget(&mut self) {
        self.identifiers.clear();
        self.corrections.clear();
        self.note = None;
        // How somebody was identified, and why something was done, is said in words that may name them.
        self.identified = self.identified.take().map(|_| "yes".to_owned());
        self.extended = self.extended.take().map(|_| "yes".to_owned());
        self.history.iter_mut().for_each(|step| step.why.clear());
    }
}

/// A request as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct CaseView {
    /// Its id.
    pub id: String,
    /// What is asked for.
    pub kind: Kind,
    /// How far it is.
    pub status: Status,
    /// Under which law.
    pub regulation: Regulation,
    /// When it came.
    pub received: String,
    /// By when it is to be answered.
    pub due: String,
    /// Days that are left, to the nearest; negative: it is late. Absent once it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// Whether its time is up.
    pub overdue: bool,
    /// Who asks; none once they are forgotten.
    pub identifiers: Vec<String>,
    /// Of a request to rectify.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub corrections: BTreeMap<String, serde_json::Value>,
    /// Of an objection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// For whoever carries it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How it is known that the person asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identified: Option<String>,
    /// Why the deadline was extended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<String>,
    /// What the controller calls it that sent it by OpenDSR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_request: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<serde_json::Value>,
    /// What was done, in order.
    pub history: Vec<Step>,
    /// Why more than the one who asks may be meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Case {
    /// As it is shown at `now`.
    pub fn view(self, now: Timestamp) -> CaseView {
        CaseView {
            days_left: (!self.status.is_final()).then(|| self.days_left(now)),
            overdue: self.is_overdue(now),
            id: self.id,
            kind: self.kind,
            status: self.status,
            regulation: self.regulation,
            received: self.received.to_string(),
            due: self.due.to_string(),
            identifiers: self.identifiers,
            corrections: self.corrections,
            purpose: self.purpose,
            note: self.note,
            identified: self.identified,
            extended: self.extended,
            controller_request: self.controller.map(|controller| controller.request),
            result: self.result,
            history: self.history,
            warning: None,
        }
    }
}

/// How requests of a kind go.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KindStatistics {
    /// Which.
    pub kind: Kind,
    /// How many came.
    pub received: u64,
    /// How many are not closed.
    pub open: u64,
    /// Of these, whose time is up.
    pub overdue: u64,
    /// How many were carried out.
    pub completed: u64,
    /// Of these, after their time.
    pub late: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// Of those that were carried out: days from receipt to end, in the middle.
    pub median_days: Option<i64>,
}
