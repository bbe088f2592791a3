//! What a [`Scan`] comes to, the same for every store.
//!
//! Here a scan is checked against its table, and its corner cases (a position outside the prefix, nulls at either
//! end) are brought to one plain form, so that the stores cannot differ in them.

use crate::{Error, Scan, Value};

/// A checked scan.
pub(crate) struct Plan<'s> {
    /// The columns of the order, by their place in the row, each once.
    pub order: Vec<usize>,
    /// Rows whose first column of the order is null are not in it.
    pub skips_null: bool,
    /// Equal to the leading columns of the order.
    pub prefix: &'s [Value],
    /// Exclusive bound on the columns after the prefix; not empty.
    pub after: Option<&'s [Value]>,
    /// Inclusive upper bound on the first column after the prefix.
    pub until: Option<&'s Value>,
    pub reverse: bool,
    pub limit: usize,
    /// The index whose order it is; none: the key's.
    pub index: Option<&'static str>,
}

/// Checks `scan`; `None` where no row can match.
pub(crate) fn plan(scan: &Scan) -> Result<Option<Plan<'_>>, Error> {
    let table = scan.table;
    if let Some(name) = scan.index
        && table.index(name).is_none()
    {
        return Err(table.misfit(format!("no index {name}")));
    }
    let order = table.order(scan.index);
    let prefix = scan.prefix.as_slice();
    // An empty position is the one before all rows.
    let given = scan.after.as_deref().unwrap_or(&[]);
    if prefix.len() > order.len() || given.len() > order.len() {
        return Err(table.misfit(format!("more values than the {} columns of the order", order.len())));
    }
    for values in [prefix, given] {
        values.iter().zip(&order).try_for_each(|(value, column)| table.check_value(*column, value))?;
    }
    if let Some(until) = &scan.until {
        match order.get(prefix.len()) {
            Some(column) => table.check_value(*column, until)?,
            None => return Err(table.misfit("`until` without a column after the prefix".into())),
        }
    }

    let skips_null = scan.index.is_some() && table.columns[order[0]].null;
    let empty = scan.limit == 0 || (skips_null && prefix.first().is_some_and(Value::is_null));
    let shared = prefix.len().min(given.len());
    let after = match given[..shared].cmp(&prefix[..shared]) {
        _ if given.is_empty() => None,
        // A shorter position that agrees with the prefix stands behind all rows that begin like it.
        std::cmp::Ordering::Equal if given.len() <= prefix.len() => return Ok(None),
        std::cmp::Ordering::Equal => Some(&given[shared..]),
        before_prefix if (before_prefix.is_lt()) != scan.reverse => None,
        _ => return Ok(None),
    };
    let after = match after {
        // Null comes before everything in the order, and nothing in it is null.
        Some([Value::Null, ..]) if skips_null && prefix.is_empty() => match scan.reverse {
            true => return Ok(None),
            false => None,
        },
        other => other,
    };
    if empty {
        return Ok(None);
    }
    let (reverse, limit) = (scan.reverse, scan.limit);
    Ok(Some(Plan { order, skips_null, prefix, after, until: scan.until.as_ref(), reverse, limit, index: scan.index }))
}

impl Plan<'_> {
    /// Whether `row` is among the rows of the scan, the limit apart.
    pub fn admits(&self, row: &[Value]) -> bool {
        let at = |place: usize| &row[self.order[place]];
        let rest = self.prefix.len();
        let in_order = !(self.skips_null && at(0).is_null());
        let in_prefix = self.prefix.iter().enumerate().all(|(place, value)| at(place) == value);
        let in_until = self.until.is_none_or(|until| at(rest) <= until);
        let in_after = self.after.is_none_or(|after| {
            let position = (rest..rest + after.len()).map(at);
            match self.reverse {
                false => position.gt(after.iter()),
                true => position.lt(after.iter()),
            }
        });
        in_order && in_prefix && in_until && in_after
    }

    /// How two rows stand in the scan.
    pub fn compare(&self, left: &[Value], right: &[Value]) -> std::cmp::Ordering {
        let forward =
            self.order.iter().map(|column| &left[*column]).cmp(self.order.iter().map(|column| &right[*column]));
        if self.reverse { forward.reverse() } else { forward }
    }
}
