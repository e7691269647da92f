"""Evaluation of a model on a retrieval benchmark.

The steps are: embed the gallery's images, compute the query vectors, and rank the images for each
query. Missing image files are left out; the report says how much of the benchmark was evaluated.

In shapes, N is the number of queries, M the number of gallery images, and D the dimension of a
stream's vectors. The key "together" stands for the ranking by the sum of all streams' scores.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dwc.datasets.annotation_files import ImageFiles
from dwc.datasets.image_details import STRIP_SIZE
from dwc.datasets.image_loading import hash_pixels
from dwc.datasets.image_prefetch import ImagePrefetcher, image_order
from dwc.datasets.triplets import (
    Benchmark,
    RetrievalQuery,
    blank_captions,
    drop_missing,
    sample_queries,
)
from dwc.errors import DatasetError, ImageError, QueryError
from dwc.evaluation.metrics import correlation, first_hit_rank, recalls
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.progress import progress_bar

logger = logging.getLogger(__name__)

# An image with a shorter side is no photograph of a garment. Shops' servers send images of 1 x 1
# pixel for missing ones.
_LEAST_SIDE = 8

OpenImage = Callable[[str], Image.Image]
Vectors = NDArray[np.float32]
Item = TypeVar("Item")


def readable_text(
    processor: DWCProcessor, template: Mapping[str, str], captions: Sequence[str]
) -> tuple[str, bool]:
    """Insert a query's captions into the caption template, and shorten them to the token limit.

    If the text has more tokens than CLIP accepts, the last word of the longest caption is removed
    until the text is short enough. Words of the template are never removed.

    Args:
        processor: The model's processor.
        template: The caption template of the model's config.
        captions: One or two captions.

    Returns:
        The text, and whether captions were shortened.
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


@dataclass(frozen=True)
class QueryVectors:
    """The vectors and image weights of queries that combine an image and a text.

    The image weight of a query is the factor of its image part.

    Attributes:
        embeddings: The vectors (N, D) of the N queries by the stream's name; D is the stream's
            dimension.
        image_weights: The image weights (N,), 0 to 1, by the stream's name.
        texts_cut: Number of texts that were shortened to the model's token limit.
    """

    embeddings: dict[str, Vectors]
    image_weights: dict[str, Vectors]
    texts_cut: int = 0


@dataclass(frozen=True)
class EncodedBenchmark:
    """The vectors of a benchmark's gallery and queries.

    Attributes:
        benchmark: The benchmark without the images that could not be read.
        gallery: Vectors of the M gallery images, (M, sum of the streams' dimensions).
        queries: Vectors and image weights of the queries.
        answerable: Number of queries whose reference image and at least one hit (correct result)
            could be read. All such queries count, even if only a random sample is evaluated.
        unreadable: The reasons why images could not be read, by the image's id.
        most_copied: Ids of the largest group of gallery images with identical pixels; empty if no
            two images are identical.
        copies: Number of gallery images with the same pixels as an earlier gallery image.
    """

    benchmark: Benchmark
    gallery: Vectors
    queries: QueryVectors
    answerable: int
    unreadable: dict[str, str] = field(default_factory=dict)
    most_copied: tuple[str, ...] = ()
    copies: int = 0

    @property
    def views(self) -> dict[str, tuple[Vectors, Vectors]]:
        """The vectors of each stream, and the concatenated vectors of all streams.

        The keys are the names of the streams, and "together" for all streams. Each value is a pair:
        the query vectors (N, D) and the gallery vectors (M, D) of N queries and M images, of
        dimension D.
        """
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
    """The results of a benchmark: the ranks and the image weights of its N queries.

    The rank of a query is the rank of its best-ranked hit (correct result), from 1. The image
    weight of a query is the factor of its image part.

    Attributes:
        benchmark: The evaluated benchmark.
        ranks: The ranks (N,) of the queries by the stream's name, and under "together" those of all
            streams together.
        image_weights: The image weights (N,), 0 to 1, by the stream's name.
        texts_cut: Number of texts that were shortened to the model's token limit.
    """

    benchmark: Benchmark
    ranks: dict[str, NDArray[np.int64]]
    image_weights: dict[str, Vectors]
    texts_cut: int = 0

    def weight_truth_correlation(self, stream: str) -> float | None:
        """Return Spearman's correlation of a stream's image weight with the true image weight.

        The true image weight of a query is the fraction of the target's attributes that come from
        the reference image and not from the text. The result is None if the true image weight
        of at least one query is unknown, or if all queries have the same image weight or the same
        true image weight.
        """
        shares = [query.picture_share for query in self.benchmark.queries]
        if not shares or any(share is None for share in shares):
            return None
        return correlation(self.image_weights[stream], np.array(shares, dtype=np.float64))

    def to_dict(self, ks: Sequence[int] = (1, 10, 50)) -> dict[str, Any]:
        """Return the results as JSON-compatible values.

        In some benchmarks, the only hit (correct result) of some queries is the reference image,
        which is removed from the results. Such queries count as failures, as in published results.
        If there are any, the entry `unanswerable` is their number, and the entry `answerable` has
        the recalls of all other queries. If queries have blank captions, the entry `blank_captions`
        is the number of these captions.

        Args:
            ks: The numbers K for which recall@K is computed.

        Returns:
            A dict with the protocol, counts, and the recalls (0 to 1) of all streams together.
            `streams` has, for each stream, the recalls, the mean image weight, and, if it can be
            computed, `weight_truth_correlation`.
        """
        streams: dict[str, dict[str, Any]] = {}
        for name in self.image_weights:
            streams[name] = recalls(self.ranks[name], ks)
            streams[name]["image_weight_mean"] = float(self.image_weights[name].mean())
            truth = self.weight_truth_correlation(name)
            if truth is not None:
                streams[name]["weight_truth_correlation"] = truth
        numbers = {
            "protocol": self.benchmark.protocol,
            "queries": len(self.benchmark.queries),
            "gallery": len(self.benchmark.gallery),
            "missing": len(self.benchmark.missing),
            "texts_cut": self.texts_cut,
            **recalls(self.ranks["together"], ks),
            "streams": streams,
        }
        answerable = self.answerable
        if not answerable.all():
            ranks = self.ranks["together"][answerable]
            numbers["unanswerable"] = int((~answerable).sum())
            numbers["answerable"] = {"queries": len(ranks), **recalls(ranks, ks)}
        if blank := blank_captions(self.benchmark.queries):
            numbers["blank_captions"] = blank
        return numbers

    @property
    def answerable(self) -> NDArray[np.bool_]:
        """A mask (N,) of the queries with at least one hit (correct result) in their ranking.

        A query has no hit in its ranking if its only hit is its reference image and the benchmark
        excludes the reference from the results.
        """
        removed = self.benchmark.reference_removed
        queries = self.benchmark.queries
        return np.array([not removed or query.hits != {query.reference} for query in queries], bool)


def batched(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Yield consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _tracked_batches(items: Sequence[Item], size: int, what: str) -> Iterator[list[Item]]:
    """Yield consecutive lists of at most `size` items, and show the progress.

    `what` is the word for the items in the progress display.
    """
    bar = progress_bar(len(items), what, logger, line_every=max(1, len(items) // 10))
    try:
        for chunk in batched(items, size):
            yield chunk
            bar.update(len(chunk))
    finally:
        bar.close()


def embed_gallery(
    model: DWCModel,
    processor: DWCProcessor,
    ids: Sequence[str],
    open_image: OpenImage,
    batch_size: int = 64,
) -> Vectors:
    """Compute the gallery vectors of M images.

    Args:
        model: The model.
        processor: The model's processor.
        ids: The ids of the images.
        open_image: Function that returns the image of an id.
        batch_size: Number of images that the model processes at a time.

    Returns:
        The vectors (M, sum of the streams' dimensions), in the order of `ids`.

    Raises:
        ImageError: An image cannot be read.
    """
    chunks = batched(ids, batch_size)
    return np.concatenate(
        [_embed(model, processor, [open_image(name) for name in chunk]) for chunk in chunks]
    )


def embed_readable(
    model: DWCModel,
    processor: DWCProcessor,
    ids: Sequence[str],
    open_image: OpenImage,
    batch_size: int = 64,
) -> tuple[Vectors, dict[str, str]]:
    """Compute the gallery vectors of all images that can be read.

    Args:
        model: The model.
        processor: The model's processor.
        ids: The ids of the images.
        open_image: Function that returns the image of an id; raises `ImageError` if the image
            cannot be read.
        batch_size: Number of images that the model processes at a time.

    Returns:
        The vectors (M, sum of the streams' dimensions) of the M readable images, in the order of
        `ids`; and a dict from the id of each other image to the reason why it cannot be read.
    """
    chunks: list[Vectors] = []
    unreadable: dict[str, str] = {}
    for chunk in _tracked_batches(ids, batch_size, "pictures"):
        opened = [_open(open_image, name, unreadable) for name in chunk]
        images = [image for image in opened if image is not None]
        if images:
            chunks.append(_embed(model, processor, images))
    return np.concatenate(chunks) if chunks else np.empty((0, 0), np.float32), unreadable


def _open(open_image: OpenImage, name: str, unreadable: dict[str, str]) -> Image.Image | None:
    """Return the image with the id `name`.

    If the image cannot be read or is a placeholder of a few pixels, None is returned, and the
    reason is added to `unreadable`.
    """
    try:
        image = open_image(name)
        if _is_placeholder(image):
            width, height = image.info.get(STRIP_SIZE, image.size)
            raise ImageError(
                f"{name}: has {width} x {height} pixels, as the placeholder that a "
                f"server sends for a missing picture; expected at least {_LEAST_SIDE} x "
                f"{_LEAST_SIDE}. Fetch it again."
            )
    except ImageError as error:
        logger.warning("skipped: %s", error)
        unreadable[name] = str(error)
        return None
    return image


def _is_placeholder(image: Image.Image) -> bool:
    return min(image.size) < _LEAST_SIDE


@torch.inference_mode()
def _embed(model: DWCModel, processor: DWCProcessor, images: list[Image.Image]) -> Vectors:
    pixels = processor(images=images, return_tensors="pt")["pixel_values"]
    return model.embed_images(pixels.to(model.device)).float().cpu().numpy()


@torch.inference_mode()
def embed_texts(model: DWCModel, processor: DWCProcessor, texts: Sequence[str]) -> Vectors:
    """Compute the embeddings (N, D) of N queries that consist of a text alone.

    Args:
        model: The model.
        processor: The model's processor.
        texts: The N texts, as the model gets them, with the caption template.
    """
    inputs = processor(text=list(texts), return_tensors="pt").to(model.device)
    return model.compose(**inputs).embedding.float().cpu().numpy()


@torch.inference_mode()
def compose_queries(
    model: DWCModel,
    processor: DWCProcessor,
    queries: Sequence[RetrievalQuery],
    open_image: OpenImage,
    batch_size: int = 64,
) -> QueryVectors:
    """Compute the vectors and image weights of queries.

    Captions are inserted into the caption template of the model's config and shortened to the
    model's token limit.

    Args:
        model: The model.
        processor: The model's processor.
        queries: The queries.
        open_image: Function that returns the image of an id.
        batch_size: Number of queries that the model processes at a time.
    """
    embeddings: dict[str, list[torch.Tensor]] = {}
    weights: dict[str, list[torch.Tensor]] = {}
    texts_cut = 0
    for chunk in _tracked_batches(queries, batch_size, "queries"):
        texts = [readable_text(processor, model.config.caption_template, q.captions) for q in chunk]
        texts_cut += sum(cut for _, cut in texts)
        inputs = processor(
            images=[open_image(query.reference) for query in chunk],
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
    """Return the rank of each query's best-ranked hit (correct result).

    The query's reference is removed from the ranking if `benchmark.reference_removed` is set.

    Args:
        benchmark: The benchmark, with N queries and M gallery images.
        queries: Query vectors (N, D).
        gallery: Gallery vectors (M, D) of the same dimension D.
        chunk: Number of queries whose scores are in memory at a time.

    Returns:
        The ranks (N,); the first rank is 1.
    """
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
    open_image: OpenImage,
    batch_size: int = 64,
    queries: int | None = None,
    seed: int = 0,
) -> EncodedBenchmark:
    """Compute the vectors of a benchmark's gallery and queries.

    Images that cannot be read are removed. A query is removed if its reference or all of its hits
    (correct results) cannot be read.

    Args:
        benchmark: The benchmark.
        model: The model.
        processor: The model's processor.
        open_image: Function that opens an image by id; raises `ImageError` if that is impossible.
        batch_size: Number of images or queries that the model processes at a time.
        queries: Number of the remaining queries to encode, sampled with `seed`; by default all.
        seed: Random seed of the sample.

    Raises:
        DatasetError: No query is left, or the benchmark has none.
    """
    by_pixels: dict[str, list[str]] = {}

    def open_and_hash(name: str) -> Image.Image:
        image = open_image(name)
        if not _is_placeholder(image):
            by_pixels.setdefault(hash_pixels(image), []).append(name)
        return image

    gallery, unreadable = embed_readable(
        model, processor, benchmark.gallery, open_and_hash, batch_size
    )
    most = max(by_pixels.values(), key=len, default=[])
    readable = drop_missing(benchmark, unreadable)
    drawn = readable if queries is None else sample_queries(readable, queries, seed)
    if not drawn.queries and not benchmark.missing and not unreadable:
        raise DatasetError(
            f"{benchmark.protocol} has no query, although all of its pictures can be read. Check "
            "the file with its queries"
        )
    if not drawn.queries:
        raise DatasetError(
            f"no query of {benchmark.protocol} is left: {len(benchmark.missing)} pictures are "
            f"missing and {len(unreadable)} cannot be read. Fetch the pictures again"
        )
    composed = compose_queries(model, processor, drawn.queries, open_image, batch_size)
    return EncodedBenchmark(
        drawn,
        gallery,
        composed,
        len(readable.queries),
        unreadable,
        most_copied=tuple(most) if len(most) > 1 else (),
        copies=sum(map(len, by_pixels.values())) - len(by_pixels),
    )


def rank_benchmark(encoded: EncodedBenchmark) -> RankReport:
    """Rank the gallery images of an encoded benchmark, by all streams together and by each stream.

    Returns:
        The rank of each query's best-ranked hit (correct result), and the image weights. Queries
        whose only hit is the removed reference image count as failures; a warning with their number
        is logged.
    """
    ranks = {name: rank_hits(encoded.benchmark, *view) for name, view in encoded.views.items()}
    queries = encoded.queries
    report = RankReport(encoded.benchmark, ranks, queries.image_weights, queries.texts_cut)
    if count := int((~report.answerable).sum()):
        logger.warning(
            "%s: the target of %d of %d queries is their own reference picture, which is never a "
            "result. They count as failures",
            encoded.benchmark.protocol, count, len(report.answerable),
        )  # fmt: skip
    return report


def run_benchmark(
    benchmark: Benchmark,
    model: DWCModel,
    processor: DWCProcessor,
    open_image: OpenImage,
    batch_size: int = 64,
) -> RankReport:
    """Evaluate a model on a benchmark.

    Args:
        benchmark: The benchmark.
        model: The model.
        processor: The model's processor.
        open_image: Function that returns the image of an id.
        batch_size: Number of images or queries that the model processes at a time.

    Returns:
        The rank of each query's best-ranked hit (correct result), and the image weights.
    """
    return rank_benchmark(encode_benchmark(benchmark, model, processor, open_image, batch_size))


KS = (1, 10, 50)

# If at least this share of the queries and of the gallery is available, the missing rest is assumed
# to change a recall by less than the variation between random seeds.
NEARLY_COMPLETE = 0.99
# Identical gallery images are taken for placeholders of missing images if there are at least this
# many of them, and if they are at least this share of the gallery.
MIN_PLACEHOLDERS = 10
MIN_PLACEHOLDER_SHARE = 0.01
MAX_NAMED = 20  # number of missing images that a report names


@dataclass(frozen=True)
class Coverage:
    """How many of a benchmark's images and queries were available.

    Attributes:
        queries: Number of queries that could be evaluated.
        all_queries: Number of queries in the complete benchmark.
        evaluated: Number of queries that were evaluated. It is smaller than `queries` if only a
            random sample was evaluated.
        gallery: Number of gallery images that were available.
        all_gallery: Number of gallery images in the complete benchmark.
        missing: Ids of the gallery images that were missing or unreadable.
        unreadable: Number of images that existed but could not be read.
        is_compared: Whether the benchmark's size was compared with the size of the published
            benchmark. If False, the published size is unknown.
        deviations: Sentences on how the files differ from the published benchmark, for example
            in the number of queries, captions or images, or by placeholders in place of images.
    """

    queries: int
    all_queries: int
    evaluated: int
    gallery: int
    all_gallery: int
    missing: tuple[str, ...] = ()
    unreadable: int = 0
    is_compared: bool = False
    deviations: tuple[str, ...] = ()

    @classmethod
    def total(cls, parts: Iterable["Coverage"]) -> "Coverage":
        """Return the coverage of a benchmark: the sum of the coverages of its parts."""
        every = list(parts)
        return cls(
            queries=sum(part.queries for part in every),
            all_queries=sum(part.all_queries for part in every),
            evaluated=sum(part.evaluated for part in every),
            gallery=sum(part.gallery for part in every),
            all_gallery=sum(part.all_gallery for part in every),
            missing=tuple(name for part in every for name in part.missing),
            unreadable=sum(part.unreadable for part in every),
            is_compared=all(part.is_compared for part in every),
            deviations=tuple(text for part in every for text in part.deviations),
        )

    @property
    def query_share(self) -> float:
        """The share (0 to 1) of the queries that could be evaluated."""
        return self.queries / self.all_queries if self.all_queries else 0.0

    @property
    def gallery_share(self) -> float:
        """The share (0 to 1) of the gallery images that were available."""
        return self.gallery / self.all_gallery if self.all_gallery else 0.0

    @property
    def comparable(self) -> bool:
        """Whether the recalls are comparable with published ones.

        They are if all images were available, all queries were evaluated, and no deviation from the
        published benchmark is known. If the published size is unknown (`is_compared` is False),
        images or queries may be missing without being noticed, and the value may wrongly be True.
        """
        return (
            not self.missing
            and not self.deviations
            and self.evaluated == self.all_queries
            and self.gallery_share == 1
        )

    def describe(self) -> str:
        """Return a text that says whether the recalls are comparable with published ones."""
        if self.comparable:
            known = (
                "of the published split"
                if self.is_compared
                else "of these files (the size of the published split is not known here, so that "
                "nothing shows whether they are all of it)"
            )
            return f"comparable: every picture was there and every query was asked {known}"
        sentences = []
        is_partial = bool(self.missing) or self.queries < self.all_queries
        least = min(self.query_share, self.gallery_share)
        if self.deviations or (is_partial and least < NEARLY_COMPLETE):
            sentences.append("not comparable")
        elif is_partial:
            sentences.append("nearly comparable")
        sentences += self.deviations
        if is_partial:
            sentences.append(
                f"{self.gallery:,} of {self.all_gallery:,} gallery pictures "
                f"({self.gallery_share:.1%}) and {self.queries:,} of {self.all_queries:,} queries "
                f"({self.query_share:.1%}) are left"
            )
            if 0 < self.gallery_share < 1:
                sentences.append(
                    "a smaller gallery is easier: recall@K is about what recall@"
                    f"{1 / self.gallery_share:.3g}K would be on the whole"
                )
        if self.evaluated < self.queries:
            sentences.append(f"an estimate, from {self.evaluated:,} of {self.queries:,} queries")
        return "; ".join(sentences)

    def to_dict(self) -> dict[str, Any]:
        """Return counts, shares and the text of `describe` as JSON-compatible values."""
        return {
            "missing": len(self.missing),
            "unreadable": self.unreadable,
            "missing_pictures": list(self.missing[:MAX_NAMED]),
            "comparable": self.comparable,
            "comparability": self.describe(),
            "coverage": {
                "queries": self.query_share,
                "gallery": self.gallery_share,
                "queries_asked": self.evaluated,
                "queries_left": self.queries,
                "queries_of": self.all_queries,
                "gallery_left": self.gallery,
                "gallery_of": self.all_gallery,
                "compared_with_published": self.is_compared,
                "deviations": list(self.deviations),
            },
        }


@dataclass(frozen=True)
class BenchmarkResult:
    """The result of evaluating a model on the image files of a benchmark.

    Attributes:
        encoded: The vectors of the gallery and the queries.
        report: The ranks and image weights.
        coverage: How much of the benchmark was available.
    """

    encoded: EncodedBenchmark
    report: RankReport
    coverage: Coverage

    def to_dict(self, ks: Sequence[int] = KS) -> dict[str, Any]:
        """Return the results as JSON-compatible values.

        Args:
            ks: The numbers K for which recall@K is computed.

        Returns:
            A dict with the values of `RankReport.to_dict` and `Coverage.to_dict`, the number of
            gallery images that are identical to an earlier one, and the benchmark's notes.
        """
        return {
            **self.report.to_dict(ks),
            **self.coverage.to_dict(),
            "identical_pictures": self.encoded.copies,
            "notes": dict(self.report.benchmark.notes),
        }


def evaluate_files(
    benchmark: Benchmark,
    files: ImageFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> BenchmarkResult:
    """Evaluate a model on the available images of a benchmark.

    Missing and unreadable images are removed from the gallery. A query is left out if its reference
    or all of its hits (correct results) are missing. The result's `coverage` has the numbers of
    available images and queries.

    Args:
        benchmark: The complete benchmark.
        files: Lookup of the image files by id.
        model: The model.
        processor: The model's processor.
        queries: Number of the remaining queries to evaluate, sampled with `seed`; by default all.
        seed: Random seed of the sample.

    Raises:
        DatasetError: No image is available, or no query is left.
    """
    encoded, coverage = encode_files(benchmark, files, model, processor, queries, seed)
    return BenchmarkResult(encoded, rank_benchmark(encoded), coverage)


def encode_files(
    benchmark: Benchmark,
    files: ImageFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> tuple[EncodedBenchmark, Coverage]:
    """Compute the vectors of a benchmark's available images and queries, without ranking them.

    Missing and unreadable images are removed from the gallery. A query is left out if its reference
    or all of its hits (correct results) are missing.

    Args:
        benchmark: The complete benchmark.
        files: Lookup of the image files by id.
        model: The model.
        processor: The model's processor.
        queries: Number of the remaining queries to encode, sampled with `seed`; by default all.
        seed: Random seed of the sample.

    Returns:
        The vectors, and how much of the benchmark was available.

    Raises:
        DatasetError: No image is available, or no query is left.
    """
    present = drop_missing(benchmark, files.missing(image_order(benchmark)))
    located = {name: files.find(name) for name in image_order(present)}
    paths = {name: path for name, path in located.items() if path is not None}
    with ImagePrefetcher(paths, image_order(present), os.cpu_count() or 1) as open_image:
        encoded = encode_benchmark(
            present, model, processor, open_image, queries=queries, seed=seed
        )
    coverage = Coverage(
        queries=encoded.answerable,
        all_queries=len(benchmark.queries),
        evaluated=len(encoded.benchmark.queries),
        gallery=len(encoded.benchmark.gallery),
        all_gallery=len(benchmark.gallery),
        missing=encoded.benchmark.missing,
        unreadable=len(encoded.unreadable),
        is_compared=benchmark.is_compared,
        deviations=(*benchmark.deviations, *_placeholders(encoded)),
    )
    return encoded, coverage


def _placeholders(encoded: EncodedBenchmark) -> list[str]:
    """Return a warning, as a list of one sentence, if many gallery images are identical.

    Such images are probably placeholders for missing ones. The list is empty if only a few images
    are identical, because published benchmarks contain some identical images.
    """
    count, total = len(encoded.most_copied), len(encoded.benchmark.gallery)
    if count < MIN_PLACEHOLDERS or count < total * MIN_PLACEHOLDER_SHARE:
        return []
    names = ", ".join(encoded.most_copied[:3])
    return [
        f"{encoded.benchmark.protocol}: {count:,} of {total:,} gallery pictures are one and the "
        f"same, as if a placeholder stood for missing ones ({names}, …); fetch these again, or "
        "delete them so that they count as missing"
    ]
