//! The tables over PostgreSQL's protocol, for the tools that speak it: psql, BI tools, drivers of every language.
//!
//! The protocol, the catalogue (`pg_catalog`) and what such tools say before they ask (`SET`, `BEGIN`, `SHOW`) come from
//! `datafusion-postgres`. What is ours: who may connect, that a connection only reads, and what a query may take. A connection
//! has a session of its own, made from what was published when a statement came.

use std::sync::{Arc, OnceLock, Weak};

use arrow_schema::DataType;
use async_trait::async_trait;
use datafusion::{
    common::{DataFusionError, ParamValues, ScalarValue},
    execution::context::SQLOptions,
    logical_expr::{ColumnarValue, LogicalPlan, LogicalPlanBuilder, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
    sql::{
        parser::Statement as AnyStatement,
        sqlparser::ast::{Expr, Set, Statement, Value},
    },
};
use datafusion_postgres::{
    DfSessionService, QueryHook,
    datafusion_pg_catalog::pg_catalog::{context::EmptyContextProvider, setup_pg_catalog},
    hooks::{HookClient, set_show::SetShowHook, transactions::TransactionStatementHook},
    pgwire::{
        api::{
            ClientInfo, ClientPortalStore, ConnectionGuard, ConnectionHandle, ConnectionManager, METADATA_DATABASE,
            METADATA_USER, PgWireConnectionState, PgWireServerHandlers, PidSecretKeyGenerator as _,
            RandomPidSecretKeyGenerator, Type,
            auth::{
                DefaultServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
                save_startup_parameters_to_metadata,
            },
            cancel::{CancelHandler, DefaultCancelHandler},
            portal::{Format, Portal},
            query::{ExtendedQueryHandler, SimpleQueryHandler},
            results::{FieldInfo, Response, Tag},
            stmt::QueryParser,
            store::PortalStore,
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
        messages::{PgWireBackendMessage, PgWireFrontendMessage, startup::Authentication},
        tokio::process_socket,
    },
};
use futures_util::{Sink, SinkExt as _, StreamExt as _, stream};
use onefold_lake::{Budget, Gate, QueryError};
use onefold_model::access::{Access, Purpose};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    Engine, Published,
    engine::{check_size, said},
    restrict::{self, Seen},
};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 100;

/// What all connections share.
struct Shared {
    /// The tasks that answer run on the engine's threads, and must not keep it.
    engine: Weak<Engine>,
    gate: Arc<dyn Gate>,
    budget: Budget,
    connections: Arc<ConnectionManager>,
    cancel: Arc<DefaultCancelHandler>,
}

impl Shared {
    fn engine(&self) -> PgWireResult<Arc<Engine>> {
        let gone = || told(&QueryError::Engine("the server is stopping".to_owned()), None);
        self.engine.upgrade().ok_or_else(gone)
    }
}

impl Engine {
    /// Answers over PostgreSQL's protocol who connects to `listener` and is let in by `gate`, on the engine's own threads,
    /// until the engine's lake is dropped.
    pub fn listen(self: &Arc<Self>, listener: std::net::TcpListener, gate: Arc<dyn Gate>, budget: Budget) {
        let connections = Arc::new(ConnectionManager::new());
        let cancel = Arc::new(DefaultCancelHandler::new(connections.clone()));
        let shared = Arc::new(Shared { engine: Arc::downgrade(self), gate, budget, connections, cancel });
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        self.runtime().spawn(async move {
            let listener = match TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "connections for SQL cannot be taken"),
            };
            loop {
                // Who comes when all places are taken waits for one.
                let Ok(place) = places.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((socket, _)) => drop(tokio::spawn(connection(socket, shared.clone(), place))),
                    Err(error) => tracing::warn!(%error, "a connection for SQL could not be taken"),
                }
            }
        });
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>, _place: OwnedSemaphorePermit) {
    let own = Connection(Arc::new(State { shared, access: OnceLock::new(), session: Mutex::default() }));
    if let Err(error) = process_socket(socket, None, own).await {
        tracing::debug!(%error, "a connection for SQL ended");
    }
}

/// One connection: all that the protocol asks of it.
#[derive(Clone)]
struct Connection(Arc<State>);

struct State {
    shared: Arc<Shared>,
    /// What it may see, once it has said who it is.
    access: OnceLock<Arc<Mutex<Access>>>,
    session: Mutex<Option<(Arc<Published>, Session)>>,
}

/// What answers statements about what was published at a moment.
#[derive(Clone)]
struct Session {
    context: Arc<SessionContext>,
    service: Arc<DfSessionService>,
    seen: Seen,
}

impl Connection {
    /// The session that the next statement is answered in: of what is published now.
    async fn session(&self) -> PgWireResult<Session> {
        let access = self.0.access.get().ok_or(PgWireError::NotReadyForQuery)?;
        let (engine, budget) = (self.0.shared.engine()?, self.0.shared.budget);
        let (gate, old) = (self.0.shared.gate.clone(), access.lock().clone());
        let renewed = tokio::task::spawn_blocking(move || gate.renew(&old)).await;
        let renewed = renewed.unwrap_or_else(|error| Err(error.to_string())).map_err(not_let_in)?;
        let known = engine.known(renewed.workspace).await.map_err(|error| told(&error, None))?;
        let seen = Seen::of(&renewed);
        if let Some((published, session)) = &*self.0.session.lock()
            && Arc::ptr_eq(published, &known.published)
            && session.seen == seen
            // Who allows a purpose changes with time alone.
            && renewed.purpose.is_administration()
        {
            return Ok(session.clone());
        }
        let failed = |error: &DataFusionError| told(&said(error, budget, true), None);
        let context = engine.session(&renewed, &known, budget).await.map_err(|error| failed(&error))?;
        context.register_udf(version());
        context.register_udf(type_is_visible());
        setup_pg_catalog(&context, "onefold", EmptyContextProvider).map_err(|error| failed(&error))?;
        let hooks: Vec<Arc<dyn QueryHook>> = vec![
            Arc::new(ReadsOnly { access: access.clone() }),
            Arc::new(SetShowHook),
            Arc::new(TransactionStatementHook),
        ];
        let context = Arc::new(context);
        let service = Arc::new(DfSessionService::new_with_hooks(context.clone(), hooks));
        let session = Session { context, service, seen };
        *self.0.session.lock() = Some((known.published, session.clone()));
        Ok(session)
    }

    /// Takes note of a question before it is answered. What a tool says of its session is none.
    async fn note(&self, sql: &str) -> PgWireResult<()> {
        let first = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if !["select", "with", "table", "values", "explain"].contains(&first.to_ascii_lowercase().as_str()) {
            return Ok(());
        }
        let access = self.0.access.get().ok_or(PgWireError::NotReadyForQuery)?.lock().clone();
        let (gate, sql) = (self.0.shared.gate.clone(), sql.to_owned());
        let noted = tokio::task::spawn_blocking(move || gate.note(&access, &sql)).await;
        noted.unwrap_or_else(|error| Err(error.to_string())).map_err(|cause| told(&QueryError::Engine(cause), None))
    }

    /// A turn to be answered, and until when it must be.
    async fn turn(&self) -> PgWireResult<(OwnedSemaphorePermit, Instant)> {
        let until = Instant::now() + self.0.shared.budget.time;
        let turn = self.0.shared.engine()?.turn(until).await.map_err(|error| told(&error, None))?;
        Ok((turn, until))
    }

    /// Answers within the budget: of time until there is a response, and what is left of it for its rows.
    async fn within<T>(
        &self,
        session: &Session,
        until: Instant,
        sql: &str,
        answer: impl Future<Output = PgWireResult<T>>,
    ) -> PgWireResult<T> {
        let budget = self.0.shared.budget;
        match tokio::time::timeout_at(until, answer).await {
            Err(_) => Err(told(&QueryError::Time(budget.time), None)),
            Ok(Err(PgWireError::ApiError(cause))) => {
                // The library's parser forgets the places of words, and the engine's does not. What it says of several
                // statements at once is no error of theirs, and has no place.
                let again = session.context.state().create_logical_plan(sql).await.err();
                match again.map(|error| said(&error, budget, true)) {
                    Some(wrong @ QueryError::Wrong { place: Some(_), .. }) => Err(told(&wrong, Some(sql))),
                    _ => Err(ours(PgWireError::ApiError(cause), budget, sql)),
                }
            }
            Ok(answered) => answered,
        }
    }

    /// A response whose rows stay within the budget.
    fn bounded(&self, response: Response, turn: Arc<OwnedSemaphorePermit>, until: Instant) -> Response {
        let budget = self.0.shared.budget;
        let Response::Query(mut query) = response else { return response };
        let rows = std::mem::replace(&mut query.data_rows, Box::pin(stream::empty()));
        let bounded = stream::unfold(Some((rows, 0_usize, turn)), move |state| async move {
            let (mut rows, count, turn) = state?;
            let next = match tokio::time::timeout_at(until, rows.next()).await {
                Err(_) => Err(told(&QueryError::Time(budget.time), None)),
                Ok(None) => return None,
                Ok(Some(Ok(_))) if count == budget.rows_max => Err(told(&QueryError::Rows(budget.rows_max), None)),
                Ok(Some(next)) => next.map_err(|error| ours(error, budget, "")),
            };
            let goes_on = next.is_ok();
            Some((next, goes_on.then_some((rows, count + 1, turn))))
        });
        query.data_rows = Box::pin(bounded);
        Response::Query(query)
    }
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::new(self.clone())
    }
    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::new(self.clone())
    }
    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::new(self.clone())
    }
    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        self.0.shared.cancel.clone()
    }
}

#[async_trait]
impl StartupHandler for Connection {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(ref startup) => {
                protocol_negotiation(client, startup).await?;
                save_startup_parameters_to_metadata(client, startup);
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                client.send(PgWireBackendMessage::Authentication(Authentication::CleartextPassword)).await?;
            }
            PgWireFrontendMessage::PasswordMessageFamily(password) => {
                let password = password.into_password()?.password;
                let said = |name: &str| client.metadata().get(name).cloned().unwrap_or_default();
                let (user, mut workspace) = (said(METADATA_USER), said(METADATA_DATABASE));
                if workspace.is_empty() {
                    // As PostgreSQL does.
                    workspace.clone_from(&user);
                }
                let gate = self.0.shared.gate.clone();
                let opened = tokio::task::spawn_blocking(move || gate.open(&user, &workspace, &password)).await;
                let access = opened.unwrap_or_else(|error| Err(error.to_string())).map_err(not_let_in)?;
                let _ = self.0.access.set(Arc::new(Mutex::new(access)));
                let (pid, key) = RandomPidSecretKeyGenerator::default().generate(client);
                client.set_pid_and_secret_key(pid, key.clone());
                let (handle, guard) = self.0.shared.connections.register(pid, key);
                client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
                client.session_extensions().insert::<ConnectionGuard>(guard);
                finish_authentication(client, &parameters()).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

const LET_IN: &str = "the database is a workspace's name; the password is a key, that of the account whose e-mail address is the user, or \
                      the token in the data folder's file `token`";

fn not_let_in(cause: String) -> PgWireError {
    let mut info = ErrorInfo::new("FATAL".to_owned(), "28P01".to_owned(), cause);
    info.hint = Some(LET_IN.to_owned());
    PgWireError::UserError(Box::new(info))
}

fn parameters() -> DefaultServerParameterProvider {
    let mut parameters = DefaultServerParameterProvider::default();
    parameters.is_superuser = false;
    parameters.default_transaction_read_only = true;
    parameters
}

#[async_trait]
impl SimpleQueryHandler for Connection {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        check_size(query).map_err(|error| told(&error, None))?;
        let (turn, until) = self.turn().await?;
        let session = self.session().await?;
        self.note(query).await?;
        let turn = Arc::new(turn);
        let answered =
            self.within(&session, until, query, SimpleQueryHandler::do_query(&*session.service, client, query)).await?;
        Ok(answered.into_iter().map(|response| self.bounded(response, turn.clone(), until)).collect())
    }
}

/// A statement, and how it is planned; none where it is empty.
type Planned = <DfSessionService as ExtendedQueryHandler>::Statement;

#[async_trait]
impl ExtendedQueryHandler for Connection {
    type Statement = Planned;
    type QueryParser = Connection;

    fn query_parser(&self) -> Arc<Connection> {
        Arc::new(self.clone())
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Planned>, rows_max: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Planned>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (turn, until) = self.turn().await?;
        let session = self.session().await?;
        if let Some((_, plan)) = &portal.statement.statement.1
            && !restrict::fits(plan, &session.seen).map_err(failed)?
        {
            let cause = "what may be seen has changed since this statement was prepared";
            let mut info = ErrorInfo::new("ERROR".to_owned(), "0A000".to_owned(), cause.to_owned());
            info.hint = Some("prepare it again".to_owned());
            return Err(PgWireError::UserError(Box::new(info)));
        }
        self.note(&portal.statement.statement.0).await?;
        let answer = ExtendedQueryHandler::do_query(&*session.service, client, portal, rows_max);
        let answered = self.within(&session, until, &portal.statement.statement.0, answer).await?;
        Ok(self.bounded(answered, Arc::new(turn), until))
    }
}

#[async_trait]
impl QueryParser for Connection {
    type Statement = Planned;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Planned>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        check_size(sql).map_err(|error| told(&error, None))?;
        let session = self.session().await?;
        let until = Instant::now() + self.0.shared.budget.time;
        self.within(&session, until, sql, session.service.query_parser().parse_sql(client, sql, types)).await
    }

    fn get_parameter_types(&self, statement: &Planned) -> PgWireResult<Vec<Type>> {
        self.parsed()?.get_parameter_types(statement)
    }

    fn get_result_schema(&self, statement: &Planned, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        self.parsed()?.get_result_schema(statement, format)
    }
}

impl Connection {
    /// What has parsed the statements of this connection.
    fn parsed(&self) -> PgWireResult<Arc<<DfSessionService as ExtendedQueryHandler>::QueryParser>> {
        let session = self.0.session.lock().as_ref().map(|(_, session)| session.service.query_parser());
        session.ok_or(PgWireError::NotReadyForQuery)
    }
}

/// What tools read PostgreSQL's version from.
fn version() -> ScalarUDF {
    let text = format!("PostgreSQL 16.6 (Onefold {})", env!("CARGO_PKG_VERSION"));
    let version = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.clone()))));
    create_udf("version", vec![], DataType::Utf8, Volatility::Immutable, Arc::new(version))
}

/// Whether a type can be named without its schema, which the library's catalogue does not say: all of them can.
fn type_is_visible() -> ScalarUDF {
    let visible = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))));
    create_udf("pg_type_is_visible", vec![DataType::Int32], DataType::Boolean, Volatility::Immutable, Arc::new(visible))
}

/// Lets through what reads, and what a tool says about its session; takes the purpose that the connection reads for.
struct ReadsOnly {
    access: Arc<Mutex<Access>>,
}

impl ReadsOnly {
    /// The plan of a statement that reads; `None` for one about the session, which another hook answers.
    async fn plan(&self, statement: &Statement, context: &SessionContext) -> PgWireResult<Option<LogicalPlan>> {
        let statement = match statement {
            Statement::Set(_) if statement.to_string().to_ascii_lowercase().contains("datafusion") => {
                // It would reach past the budget.
                return Err(failed(DataFusionError::Plan(
                    "Statement not supported: settings of the engine".to_owned(),
                )));
            }
            Statement::Set(_)
            | Statement::ShowVariable { .. }
            | Statement::ShowCatalogs { .. }
            | Statement::ShowStatus { .. }
            | Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. } => return Ok(None),
            Statement::Savepoint { .. } | Statement::ReleaseSavepoint { .. } => {
                return LogicalPlanBuilder::empty(false).build().map(Some).map_err(failed);
            }
            other => other,
        };
        reading(statement, context).await.map(Some)
    }

    /// Takes `SET onefold.purpose = 'marketing'`, and savepoints: where nothing is written there is nothing to save.
    fn taken(&self, statement: &Statement) -> Option<Response> {
        match statement {
            Statement::Savepoint { .. } => return Some(Response::Execution(Tag::new("SAVEPOINT"))),
            Statement::ReleaseSavepoint { .. } => return Some(Response::Execution(Tag::new("RELEASE"))),
            _ => {}
        }
        let Statement::Set(Set::SingleAssignment { variable, values, .. }) = statement else { return None };
        if !variable.to_string().eq_ignore_ascii_case("onefold.purpose") {
            return None;
        }
        let purpose = match values.as_slice() {
            [Expr::Value(value)] => match &value.value {
                Value::SingleQuotedString(purpose) => purpose.clone(),
                other => other.to_string(),
            },
            values => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        self.access.lock().purpose = Purpose(purpose);
        Some(Response::Execution(Tag::new("SET")))
    }
}

/// The plan of a statement, if all it does is read.
async fn reading(statement: &Statement, context: &SessionContext) -> PgWireResult<LogicalPlan> {
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let statement = AnyStatement::Statement(Box::new(statement.clone()));
    let plan = context.state().statement_to_plan(statement).await.map_err(failed)?;
    reads.verify_plan(&plan).map_err(failed)?;
    Ok(plan)
}

fn failed(error: DataFusionError) -> PgWireError {
    PgWireError::ApiError(Box::new(error))
}

#[async_trait]
impl QueryHook for ReadsOnly {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        context: &SessionContext,
        _: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        if let Some(taken) = self.taken(statement) {
            return Some(Ok(taken));
        }
        self.plan(statement, context).await.err().map(Err)
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        context: &SessionContext,
        _: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        self.plan(statement, context).await.transpose()
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        _: &LogicalPlan,
        _: &ParamValues,
        _: &SessionContext,
        _: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        self.taken(statement).map(Ok)
    }
}

/// An error of the engine in our words; others as they are.
fn ours(error: PgWireError, budget: Budget, sql: &str) -> PgWireError {
    match error {
        PgWireError::ApiError(cause) => match cause.downcast::<DataFusionError>() {
            Ok(error) => told(&said(&error, budget, true), Some(sql)),
            Err(cause) => {
                // The parser's own errors are no others' than the statement's.
                let cure = "the dialect is that of PostgreSQL; see docs/sql.md for the tables".to_owned();
                let wrong = QueryError::Wrong { message: cause.to_string(), place: None, cure };
                told(&wrong, Some(sql))
            }
        },
        other => other,
    }
}

/// An error as the protocol has it: with PostgreSQL's code, a hint, and the place in the statement.
/// Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn told(error: &QueryError, sql: Option<&str>) -> PgWireError {
    let code = match error {
        QueryError::Wrong { .. } => "42601",
        QueryError::Writes => "25006",
        QueryError::Time(_) => "57014",
        QueryError::Memory(_) => "53200",
        QueryError::Rows(_) => "54000",
        QueryError::Busy => "53300",
        QueryError::Empty => "55000",
        QueryError::Engine(_) => "58030",
    };
    let mut info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), error.to_string());
    info.hint = Some(error.cure());
    if let (QueryError::Wrong { place: Some((line, column)), .. }, Some(sql)) = (error, sql) {
        info.position = position(sql, *line, *column).map(|position| position.to_string());
    }
    PgWireError::UserError(Box::new(info))
}

/// The number of a character, from 1, by its line and column.
fn position(sql: &str, line: u64, column: u64) -> Option<usize> {
    let before = usize::try_from(line).ok()?.checked_sub(1)?;
    let lines = sql.split_inclusive('\n').take(before).map(|line| line.chars().count());
    Some(lines.sum::<usize>() + usize::try_from(column).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        assert_eq!(position("SELECT x", 1, 8), Some(8));
        assert_eq!(position("SELÉCT\n x", 2, 2), Some(9));
        assert_eq!(position("", 0, 1), None);
    }
}
