#!/usr/bin/env bash
# torchmetrics 1.9.0: in `RetrievalMAP`, `RetrievalRecall`, `RetrievalPrecision` and `RetrievalMRR` a relevant
# document whose score is zero or less counts as not relevant. Cosines and logits are often negative; the same
# ranking, shifted below zero, has an average precision and a recall of 0. Second, average precision with
# `top_k=k` divides by the number of relevant documents within the first k, not by the number of all
# (trec_eval's map_cut) nor by the smaller of k and that (CIRCO's mAP@K): one hit of four, at rank 1, scores
# 1.0, and one more hit, at rank 5, lowers it.
# Expected: only the order of the scores matters; 0.25 for one of four relevant documents at rank 1; no loss
# from another hit. The documentation calls the scores probabilities and names neither rule; the first was
# made on purpose (Lightning-AI/torchmetrics, pull request 3104).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_recall

print("torchmetrics", version("torchmetrics"))
k = 5
scores = torch.linspace(0.9, 0.2, 8)  # the ranks are 1 to 8


def relevant(*ranks):
    return torch.tensor([rank in ranks for rank in range(1, 9)])


def by_hits(ranks):
    """The sum of the precisions at the hits within k."""
    hits = sorted(rank for rank in ranks if rank <= k)
    return sum(number / rank for number, rank in enumerate(hits, start=1))


truth = relevant(1, 3)
precision = [round(float(retrieval_average_precision(shifted, truth)), 4) for shifted in (scores, scores - 1)]
recall = [float(retrieval_recall(shifted, truth, top_k=k)) for shifted in (scores, scores - 1)]
print(f"relevant at ranks 1 and 3: average precision {precision[0]}, with each score less 1: {precision[1]}")
print(f"  recall@{k}: {recall[0]}, with each score less 1: {recall[1]}")
assert precision == [0.8333, 0.0], "this has changed"
assert recall == [1.0, 0.0], "this has changed"
at_k = []
for ranks in ((1, 6, 7, 8), (1, 5, 7, 8)):
    at_k.append(round(float(retrieval_average_precision(scores, relevant(*ranks), top_k=k)), 4))
    print(f"relevant at ranks {ranks}: average precision at {k} {at_k[-1]}, of all four {by_hits(ranks) / 4}")
assert at_k == [1.0, 0.7], "this has changed"
print("seen: scores below zero never hit; one hit of four scores 1.0, two hits of four score less")
PYTHON
