"""The eight audiences on another engine, over its native tables.

usage: segments.py duckdb|clickhouse DIR NOW_MS
Prints a line of JSON for each: {"count", "ms"}, the median of five after a first one."""
import json
import os
import statistics
import sys
import tempfile
import time

engine, data, now_ms = sys.argv[1], sys.argv[2], int(sys.argv[3])


def queries(before):
    """before(n): the instant n days before now."""
    return [
        f"select count(*) from pr where country = 'DE' and user_id in (select user_id from ev where event = 'Order Completed' and ts >= {before(30)} group by user_id having count(*) >= 3)",
        f"select count(*) from (select user_id from ev where event = 'Product Viewed' and category = 'cat07' and ts >= {before(7)} group by user_id having count(*) >= 2) a where user_id not in (select user_id from ev where event = 'Order Completed' and ts >= {before(30)})",
        f"select count(*) from pr where plan in ('pro', 'enterprise') and user_id in (select user_id from ev where event = 'Order Completed' and ts >= {before(90)} group by user_id having sum(cast(revenue as decimal(18, 4))) > 500)",
        f"select count(*) from (select user_id, max(case when event = 'Product Added' then ts end) a, max(case when event = 'Order Completed' then ts end) o from ev where ts >= {before(7)} and event in ('Product Added', 'Order Completed') group by user_id) x where a is not null and (o is null or o < a)",
        f"select count(*) from (select distinct user_id from ev where event = 'Order Completed') a where user_id not in (select user_id from ev where ts >= {before(60)})",
        "select count(*) from pr where country in ('DE', 'PL') and age between 25 and 40 and plan <> 'free' and email_consent",
        f"select count(*) from (select user_id, min(ts) m from ev where event = 'Order Completed' group by user_id) x where m >= {before(30)}",
        f"select count(*) from pr where email_consent and user_id in (select user_id from ev where event = 'Email Clicked' and ts >= {before(14)} group by user_id having count(*) >= 2) and user_id not in (select user_id from ev where event = 'Order Refunded' and ts >= {before(90)})",
    ]


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
    if engine == "duckdb":
        import duckdb

        db = duckdb.connect(os.path.join(folder, "duck.db"))
        db.execute("set timezone = 'UTC'")
        db.execute(f"create table ev as select * from '{data}/events.parquet' order by ts")
        db.execute(f"create table pr as select * from '{data}/profiles.parquet'")
        measure(lambda text: db.execute(text).fetchone()[0], queries(lambda n: f"make_timestamptz({(now_ms - n * day) * 1000})"))
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
