"""Running a benchmark: embed its gallery, ask its queries, rank, count."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.evaluation.metrics import first_hit_rank, recalls, spearman
from dwc.modeling.captions import fill_template
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

OpenPicture = Callable[[str], Image.Image]
Vectors = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class QueryVectors:
    """Composed queries as arrays: by stream, embeddings (N, D) and image weights (N,)."""

    embeddings: dict[str, Vectors]
    image_weights: dict[str, Vectors]


@dataclass(frozen=True)
class Report:
    """What a benchmark gave: for "together" and each stream, the rank of the first hit (N,)."""

    benchmark: Benchmark
    ranks: dict[str, NDArray[np.int64]]
    image_weights: dict[str, Vectors]

    def weight_truth_correlation(self, stream: str) -> float | None:
        """Spearman's correlation of the image weight with the share that only the picture tells.

        None where the truth is not known, and where all weights or all shares are equal.
        """
        shares = [query.picture_share for query in self.benchmark.queries]
        if not shares or any(share is None for share in shares):
            return None
        correlation = spearman(self.image_weights[stream], np.array(shares, dtype=np.float64))
        return None if np.isnan(correlation) else correlation

    def to_dict(self, ks: Sequence[int] = (1, 10, 50)) -> dict[str, Any]:
        """Recalls as fractions, overall and by stream, the protocol and the counts."""
        streams: dict[str, dict[str, Any]] = {}
        for name in self.image_weights:
            streams[name] = recalls(self.ranks[name], ks)
            streams[name]["image_weight_mean"] = float(self.image_weights[name].mean())
            correlation = self.weight_truth_correlation(name)
            if correlation is not None:
                streams[name]["weight_truth_correlation"] = correlation
        return {
            "protocol": self.benchmark.protocol,
            "queries": len(self.benchmark.queries),
            "gallery": len(self.benchmark.gallery),
            "missing": len(self.benchmark.missing),
            **recalls(self.ranks["together"], ks),
            "streams": streams,
        }


def batched(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


@torch.inference_mode()
def embed_gallery(
    model: DWCModel,
    processor: DWCProcessor,
    ids: Sequence[str],
    open_picture: OpenPicture,
    batch_size: int = 64,
) -> Vectors:
    """(M, sum of D): the gallery vectors of the pictures `ids`, in their order."""
    chunks = []
    for chunk in batched(ids, batch_size):
        inputs = processor(images=[open_picture(i) for i in chunk], return_tensors="pt")
        chunks.append(model.embed_images(inputs["pixel_values"].to(model.device)).float().cpu())
    return torch.cat(chunks).numpy()


@torch.inference_mode()
def compose_queries(
    model: DWCModel,
    processor: DWCProcessor,
    queries: Sequence[RetrievalQuery],
    open_picture: OpenPicture,
    batch_size: int = 64,
) -> QueryVectors:
    """Compose every query: its captions through the checkpoint's template, its reference opened."""
    embeddings: dict[str, list[torch.Tensor]] = {}
    weights: dict[str, list[torch.Tensor]] = {}
    for chunk in batched(queries, batch_size):
        inputs = processor(
            images=[open_picture(query.reference) for query in chunk],
            text=[fill_template(model.config.caption_template, query.captions) for query in chunk],
            return_tensors="pt",
        )
        composed = model.compose(**{name: value.to(model.device) for name, value in inputs.items()})
        for name, stream in composed.streams.items():
            embeddings.setdefault(name, []).append(stream.embedding.float().cpu())
            weights.setdefault(name, []).append(stream.image_weight[:, 0].float().cpu())
    return QueryVectors(
        {name: torch.cat(parts).numpy() for name, parts in embeddings.items()},
        {name: torch.cat(parts).numpy() for name, parts in weights.items()},
    )


def rank_hits(
    benchmark: Benchmark, queries: Vectors, gallery: Vectors, chunk: int = 512
) -> NDArray[np.int64]:
    """The rank of each query's first hit (N,), references left out where the protocol says so."""
    position = {name: index for index, name in enumerate(benchmark.gallery)}
    ranks = []
    for start in range(0, len(queries), chunk):
        scores = queries[start : start + chunk] @ gallery.T  # (chunk, M)
        for row, query in zip(scores, benchmark.queries[start : start + chunk], strict=True):
            if benchmark.reference_removed and query.reference in position:
                row[position[query.reference]] = -np.inf
            hits = np.zeros(len(row), dtype=bool)
            hits[[position[hit] for hit in query.hits if hit in position]] = True
            ranks.append(first_hit_rank(row, hits & np.isfinite(row)))
    return np.array(ranks)


def run_benchmark(
    benchmark: Benchmark,
    model: DWCModel,
    processor: DWCProcessor,
    open_picture: OpenPicture,
    batch_size: int = 64,
) -> Report:
    """Embed, compose, rank: for both streams together and for each alone."""
    gallery = embed_gallery(model, processor, benchmark.gallery, open_picture, batch_size)
    queries = compose_queries(model, processor, benchmark.queries, open_picture, batch_size)
    ranks = {
        "together": rank_hits(
            benchmark, np.concatenate(list(queries.embeddings.values()), axis=1), gallery
        )
    }
    start = 0
    for name, vectors in queries.embeddings.items():
        width = vectors.shape[1]
        ranks[name] = rank_hits(benchmark, vectors, gallery[:, start : start + width])
        start += width
    return Report(benchmark, ranks, queries.image_weights)
