#!/usr/bin/env bash
# pytrec_eval-terrier 0.5.11 and ranx 0.3.21 break ties of scores differently: trec_eval takes the
# greater document id first, whatever the order of the run; ranx takes the order of the run.
# So the same answer with two equal scores has recall@1 of 1 in one and 0 in the other, and duplicates
# in a gallery (equal embeddings, equal scores) move published numbers by the names of their files.
# Expected: the order in which the results were given, in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pytrec-eval-terrier==0.5.11 ranx==0.3.21
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import pytrec_eval
import ranx

relevant = {"query": {"a": 1}}
run = {"query": {"a": 1.0, "b": 1.0}}  # "a" is listed first and is what is sought
trec = pytrec_eval.RelevanceEvaluator(relevant, {"recall.1"}).evaluate(run)["query"]["recall_1"]
other = ranx.evaluate(ranx.Qrels(relevant), ranx.Run(run), "recall@1")
print("pytrec_eval-terrier", version("pytrec-eval-terrier"), "recall@1:", trec)
print("ranx", version("ranx"), "recall@1:", float(other))
assert trec == 0.0, "trec_eval's order of ties has changed"
assert other == 1.0, "ranx's order of ties has changed"
print("seen: the same run, recall@1 of 0 and 1")
PYTHON
