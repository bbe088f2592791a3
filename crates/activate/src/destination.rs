//! What a destination is, and what the delivery loop asks of it.
//!
//! The trait is small because the loop owns everything that is alike for all targets. A connector turns a batch into
//! one or more calls of its target and says of each delivery what became of it; it keeps no queue and no state of its
//! own that would be missed after a crash.

use std::{path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use onefold_model::{Clock, Timestamp, WorkspaceId};
use serde_json::Value;

use crate::{
    arrivals::Arrivals,
    config::{self, Common, ConfigError},
    egress::Egress,
};

/// What is delivered: one row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The destination's name.
    pub destination: String,
    /// The log offset that decided it. With `place` it orders the deliveries of a destination.
    pub at_offset: i64,
    /// Its place among the rows of that offset.
    pub place: i64,
    /// The idempotency key: the same for every attempt, and different for every other delivery.
    pub key: String,
    /// What it says.
    pub kind: Kind,
    /// The segment entered or left; empty for events.
    pub segment: String,
    /// The profile it is about.
    pub profile: i64,
    /// When it was decided.
    pub created: Timestamp,
    /// How often it was handed over before without success.
    pub attempts: u32,
    /// The payload, JSON.
    pub body: Vec<u8>,
}

/// What a delivery says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something happened.
    Event,
    /// A profile entered a segment, or is in it and changed.
    Enter,
    /// A profile left a segment.
    Leave,
    /// A person is erased: the target forgets them, by the profile's id and identifiers in the payload.
    Erase,
}

impl Kind {
    /// As the outbox writes it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Enter => "enter",
            Kind::Leave => "leave",
            Kind::Erase => "erase",
        }
    }

    /// Reads what [`name`](Self::name) gives.
    pub fn parse(text: &str) -> Option<Kind> {
        [Kind::Event, Kind::Enter, Kind::Leave, Kind::Erase].into_iter().find(|kind| kind.name() == text)
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it, durably as far as the target promises.
    Delivered {
        /// What the target said, without personal data: it stands in the receipt.
        detail: String,
    },
    /// The target could not take it now, or it is unknown whether it did.
    Retry {
        /// Not before so many milliseconds from now, where the target said so.
        after_ms: Option<i64>,
        /// Why, without personal data.
        cause: String,
    },
    /// The target will never take it.
    Refused {
        /// Why, without personal data.
        cause: String,
        /// The beginning of the target's own words, which may name a person: kept with the dead letter only.
        answer: Option<String>,
    },
}

impl Outcome {
    /// To be tried again, at the loop's own pace.
    pub fn retry(cause: impl Into<String>) -> Outcome {
        Outcome::Retry { after_ms: None, cause: cause.into() }
    }

    /// Refused for good.
    pub fn refused(cause: impl Into<String>) -> Outcome {
        Outcome::Refused { cause: cause.into(), answer: None }
    }
}

/// What a destination asks of the delivery loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At most so many deliveries in one batch.
    pub batch_max: usize,
    /// So many batches at a time, unless the configuration says otherwise.
    pub concurrency: usize,
    /// At most so many batches at a time, whatever the configuration says.
    pub concurrency_max: usize,
    /// A batch is handed over when it is full, or when its oldest delivery waits so long; 0: at once.
    pub gather_ms: i64,
}

/// Why a test of a destination failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}. {cure}.")]
pub struct Fault {
    /// One sentence of cause.
    pub cause: String,
    /// One sentence of cure.
    pub cure: String,
}

/// A target that takes deliveries.
///
/// # Contract
///
/// 1. **One outcome per delivery**, in the order of the batch. A call never fails as a whole: a target that is out of
///    reach gives [`Outcome::Retry`] for each.
/// 2. **In order.** The deliveries of a batch take effect as if one by one in their order. The loop never has two
///    deliveries of one profile in two batches at a time, so this gives order per profile.
/// 3. **Again with the same key.** A delivery that was handed over before, whatever became of it, may come again.
///    Where the target allows, it takes effect once; where it cannot know (a webhook), the key is passed on.
/// 4. **One bad delivery hurts only itself** where the target can tell them apart.
/// 5. **No waiting inside** beyond the target's own time-out: retries, rates and pauses are the loop's. A call may be
///    dropped at any await; its outcome is then unknown and the delivery comes again.
/// 6. **Causes and details name no person.**
/// 7. **Erased is gone.** A [`Kind::Erase`] that is called delivered has taken out of the target what earlier deliveries of this
///    profile left there, as far as the target is ours to change; a target of others is told.
/// 8. An empty batch gives an empty list and touches nothing.
pub trait Destination: Send + Sync {
    /// The connector's kind: `webhook`, `file`, `postgres`, `lookup`.
    fn kind(&self) -> &'static str;

    /// What it asks of the loop. Always the same.
    fn limits(&self) -> Limits;

    /// Hands a batch over.
    fn deliver<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Outcome>>;

    /// Tries the target without anybody's data, and says in a sentence what was done.
    fn test(&self) -> BoxFuture<'_, Result<String, Fault>>;
}

/// What connectors are given of the house.
#[derive(Clone)]
pub struct Context {
    /// The workspace whose destination is opened.
    pub workspace: WorkspaceId,
    /// Which addresses may be reached.
    pub egress: Arc<Egress>,
    /// The data folder; files go below its `exports/`.
    pub data_folder: PathBuf,
    /// Further folders that the operator lets destinations write to.
    pub exports_allowed: Vec<PathBuf>,
    /// The time, for signatures.
    pub clock: Arc<dyn Clock>,
    /// Where what a target answers enters.
    pub arrivals: Arc<dyn Arrivals>,
}

/// A kind of destination.
pub trait Connector: Send + Sync {
    /// Its name in the `kind` of a destination.
    fn kind(&self) -> &'static str;

    /// The form of its own members, as JSON Schema: `{"type":"object","properties":…,"required":[…]}`. Members with
    /// `"writeOnly": true` are secrets.
    fn config_schema(&self) -> Value;

    /// Opens a destination. Checks what can be checked without reaching the target.
    fn open(&self, config: Value, context: &Context) -> Result<Arc<dyn Destination>, ConfigError>;
}

/// A destination, opened, and the members of its configuration that the loop reads.
pub struct Opened {
    /// The members that every destination has.
    pub common: Common,
    /// The target.
    pub destination: Arc<dyn Destination>,
}

/// The connectors there are.
pub struct Registry(Vec<Box<dyn Connector>>);

impl Registry {
    /// The connectors that come with Onefold.
    pub fn standard() -> Registry {
        Registry(crate::connectors::all())
    }

    /// These connectors.
    pub fn of(connectors: Vec<Box<dyn Connector>>) -> Registry {
        Registry(connectors)
    }

    /// The kinds there are.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.0.iter().map(|connector| connector.kind()).collect()
    }

    /// The form of a kind's configuration, the common members included; `None` for an unknown kind.
    pub fn config_schema(&self, kind: &str) -> Option<Value> {
        let mut schema = self.0.iter().find(|connector| connector.kind() == kind)?.config_schema();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.extend(config::common_schema());
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.push("purpose".into());
        }
        Some(schema)
    }

    /// Opens a destination of this kind from its configuration, JSON.
    pub fn open(&self, kind: &str, config: &str, context: &Context) -> Result<Opened, ConfigError> {
        let connector = self.0.iter().find(|connector| connector.kind() == kind).ok_or_else(|| {
            let cure = format!("Choose one of {}", self.kinds().join(", "));
            ConfigError::new("kind", format!("there is no connector {kind:?}"), cure)
        })?;
        let (common, own) = config::split(config)?;
        Ok(Opened { common, destination: connector.open(own, context)? })
    }
}
