"""What CIRR's test server scores: two JSON files, since the targets of test1 are withheld.

    recall.json           {"version": "rc2", "metric": "recall", "<pairid>": [50 names], …}
    recall_subset.json    {"version": "rc2", "metric": "recall_subset", "<pairid>": [3 names], …}

The names are best first; of equal scores, that which the split (or the set) lists first.
Source: https://github.com/Cuberick-Orion/CIRR/blob/main/Test-split_server.md
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.datasets.cirr import benchmark, pictures_of
from dwc.evaluation.benchmarks import encode
from dwc.evaluation.cirr import asked_of, subset_scores
from dwc.evaluation.retrieval import Encoded
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

VERSION = "rc2"
LENGTHS = {"recall": 50, "recall_subset": 3}


def write_submission(
    model: DWCModel, processor: DWCProcessor, root: Path, folder: Path, split: str = "test1"
) -> dict[str, Any]:
    """Rank for every query of the split, write both files into `folder`, and say what was missing.

    A query whose reference is missing is not in the files, and the server wants all: `complete`
    tells whether they are.
    """
    whole = benchmark(root, split, targets_withheld=True)
    encoded, coverage = encode(whole, pictures_of(root, split), model, processor)
    folder.mkdir(parents=True, exist_ok=True)
    rankings = {"recall": best_of_split(encoded), "recall_subset": best_of_subset(encoded)}
    files = []
    for metric, best in rankings.items():
        path = folder / f"{metric}.json"
        path.write_text(json.dumps({"version": VERSION, "metric": metric, **best}))
        files.append(str(path))
    return {
        "protocol": whole.protocol,
        "queries": len(encoded.benchmark.queries),
        "gallery": len(encoded.benchmark.gallery),
        "texts_cut": encoded.queries.texts_cut,
        **coverage.to_dict(),
        "submission": files,
        "complete": all(
            len(encoded.benchmark.queries) == len(whole.queries)
            and len(names) == min(LENGTHS[metric], len(whole.gallery) - 1)
            for metric, best in rankings.items()
            for names in best.values()
        ),
    }


def best_of_split(encoded: Encoded) -> dict[str, list[str]]:
    """By pair id, the 50 best names of the split, the reference left out."""
    names = encoded.benchmark.gallery
    vectors, gallery = encoded.views["together"]
    length = LENGTHS["recall"]
    best = {}
    for vector, query in zip(vectors, asked_of(encoded), strict=True):
        first = [names[place] for place in _best_first(gallery @ vector)[: length + 1]]
        best[str(query.pair_id)] = [name for name in first if name != query.reference][:length]
    return best


def best_of_subset(encoded: Encoded) -> dict[str, list[str]]:
    """By pair id, the 3 best names among the five others of the reference's set."""
    scored = zip(subset_scores(encoded, encoded.views["together"]), asked_of(encoded), strict=True)
    return {
        str(query.pair_id): [others[n] for n in _best_first(scores)[: LENGTHS["recall_subset"]]]
        for (others, scores), query in scored
    }


def _best_first(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")
