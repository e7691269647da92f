#!/usr/bin/env bash
# duckdb 2.0.1: `read_csv` chooses the type of a column of ids or labels from its first 20,480 rows. (1) A column with
# "0007" is text, and keeps its zeros; if the first zeros come later, the column is numbers, and "0007" is 7, equal
# to the id "7". (2) A product number such as "10-11-12" is a date, written out as 2010-11-12. (3) Labels "F" alone,
# or "t" and "f", are booleans.
# Expected: ids in text, or numbers from the beginning, or an error at the row that does not fit. `all_varchar=true`
# reads what is written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import duckdb

print("duckdb", version("duckdb"))


def read(header, lines, where="true", settings=""):
    with open("list.csv", "w") as file:
        file.write("\n".join([header, *lines]) + "\n")
    return duckdb.sql(f"FROM read_csv('list.csv'{settings}) WHERE {where}").fetchall()


ids = [f"{number},dress" for number in range(1, 30001)]
early = read("id,name", ["0007,skirt", *ids], "name = 'skirt' OR id = '7'")
late = read("id,name", [*ids, "0007,skirt"], "name = 'skirt' OR id = 7")
kept = read("id,name", [*ids, "0007,skirt"], "name = 'skirt' OR id = '7'", ", all_varchar=true")
dates = [[str(cell) for cell in row] for row in read("id,name", ["10-11-12,dress", "10-12-14,skirt"])]
labels = read("file,gender", ["1.jpg,F", "2.jpg,F"])
print("0007 in the first of 30,001 rows:", early)
print("0007 in the last row:            ", late)
print("the same with all_varchar=true:  ", kept)
print("ids 10-11-12 and 10-12-14:       ", dates)
print("labels F and F:                  ", labels)
assert sorted(early) == sorted(kept) == [("0007", "skirt"), ("7", "dress")], "the plain case has changed"
assert sorted(late) == [(7, "dress"), (7, "skirt")], "this has changed"
assert dates == [["2010-11-12", "dress"], ["2010-12-14", "skirt"]], "this has changed"
assert labels == [("1.jpg", False), ("2.jpg", False)], "this has changed"
print("seen: two ids become one, product numbers become dates, and F becomes false, without a message")
PYTHON
