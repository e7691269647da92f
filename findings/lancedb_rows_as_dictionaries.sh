#!/usr/bin/env bash
# lancedb 0.40.0: a table made from dictionaries has the fields of the first one alone; what later ones have besides
# is left out. `add` refuses an unknown field, but cuts a price of 5.7 to 5 where the first were integers, and
# with distance_type("cosine") a vector of zeros is in no result, while "l2" and "dot" return it.
# Expected: a field for each key, empty where it is missing; 5.7, or an error; the vector of zeros at the end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check lancedb==0.40.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import lancedb

print("lancedb", version("lancedb"))
database = lancedb.connect("database")
table = database.create_table(
    "shop",
    [
        {"id": 1, "price": 10, "vector": [1.0, 0.0]},
        {"id": 2, "price": 12, "vector": [0.0, 1.0], "color": "red"},
    ],
)
made = table.to_arrow().to_pylist()
print("made:", made)
table.add([{"id": 3, "price": 5.7, "vector": [0.0, 0.0]}])
price = table.search().where("id = 3").to_list()[0]["price"]
print("price 5.7 is stored as", price)
try:
    table.add([{"id": 4, "price": 1, "vector": [1.0, 1.0], "color": "red"}])
    sys.exit("this has changed: add takes an unknown field")
except ValueError as error:
    print("add with a color: ValueError:", str(error).splitlines()[0])
results = {}
for metric in ("l2", "dot", "cosine"):
    rows = table.search([1.0, 0.0]).distance_type(metric).limit(10).to_list()
    results[metric] = sorted(row["id"] for row in rows)
    print(f"search by {metric}: rows {results[metric]} of 1, 2, 3")
assert len(made) == 2 and all("color" not in row for row in made), "this has changed"
assert price == 5, "this has changed"
assert results == {"l2": [1, 2, 3], "dot": [1, 2, 3], "cosine": [1, 2]}, "this has changed"
print("seen: the color, the fraction of the price and a result are lost without a message")
PYTHON
