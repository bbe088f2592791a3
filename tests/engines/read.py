"""Reads a workspace's tables as others do: by Delta's own Python library, by Arrow and by DuckDB. Prints what they find, as JSON."""

import json
import sys

import duckdb
import pyarrow.ipc
from deltalake import DeltaTable

folder, arrow_stream = sys.argv[1:]
tables = {name: DeltaTable(f"{folder}/{name}") for name in ["events", "profiles", "identifiers", "segment_members"]}
for name in ["events", "profiles", "identifiers"]:
    # The names of folders are columns too.
    files = f"{tables[name].file_uris()!r}, hive_partitioning = true, union_by_name = true"
    duckdb.sql(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")

current = """
WITH newest AS (SELECT profile, max("offset") AS "offset" FROM profiles GROUP BY profile)
SELECT i.value, p.traits->>'plan', p.id
FROM identifiers i JOIN newest USING (profile, "offset") JOIN profiles p USING (profile, "offset")
WHERE NOT gone ORDER BY 1
"""
print(
    json.dumps(
        {
            "events": tables["events"].to_pyarrow_table().num_rows,
            "by_day": duckdb.sql("SELECT count(*) FROM events WHERE day = CAST(time AS DATE)").fetchall()[0][0],
            "people": [list(row[:2]) for row in duckdb.sql(current).fetchall()],
            "members": tables["segment_members"].to_pyarrow_table().num_rows,
            "total": str(duckdb.sql("SELECT sum((properties->>'total')::DECIMAL(20, 2)) FROM events").fetchall()[0][0]),
            "columns": sorted(field.name for field in tables["events"].schema().fields),
            "streamed": pyarrow.ipc.open_stream(arrow_stream).read_all().to_pylist(),
        }
    )
)
