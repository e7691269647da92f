#!/usr/bin/env bash
# sqlite-vec 0.1.9 (with apsw 3.54.1.0, its SQLite): some conditions of a nearest-neighbor query choose among
# all rows; others are applied to the k nearest rows that were already chosen, and the answer is short or
# empty, without an error. `rowid IN (2, 3)`, the documented way to search a subset, is of the first kind; a
# list of one, `rowid IN (2)`, is of the second, because SQLite makes `rowid = 2` of it. So are
# `NOT color = 'red'` (but not `color != 'red'`), an `OR` of two columns, and every expression.
# Expected: a subset of one row is searched as one of two; conditions that mean the same select the same rows;
# what cannot be used before the search is refused, as `LIKE` is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check sqlite-vec==0.1.9 apsw==3.54.1.0
"$folder/env/bin/python" - <<'PYTHON'
import struct
from importlib.metadata import version

import apsw
import sqlite_vec

database = apsw.Connection(":memory:")
database.enable_load_extension(True)
database.load_extension(sqlite_vec.loadable_path())
print("sqlite-vec", version("sqlite-vec"), "SQLite", apsw.sqlite_lib_version())
database.execute("CREATE VIRTUAL TABLE shop USING vec0(vector float[1], color text, price float)")
rows = {1: ("red", 10.0), 2: ("blue", 20.0), 3: ("green", 30.0)}  # 1 is the nearest to the query
for rowid, (color, price) in rows.items():
    vector = struct.pack("f", rowid)
    database.execute(
        "INSERT INTO shop(rowid, vector, color, price) VALUES (?, ?, ?, ?)", (rowid, vector, color, price)
    )


def nearest(condition):
    query = f"SELECT rowid FROM shop WHERE vector MATCH ? AND k = 1 AND {condition}"
    found = [rowid for (rowid,) in database.execute(query, (struct.pack("f", 0.0),))]
    print(f"{condition:38} {found}")
    return found


for subset in ("rowid IN (2, 3)", "rowid IN (SELECT 2)", "price IN (20)"):
    assert nearest(subset) == [2], "this has changed"
for subset in ("rowid IN (2)", "rowid = 2", "rowid > 1"):
    assert nearest(subset) == [], "this has changed"
pairs = [
    ("color != 'red'", "NOT color = 'red'"),
    ("color IN ('blue', 'green')", "(color = 'blue' OR price = 30)"),
    ("price > 10", "price + 0 > 10"),
]
for before, after in pairs:
    assert nearest(before) == [2], "this has changed"
    assert nearest(after) == [], "this has changed"
try:
    nearest("color LIKE 'b%'")
except apsw.SQLError as error:
    print("color LIKE 'b%':", error)
else:
    raise AssertionError("this has changed")
print("seen: a subset of two rows is searched, a subset of one is not; `!=` finds what `NOT … =` does not")
PYTHON
