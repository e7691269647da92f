"""Text-only retrieval over labeled photographs, to test a model of drawings on real images."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dwc.datasets.image_loading import decode
from dwc.errors import DatasetError
from dwc.evaluation.retrieval import Vectors, embed_gallery
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template

# The query text of each class; the classes are those of the Clothing dataset (full, CC0).
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
class LabeledPhotographs:
    """Photographs and their classes, in the same order."""

    paths: list[Path]
    labels: list[str]


def read_labeled_photographs(folder: Path) -> LabeledPhotographs:
    """Read `labels.csv` (columns `file`, `label`), which is beside the photographs.

    Raises:
        DatasetError: where the table is missing or has other columns.
    """
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
    return LabeledPhotographs([folder / r["file"] for r in rows], [r["label"] for r in rows])


@torch.inference_mode()
def evaluate_photographs(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: LabeledPhotographs,
    k: int = 10,
) -> dict[str, Any]:
    """Precision among the first `k` for each class's words, their mean, and what chance gives."""
    by_name = {str(path): path for path in photographs.paths}
    gallery = embed_gallery(model, processor, list(by_name), lambda name: decode(by_name[name]))
    return {
        "protocol": f"words alone over {len(photographs.labels)} photographs",
        **class_precision(model, processor, gallery, photographs.labels, k),
    }


@torch.inference_mode()
def class_precision(
    model: DWCModel,
    processor: DWCProcessor,
    gallery: Vectors,
    labels: Sequence[str],
    k: int = 10,
) -> dict[str, Any]:
    """Precision among the first `k` for the words of each class that occurs among the labels.

    Args:
        gallery: the photographs' embeddings (M, sum of D).
        labels: the class of each photograph, in the same order.

    Returns:
        The mean as `precision@k`, the mean that chance gives, and each class's precision and words.
    """
    classes = [name for name in CLASS_WORDS if name in labels]
    if not classes:
        raise DatasetError(
            f"no photograph belongs to a class that is searched for; the classes are "
            f"{', '.join(CLASS_WORDS)}"
        )
    template = model.config.caption_template
    texts = [fill_template(template, [CLASS_WORDS[name]]) for name in classes]
    queries = model.compose(**processor(text=texts, return_tensors="pt")).embedding.numpy()
    of_class = np.array(labels)
    precisions, chances = {}, []
    for name, row in zip(classes, queries @ gallery.T, strict=True):
        first = np.argsort(-row, kind="stable")[:k]
        precisions[name] = float((of_class[first] == name).mean())
        chances.append(float((of_class == name).mean()))
    return {
        f"precision@{k}": float(np.mean(list(precisions.values()))),
        "chance": float(np.mean(chances)),
        "classes": precisions,
        "words": {name: CLASS_WORDS[name] for name in classes},
    }
