"""Words alone over labelled photographs: what drawings taught, tried on the real thing."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dwc.datasets.image_loading import decode
from dwc.errors import DatasetError
from dwc.evaluation.retrieval import embed_gallery
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template

# The words asked for each class; the classes are those of the Clothing dataset (full, CC0).
CLASS_WORDS: Mapping[str, str] = {
    "T-Shirt": "t-shirt",
    "Longsleeve": "longsleeve",
    "Pants": "pants",
    "Shoes": "shoes",
    "Shorts": "shorts",
    "Dress": "dress",
    "Skirt": "skirt",
}


@dataclass(frozen=True)
class LabelledPhotographs:
    """Photographs and the class of each, in the same order."""

    paths: list[Path]
    labels: list[str]


def read_labelled_photographs(folder: Path) -> LabelledPhotographs:
    """Read `labels.csv` (columns `file`, `label`) and find the photographs beside it."""
    table = folder / "labels.csv"
    if not table.is_file():
        raise DatasetError(
            f"{folder} has no labels.csv; expected a table with the columns file and label beside "
            "the photographs. Give the folder that holds it: --data DIR"
        )
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise DatasetError(f"{table} should have the columns file and label, and at least one row")
    return LabelledPhotographs([folder / r["file"] for r in rows], [r["label"] for r in rows])


@torch.inference_mode()
def words_to_photographs(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: LabelledPhotographs,
    k: int = 10,
) -> dict[str, Any]:
    """Precision among the first `k` for each class's words, their mean, and what chance gives."""
    by_name = {str(path): path for path in photographs.paths}
    gallery = embed_gallery(model, processor, list(by_name), lambda name: decode(by_name[name]))
    template = model.config.caption_template
    texts = [fill_template(template, [words]) for words in CLASS_WORDS.values()]
    queries = model.compose(**processor(text=texts, return_tensors="pt")).embedding.numpy()
    labels = np.array(photographs.labels)
    precisions, chances = {}, []
    for name, row in zip(CLASS_WORDS, queries @ gallery.T, strict=True):
        first = np.argsort(-row, kind="stable")[:k]
        precisions[name] = float((labels[first] == name).mean())
        chances.append(float((labels == name).mean()))
    return {
        "protocol": f"words alone over {len(labels)} photographs",
        f"precision@{k}": float(np.mean(list(precisions.values()))),
        "chance": float(np.mean(chances)),
        "classes": precisions,
        "words": dict(CLASS_WORDS),
    }
