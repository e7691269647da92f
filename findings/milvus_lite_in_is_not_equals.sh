#!/usr/bin/env bash
# milvus-lite 3.2.2 (with pymilvus 3.0.2): a filter with `in` and a list of one value selects other rows
# than `==` with this value. Negated, it includes the rows in which the field is null, whether it is
# written `not in` or `not (... in ...)`; `!=` and `not (... == ...)` leave them out. And `in [0.0]` leaves
# out -0.0, which `== 0.0` includes.
# Expected: `x in [v]` and `x == v` select the same rows, and so do their negations.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pymilvus==3.0.2 milvus-lite==3.2.2
"$folder/env/bin/python" - "$folder/shop.db" <<'PYTHON'
import logging
import sys
from importlib.metadata import version

from pymilvus import DataType, MilvusClient

logging.getLogger("grpc._server").setLevel(logging.CRITICAL)  # it logs what milvus-lite lacks
client = MilvusClient(sys.argv[1])
schema = MilvusClient.create_schema(auto_id=False)
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
schema.add_field("color", DataType.VARCHAR, max_length=20, nullable=True)
schema.add_field("shift", DataType.DOUBLE)
index = MilvusClient.prepare_index_params()
index.add_index("vector", index_type="FLAT", metric_type="IP")
client.create_collection("shop", schema=schema, index_params=index, consistency_level="Strong")
rows = [("red", 0.0), ("red", -0.0), ("blue", 1.0), (None, 2.0)]
client.insert(
    "shop",
    [
        {"id": n, "vector": [1.0, n], "color": color, "shift": shift}
        for n, (color, shift) in enumerate(rows)
    ],
)
print("milvus-lite", version("milvus-lite"), "rows by id:", dict(enumerate(rows)))


def selected(condition):
    ids = sorted(row["id"] for row in client.query("shop", filter=condition, output_fields=["id"]))
    print(f"{condition:24} selects {ids}")
    return ids


assert selected('color == "red"') == selected('color in ["red"]') == [0, 1]
for equals, is_in in (
    ('color != "red"', 'color not in ["red"]'),
    ('not (color == "red")', 'not (color in ["red"])'),
):
    assert selected(equals) == [2], "null is selected"
    assert selected(is_in) == [2, 3], "null is not selected any more"
assert selected("shift == 0.0") == [0, 1]
assert selected("shift in [0.0]") == [0], "-0.0 is in [0.0] now"
print("seen: `in` treats null and -0.0 in another way than `==`")
PYTHON
