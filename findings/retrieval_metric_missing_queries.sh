#!/usr/bin/env bash
# pytrec_eval-terrier 0.5.11 returns nothing for a query of the ground truth that the run has no results
# for, so that the mean of its values leaves that query out; ir_measures 0.4.3, which uses it, counts
# the query as 0. Mean recall of one run: 1.0 and 0.5.
# Expected: a query without an answer counts as a miss in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pytrec-eval-terrier==0.5.11 ir-measures==0.4.3
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import ir_measures
import pytrec_eval
from ir_measures import R

relevant = {"answered": {"a": 1}, "unanswered": {"a": 1}}
run = {"answered": {"a": 1.0}}
values = pytrec_eval.RelevanceEvaluator(relevant, {"recall.1"}).evaluate(run)
mean = sum(value["recall_1"] for value in values.values()) / len(values)
other = ir_measures.calc_aggregate([R @ 1], relevant, run)[R @ 1]
print("pytrec_eval-terrier", version("pytrec-eval-terrier"), "queries:", sorted(values), "mean:", mean)
print("ir-measures", version("ir-measures"), "mean:", other)
assert sorted(values) == ["answered"] and mean == 1.0, "pytrec_eval's treatment has changed"
assert other == 0.5, "ir_measures' treatment has changed"
print("seen: 1.0 and 0.5 for the same run")
PYTHON
