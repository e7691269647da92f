"""The wardrobe's protocol: words alone, captions, composed queries, weight and truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dwc.datasets.image_loading import decode
from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.datasets.wardrobe import Photograph, attribute_changes, image_path, read_wardrobe
from dwc.evaluation.metrics import recalls
from dwc.evaluation.photographs import class_precision
from dwc.evaluation.retrieval import (
    Vectors,
    batched,
    encode_benchmark,
    rank_benchmark,
    rank_hits,
    readable_text,
)
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

_KS = (1, 10)
_BATCH_SIZE = 64


def evaluate_wardrobe(
    model: DWCModel,
    processor: DWCProcessor,
    folder: Path,
    split: str = "eval",
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a model on a split of a wardrobe.

    Args:
        folder: `attributes.csv` and the photographs, as `dwc.datasets.wardrobe` describes them.
        queries: how many of the composed queries are asked, by default all.
        seed: draws the change that is asked of each reference, and which queries are asked.

    Returns:
        `classes`: precision among the first ten for the words of each class. `captions`: recalls of
        the photograph that a caption describes. `composed`: recalls of any photograph that fits a
        reference and the words of a change. `streams`: for each stream, its recalls on the composed
        queries and `weight_truth_correlation`, Spearman's correlation of the image weight with the
        share of the wish that only the picture tells. Photographs that cannot be read are left out
        and counted.
    """
    photographs = read_wardrobe(folder, split)
    benchmark = composed_benchmark(photographs, f"wardrobe-{split}", seed)
    encoded = encode_benchmark(
        benchmark,
        model,
        processor,
        lambda file: decode(image_path(folder, file)),
        _BATCH_SIZE,
        queries,
        seed,
    )
    by_file = {photograph.file: photograph for photograph in photographs}
    readable = [by_file[file] for file in encoded.benchmark.gallery]
    report = rank_benchmark(encoded)
    composed = report.to_dict(_KS)
    return {
        "protocol": benchmark.protocol,
        "split": split,
        "seed": seed,
        "photographs": len(readable),
        "missing": len(encoded.unreadable),
        "classes": class_precision(
            model, processor, encoded.gallery, [photograph.label for photograph in readable]
        ),
        "captions": caption_recalls(model, processor, readable, encoded.gallery),
        "composed": {
            **recalls(report.ranks["together"], _KS),
            "queries": len(encoded.benchmark.queries),
            "hits_per_query": float(
                np.mean([len(query.hits) for query in encoded.benchmark.queries])
            ),
            "texts_cut": composed["texts_cut"],
        },
        "streams": composed["streams"],
    }


def composed_benchmark(photographs: Sequence[Photograph], protocol: str, seed: int) -> Benchmark:
    """The photographs as a gallery, and a query for each reference that has one."""
    files = [photograph.file for photograph in photographs]
    return Benchmark(
        protocol=protocol,
        gallery=tuple(files),
        queries=tuple(
            RetrievalQuery(
                files[change.reference],
                (change.words,),
                frozenset(files[row] for row in change.hits),
                change.image_share,
            )
            for change in attribute_changes(photographs, seed)
        ),
    )


@torch.inference_mode()
def caption_recalls(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: Sequence[Photograph],
    gallery: Vectors,
) -> dict[str, Any]:
    """Recalls of each photograph for its own caption, words alone; `gallery` (M, sum of D)."""
    template = model.config.caption_template
    embeddings = []
    for chunk in batched(photographs, _BATCH_SIZE):
        texts = [
            readable_text(processor, template, [photograph.caption])[0] for photograph in chunk
        ]
        inputs = processor(text=texts, return_tensors="pt").to(model.device)
        embeddings.append(model.compose(**inputs).embedding.float().cpu())
    files = [photograph.file for photograph in photographs]
    own = Benchmark(
        protocol="captions",
        gallery=tuple(files),
        queries=tuple(RetrievalQuery("", (), frozenset({file})) for file in files),
        reference_removed=False,
    )
    ranks = rank_hits(own, torch.cat(embeddings).numpy(), gallery)
    return {**recalls(ranks, _KS), "queries": len(ranks)}
