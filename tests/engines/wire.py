"""Asks the tables over PostgreSQL's protocol, as drivers and BI tools do. Prints what they find, as JSON."""

import json
import sys

import psycopg
import sqlalchemy

address, token = sys.argv[1:]
host, port = address.split(":")
found = {}


def refused(ask):
    try:
        ask()
    except psycopg.Error as error:
        said = error.diag
        return {"code": error.sqlstate, "message": said.message_primary, "hint": said.message_hint, "position": said.statement_position}
    return "it was not refused"


def connect(password=token, workspace="default"):
    return psycopg.connect(host=host, port=port, user="analyst", password=password, dbname=workspace, autocommit=True)


found["wrong_password"] = str(refused(lambda: connect("guess")))
try:
    connect("guess")
except psycopg.OperationalError as error:
    found["wrong_password"] = str(error)
try:
    connect(workspace="nowhere")
except psycopg.OperationalError as error:
    found["wrong_workspace"] = str(error)

with connect() as connection:
    sql = "SELECT event, count(*), sum(amount(value_at(properties, 'total'))), min(time), bool_and(type = 'track') FROM events WHERE event = %s GROUP BY event"
    name, count, total, first, is_track = connection.execute(sql, ["Order"]).fetchone()
    found["typed"] = [name, count, str(total.normalize()), first.tzinfo is not None, is_track]
    # In PostgreSQL's binary form, as many drivers ask.
    found["binary"] = connection.execute("SELECT count(*), max(day) > '2020-01-01' FROM events", binary=True).fetchone()
    # For a purpose that nobody has allowed nobody is read, and a statement that was prepared before is not gone on with.
    with connect() as other:
        ask = "SELECT count(*) FROM identifiers"
        found["before"] = other.execute(ask, prepare=True).fetchone()
        other.execute("SET onefold.purpose = 'marketing'")
        found["for_marketing"] = other.execute("SELECT count(*) FROM identifiers i").fetchone()
        found["outdated"] = refused(lambda: other.execute(ask, prepare=True))
    with connection.transaction():
        found["transaction"] = connection.execute("SELECT value FROM identifiers ORDER BY 1").fetchall()
    found["refused"] = {
        sql: refused(lambda: connection.execute(sql))
        for sql in [
            "SELECT usr_id FROM events",
            "SELECT 1 FROM evnts",
            "SELECT count(*)\n  FROM events WHERE",
            "DROP TABLE events",
            "SELECT 1 INTO mine",
            "DECLARE c CURSOR FOR SELECT 1 INTO mine",
            "COPY events TO '/tmp/events'",
            "CREATE EXTERNAL TABLE passwd STORED AS CSV LOCATION '/etc/passwd'",
            "EXPLAIN ANALYZE CREATE TABLE mine AS SELECT 1",
            "SET datafusion.runtime.memory_limit = '100G'",
            "PREPARE p AS DROP TABLE events",
        ]
    }
    # And in a statement that the driver prepares.
    found["prepared"] = refused(lambda: connection.execute("SELECT 1 INTO mine", prepare=True))
    found["goes_on"] = connection.execute("SELECT count(*) FROM events").fetchone()

engine = sqlalchemy.create_engine(f"postgresql+psycopg2://analyst:{token}@{address}/default")
inspector = sqlalchemy.inspect(engine)
found["tables"] = sorted(set(inspector.get_table_names() + inspector.get_view_names()))
found["columns"] = {column["name"]: str(column["type"]) for column in inspector.get_columns("events")}
print(json.dumps(found))
