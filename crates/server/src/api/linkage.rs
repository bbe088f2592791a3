//! Record linkage: its models, the steward's queue, decisions, and what looks wrong.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_link::{Model, Waterfall};
use onefold_model::{
    NodeId,
    access::{Access, Sight},
    command::Command,
    identity::Decision,
};
use onefold_pipeline::{
    links::{self, Finding, Link},
    seen,
    views::{self, Named},
};
use onefold_resolve::{
    Doubt,
    models::{ModelView, Records, Would},
};
use onefold_state::Reader;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::profiles::node;
use crate::{ApiError, App, caller::Caller};

/// Links that are counted at a time.
const COUNTED_AT_ONCE: usize = 5000;

/// The workspace's models, the newest first.
#[utoipa::path(get, path = "/api/v1/linkage/models", responses((status = 200, body = [ModelView])))]
pub async fn models(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<ModelView>>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        Ok(Json(app.resolver.models().list(&access, &definitions)?))
    })
    .await
}

/// What a model is made of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// A model file (TOML); absent: guessed from the traits there are. Weights in it stay.
    #[serde(default)]
    pub model: Option<String>,
}

/// A model that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Made {
    /// Its number.
    pub version: u32,
    /// What it would do.
    pub would: Would,
    /// The model file.
    pub model: String,
}

/// Make a model of the records there are and of what stewards decided. It proposes nothing until it is made active.
#[utoipa::path(post, path = "/api/v1/linkage/models", request_body = Train, responses((status = 200, body = Made)))]
pub async fn train(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(asked): Json<Train>,
) -> Result<Json<Made>, ApiError> {
    let model = asked.model.as_deref().map(Model::from_toml).transpose().map_err(onefold_resolve::Error::from)?;
    let Ok(_turn) = app.training.try_lock() else {
        return Err(ApiError::unavailable("another model is being trained"));
    };
    app.block(move |app| {
        let records = {
            let reader = &mut *app.store.reader()?;
            let definitions = app.definitions(reader, access.workspace)?;
            Records::read(reader, &access, &definitions, model)?
        };
        let trained = records.train()?;
        let version = app.resolver.models().save(&access, app.clock.now(), &trained)?;
        Ok(Json(Made { version, model: trained.model.to_toml(), would: trained.would }))
    })
    .await
}

/// A model file.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelFile {
    /// TOML.
    pub model: String,
}

/// A model.
#[utoipa::path(get, path = "/api/v1/linkage/models/{version}", responses((status = 200, body = ModelFile), (status = 404, body = ApiError)))]
pub async fn model(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(version): Path<u32>,
) -> Result<Json<ModelFile>, ApiError> {
    app.read(move |app, _| {
        let (model, ..) = app.resolver.models().load(&access, version)?;
        Ok(Json(ModelFile { model: model.to_toml() }))
    })
    .await
}

/// Which model proposes who is one person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Active {
    /// Its number; `null`: none, and what an earlier one joined is parted.
    pub version: Option<u32>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activated {
    /// Links that join.
    pub joined: usize,
    /// Links that would, and whom the identity rules keep apart: a limit of identifiers of one kind, or what somebody said.
    pub refused: usize,
    /// Pairs in doubt: the steward's queue.
    pub doubtful: usize,
}

impl Activated {
    fn of(reader: &mut dyn Reader, access: &Access) -> Result<Activated, ApiError> {
        let mut counted = Activated { joined: 0, refused: 0, doubtful: 0 };
        let mut after = None;
        loop {
            let page = links::page(reader, access, after, COUNTED_AT_ONCE)?;
            let nodes: Vec<NodeId> = page.iter().flat_map(|link| [link.a, link.b]).collect();
            let named = views::named(reader, access, &nodes)?;
            for (link, ends) in page.iter().zip(named.chunks(2)) {
                let profile = |end: &Option<Named>| end.as_ref().map(|named| named.profile);
                match (link.finding, profile(&ends[0]) == profile(&ends[1])) {
                    (Finding::Joined, true) => counted.joined += 1,
                    (Finding::Joined, false) => counted.refused += 1,
                    (Finding::Doubt, false) if link.decided.is_none() => counted.doubtful += 1,
                    (Finding::Doubt | Finding::Gone, _) => {}
                }
            }
            match page.last() {
                Some(last) if page.len() == COUNTED_AT_ONCE => after = Some((last.a, last.b)),
                _ => return Ok(counted),
            }
        }
    }
}

/// Make a model active, or none; answered when what it finds is carried out.
#[utoipa::path(put, path = "/api/v1/linkage/active", request_body = Active, responses((status = 200, body = Activated)))]
pub async fn activate(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(asked): Json<Active>,
) -> Result<Json<Activated>, ApiError> {
    if let Some(version) = asked.version {
        let theirs = access.clone();
        app.read(move |app, _| Ok(app.resolver.models().load(&theirs, version)?)).await?;
    }
    app.command(&access, Command::LinkModel { version: asked.version }, false).await?;
    app.link(access.workspace).await?;
    let end = app.log.end(access.workspace.partition(app.log.partitions()))?;
    app.wait(access.workspace, end, false).await?;
    app.read(move |_, reader| Ok(Json(Activated::of(reader, &access)?))).await
}

/// One of two records.
#[derive(Debug, Serialize, ToSchema)]
pub struct Side {
    /// Its identifier, as `kind:value`.
    pub identifier: String,
    /// The profile it belongs to.
    pub profile: String,
}

/// Two records.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkView {
    /// One.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// Log, base 2, of the odds that they are one person.
    pub bits: f64,
    /// The probability that they are.
    pub probability: f64,
    /// `joined`, `doubt`, or a decision: `accept`, `reject`, `never`.
    pub state: String,
    /// Whether they are one profile now, by this or other evidence.
    pub one_profile: bool,
    /// The model that found it; 0: none.
    pub model: u32,
    /// When it was found or decided.
    pub at: String,
    /// Who decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The parts of the weight, by name, in bits.
    pub parts: Vec<(String, f64)>,
}

fn bits(millibits: i64) -> f64 {
    millibits as f64 / 1000.0
}

fn view(reader: &mut dyn Reader, access: &Access, link: Link) -> Result<Option<LinkView>, ApiError> {
    let mut named = views::named(reader, access, &[link.a, link.b])?.into_iter().flatten();
    let (Some(a), Some(b)) = (named.next(), named.next()) else { return Ok(None) };
    let seen = |named: &Named| seen::identifier(&access.sight, &named.identifier);
    let side = |named: Named| Side { identifier: seen(&named), profile: named.profile.to_string() };
    let (a, b) = (side(a), side(b));
    Ok(Some(LinkView {
        one_profile: a.profile == b.profile,
        a,
        b,
        bits: bits(link.millibits),
        probability: 1.0 / (1.0 + (-bits(link.millibits)).exp2()),
        state: link.state().to_owned(),
        model: link.model,
        at: link.at.to_string(),
        decided_by: link.decided.map(|decided| decided.by),
        parts: link.parts.into_iter().map(|(name, part)| (name, bits(part))).collect(),
    }))
}

/// Which links.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QueueQuery {
    /// `doubt` (if not said): those to be looked at; `joined`, or a decision: `accept`, `reject`, `never`.
    pub state: Option<String>,
    /// At most so many, 50 if not said, 1,000 at the most.
    pub limit: Option<usize>,
}

/// The steward's queue: pairs between the thresholds, the likeliest first. Those in doubt that other evidence has made one
/// profile meanwhile are left out.
#[utoipa::path(get, path = "/api/v1/linkage/queue", params(QueueQuery), responses((status = 200, body = [LinkView])))]
pub async fn queue(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<QueueQuery>,
) -> Result<Json<Vec<LinkView>>, ApiError> {
    let state = query.state.unwrap_or_else(|| "doubt".to_owned());
    if !["doubt", "joined", "accept", "reject", "never"].contains(&state.as_str()) {
        let cure = "ask for doubt, joined, accept, reject or never";
        return Err(ApiError::bad_request("bad_state", format!("{state:?} is no state of a link"), cure));
    }
    let limit = query.limit.unwrap_or(50).clamp(1, 1000);
    app.read(move |_, reader| {
        let (mut shown, mut after) = (vec![], None);
        loop {
            let page = links::queue(reader, &access, &state, after.as_ref(), COUNTED_AT_ONCE)?;
            let is_last = page.len() < COUNTED_AT_ONCE;
            after = page.last().cloned();
            for link in page {
                let Some(view) = view(reader, &access, link)? else { continue };
                if state != "doubt" || !view.one_profile {
                    shown.push(view);
                }
                if shown.len() == limit {
                    return Ok(Json(shown));
                }
            }
            if is_last {
                break;
            }
        }
        Ok(Json(shown))
    })
    .await
}

/// Two identifiers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Two {
    /// One, as `kind:value`.
    pub a: String,
    /// The other.
    pub b: String,
}

/// A part of a weight.
#[derive(Debug, Serialize, ToSchema)]
pub struct Part {
    /// The column, or what else it is.
    pub name: String,
    /// The values that were compared, as they were prepared.
    pub values: [String; 2],
    /// How they compare.
    pub level: &'static str,
    /// What it adds, bits.
    pub bits: f64,
}

/// Why two records have their weight: the parts add up to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explained {
    /// The weight, bits.
    pub bits: f64,
    /// The probability that they are one person.
    pub probability: f64,
    /// Its parts.
    pub parts: Vec<Part>,
    /// The blocking rules by which they are compared; none: they are not, unless others bring them together.
    pub rules: Vec<String>,
}

impl Explained {
    fn of(why: Waterfall, sight: &Sight) -> Explained {
        let probability = why.probability();
        let part = |step: onefold_link::WaterfallStep| {
            let onefold_link::WaterfallStep { label, values, level, bits } = step;
            let seen = |value: String| sight.text(&label, &value).as_deref().unwrap_or_default().to_owned();
            Part { values: values.map(seen), name: label, level, bits }
        };
        Explained { bits: why.score, probability, parts: why.steps.into_iter().map(part).collect(), rules: why.rules }
    }
}

/// Why two records have their weight under the active model.
#[utoipa::path(get, path = "/api/v1/linkage/explain", params(Two), responses((status = 200, body = Explained), (status = 404, body = ApiError)))]
pub async fn explain(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(two): Query<Two>,
) -> Result<Json<Explained>, ApiError> {
    // What is not looked at yet is looked at now.
    app.link(access.workspace).await?;
    app.read(move |app, reader| {
        let (a, b) = (node(reader, &access, &two.a)?.1, node(reader, &access, &two.b)?.1);
        let why = app.resolver.explain(&access, a, b).ok_or_else(|| {
            let cause = "there is no active model, or one of the two has no trait that it compares";
            ApiError::bad_request("no_record", cause, "make a model active with `onefold linkage activate`")
        })?;
        Ok(Json(Explained::of(why, &access.sight)))
    })
    .await
}

/// A decision about two records.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// One, as `kind:value`.
    pub a: String,
    /// The other.
    pub b: String,
    /// `accept`: one person. `reject`: no link joins them; other evidence may. `never`: two people, whatever else is said.
    /// `null`: an earlier decision is withdrawn.
    #[schema(value_type = Option<String>)]
    pub decision: Option<Decision>,
}

/// Decide about two records. Decisions are what the next model learns from.
#[utoipa::path(post, path = "/api/v1/linkage/decide", request_body = Decide, responses((status = 200, body = LinkView), (status = 409, body = ApiError)))]
pub async fn decide(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(asked): Json<Decide>,
) -> Result<Json<Option<LinkView>>, ApiError> {
    let theirs = access.clone();
    let (a, b) =
        app.read(move |_, reader| Ok((node(reader, &theirs, &asked.a)?, node(reader, &theirs, &asked.b)?))).await?;
    if a.1 == b.1 {
        let cause = "both identifiers are the same one";
        return Err(ApiError::bad_request("one_identifier", cause, "name two different ones"));
    }
    let command = Command::LinkDecide { a: a.0, b: b.0, decision: asked.decision };
    app.command(&access, command, false).await?;
    // What the model makes of it follows at once.
    app.link(access.workspace).await?;
    let end = app.log.end(access.workspace.partition(app.log.partitions()))?;
    app.wait(access.workspace, end, false).await?;
    let shown = app
        .read(move |_, reader| {
            let link = links::between(reader, &access, a.1, b.1)?;
            link.map(|link| view(reader, &access, link)).transpose().map(Option::flatten)
        })
        .await?;
    let is_one = shown.as_ref().is_some_and(|view| view.one_profile);
    match asked.decision {
        Some(Decision::Accept) if !is_one => Err(ApiError::conflict(
            "the decision is on record, and does not join them: others with them were said to be two people, or the \
             profile would pass the bound on identifiers",
            "look at `onefold profile evidence` of both, and withdraw what is wrong",
        )),
        _ => Ok(Json(shown)),
    }
}

/// Which suspects.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SuspectsQuery {
    /// Pairs that speak against one person by at least so many bits, or for it by at most so many more than joining takes; 4 if not
    /// said.
    pub bits: Option<f64>,
    /// At most so many, 50 if not said, 1,000 at the most.
    pub limit: Option<usize>,
}

/// Two records of one profile that do not look like one person.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuspectView {
    /// The profile.
    pub profile: String,
    /// One record, as `kind:value`.
    pub a: String,
    /// The other.
    pub b: String,
    /// `contradiction`: they speak against each other; `bridge`: a weak link that alone holds a cluster together.
    pub doubt: Doubt,
    /// Why they have their weight.
    pub why: Explained,
}

/// Profiles that may be two people: records that speak against each other, as by two birth dates, the worst first; then weak links
/// that nothing else supports, the weakest first.
#[utoipa::path(get, path = "/api/v1/linkage/suspects", params(SuspectsQuery), responses((status = 200, body = [SuspectView])))]
pub async fn suspects(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<SuspectsQuery>,
) -> Result<Json<Vec<SuspectView>>, ApiError> {
    let bits = query.bits.unwrap_or(4.0);
    if bits.is_nan() || bits <= 0.0 {
        let cure = "ask for more than 0: 4 is 16 to 1 against one person";
        return Err(ApiError::bad_request("bad_bits", format!("{bits} bits speak against nobody"), cure));
    }
    app.link(access.workspace).await?;
    let theirs = access.clone();
    let limit = query.limit.unwrap_or(50).clamp(1, 1000);
    let suspects = app.block(move |app| Ok(app.resolver.suspects(&theirs, bits, limit))).await?;
    app.read(move |app, reader| {
        let mut shown = vec![];
        for suspect in suspects {
            let link = Link::of(suspect.pair.0, suspect.pair.1, app.clock.now());
            if let Some(view) = view(reader, &access, link)? {
                let (a, b) = (view.a.identifier, view.b.identifier);
                let (profile, doubt) = (suspect.profile.to_string(), suspect.doubt);
                shown.push(SuspectView { profile, a, b, doubt, why: Explained::of(suspect.why, &access.sight) });
            }
        }
        Ok(Json(shown))
    })
    .await
}
