//! Reads a promoted column instead of the JSON.

use std::collections::BTreeMap;

use datafusion::{
    common::{Column, DFSchema, ScalarValue, config::ConfigOptions, tree_node::Transformed},
    error::Result,
    logical_expr::{Expr, expr_rewriter::FunctionRewrite, lit, when},
};
use onefold_lake::{Promoted, Table, columns};

/// Turns `properties->>'total'` into the column that it was promoted to, for the rows that have it. Of each table: what it
/// has columns for, and for how many of these every row has them.
#[derive(Debug)]
pub struct ReadPromoted(pub BTreeMap<Table, (Promoted, usize)>);

impl ReadPromoted {
    fn instead_of(&self, expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        let Expr::ScalarFunction(function) = expr else { return Ok(None) };
        let ("json_as_text", [Expr::Column(json), Expr::Literal(name, _)]) =
            (function.name(), function.args.as_slice())
        else {
            return Ok(None);
        };
        let (ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)) | ScalarValue::LargeUtf8(Some(name))) =
            name
        else {
            return Ok(None);
        };
        let is_its = |table: &Table| table.promotes().is_some_and(|(column, _)| column == json.name);
        for (table, (promoted, everywhere)) in self.0.iter().filter(|(table, _)| is_its(table)) {
            let Some(place) = promoted.names().iter().position(|promoted| promoted == name) else { continue };
            let beside = |name: &str| Column::new(json.relation.clone(), name);
            let [text, _] = columns(*table, name);
            let (text, promoted) = (beside(&text), beside("promoted"));
            // Beside the JSON of another table stand columns of the same names only if somebody put them there.
            if !schema.has_column(&text) || !schema.has_column(&promoted) {
                continue;
            }
            if place < *everywhere {
                // The JSON is not even opened.
                return Ok(Some(Expr::Column(text)));
            }
            let is_there = Expr::Column(promoted).gt(lit(place as i32));
            return when(is_there, Expr::Column(text)).otherwise(expr.clone()).map(Some);
        }
        Ok(None)
    }
}

impl FunctionRewrite for ReadPromoted {
    fn name(&self) -> &str {
        "read_promoted"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(self.instead_of(&expr, schema)?.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}
