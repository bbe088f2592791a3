"""The eight audiences on another engine, over its native tables, or by DuckDB over the files of a lake.

usage: EIGHT=eight.sql segments.py duckdb|clickhouse|lake DIR NOW_MS
Prints a line of JSON for each: {"count", "ms"}, the median of five after a first one."""
import json
import os
import re
import statistics
import sys
import tempfile
import time
import urllib.parse

engine, data, now_ms = sys.argv[1], sys.argv[2], int(sys.argv[3])


def queries(before):
    """before(n): the instant n days before now."""
    with open(os.environ["EIGHT"]) as texts:
        return [re.sub(r"before\((\d+)\)", lambda days: before(int(days[1])), text) for text in texts]


def active_files(db, table):
    """The Parquet files of a Delta table as of now: its newest checkpoint, and the commits after it."""
    log, active, last = os.path.join(table, "_delta_log"), set(), -1
    checkpoints = sorted(name for name in os.listdir(log) if name.endswith(".checkpoint.parquet"))
    if checkpoints:
        last = int(checkpoints[-1].split(".")[0])
        path = os.path.join(log, checkpoints[-1])
        active = {row[0] for row in db.execute(f"select add.path from '{path}' where add.path is not null").fetchall()}
    for name in sorted(name for name in os.listdir(log) if name.endswith(".json")):
        if name.split(".")[0].isdigit() and int(name.split(".")[0]) > last:
            with open(os.path.join(log, name)) as commit:
                for action in map(json.loads, commit):
                    if "remove" in action:
                        active.discard(action["remove"]["path"])
                    if "add" in action:
                        active.add(action["add"]["path"])
    return [os.path.join(table, urllib.parse.unquote(path)) for path in sorted(active)]


def measure(run, texts):
    for text in texts:
        took, count = [], None
        for _ in range(6):
            began = time.perf_counter()
            count = run(text)
            took.append((time.perf_counter() - began) * 1000)
        print(json.dumps({"count": int(count), "ms": round(statistics.median(took[1:]), 2)}), flush=True)


with tempfile.TemporaryDirectory() as folder:
    day = 86_400_000

    def at(days):
        return f"make_timestamptz({(now_ms - days * day) * 1000})"

    if engine == "duckdb":
        import duckdb

        db = duckdb.connect(os.path.join(folder, "duck.db"))
        db.execute("set timezone = 'UTC'")
        db.execute(f"create table ev as select * from '{data}/events.parquet' order by ts")
        db.execute(f"create table pr as select * from '{data}/profiles.parquet'")
        measure(lambda text: db.execute(text).fetchone()[0], queries(at))
    elif engine == "lake":
        import duckdb

        db = duckdb.connect()
        db.execute("set timezone = 'UTC'")
        for table in ["events", "profiles", "identifiers"]:
            files = f"{active_files(db, f'{data}/{table}')}, hive_partitioning = true, union_by_name = true"
            db.execute(f"create view {table} as select * from read_parquet({files})")
        db.execute(
            "create view ev as select i.profile as user_id, event, time as ts, property_category as category, "
            "property_revenue_number as revenue from events join identifiers i using (node)"
        )
        db.execute(
            "create view pr as select profile as user_id, trait_country as country, trait_plan as plan, "
            "trait_age_number as age, trait_email_consent = 'true' as email_consent from profiles"
        )
        measure(lambda text: db.execute(text).fetchone()[0], queries(at))
    else:
        from chdb import session

        db = session.Session(os.path.join(folder, "ch"))
        plain = "settings schema_inference_make_columns_nullable = 0"
        db.query("create database shop")
        db.query("use shop")
        db.query(
            "create table ev engine = MergeTree order by (event, user_id, ts) as select user_id, ts, toLowCardinality(event) event, "
            f"toLowCardinality(category) category, revenue from file('{data}/events.parquet') {plain}"
        )
        db.query(f"create table pr engine = MergeTree order by user_id as select * from file('{data}/profiles.parquet') {plain}")
        measure(
            lambda text: str(db.query(text, "CSV")).strip(),
            queries(lambda n: f"fromUnixTimestamp64Milli(toInt64({now_ms - n * day}), 'UTC')"),
        )
