//! Answers SQL about what a lake has published.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider},
    common::{DataFusionError, SchemaError, config::Dialect},
    error::Result as EngineResult,
    execution::{
        FunctionRegistry as _, SessionState,
        context::SQLOptions,
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    physical_plan::SendableRecordBatchStream,
    prelude::{SessionConfig, SessionContext},
    sql::sqlparser::{
        dialect::PostgreSqlDialect,
        keywords::Keyword,
        tokenizer::{Token, Tokenizer},
    },
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use onefold_lake::{Answer, Budget, QueryEngine, QueryError, Table};
use onefold_model::{WorkspaceId, access::Access};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};

use crate::{DeltaLake, Published, functions, read, restrict, rewrite::ReadPromoted, view::View};

/// Queries that are answered at a time; others wait for their turn.
const QUERIES_MAX: usize = 4;

/// Who waits for a turn is told after this time that there is none.
const TURN_MAX: Duration = Duration::from_secs(60);

/// Batches that wait for whoever reads the answer.
const WAITING: usize = 2;

/// Bytes of a query.
const SQL_BYTES_MAX: usize = 1 << 20;

/// Operators in a query. So deep may its expressions be nested, and the time to plan it grows with the square of that.
const OPERATORS_MAX: usize = 1000;

/// Answers over a lake.
pub struct Engine {
    lake: Arc<DeltaLake>,
    /// The object store and what is remembered of files, shared by all queries.
    shared: Arc<RuntimeEnv>,
    schemas: Mutex<BTreeMap<WorkspaceId, Known>>,
    /// So many queries at a time: each may take memory of its own.
    turns: Arc<Semaphore>,
    /// Where queries are answered, if not here.
    spread: Option<Arc<Spread>>,
}

/// The schema of what was published when it was made.
#[derive(Clone)]
pub(crate) struct Known {
    pub published: Arc<Published>,
    pub schema: Arc<MemorySchemaProvider>,
}

/// Gives a session another place to answer at.
pub(crate) type Spread = dyn Fn(SessionState) -> EngineResult<SessionState> + Send + Sync;

/// A session over the tables of a schema.
pub fn session(
    threads: usize,
    runtime: Arc<RuntimeEnv>,
    schema: Arc<MemorySchemaProvider>,
    spread: Option<&Spread>,
) -> EngineResult<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema("onefold", "public");
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.collect_spans = true;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    let mut context = SessionContext::new_with_config_rt(config, runtime);
    if let Some(spread) = spread {
        context = SessionContext::new_with_state(spread(context.state())?);
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", schema)?;
    context.register_catalog("onefold", Arc::new(catalog));
    datafusion_functions_json::register_all(&mut context)?;
    functions::all().into_iter().for_each(|function| context.register_udf(function));
    Ok(context)
}

/// Lets a session read promoted columns instead of JSON.
fn read_promoted(context: &mut SessionContext, published: &Published) -> EngineResult<()> {
    let of_table = |(table, view): (&Table, &Arc<View>)| (*table, (view.promoted.clone(), view.promoted_everywhere()));
    let promoted = published.tables.iter().map(of_table).collect();
    context.register_function_rewrite(Arc::new(ReadPromoted(promoted)))
}

impl Engine {
    /// Over what `lake` publishes.
    pub fn new(lake: Arc<DeltaLake>) -> Engine {
        Engine::with(lake, None)
    }

    pub(crate) fn with(lake: Arc<DeltaLake>, spread: Option<Arc<Spread>>) -> Engine {
        let shared = RuntimeEnv::default();
        shared.register_object_store(read::store_url(&lake.settings.url).as_ref(), lake.store.clone());
        Engine {
            lake,
            shared: Arc::new(shared),
            schemas: Mutex::default(),
            turns: Arc::new(Semaphore::new(QUERIES_MAX)),
            spread,
        }
    }

    /// The threads that queries are answered on.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Runtime {
        self.lake.runtime()
    }

    /// A session that answers about what was published, as far as the caller sees it, within a budget.
    pub(crate) async fn session(&self, access: &Access, known: &Known, budget: Budget) -> EngineResult<SessionContext> {
        let runtime = RuntimeEnvBuilder::from_runtime_env(&self.shared)
            .with_memory_pool(Arc::new(FairSpillPool::new(budget.memory_bytes)))
            .build_arc()?;
        let threads = self.lake.settings.threads;
        if !(access.sight.is_clear() && access.sees_everybody()) {
            // Promoted columns stand beside the masked ones, and executors elsewhere know nothing of masks: neither is used.
            let whole = session(threads, runtime.clone(), known.schema.clone(), None)?;
            return session(threads, runtime, restrict::schema(&whole, access).await?, None);
        }
        let mut context = session(threads, runtime, known.schema.clone(), self.spread.as_deref())?;
        read_promoted(&mut context, &known.published)?;
        Ok(context)
    }

    /// Waits for its turn to answer, until an instant at most.
    pub(crate) async fn turn(&self, until: Instant) -> Result<OwnedSemaphorePermit, QueryError> {
        let turn = {
            // Whoever asks may be on no runtime.
            let _runtime = self.runtime().enter();
            tokio::time::timeout_at(until, self.turns.clone().acquire_owned())
        };
        match turn.await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(QueryError::Busy),
        }
    }

    pub(crate) async fn known(&self, workspace: WorkspaceId) -> Result<Known, QueryError> {
        let published = self.lake.seen(workspace).ok_or(QueryError::Empty)?;
        let known = self.schemas.lock().get(&workspace).cloned();
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.published, &published)) {
            return Ok(known);
        }
        let schema =
            read::schema(&self.lake, &published).await.map_err(|error| QueryError::Engine(error.to_string()))?;
        let known = Known { published, schema };
        self.schemas.lock().insert(workspace, known.clone());
        Ok(known)
    }

    async fn start(&self, access: Access, sql: String, budget: Budget) -> Result<Answer, QueryError> {
        check_size(&sql)?;
        let until = Instant::now() + budget.time;
        let turn = self.turn(Instant::now() + budget.time.min(TURN_MAX)).await?;
        let known = self.known(access.workspace).await?;
        let as_of = known.published.as_of;
        let context =
            self.session(&access, &known, budget).await.map_err(|error| QueryError::Engine(error.to_string()))?;
        let (send, mut rows) = mpsc::channel(WAITING);
        let (tell, told) = tokio::sync::oneshot::channel();
        // On the engine's own threads: what takes the processor must not hold up the server's.
        self.lake.runtime().spawn(async move {
            let _turn = turn;
            let begin = async {
                let reads_only =
                    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
                context.sql_with_options(&sql, reads_only).await?.execute_stream().await
            };
            let begun = match tokio::time::timeout_at(until, begin).await {
                Ok(begun) => begun.map_err(|error| said(&error, budget, true)),
                Err(_) => Err(QueryError::Time(budget.time)),
            };
            match begun {
                Err(error) => drop(tell.send(Err(error))),
                Ok(rows) => {
                    if tell.send(Ok(rows.schema())).is_ok() {
                        answer(rows, budget, until, send).await;
                    }
                }
            }
        });
        let schema = told.await.map_err(|_| QueryError::Engine("the engine is stopping".to_owned()))??;
        Ok(Answer { schema, as_of, rows: stream::poll_fn(move |context| rows.poll_recv(context)).boxed() })
    }
}

/// Refuses what could not be planned in a bounded time: nothing can end the planning of a query.
pub fn check_size(sql: &str) -> Result<(), QueryError> {
    let wrong = |message: String| {
        let cure = "put long lists of values into IN (…), or into a segment, and ask by that".to_owned();
        Err(QueryError::Wrong { message, place: None, cure })
    };
    if sql.len() > SQL_BYTES_MAX {
        return wrong(format!("a query of {} bytes is longer than {SQL_BYTES_MAX}", sql.len()));
    }
    // What cannot be read is refused by the parser, with the place.
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().unwrap_or_default();
    let operators = tokens.iter().filter(|token| match token {
        Token::Word(word) => matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::CASE),
        Token::Whitespace(_) | Token::Comma | Token::Period | Token::LParen | Token::RParen => false,
        Token::Number(..) | Token::SingleQuotedString(_) => false,
        _ => true,
    });
    match operators.count() {
        count if count > OPERATORS_MAX => {
            wrong(format!("a query with {count} operators has more than {OPERATORS_MAX}"))
        }
        _ => Ok(()),
    }
}

/// Hands over rows until they end, the reader goes, or the budget is spent.
async fn answer(
    mut rows: SendableRecordBatchStream,
    budget: Budget,
    until: Instant,
    send: mpsc::Sender<Result<arrow_array::RecordBatch, QueryError>>,
) {
    let mut count = 0;
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout_at(until, rows.next()) => next,
            () = send.closed() => return,
        };
        let batch = match next {
            Err(_) => Err(QueryError::Time(budget.time)),
            Ok(None) => return,
            Ok(Some(Err(error))) => Err(said(&error, budget, false)),
            Ok(Some(Ok(batch))) => {
                count += batch.num_rows();
                if count > budget.rows_max { Err(QueryError::Rows(budget.rows_max)) } else { Ok(batch) }
            }
        };
        let is_last = batch.is_err();
        if send.send(batch).await.is_err() || is_last {
            return;
        }
    }
}

impl QueryEngine for Engine {
    fn query(&self, access: Access, sql: String, budget: Budget) -> BoxFuture<'_, Result<Answer, QueryError>> {
        self.start(access, sql, budget).boxed()
    }
}

/// What the engine says, in our words. `planning`: before anything was read.
pub fn said(error: &DataFusionError, budget: Budget, planning: bool) -> QueryError {
    let place = place(error);
    let wrong = |message: String, cure: &str| QueryError::Wrong { message, place, cure: cure.to_owned() };
    let root = error.find_root();
    #[cfg(feature = "cluster")]
    if let Some(said) = crate::cluster::said(root) {
        return said;
    }
    match root {
        DataFusionError::ResourcesExhausted(_) => QueryError::Memory(budget.memory_bytes),
        DataFusionError::SQL(parser, _) => {
            wrong(parser.to_string(), "the dialect is that of PostgreSQL; see docs/sql.md for the tables")
        }
        DataFusionError::SchemaError(schema, _) => {
            let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref() else {
                return wrong(schema.to_string(), "put the table's name before the column's");
            };
            let names: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            let near = nearest(&field.name, names.iter().copied());
            let cure = match near {
                Some(near) => format!("perhaps {near} is meant"),
                None => format!("there are {}", names.join(", ")),
            };
            wrong(format!("there is no column {}", field.flat_name()), &cure)
        }
        DataFusionError::Plan(message) if message.contains("not supported") && is_write(message) => QueryError::Writes,
        DataFusionError::Plan(message) => {
            match message.strip_prefix("table '").and_then(|rest| rest.split_once('\'')) {
                Some((name, _)) => {
                    let name = name.rsplit('.').next().unwrap_or(name);
                    let tables = TABLES.iter().copied();
                    let near = nearest(name, tables).map_or(String::new(), |near| format!("perhaps {near} is meant; "));
                    wrong(format!("there is no table {name}"), &format!("{near}there are {}", TABLES.join(", ")))
                }
                None => wrong(message.clone(), "see docs/sql.md for the tables and functions"),
            }
        }
        DataFusionError::NotImplemented(message) | DataFusionError::Configuration(message) => {
            wrong(message.clone(), "see docs/sql.md for what there is")
        }
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            wrong(root.to_string(), "try_cast gives null where a value does not fit, instead of an error")
        }
        other if planning && !matches!(other, DataFusionError::ObjectStore(_) | DataFusionError::External(_)) => {
            wrong(other.to_string(), "see docs/sql.md for the tables and functions")
        }
        other => QueryError::Engine(other.to_string()),
    }
}

/// What can be asked for by name.
const TABLES: [&str; 9] = [
    "events",
    "profiles",
    "identifiers",
    "segment_members",
    "consents",
    "deliveries",
    "profiles_history",
    "identifiers_history",
    "segment_members_history",
];

fn is_write(message: &str) -> bool {
    ["DDL", "DML", "Statement"].iter().any(|kind| message.starts_with(kind))
}

/// Where in the text the error is.
fn place(error: &DataFusionError) -> Option<(u64, u64)> {
    if let Some(start) = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| span.start) {
        return Some((start.line, start.column));
    }
    // The parser says it in words only.
    let text = error.to_string();
    let (_, rest) = text.split_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, digits.parse().ok()?))
}

/// The name that differs least, where it differs little.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| datafusion::common::utils::datafusion_strsim::levenshtein(name, other);
    let (away, found) = names.map(|other| (distance(other), other)).min()?;
    (away <= 1 + name.len() / 4).then_some(found)
}
