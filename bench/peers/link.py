"""Splink 5 on DuckDB over a CSV file of people, with settings made for its columns; prints figures as a line of JSON."""
import json, resource, sys, time

import duckdb, splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

columns = ["given_name", "surname", "dob", "email", "phone", "street_number", "address_1", "suburb", "postcode"]
file = sys.argv[1]
began = time.time()
db = duckdb.connect()
there = [row[0] for row in db.sql(f"describe select * from read_csv('{file}', all_varchar = true)").fetchall()]
if not set(columns + ["unique_id", "person_id"]) <= set(there):
    print("null")
    sys.exit()
cleaned = {"email": r"regexp_replace(lower(email), '\+[^@]*@', '@')", "phone": r"regexp_replace(phone, '^\+61', '0')"}
picked = ", ".join(f"nullif({cleaned.get(name, name)}, '') as {name}" for name in columns)
db.sql(f"create table p as select unique_id, person_id, {picked} from read_csv('{file}', all_varchar = true, nullstr = '')")
rules = [
    block_on("email"), block_on("phone"), block_on("surname", "dob"), block_on("given_name", "dob"),
    block_on("given_name", "surname", "postcode"), block_on("surname", "street_number", "address_1"), block_on("dob", "postcode"),
    "l.given_name = r.surname and l.surname = r.given_name and l.postcode = r.postcode",
]
comparisons = [
    cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
    cl.NameComparison("surname").configure(term_frequency_adjustments=True),
    cl.DateOfBirthComparison("dob", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True),
    cl.EmailComparison("email").configure(term_frequency_adjustments=True),
    cl.DamerauLevenshteinAtThresholds("phone", [1]).configure(term_frequency_adjustments=True),
    cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
    cl.DamerauLevenshteinAtThresholds("postcode", [1]).configure(term_frequency_adjustments=True),
]
settings = SettingsCreator(
    link_type="dedupe_only", unique_id_column_name="unique_id", blocking_rules_to_generate_predictions=rules,
    comparisons=comparisons, retain_matching_columns=False, additional_columns_to_retain=["person_id"],
)
api = DuckDBAPI(connection=db)
linker = Linker(api.register(db.table("p")), settings, log_level=40)
sure = [block_on("email", "given_name"), block_on("given_name", "surname", "dob"), block_on("phone", "given_name")]
linker.training.estimate_probability_two_random_records_match(sure, recall=0.8)
linker.training.estimate_u_using_random_sampling(max_pairs=5e6, seed=2)
for rule in (("email",), ("surname", "dob")):
    linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule), max_pairs=1e6)
pairs = linker.inference.predict(threshold_match_probability=0.01)
clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.9)
wall_s = time.time() - began
rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def one(sql):
    return db.sql(sql).fetchall()[0]


def figures(right, found):
    p, r = (right or 0) / max(found or 0, 1), (right or 0) / max(true, 1)
    return p, r, 2 * p * r / max(p + r, 1e-12)


true = int(one("select sum(n * (n - 1) // 2) from (select count(*) n from p group by person_id)")[0] or 0)
found, right = one(f"select count(*), sum((person_id_l = person_id_r)::int) from {pairs.physical_name} where match_probability >= 0.9")
pair_f1 = figures(right, found)[2]
table = clusters.physical_name
found = one(f"select sum(n * (n - 1) // 2) from (select count(*) n from {table} group by cluster_id)")[0]
right = one(
    "select sum(n * (n - 1) // 2) from (select count(*) n from "
    f"{table} c join p on p.unique_id = c.unique_id group by c.cluster_id, p.person_id)"
)[0]
precision, recall, f1 = figures(right, found)
result = {"wall_s": wall_s, "rss_mib": rss_mib, "pair_f1": pair_f1, "cluster_precision": precision, "cluster_recall": recall, "cluster_f1": f1}
print(json.dumps({name: round(float(value), 5) for name, value in result.items()}))
