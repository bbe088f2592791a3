//! The tables as somebody sees them who does not see everything: only some people, and of fields what their masks leave.
//!
//! Each table is put in place of itself as a query over the whole one. What the caller asks is answered of its rows and never looks
//! behind them: the plan of that query is made first and is closed ([`Closed`]), so that no predicate, limit or projection of the
//! caller's gets into it, and no error or count tells of a row that is not seen. Tables of earlier versions are not there.

use std::{fmt, sync::Arc};

use arrow_array::{StringViewArray, cast::AsArray as _};
use arrow_schema::{DataType, SchemaRef};
use datafusion::{
    catalog::{MemorySchemaProvider, SchemaProvider as _, Session, TableProvider},
    common::tree_node::TreeNodeRecursion,
    datasource::{TableType, source_as_provider},
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{ColumnarValue, Expr, LogicalPlan, ScalarUDF, Volatility, create_udf},
    physical_expr::PhysicalExpr,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, projection::ProjectionExec},
    prelude::SessionContext,
};
use onefold_lake::{Table, segments::quoted};
use onefold_model::access::{Access, Purpose, Sight};
use serde_json::value::RawValue;

/// Whom a caller sees, how much of them, and for which purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    sight: Arc<Sight>,
    purpose: Purpose,
}

impl Seen {
    /// What this access says.
    pub fn of(access: &Access) -> Seen {
        Seen { sight: access.sight.clone(), purpose: access.purpose.clone() }
    }

    fn is_everything(&self) -> bool {
        self.sight.is_clear() && self.sight.only().is_none() && self.purpose.is_administration()
    }
}

/// Whether a plan that was made before reads no more than is seen now.
pub fn fits(plan: &LogicalPlan, now: &Seen) -> Result<bool> {
    let mut fits = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && is_ours(scan.table_name.table())
        {
            let source = source_as_provider(&scan.source)?;
            fits &= match source.downcast_ref::<Restricted>() {
                Some(restricted) => restricted.seen == *now,
                None => now.is_everything(),
            };
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(fits)
}

fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix("_history").unwrap_or(name);
    Table::ALL.iter().any(|table| table.name() == name)
}

/// The schema that the caller sees, made of the one that `whole` has.
pub async fn schema(whole: &SessionContext, access: &Access) -> Result<Arc<MemorySchemaProvider>> {
    let own = Arc::new(MemorySchemaProvider::new());
    mask_functions(&access.sight).into_iter().for_each(|function| whole.register_udf(function));
    for table in Table::ALL {
        let plan = whole.sql(&query(table, access)).await?.into_unoptimized_plan();
        own.register_table(table.name().to_owned(), Arc::new(Restricted { table, plan, seen: Seen::of(access) }))?;
    }
    Ok(own)
}

/// What is seen of a table, as a query.
fn query(table: Table, access: &Access) -> String {
    let text = |name: &str, column: &str| format!("seen_text({name}, \"{column}\") AS \"{column}\"");
    let named = |column: &str| text(&quoted(column), column);
    let shown = |column: &str| match (table, column) {
        (Table::Events, "user_id" | "anonymous_id" | "group_id" | "message_id") => named(column),
        (Table::Events, "context" | "traits" | "properties") | (Table::Profiles, "traits") => {
            format!("seen_fields(\"{column}\") AS \"{column}\"")
        }
        (Table::Identifiers, "value") => text("kind", column),
        // What a target answered may have any value in it.
        (Table::Deliveries, "detail") if !access.sight.is_clear() => "'' AS detail".to_owned(),
        _ => format!("\"{column}\""),
    };
    let columns = match table {
        Table::SegmentMembers => "segment, profile, since".to_owned(),
        _ => {
            let names = table.schema().fields().iter().map(|field| field.name().as_str());
            // One says which rows are gone, the other how promoted columns are to be read; neither is there.
            let names = names.filter(|name| !matches!(*name, "gone" | "promoted"));
            names.map(shown).collect::<Vec<_>>().join(", ")
        }
    };
    let rows = match (people(access), table) {
        (None, _) => String::new(),
        (Some(people), Table::Events | Table::Consents) => {
            format!(" WHERE node IN (SELECT node FROM identifiers WHERE profile IN ({people}))")
        }
        (Some(people), _) => format!(" WHERE profile IN ({people})"),
    };
    format!("SELECT {columns} FROM {table}{rows}")
}

/// The people who are seen, as a query; `None`: everybody.
fn people(access: &Access) -> Option<String> {
    if access.sees_everybody() {
        return None;
    }
    let mut tests = vec![];
    if let Some(only) = access.sight.only() {
        let names: Vec<String> = only.iter().map(|name| quoted(name)).collect();
        tests.push(match names.is_empty() {
            true => "false".to_owned(),
            false => {
                format!("profile IN (SELECT profile FROM segment_members WHERE segment IN ({}))", names.join(", "))
            }
        });
    }
    if !access.purpose.is_administration() {
        let policy = access.sight.policy().and_then(|policy| serde_json::to_string(policy).ok());
        let (purpose, at) = (quoted(&access.purpose.0), access.at.0);
        // Without a policy nobody allows anything.
        tests.push(policy.map_or("false".to_owned(), |policy| {
            format!("reachable(consents, {purpose}, CAST(NULL AS VARCHAR), {}, {at})", quoted(&policy))
        }));
    }
    Some(format!("SELECT profile FROM profiles WHERE {}", tests.join(" AND ")))
}

fn mask_functions(sight: &Arc<Sight>) -> [ScalarUDF; 2] {
    let text = DataType::Utf8View;
    let texts = |value: &ColumnarValue, rows: usize| -> Result<StringViewArray> {
        let array = value.to_array(rows)?;
        Ok(arrow_cast::cast(&array, &DataType::Utf8View)?.as_string_view().clone())
    };
    let rows = |args: &[ColumnarValue]| {
        let lengths = args.iter().filter_map(|arg| match arg {
            ColumnarValue::Array(array) => Some(array.len()),
            ColumnarValue::Scalar(_) => None,
        });
        lengths.max().unwrap_or(1)
    };
    let sight_of_text = sight.clone();
    let of_text = move |args: &[ColumnarValue]| {
        let (names, values) = (texts(&args[0], rows(args))?, texts(&args[1], rows(args))?);
        let seen = names.iter().zip(values.iter()).map(|(name, value)| sight_of_text.text(name?, value?));
        Ok(ColumnarValue::Array(Arc::new(seen.collect::<StringViewArray>())))
    };
    let sight_of_fields = sight.clone();
    let of_fields = move |args: &[ColumnarValue]| {
        let values = texts(&args[0], rows(args))?;
        let seen = values.iter().map(|value| {
            // What cannot be read is not shown.
            let value: &RawValue = serde_json::from_str(value?).ok()?;
            Some(sight_of_fields.fields(value).get().to_owned())
        });
        Ok(ColumnarValue::Array(Arc::new(seen.collect::<StringViewArray>())))
    };
    [
        create_udf(
            "seen_text",
            vec![text.clone(), text.clone()],
            text.clone(),
            Volatility::Immutable,
            Arc::new(of_text),
        ),
        create_udf("seen_fields", vec![text.clone()], text, Volatility::Immutable, Arc::new(of_fields)),
    ]
}

/// A table as it is seen.
struct Restricted {
    table: Table,
    plan: LogicalPlan,
    seen: Seen,
}

impl fmt::Debug for Restricted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as it is seen", self.table)
    }
}

#[async_trait::async_trait]
impl TableProvider for Restricted {
    fn schema(&self) -> SchemaRef {
        self.plan.schema().inner().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let closed: Arc<dyn ExecutionPlan> = Arc::new(Closed { inner: state.create_physical_plan(&self.plan).await? });
        let Some(projection) = projection else { return Ok(closed) };
        let schema = closed.schema();
        let column = |place: &usize| {
            let name = schema.field(*place).name();
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(datafusion::physical_expr::expressions::Column::new(name, *place));
            (column, name.clone())
        };
        let columns: Vec<(Arc<dyn PhysicalExpr>, String)> = projection.iter().map(column).collect();
        Ok(Arc::new(ProjectionExec::try_new(columns, closed)?))
    }
}

/// A plan that is made, and into which nothing of what is asked gets: to whoever plans the rest it has no inside.
#[derive(Debug)]
struct Closed {
    inner: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Closed {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed")
    }
}

impl ExecutionPlan for Closed {
    fn name(&self) -> &'static str {
        "Closed"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.inner.execute(partition, context)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use onefold_model::{
        Timestamp, WorkspaceId,
        access::{Caller, Class, Mask},
        consent::Policy,
    };

    use super::*;

    #[test]
    fn what_is_seen_of_each_table() {
        let mut masks = [Mask::Clear; 6];
        masks[Class::Contact as usize] = Mask::Partial;
        let sight = Sight::new(masks, Arc::default(), Some(vec!["it's".to_owned()]), (0, 0))
            .by_policy(Arc::new(Policy::default()));
        let access = Access {
            caller: Caller::Key(1),
            workspace: WorkspaceId(1),
            purpose: Purpose("marketing".to_owned()),
            at: Timestamp(100),
            sight: Arc::new(sight),
        };
        let queries: Vec<String> = Table::ALL.iter().map(|table| query(*table, &access)).collect();
        expect![[r#"
            SELECT "day", "offset", "node", "time", "received", "sent", "source", seen_text('message_id', "message_id") AS "message_id", "type", "event", "name", "channel", seen_text('user_id', "user_id") AS "user_id", seen_text('anonymous_id', "anonymous_id") AS "anonymous_id", seen_text('group_id', "group_id") AS "group_id", seen_fields("context") AS "context", seen_fields("traits") AS "traits", seen_fields("properties") AS "properties" FROM events WHERE node IN (SELECT node FROM identifiers WHERE profile IN (SELECT profile FROM profiles WHERE profile IN (SELECT profile FROM segment_members WHERE segment IN ('it''s')) AND reachable(consents, 'marketing', CAST(NULL AS VARCHAR), '{"unstated":"deny"}', 100)))
            SELECT "profile", "offset", "time", "id", seen_fields("traits") AS "traits", "consents" FROM profiles WHERE profile IN (SELECT profile FROM profiles WHERE profile IN (SELECT profile FROM segment_members WHERE segment IN ('it''s')) AND reachable(consents, 'marketing', CAST(NULL AS VARCHAR), '{"unstated":"deny"}', 100))
            SELECT "profile", "offset", "node", "kind", seen_text(kind, "value") AS "value" FROM identifiers WHERE profile IN (SELECT profile FROM profiles WHERE profile IN (SELECT profile FROM segment_members WHERE segment IN ('it''s')) AND reachable(consents, 'marketing', CAST(NULL AS VARCHAR), '{"unstated":"deny"}', 100))
            SELECT segment, profile, since FROM segment_members WHERE profile IN (SELECT profile FROM profiles WHERE profile IN (SELECT profile FROM segment_members WHERE segment IN ('it''s')) AND reachable(consents, 'marketing', CAST(NULL AS VARCHAR), '{"unstated":"deny"}', 100))
            SELECT "node", "offset", "purpose", "channel", "state", "strength", "time", "recorded", "source" FROM consents WHERE node IN (SELECT node FROM identifiers WHERE profile IN (SELECT profile FROM profiles WHERE profile IN (SELECT profile FROM segment_members WHERE segment IN ('it''s')) AND reachable(consents, 'marketing', CAST(NULL AS VARCHAR), '{"unstated":"deny"}', 100)))
            SELECT "offset", "destination", "key", "kind", "segment", "profile", "status", "attempts", "time", '' AS detail FROM deliveries WHERE profile IN (SELECT profile FROM profiles WHERE profile IN (SELECT profile FROM segment_members WHERE segment IN ('it''s')) AND reachable(consents, 'marketing', CAST(NULL AS VARCHAR), '{"unstated":"deny"}', 100))"#]].assert_eq(&queries.join("\n"));
    }
}
