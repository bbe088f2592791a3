//! The processes of a cluster.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::{cluster::BallistaCluster, config::SchedulerConfig, scheduler_process::start_server};
use datafusion::{
    error::Result as EngineResult,
    execution::{
        FunctionRegistry as _, SessionState, SessionStateBuilder,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
};

use super::codec;
use crate::{STACK_BYTES, Settings, functions, object_store_of, read};

/// An executor says so often that it is there, in seconds…
const HEARTBEAT_S: u64 = 1;
/// …and is given up after so many without a word: what it had is done again by the others.
const TIMEOUT_S: u64 = 5;
/// What was handed between stages of a query stays so long on an executor's disk at most, in seconds.
const KEPT_S: u64 = 60 * 60;

/// What an executor is told.
#[derive(Debug, Clone)]
pub struct Executor {
    /// Where the scheduler is.
    pub scheduler: (String, u16),
    /// The address to listen at.
    pub listen: IpAddr,
    /// How the others reach it.
    pub host: String,
    /// The ports for rows and for orders.
    pub ports: [u16; 2],
    /// Threads that work.
    pub threads: usize,
    /// Memory of all of them.
    pub memory_bytes: u64,
    /// Where it puts rows that others fetch, and what does not fit into memory.
    pub folder: PathBuf,
}

/// Runs a scheduler for queries over the tables at the settings' URL, until the process ends. `host` is how executors reach
/// it; it says that it is ready when `executors_min` of them are there.
pub fn schedule(settings: &Settings, listen: SocketAddr, host: &str, executors_min: usize) -> Result<(), String> {
    let runtime = runtime(settings, RuntimeEnvBuilder::new())?;
    let mut config = SchedulerConfig::default()
        .with_hostname(host)
        .with_port(listen.port())
        .with_finished_job_data_clean_up_interval_seconds(KEPT_S)
        .with_override_session_builder(Arc::new(move |config| state(config, runtime.clone())));
    config.override_logical_codec = Some(Arc::new(codec::Tables::default()));
    config.executor_timeout_seconds = TIMEOUT_S;
    config.expire_dead_executor_interval_seconds = HEARTBEAT_S;
    config.min_ready_executors = executors_min;
    config.no_executors_grace_period_seconds = TIMEOUT_S;
    threads(settings.threads)?.block_on(async {
        let cluster = BallistaCluster::new_from_config(&config).await;
        start_server(cluster.map_err(said)?, listen, Arc::new(config)).await.map_err(said)
    })
}

/// Runs an executor, until the process is told to end.
pub fn execute(settings: &Settings, executor: Executor) -> Result<(), String> {
    let runtime = runtime(settings, RuntimeEnvBuilder::new().with_temp_file_path(&executor.folder))?;
    let known = state(SessionConfig::new(), runtime.clone()).map_err(said)?;
    let own = ExecutorProcessConfig {
        bind_host: executor.listen.to_string(),
        external_host: Some(executor.host),
        port: executor.ports[0],
        grpc_port: executor.ports[1],
        scheduler_host: executor.scheduler.0,
        scheduler_port: executor.scheduler.1,
        scheduler_connect_timeout_seconds: TIMEOUT_S as u16,
        vcores: executor.threads,
        memory_pool_size: Some(executor.memory_bytes),
        work_dir: Some(executor.folder.display().to_string()),
        job_data_ttl_seconds: KEPT_S,
        job_data_clean_up_interval_seconds: KEPT_S / 4,
        executor_heartbeat_interval_seconds: HEARTBEAT_S,
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&known))),
        override_runtime_producer: Some(Arc::new(move |_| Ok(runtime.clone()))),
        override_logical_codec: Some(Arc::new(codec::Tables::default())),
        ..ExecutorProcessConfig::default()
    };
    threads(executor.threads)?.block_on(start_executor_process(Arc::new(own))).map_err(said)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn threads(count: usize) -> Result<tokio::runtime::Runtime, String> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    // What carries messages must not wait for what works.
    threads.worker_threads(count.max(1) + 2).thread_stack_size(STACK_BYTES).enable_all();
    threads.build().map_err(|error| format!("threads cannot be started: {error}"))
}

/// What reads files: the same object store as the lake's.
fn runtime(settings: &Settings, builder: RuntimeEnvBuilder) -> Result<Arc<RuntimeEnv>, String> {
    let (store, _) = object_store_of(settings)?;
    let runtime = builder.build().map_err(said)?;
    runtime.register_object_store(read::store_url(&settings.url).as_ref(), store);
    Ok(Arc::new(runtime))
}

/// What plans and answers: with the functions that sessions of the embedded engine have.
fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> EngineResult<SessionState> {
    let mut state =
        SessionStateBuilder::new().with_default_features().with_config(config).with_runtime_env(runtime).build();
    datafusion_functions_json::register_all(&mut state)?;
    for function in functions::all() {
        state.register_udf(Arc::new(function))?;
    }
    Ok(state)
}
