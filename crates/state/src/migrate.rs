//! What a store does to its schema when it is opened, and between generations.
//!
//! Adding is automatic: a declared table, index or nullable column that the database lacks is created. Anything else
//! (renaming, filling, splitting) is a [`Migration`] with a number of its own. A database of a higher number than this
//! program knows is left alone.
//!
//! Pure: it reads a [`Catalog`] and gives statements, which the store runs in one transaction.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    Column, Error, Generation, Part, Table,
    sql::{self, Dialect},
    table::generation_of,
};

/// A change of the schema that adding alone cannot make.
pub(crate) struct Migration {
    /// The schema's number afterwards: 1, 2, …
    pub version: i64,
    /// Statements that both databases understand, on kept tables and old views; what they leave lacking is added afterwards. Derived
    /// tables are not migrated but rebuilt.
    pub statements: &'static [&'static str],
}

/// All of them, in order. The first is the schema itself, "everything that is declared".
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, statements: &[] },
    // The table is no more: its view would be left without one by the next rebuild.
    Migration { version: 2, statements: &["DROP VIEW IF EXISTS segment_member"] },
];

/// The store's own numbers: schema version, current generation, generation under construction.
pub(crate) static META: Table = Table {
    name: "meta",
    part: Part::Kept,
    key: 1,
    columns: &[Column::text("key"), Column::int("value")],
    indexes: &[],
};

/// The newest epoch of each partition.
pub(crate) static EPOCH: Table = Table {
    name: "epoch",
    part: Part::Kept,
    key: 1,
    columns: &[Column::int("partition"), Column::int("epoch")],
    indexes: &[],
};

/// What stands in [`META`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub version: i64,
    pub generation: Generation,
    pub building: Option<Generation>,
}

impl Meta {
    /// A new database's.
    pub const NEW: Meta = Meta { version: 0, generation: 1, building: None };

    /// Reads the rows of [`META`].
    pub fn from_rows(rows: impl IntoIterator<Item = (String, i64)>) -> Meta {
        rows.into_iter().fold(Meta::NEW, |mut meta, (key, value)| {
            match key.as_str() {
                "version" => meta.version = value,
                "generation" => meta.generation = value.unsigned_abs(),
                "building" => meta.building = (value > 0).then_some(value.unsigned_abs()),
                _ => {}
            }
            meta
        })
    }

    /// The rows of [`META`].
    pub fn to_rows(self) -> [(&'static str, i64); 3] {
        let number = |generation: Generation| i64::try_from(generation).unwrap_or(i64::MAX);
        [
            ("version", self.version),
            ("generation", number(self.generation)),
            ("building", self.building.map_or(0, number)),
        ]
    }

    /// The generation that comes after all others.
    pub fn next(self) -> Generation {
        self.building.unwrap_or(0).max(self.generation) + 1
    }

    /// The generations whose tables exist.
    pub fn generations(self) -> Vec<Generation> {
        [Some(self.generation), self.building].into_iter().flatten().collect()
    }
}

/// What a database has.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Column names by table.
    pub tables: FxHashMap<String, FxHashSet<String>>,
    pub indexes: FxHashSet<String>,
    pub views: FxHashSet<String>,
}

/// The statements of the migrations that a database of version `found` lacks, to be run first; it is then of the
/// version that is given with them. A new database (version 0) lacks none: its tables are created as declared.
pub(crate) fn migrations_after(found: i64, migrations: &[Migration]) -> Result<(Vec<&'static str>, i64), Error> {
    let newest = migrations.last().map_or(0, |migration| migration.version);
    if found > newest {
        let cause = format!(
            "it was written by a newer version (schema {found}, and this one knows up to {newest}). \
             Run that version or a later one, or restore a backup made before the upgrade"
        );
        return Err(Error::Unusable { operation: "open the state", cause });
    }
    let due = migrations.iter().filter(|migration| found > 0 && migration.version > found);
    Ok((due.flat_map(|migration| migration.statements).copied().collect(), newest))
}

/// The statements that add to a database with this catalog what is declared and not there.
pub(crate) fn additions(
    dialect: Dialect,
    tables: &[&Table],
    catalog: &Catalog,
    meta: Meta,
) -> Result<Vec<String>, Error> {
    let mut statements: Vec<String> = Vec::new();
    for table in tables {
        let generations = if table.part == Part::Kept { vec![0] } else { meta.generations() };
        for generation in generations {
            statements.extend(additions_to(dialect, table, generation, catalog)?);
        }
    }
    let mut derived = tables.iter().filter(|table| table.part == Part::Derived);
    if !statements.is_empty() || derived.any(|table| !catalog.views.contains(table.name)) {
        statements.extend(views(tables, meta.generation));
    }
    Ok(statements)
}

fn additions_to(
    dialect: Dialect,
    table: &Table,
    generation: Generation,
    catalog: &Catalog,
) -> Result<Vec<String>, Error> {
    let mut statements = Vec::new();
    match catalog.tables.get(&sql::physical(table, generation)) {
        None => statements.push(sql::create_table(dialect, table, generation)),
        Some(present) => {
            for column in table.columns.iter().filter(|column| !present.contains(column.name)) {
                if !column.null {
                    let cause = format!(
                        "table {} lacks column {}, which may not be empty. Run the version that wrote the state, \
                         or restore a backup that has the column",
                        table.name, column.name
                    );
                    return Err(Error::Unusable { operation: "open the state", cause });
                }
                statements.push(sql::add_column(dialect, table, generation, column));
            }
        }
    }
    let absent = table.indexes.iter().filter(|index| {
        let name = sql::index_name(table, generation, index);
        !catalog.indexes.contains(&name)
    });
    statements.extend(absent.map(|index| sql::create_index(dialect, table, generation, index)));
    Ok(statements)
}

/// Makes the tables of a new generation.
pub(crate) fn create_generation(dialect: Dialect, tables: &[&Table], generation: Generation) -> Vec<String> {
    let derived = tables.iter().filter(|table| table.part == Part::Derived);
    let statements = derived.flat_map(|table| {
        let indexes = table.indexes.iter().map(move |index| sql::create_index(dialect, table, generation, index));
        std::iter::once(sql::create_table(dialect, table, generation)).chain(indexes)
    });
    statements.collect()
}

/// Points the operators' views at a generation.
pub(crate) fn views(tables: &[&Table], generation: Generation) -> Vec<String> {
    let derived = tables.iter().filter(|table| table.part == Part::Derived);
    derived.flat_map(|table| [sql::drop_view(table), sql::create_view(table, generation)]).collect()
}

/// Drops, of the tables with these names, the derived ones of all generations but those to keep.
pub(crate) fn drop_others(names: impl IntoIterator<Item = String>, keep: &[Generation]) -> Vec<String> {
    let stale = |name: &String| generation_of(name).is_some_and(|generation| !keep.contains(&generation));
    names.into_iter().filter(stale).map(|name| format!("DROP TABLE {}", sql::quoted(&name))).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::Index;

    static NOTE: Table = Table {
        name: "note",
        part: Part::Kept,
        key: 1,
        columns: &[Column::int("id"), Column::text("text").or_null()],
        indexes: &[Index { name: "by_text", columns: &["text"] }],
    };
    static SUM: Table = Table {
        name: "sum",
        part: Part::Derived,
        key: 1,
        columns: &[Column::int("id"), Column::int("count")],
        indexes: &[],
    };

    fn catalog(tables: &[(&str, &[&str])], indexes: &[&str], views: &[&str]) -> Catalog {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Catalog {
            tables: tables.iter().map(|(table, columns)| ((*table).to_owned(), names(columns))).collect(),
            indexes: names(indexes),
            views: names(views),
        }
    }

    fn added(catalog: Catalog, meta: Meta) -> String {
        match additions(Dialect::Sqlite, &[&NOTE, &SUM], &catalog, meta) {
            Ok(statements) => statements.join(";\n") + "\n",
            Err(error) => error.to_string(),
        }
    }

    const AT_1: Meta = Meta { version: 1, generation: 4, building: None };

    #[test]
    fn a_new_database_gets_everything() {
        expect![[r#"
            CREATE TABLE "note" (
              "id" INTEGER NOT NULL,
              "text" TEXT,
              PRIMARY KEY ("id")
            ) STRICT;
            CREATE INDEX "note__by_text" ON "note" ("text", "id") WHERE "text" IS NOT NULL;
            CREATE TABLE "g1_sum" (
              "id" INTEGER NOT NULL,
              "count" INTEGER NOT NULL,
              PRIMARY KEY ("id")
            ) STRICT;
            DROP VIEW IF EXISTS "sum";
            CREATE VIEW "sum" AS SELECT "id", "count" FROM "g1_sum"
        "#]]
        .assert_eq(&added(Catalog::default(), Meta::NEW));
    }

    #[test]
    fn what_lacks_nothing_is_left_alone() {
        let complete =
            catalog(&[("note", &["id", "text"]), ("g4_sum", &["id", "count"])], &["note__by_text"], &["sum"]);
        assert_eq!(added(complete, AT_1), "\n");
    }

    #[test]
    fn a_missing_column_and_index_are_added_in_each_generation() {
        let older = catalog(&[("note", &["id"]), ("g4_sum", &["id", "count"])], &[], &["sum"]);
        expect![[r#"
            ALTER TABLE "note" ADD COLUMN "text" TEXT;
            CREATE INDEX "note__by_text" ON "note" ("text", "id") WHERE "text" IS NOT NULL;
            CREATE TABLE "g5_sum" (
              "id" INTEGER NOT NULL,
              "count" INTEGER NOT NULL,
              PRIMARY KEY ("id")
            ) STRICT;
            DROP VIEW IF EXISTS "sum";
            CREATE VIEW "sum" AS SELECT "id", "count" FROM "g4_sum"
        "#]]
        .assert_eq(&added(older, Meta { building: Some(5), ..AT_1 }));
    }

    #[test]
    fn a_missing_column_that_may_not_be_null_is_refused() {
        let older = catalog(&[("note", &["id", "text"]), ("g4_sum", &["id"])], &["note__by_text"], &["sum"]);
        expect!["open the state: table sum lacks column count, which may not be empty. Run the version that wrote the state, or restore a backup that has the column"].assert_eq(&added(older, AT_1));
    }

    #[test]
    fn migrations_after_the_version_are_due_and_a_newer_version_is_refused() {
        let three = [
            Migration { version: 1, statements: &["ONE"] },
            Migration { version: 2, statements: &["TWO"] },
            Migration { version: 3, statements: &["THREE"] },
        ];
        let due = |found| migrations_after(found, &three).map_err(|error| error.to_string());
        assert_eq!(due(0), Ok((vec![], 3)));
        assert_eq!(due(1), Ok((vec!["TWO", "THREE"], 3)));
        assert_eq!(due(3), Ok((vec![], 3)));
        expect!["open the state: it was written by a newer version (schema 4, and this one knows up to 3). Run that version or a later one, or restore a backup made before the upgrade"].assert_eq(&due(4).unwrap_err());
    }

    #[test]
    fn generations_come_and_go() {
        let names = ["g1_sum", "g2_sum", "g3_sum", "note", "grid"].map(String::from);
        assert_eq!(drop_others(names, &[2, 3]), ["DROP TABLE \"g1_sum\""]);
        assert_eq!(Meta { building: Some(7), ..AT_1 }.next(), 8);
        assert_eq!(AT_1.next(), 5);
        let rows = AT_1.to_rows().map(|(key, value)| (key.to_owned(), value));
        assert_eq!(Meta::from_rows(rows), AT_1);
    }
}
