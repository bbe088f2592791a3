//! What the stores send, held by snapshots.

use expect_test::{Expect, expect};

use super::*;
use crate::{Row, Scan, plan::plan};

static THING: Table = Table {
    name: "thing",
    part: Part::Derived,
    key: 2,
    columns: &[
        Column::int("workspace"),
        Column::text("id"),
        Column::int("due").or_null(),
        Column::int("group").or_null(),
        Column::bytes("body"),
    ],
    indexes: &[
        Index { name: "by_due", columns: &["due"] },
        Index { name: "by_group", columns: &["workspace", "group"] },
    ],
};

static COUNTER: Table = Table {
    name: "counter",
    part: Part::Kept,
    key: 1,
    columns: &[Column::int("id"), Column::int("count")],
    indexes: &[],
};

static PAIR: Table =
    Table { name: "pair", part: Part::Kept, key: 2, columns: &[Column::int("a"), Column::bytes("b")], indexes: &[] };

fn both(of: impl Fn(Dialect) -> String, expect: Expect) {
    expect.assert_eq(&format!("{}\n\n{}\n", of(Sqlite), of(Postgres)));
}

#[test]
fn tables_and_indexes() {
    both(
        |dialect| {
            let mut all = vec![create_table(dialect, &THING, 3), create_table(dialect, &COUNTER, 3)];
            all.extend(THING.indexes.iter().map(|index| create_index(dialect, &THING, 3, index)));
            all.push(add_column(dialect, &THING, 3, &THING.columns[2]));
            all.push(drop_view(&THING));
            all.push(create_view(&THING, 3));
            all.join(";\n")
        },
        expect![[r#"
            CREATE TABLE "g3_thing" (
              "workspace" INTEGER NOT NULL,
              "id" TEXT NOT NULL,
              "due" INTEGER,
              "group" INTEGER,
              "body" BLOB NOT NULL,
              PRIMARY KEY ("workspace", "id")
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE "counter" (
              "id" INTEGER NOT NULL,
              "count" INTEGER NOT NULL,
              PRIMARY KEY ("id")
            ) STRICT;
            CREATE INDEX "g3_thing__by_due" ON "g3_thing" ("due", "workspace", "id") WHERE "due" IS NOT NULL;
            CREATE INDEX "g3_thing__by_group" ON "g3_thing" ("workspace", "group", "id");
            ALTER TABLE "g3_thing" ADD COLUMN "due" INTEGER;
            DROP VIEW IF EXISTS "thing";
            CREATE VIEW "thing" AS SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing"

            CREATE TABLE "g3_thing" (
              "workspace" bigint NOT NULL,
              "id" text COLLATE "C" NOT NULL,
              "due" bigint,
              "group" bigint,
              "body" bytea NOT NULL,
              PRIMARY KEY ("workspace", "id")
            );
            CREATE TABLE "counter" (
              "id" bigint NOT NULL,
              "count" bigint NOT NULL,
              PRIMARY KEY ("id")
            );
            CREATE INDEX "g3_thing__by_due" ON "g3_thing" ("due", "workspace", "id") WHERE "due" IS NOT NULL;
            CREATE INDEX "g3_thing__by_group" ON "g3_thing" ("workspace", "group" NULLS FIRST, "id");
            ALTER TABLE "g3_thing" ADD COLUMN "due" bigint;
            DROP VIEW IF EXISTS "thing";
            CREATE VIEW "thing" AS SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing"
        "#]],
    );
}

#[test]
fn gets() {
    both(
        |dialect| get(dialect, &THING, 3),
        expect![[r#"
        SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "workspace" = ?1 AND "id" = ?2

        SELECT k.place, t."workspace", t."id", t."due", t."group", t."body" FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS k(k1, k2, place) JOIN "g3_thing" t ON t."workspace" = k.k1 AND t."id" = k.k2
    "#]],
    );
}

#[test]
fn puts() {
    both(
        |dialect| [&THING, &PAIR].map(|table| put(dialect, table, 3)).join(";\n"),
        expect![[r#"
            REPLACE INTO "g3_thing" ("workspace", "id", "due", "group", "body") VALUES (?1, ?2, ?3, ?4, ?5);
            REPLACE INTO "pair" ("a", "b") VALUES (?1, ?2)

            INSERT INTO "g3_thing" ("workspace", "id", "due", "group", "body") SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[]) ON CONFLICT ("workspace", "id") DO UPDATE SET "due" = EXCLUDED."due", "group" = EXCLUDED."group", "body" = EXCLUDED."body";
            INSERT INTO "pair" ("a", "b") SELECT * FROM unnest($1::bigint[], $2::bytea[]) ON CONFLICT ("a", "b") DO NOTHING
        "#]],
    );
}

#[test]
fn deletes_and_counts() {
    both(
        |dialect| {
            let texts = [
                delete(dialect, &THING, 3),
                delete_prefix(dialect, &THING, 3, 1),
                delete_prefix(dialect, &THING, 3, 0),
                count(dialect, &THING, 3, 2),
            ];
            texts.join(";\n")
        },
        expect![[r#"
            DELETE FROM "g3_thing" WHERE "workspace" = ?1 AND "id" = ?2;
            DELETE FROM "g3_thing" WHERE "workspace" = ?1;
            DELETE FROM "g3_thing";
            SELECT count(*) FROM "g3_thing" WHERE "workspace" = ?1 AND "id" = ?2

            DELETE FROM "g3_thing" t USING unnest($1::bigint[], $2::text[]) AS k(k1, k2) WHERE t."workspace" = k.k1 AND t."id" = k.k2;
            DELETE FROM "g3_thing" WHERE "workspace" = $1;
            DELETE FROM "g3_thing";
            SELECT count(*) FROM "g3_thing" WHERE "workspace" = $1 AND "id" = $2
        "#]],
    );
}

fn scans(scan: Scan, expect: Expect) {
    both(
        |dialect| {
            let plan = plan(&scan).unwrap().unwrap();
            let (text, parameters) = super::scan(dialect, scan.table, 3, &plan);
            format!("{text}\n{parameters:?}")
        },
        expect,
    );
}

fn index(name: &'static str, prefix: Row) -> Scan {
    Scan { index: Some(name), ..Scan::prefix(&THING, prefix, 10) }
}

#[test]
fn scans_in_key_order() {
    scans(
        Scan::prefix(&THING, vec![], 10),
        expect![[r#"
        SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" ORDER BY "workspace", "id" LIMIT ?1
        []

        SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" ORDER BY "workspace", "id" LIMIT $1
        []
    "#]],
    );
    scans(
        Scan { after: Some(vec![Value::Int(1), "a".into()]), ..Scan::prefix(&THING, vec![], 10) },
        expect![[r#"
            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE ("workspace", "id") > (?1, ?2) ORDER BY "workspace", "id" LIMIT ?3
            [Int(1), Text("a")]

            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE ("workspace", "id") > ($1, $2) ORDER BY "workspace", "id" LIMIT $3
            [Int(1), Text("a")]
        "#]],
    );
    scans(
        Scan {
            after: Some(vec![Value::Int(1), "b".into()]),
            until: Some("c".into()),
            reverse: true,
            ..Scan::prefix(&THING, vec![Value::Int(1)], 10)
        },
        expect![[r#"
            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "workspace" = ?1 AND "id" < ?2 AND "id" <= ?3 ORDER BY "id" DESC LIMIT ?4
            [Int(1), Text("b"), Text("c")]

            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "workspace" = $1 AND "id" < $2 AND "id" <= $3 ORDER BY "id" DESC LIMIT $4
            [Int(1), Text("b"), Text("c")]
        "#]],
    );
}

#[test]
fn scans_in_the_order_of_a_partial_index() {
    scans(
        Scan {
            after: Some(vec![Value::Int(5), Value::Int(1), "a".into()]),
            until: Some(Value::Int(9)),
            ..index("by_due", vec![])
        },
        expect![[r#"
            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" INDEXED BY "g3_thing__by_due" WHERE "due" IS NOT NULL AND ("due", "workspace", "id") > (?1, ?2, ?3) AND "due" <= ?4 ORDER BY "due", "workspace", "id" LIMIT ?5
            [Int(5), Int(1), Text("a"), Int(9)]

            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "due" IS NOT NULL AND ("due", "workspace", "id") > ($1, $2, $3) AND "due" <= $4 ORDER BY "due", "workspace", "id" LIMIT $5
            [Int(5), Int(1), Text("a"), Int(9)]
        "#]],
    );
}

#[test]
fn scans_by_a_column_that_may_hold_null() {
    scans(
        Scan {
            after: Some(vec![Value::Int(1), Value::Null, "a".into()]),
            until: Some(Value::Int(9)),
            ..index("by_group", vec![Value::Int(1)])
        },
        expect![[r#"
            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" INDEXED BY "g3_thing__by_group" WHERE "workspace" = ?1 AND ("group" IS NOT NULL OR "group" IS NULL AND "id" > ?2) AND ("group" <= ?3 OR "group" IS NULL) ORDER BY "group", "id" LIMIT ?4
            [Int(1), Text("a"), Int(9)]

            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "workspace" = $1 AND ("group" IS NOT NULL OR "group" IS NULL AND "id" > $2) AND ("group" <= $3 OR "group" IS NULL) ORDER BY "group" NULLS FIRST, "id" LIMIT $4
            [Int(1), Text("a"), Int(9)]
        "#]],
    );
    scans(
        Scan {
            after: Some(vec![Value::Int(1), Value::Int(7), "a".into()]),
            reverse: true,
            ..index("by_group", vec![Value::Int(1)])
        },
        expect![[r#"
            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" INDEXED BY "g3_thing__by_group" WHERE "workspace" = ?1 AND (("group" < ?2 OR "group" IS NULL) OR "group" = ?3 AND "id" < ?4) ORDER BY "group" DESC, "id" DESC LIMIT ?5
            [Int(1), Int(7), Int(7), Text("a")]

            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "workspace" = $1 AND (("group" < $2 OR "group" IS NULL) OR "group" = $3 AND "id" < $4) ORDER BY "group" DESC NULLS LAST, "id" DESC LIMIT $5
            [Int(1), Int(7), Int(7), Text("a")]
        "#]],
    );
    scans(
        index("by_group", vec![Value::Int(1), Value::Null]),
        expect![[r#"
            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" INDEXED BY "g3_thing__by_group" WHERE "workspace" = ?1 AND "group" IS NULL ORDER BY "id" LIMIT ?2
            [Int(1)]

            SELECT "workspace", "id", "due", "group", "body" FROM "g3_thing" WHERE "workspace" = $1 AND "group" IS NULL ORDER BY "id" LIMIT $2
            [Int(1)]
        "#]],
    );
}

/// Every scan goes through its index, to the place where it begins, and sorts nothing.
#[test]
fn scans_are_answered_from_an_index() {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch(&create_table(Sqlite, &THING, 3)).unwrap();
    for index in THING.indexes {
        db.execute_batch(&create_index(Sqlite, &THING, 3, index)).unwrap();
    }
    let explained = |scan: Scan| -> String {
        let plan = plan(&scan).unwrap().unwrap();
        let (text, values) = super::scan(Sqlite, &THING, 3, &plan);
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        for (place, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(place + 1, value).unwrap();
        }
        statement.raw_bind_parameter(values.len() + 1, 10).unwrap();
        let mut rows = statement.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            lines.push(row.get::<_, String>("detail").unwrap());
        }
        lines.join("; ") + "\n"
    };
    let one = || vec![Value::Int(1)];
    let after = |index: Option<&str>| {
        Some(THING.position(index, &vec![1_i64.into(), "a".into(), 5_i64.into(), 7_i64.into(), Value::Bytes(vec![])]))
    };
    let due = || index("by_due", vec![]);
    let scans = [
        Scan::prefix(&THING, vec![], 10),
        Scan { after: after(None), ..Scan::prefix(&THING, vec![], 10) },
        Scan { after: after(None), reverse: true, ..Scan::prefix(&THING, one(), 10) },
        Scan { until: Some(9_i64.into()), ..due() },
        Scan { after: after(Some("by_due")), until: Some(9_i64.into()), ..due() },
        Scan { reverse: true, ..due() },
        Scan { until: Some(9_i64.into()), ..index("by_group", one()) },
        Scan { after: after(Some("by_group")), ..index("by_group", one()) },
    ];
    expect![[r#"
        SCAN g3_thing
        SEARCH g3_thing USING PRIMARY KEY ((workspace,id)>(?,?))
        SEARCH g3_thing USING PRIMARY KEY (workspace=? AND id<?)
        SEARCH g3_thing USING INDEX g3_thing__by_due (due>? AND due<?)
        SEARCH g3_thing USING INDEX g3_thing__by_due ((due,workspace,id)>(?,?,?) AND due<?)
        SEARCH g3_thing USING INDEX g3_thing__by_due (due>?)
        SEARCH g3_thing USING INDEX g3_thing__by_group (workspace=?)
        SEARCH g3_thing USING INDEX g3_thing__by_group (workspace=?)
    "#]]
    .assert_eq(&scans.map(explained).concat());
}
