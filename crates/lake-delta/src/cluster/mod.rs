//! Queries spread over several machines, by [Ballista](https://datafusion.apache.org/ballista/).
//!
//! A scheduler takes plans, cuts them into stages and gives these to executors, which read the object store themselves and
//! hand rows to each other. The plans are those of the embedded engine: a session of it gets another planner, which sends
//! what reads files to the scheduler. What reads none (`SELECT 1`, the catalogue that a BI tool asks for) is answered here.
//!
//! Neither a scheduler nor an executor asks who sends a plan: their ports belong into a private network.

mod codec;
mod errors;
mod nodes;

use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::{
    extension::{SessionConfigExt as _, SessionStateExt as _},
    planner::BallistaQueryPlanner,
};
use datafusion::{
    catalog::{Session, default_table_source::source_as_provider},
    common::tree_node::TreeNodeRecursion,
    datasource::empty::EmptyTable,
    error::Result,
    execution::{SessionState, context::QueryPlanner},
    logical_expr::{LogicalPlan, TableScan},
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _},
};
use datafusion_proto::protobuf::LogicalPlanNode;

pub(crate) use errors::said;
pub use nodes::{Executor, execute, schedule};

use crate::{DeltaLake, Engine, scan::Scan};

impl Engine {
    /// Over what `lake` publishes, answered by the executors of a scheduler, such as `http://10.0.0.5:50050`.
    pub fn on_cluster(lake: Arc<DeltaLake>, scheduler: String) -> Engine {
        Engine::with(lake, Some(Arc::new(move |state| spread(state, &scheduler))))
    }
}

/// The same session, whose queries are answered by the executors of a scheduler.
fn spread(mut state: SessionState, scheduler: &str) -> Result<SessionState> {
    let config = state.config().clone().upgrade_for_ballista();
    let codec = Arc::new(codec::Tables::default());
    let remote = BallistaQueryPlanner::with_extension(scheduler.to_owned(), config.ballista_config(), codec);
    *state.config_mut() = config.with_ballista_query_planner(Arc::new(Spread(remote)));
    state.upgrade_for_ballista(scheduler.to_owned())
}

/// Plans what reads files for the cluster, and the rest for here.
#[derive(Debug)]
struct Spread(BallistaQueryPlanner<LogicalPlanNode>);

#[async_trait]
impl QueryPlanner for Spread {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        match reads_files_alone(plan)? {
            true => self.0.create_physical_plan(plan, session).await,
            false => DefaultPhysicalPlanner::default().create_physical_plan(plan, session).await,
        }
    }
}

/// Whether a plan reads files of the lake and nothing that only this process has.
fn reads_files_alone(plan: &LogicalPlan) -> Result<bool> {
    let (mut files, mut others) = (false, false);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(TableScan { source, .. }) = node {
            let table = source_as_provider(source)?;
            match table.downcast_ref::<Scan>() {
                Some(_) => files = true,
                None => others |= table.downcast_ref::<EmptyTable>().is_none(),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(files && !others)
}
