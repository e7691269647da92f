"""A query's captions as a checkpoint reads them: in its template, and no longer than it can.

Running a benchmark: embed its gallery, ask its queries, rank, count.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dwc.datasets.triplets import Benchmark, RetrievalQuery, drop_missing, sample_queries
from dwc.errors import DatasetError, ImageError, QueryError
from dwc.evaluation.metrics import correlation, first_hit_rank, recalls
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template


def readable_text(
    processor: DWCProcessor, template: Mapping[str, str], captions: Sequence[str]
) -> tuple[str, bool]:
    """The captions in the template, and whether they had to be cut.

    CLIP reads a set number of tokens, and some annotators wrote more. The longest caption loses its
    last word until the whole is short enough, so that what the template adds stays.
    """
    words = [caption.split() for caption in captions]
    text = fill_template(template, captions)
    cut = False
    while not _is_readable(processor, text) and any(words):
        max(words, key=len).pop()
        text = fill_template(template, [" ".join(caption) for caption in words])
        cut = True
    return text, cut


def _is_readable(processor: DWCProcessor, text: str) -> bool:
    try:
        processor(text=[text], return_tensors="pt")
    except QueryError:
        return False
    return True


logger = logging.getLogger(__name__)

OpenImage = Callable[[str], Image.Image]
Vectors = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class QueryVectors:
    """Composed queries as arrays: by stream, embeddings (N, D) and image weights (N,).

    `texts_cut` of them had more words than the model reads.
    """

    embeddings: dict[str, Vectors]
    image_weights: dict[str, Vectors]
    texts_cut: int = 0


@dataclass(frozen=True)
class EncodedBenchmark:
    """A benchmark as vectors: its gallery (M, sum of D), and its queries.

    `benchmark` is what is asked. It lacks the pictures that could not be read, `unreadable` by id
    with the reason; `answerable` counts its queries before some were drawn.
    """

    benchmark: Benchmark
    gallery: Vectors
    queries: QueryVectors
    answerable: int
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def views(self) -> dict[str, tuple[Vectors, Vectors]]:
        """For "together" and each stream, its query vectors (N, D) and gallery vectors (M, D)."""
        together = np.concatenate(list(self.queries.embeddings.values()), axis=1)
        views = {"together": (together, self.gallery)}
        start = 0
        for name, vectors in self.queries.embeddings.items():
            end = start + vectors.shape[1]
            views[name] = (vectors, self.gallery[:, start:end])
            start = end
        return views


@dataclass(frozen=True)
class RankReport:
    """What a benchmark gave: for "together" and each stream, the rank of the first hit (N,)."""

    benchmark: Benchmark
    ranks: dict[str, NDArray[np.int64]]
    image_weights: dict[str, Vectors]
    texts_cut: int = 0

    def weight_truth_correlation(self, stream: str) -> float | None:
        """Spearman's correlation of the image weight with the share that only the picture tells.

        None where the truth is not known, and where all weights or all shares are equal.
        """
        shares = [query.picture_share for query in self.benchmark.queries]
        if not shares or any(share is None for share in shares):
            return None
        return correlation(self.image_weights[stream], np.array(shares, dtype=np.float64))

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
            "texts_cut": self.texts_cut,
            **recalls(self.ranks["together"], ks),
            "streams": streams,
        }


def batched(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _told(items: Sequence[T], size: int, what: str) -> Iterator[list[T]]:
    """As `batched`; every tenth of the way is logged, since a benchmark takes minutes to hours."""
    done = 0
    for chunk in batched(items, size):
        yield chunk
        before, done = done, done + len(chunk)
        if 10 * done // len(items) > 10 * before // len(items):
            logger.info("%d of %d %s", done, len(items), what)


def embed_gallery(
    model: DWCModel,
    processor: DWCProcessor,
    ids: Sequence[str],
    open_picture: OpenImage,
    batch_size: int = 64,
) -> Vectors:
    """(M, sum of D): the gallery vectors of the pictures `ids`, in their order.

    ImageError for the first that cannot be read.
    """
    chunks = batched(ids, batch_size)
    return np.concatenate(
        [_embed(model, processor, [open_picture(name) for name in chunk]) for chunk in chunks]
    )


def embed_readable(
    model: DWCModel,
    processor: DWCProcessor,
    ids: Sequence[str],
    open_picture: OpenImage,
    batch_size: int = 64,
) -> tuple[Vectors, dict[str, str]]:
    """The gallery vectors of those pictures that can be read, in order; why the others cannot."""
    chunks: list[Vectors] = []
    unreadable: dict[str, str] = {}
    for chunk in _told(ids, batch_size, "pictures"):
        opened = [_open(open_picture, name, unreadable) for name in chunk]
        pictures = [picture for picture in opened if picture is not None]
        if pictures:
            chunks.append(_embed(model, processor, pictures))
    return np.concatenate(chunks) if chunks else np.empty((0, 0), np.float32), unreadable


def _open(open_picture: OpenImage, name: str, unreadable: dict[str, str]) -> Image.Image | None:
    """The picture, or None and an entry in `unreadable`."""
    try:
        return open_picture(name)
    except ImageError as error:
        logger.warning("skipped: %s", error)
        unreadable[name] = str(error)
        return None


@torch.inference_mode()
def _embed(model: DWCModel, processor: DWCProcessor, pictures: list[Image.Image]) -> Vectors:
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    return model.embed_images(pixels.to(model.device)).float().cpu().numpy()


@torch.inference_mode()
def compose_queries(
    model: DWCModel,
    processor: DWCProcessor,
    queries: Sequence[RetrievalQuery],
    open_picture: OpenImage,
    batch_size: int = 64,
) -> QueryVectors:
    """Compose every query: its captions through the checkpoint's template, its reference opened."""
    embeddings: dict[str, list[torch.Tensor]] = {}
    weights: dict[str, list[torch.Tensor]] = {}
    texts_cut = 0
    for chunk in _told(queries, batch_size, "queries"):
        texts = [readable_text(processor, model.config.caption_template, q.captions) for q in chunk]
        texts_cut += sum(cut for _, cut in texts)
        inputs = processor(
            images=[open_picture(query.reference) for query in chunk],
            text=[text for text, _ in texts],
            return_tensors="pt",
        )
        composed = model.compose(**{name: value.to(model.device) for name, value in inputs.items()})
        for name, stream in composed.streams.items():
            embeddings.setdefault(name, []).append(stream.embedding.float().cpu())
            weights.setdefault(name, []).append(stream.image_weight[:, 0].float().cpu())
    return QueryVectors(
        {name: torch.cat(parts).numpy() for name, parts in embeddings.items()},
        {name: torch.cat(parts).numpy() for name, parts in weights.items()},
        texts_cut,
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
            hits = np.zeros(len(row), dtype=bool)
            hits[[position[hit] for hit in query.hits if hit in position]] = True
            if benchmark.reference_removed and query.reference in position:
                row[position[query.reference]] = -np.inf
                hits[position[query.reference]] = False
            ranks.append(first_hit_rank(row, hits))
    return np.array(ranks, dtype=np.int64)


def encode_benchmark(
    benchmark: Benchmark,
    model: DWCModel,
    processor: DWCProcessor,
    open_picture: OpenImage,
    batch_size: int = 64,
    queries: int | None = None,
    seed: int = 0,
) -> EncodedBenchmark:
    """Embed the gallery, leave out what cannot be read, and compose the queries.

    `queries` of them are drawn by `seed`, by default all are asked. DatasetError where none is
    left to be asked.
    """
    gallery, unreadable = embed_readable(
        model, processor, benchmark.gallery, open_picture, batch_size
    )
    left = drop_missing(benchmark, unreadable)
    asked = left if queries is None else sample_queries(left, queries, seed)
    if not asked.queries:
        raise DatasetError(
            f"no query of {benchmark.protocol} is left: {len(benchmark.missing)} pictures are "
            f"missing and {len(unreadable)} cannot be read. Fetch the pictures again"
        )
    composed = compose_queries(model, processor, asked.queries, open_picture, batch_size)
    return EncodedBenchmark(asked, gallery, composed, len(left.queries), unreadable)


def rank_benchmark(encoded: EncodedBenchmark) -> RankReport:
    """Rank for both streams together and for each alone."""
    ranks = {name: rank_hits(encoded.benchmark, *view) for name, view in encoded.views.items()}
    queries = encoded.queries
    return RankReport(encoded.benchmark, ranks, queries.image_weights, queries.texts_cut)


def run_benchmark(
    benchmark: Benchmark,
    model: DWCModel,
    processor: DWCProcessor,
    open_picture: OpenImage,
    batch_size: int = 64,
) -> RankReport:
    """Embed, compose, rank: for both streams together and for each alone."""
    return rank_benchmark(encode_benchmark(benchmark, model, processor, open_picture, batch_size))
