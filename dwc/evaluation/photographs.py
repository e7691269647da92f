"""Evaluation of a model on labeled photographs.

All photographs have class labels, such as "Dress". The evaluation searches for each class by text
alone. The photographs of the wardrobe dataset also have captions and attributes. With these, the
evaluation also measures retrieval by caption, retrieval by image and text, and the correlation of
the image weight with the true image weight: the fraction of the target's attributes that come from
the reference image and not from the text.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dwc.datasets.annotation_files import read_table, spelling_key
from dwc.datasets.image_loading import decode
from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.datasets.wardrobe import (
    TABLE,
    VALUE_TEXTS,
    Photograph,
    attribute_changes,
    describe_no_changes,
    fits_words,
    image_path,
    read_value,
    read_wardrobe,
    search_words,
)
from dwc.errors import DatasetError
from dwc.evaluation.metrics import recalls
from dwc.evaluation.open_words import evaluate_open_words
from dwc.evaluation.retrieval import (
    Vectors,
    batched,
    embed_readable,
    embed_texts,
    encode_benchmark,
    rank_benchmark,
    rank_hits,
    readable_text,
)
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template

logger = logging.getLogger(__name__)

# Class -> query text. The classes belong to the "Clothing dataset (full)", license CC0.
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
    """Photographs with class labels.

    Attributes:
        paths: The image files.
        labels: The class of each image, in the same order.
    """

    paths: list[Path]
    labels: list[str]


def read_labeled_photographs(folder: Path) -> LabeledPhotographs:
    """Read the file `labels.csv` of a folder of photographs, with the columns `file` and `label`.

    Raises:
        DatasetError: The table is missing or cannot be read, lacks a column, has an incomplete row
            or lists a photograph twice.
    """
    table = folder / "labels.csv"
    if not table.is_file():
        raise DatasetError(
            f"{folder} has no labels.csv; expected a table with the columns file and label beside "
            "the photographs. Give the folder that holds it: --data DIR"
        )
    rows: dict[str, dict[str, str]] = {}
    for line, row in read_table(table, ("file", "label")):
        if not row["file"] or not row["label"]:
            raise DatasetError(
                f"{table}, line {line}: has no {'label' if row['file'] else 'file'}; expected a "
                "file and a label in each row. Complete the row or remove it"
            )
        if row["file"] in rows:
            raise DatasetError(
                f"{table}, line {line}: {row['file']} is in an earlier row as well; expected each "
                "photograph once. Remove one of the rows"
            )
        rows[row["file"]] = row
    return LabeledPhotographs(
        [folder / file for file in rows], [row["label"] for row in rows.values()]
    )


@torch.inference_mode()
def evaluate_photographs(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: LabeledPhotographs,
    k: int = 10,
) -> dict[str, Any]:
    """Search photographs by the name of each class, and compute the precision@k.

    The precision@k of a class is the fraction of the k best-ranked photographs that belong to it.

    Args:
        model: The model.
        processor: The model's processor.
        photographs: The photographs with their classes.
        k: Number of best photographs for which the precision is computed.

    Returns:
        A dict with the values that `class_precision` returns, the `protocol`, and `missing`, the
        number of unreadable photographs.

    Raises:
        DatasetError: No photograph can be read, or no photograph belongs to a class in
            `CLASS_WORDS`.
    """
    label_of = dict(zip(map(str, photographs.paths), photographs.labels, strict=True))
    gallery, unreadable = embed_readable(model, processor, list(label_of), decode)
    labels = [label for name, label in label_of.items() if name not in unreadable]
    if not labels:
        reason = next(iter(unreadable.values()))
        raise DatasetError(f"none of the {len(label_of)} photographs can be read: {reason}")
    return {
        "protocol": f"words alone over {len(labels)} photographs",
        "missing": len(unreadable),
        **class_precision(model, processor, gallery, labels, k),
    }


@torch.inference_mode()
def class_precision(
    model: DWCModel,
    processor: DWCProcessor,
    gallery: Vectors,
    labels: Sequence[str],
    k: int = 10,
) -> dict[str, Any]:
    """Search embedded photographs by the name of each class, and compute the precision@k.

    The precision@k of a class is the fraction of the k best photographs that belong to the class.

    Args:
        model: The model.
        processor: The model's processor.
        gallery: Embeddings (M, D) of M photographs, where D is the sum of the streams' dimensions.
        labels: The class of each photograph, in the same order; "dress" counts as "Dress".
        k: Number of best photographs for which the precision is computed.

    Returns:
        A dict with the keys:
        `precision@k`: the mean over the classes that occur in the labels.
        `chance`: the mean precision of random results.
        `classes`: a dict from each class to its precision.
        `words`: a dict from each class to its query text.
        `classes_without_photographs`: the classes that do not occur in the labels.
        `highest_possible`: the mean precision of perfect results. This key is present only if the
        value is below 1, that is, if a class has fewer than k photographs.

    Raises:
        DatasetError: None of the classes occurs in the labels.
    """
    class_of = {spelling_key(name): name for name in CLASS_WORDS}
    labels = [class_of.get(spelling_key(label), label) for label in labels]
    classes = [name for name in CLASS_WORDS if name in labels]
    if not classes:
        raise DatasetError(
            f"no photograph belongs to a class that is searched for; the classes are "
            f"{', '.join(CLASS_WORDS)}"
        )
    absent = [name for name in CLASS_WORDS if name not in labels]
    if absent:
        others = Counter(label for label in labels if label not in CLASS_WORDS)
        logger.warning(
            "no photograph has the label %s, so that precision@%d is the mean of %d of %d classes. "
            "Labels that are none of the classes: %s",
            " or ".join(absent), k, len(classes), len(CLASS_WORDS), _name_counts(others) or "none",
        )  # fmt: skip
    template = model.config.caption_template
    texts = [fill_template(template, [CLASS_WORDS[name]]) for name in classes]
    queries = embed_texts(model, processor, texts)
    of_class = np.array(labels)
    precisions, chances, limits = {}, [], []
    for name, row in zip(classes, queries @ gallery.T, strict=True):
        first = np.argsort(-row, kind="stable")[:k]
        precisions[name] = float((of_class[first] == name).mean())
        chances.append(float((of_class == name).mean()))
        limits.append(min(1.0, np.count_nonzero(of_class == name) / len(first)))
    limit = float(np.mean(limits))
    return {
        f"precision@{k}": float(np.mean(list(precisions.values()))),
        "chance": float(np.mean(chances)),
        "classes": precisions,
        "words": {name: CLASS_WORDS[name] for name in classes},
        "classes_without_photographs": absent,
        **({"highest_possible": limit} if limit < 1 else {}),
    }


def word_precision(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: Sequence[Photograph],
    gallery: Vectors,
    k: int = 12,
) -> dict[str, Any]:
    """Search with each text of `search_words`, and count the correct results among the first k.

    The queries have no image. A photograph is correct if it fits the text by its attributes. A text
    is left out if no photograph fits it, or if the model cannot use the text.

    Args:
        model: The model.
        processor: The model's processor.
        photographs: The M photographs.
        gallery: Embeddings (M, D) of the photographs in the same order, where D is the sum of the
            streams' dimensions.
        k: The number of best results among which the correct ones are counted.

    Returns:
        A dict with the keys:
        `k`: the argument k.
        `words`: for each text, as the model gets it, a dict with `found`, the number of correct
        photographs among the first k, and `fitting`, their number among all photographs.
    """
    template = model.config.caption_template or {}
    counts: dict[str, dict[str, int]] = {}
    for wanted in search_words():
        text = processor.read_typed(wanted.words, template).text
        fitting = np.array([fits_words(photograph, wanted) for photograph in photographs])
        if text and text not in counts and fitting.any():
            query = embed_texts(model, processor, [fill_template(template, [text])])  # (1, D)
            first = np.argsort(-(query @ gallery.T)[0], kind="stable")[:k]
            counts[text] = {"found": int(fitting[first].sum()), "fitting": int(fitting.sum())}
    return {"k": k, "words": counts}


def reading_accuracy(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: Sequence[Photograph],
    gallery: Vectors,
) -> dict[str, float]:
    """Predict attributes from the photographs' embeddings, and return the shares that are correct.

    The predicted value of an attribute is the value of the text in `VALUE_TEXTS` whose embedding is
    most similar (by cosine) to the photograph's embedding. The correct values are those of the
    photographs in the table.

    Args:
        model: The model.
        processor: The model's processor.
        photographs: The M photographs.
        gallery: Embeddings (M, D) of the photographs in the same order, where D is the sum of the
            streams' dimensions.

    Returns:
        A dict from each attribute to the share (0 to 1) of correct predictions, among the
        photographs whose correct value is in `VALUE_TEXTS`. Attributes without such photographs are
        left out.
    """
    template = model.config.caption_template or {}
    accuracies = {}
    for attribute, texts in VALUE_TEXTS.items():
        names = [(value, text) for value, group in texts.items() for text in group]
        read_as = [readable_text(processor, template, [text])[0] for _, text in names]
        embeddings = embed_texts(model, processor, read_as)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)  # (texts, D)
        true = [read_value(photograph, attribute) for photograph in photographs]
        rows = [row for row, value in enumerate(true) if value in texts]
        if rows:
            read = np.argmax(gallery[rows] @ embeddings.T, axis=1)
            right = [names[n][0] == true[row] for n, row in zip(read, rows, strict=True)]
            accuracies[attribute] = float(np.mean(right))
    return accuracies


_KS = (1, 10)
_BATCH_SIZE = 64
_WORDS_LISTED = 20  # number of unknown words in a report
_COUNTS_NAMED = 12  # number of words or labels in a message
# A message follows if more than this share of the captions has unknown words. Of the 924 captions
# of the split "eval", which are in English, 13 % have some, mostly names on prints.
_UNKNOWN_CAPTIONS = 0.25
# A message follows if more than this share of the captions has the text of another caption. Of the
# captions of the split "eval", 0.6 % do.
_REPEATED_CAPTIONS = 0.1
# A message follows if of at least this number of captions that name a color, less than this share
# names that of their row. Of the captions of the wardrobe 0.92 do; shifted by one row, 0.19.
_LEAST_NAMING = 20
_MATCHING_CAPTIONS = 0.5


def evaluate_wardrobe(
    model: DWCModel,
    processor: DWCProcessor,
    folder: Path,
    split: str = "eval",
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate a model on a split of the wardrobe dataset of labeled photographs.

    Args:
        model: The model.
        processor: The model's processor.
        folder: Folder with `attributes.csv` and the photographs; see `dwc.datasets.wardrobe`.
        split: Name of the split.
        queries: Number of composed queries (image and text) to evaluate; None for all.
        seed: Random seed for the attribute change of each reference and for the sample of queries.

    Returns:
        A dict with counts (`missing` is the number of unreadable photographs) and the keys:
        `classes`: the values of `class_precision`.
        `captions`: the values of `caption_recalls`.
        `composed`: recalls of composed queries, whose hits (correct results) are all photographs
        that match image and text; and the values of `count_unknown_words` for their texts.
        `streams`: for each stream, the recalls of composed queries, the mean image weight, and
        `weight_truth_correlation`: Spearman's correlation of the image weight with the fraction of
        the target's attributes that come from the reference image and not from the text.
        `open_words`: the values of `evaluate_open_words`.
        `search_words`: the values of `word_precision`.
        `readings`: the values of `reading_accuracy`.

    Raises:
        DatasetError: The table cannot be read, no composed query can be made from it, or no query
            is left because photographs cannot be read.
    """
    photographs = read_wardrobe(folder, split)
    benchmark = composed_benchmark(photographs, f"wardrobe-{split}", seed)
    if not benchmark.queries:
        raise DatasetError(
            f"{folder / TABLE}: no composed query can be made of the split {split!r}: "
            f"{describe_no_changes(photographs)}"
        )
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
    unknown = count_unknown_words(
        processor, [" ".join(query.captions) for query in encoded.benchmark.queries]
    )
    if count := unknown.get("with_unknown_words"):
        logger.warning(
            "%d of %d composed queries have words that the model does not know: %s. It reads "
            "English; write the colors of %s in English words that it knows",
            count, len(encoded.benchmark.queries), _name_counts(unknown["unknown_words"]),
            folder / TABLE,
        )  # fmt: skip
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
            **unknown,
        },
        "streams": composed["streams"],
        "open_words": evaluate_open_words(model, processor, readable, encoded.gallery),
        "search_words": word_precision(model, processor, readable, encoded.gallery),
        "readings": reading_accuracy(model, processor, readable, encoded.gallery),
    }


def composed_benchmark(photographs: Sequence[Photograph], protocol: str, seed: int) -> Benchmark:
    """Return a benchmark whose queries consist of a photograph and a text.

    The text describes a change of the photograph's attributes. There is at most one query per
    photograph.

    Args:
        photographs: All photographs; they form the gallery.
        protocol: The name of the benchmark.
        seed: Random seed for the attribute changes.
    """
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
    """Search for each photograph by its caption alone, and compute the recalls.

    Args:
        model: The model.
        processor: The model's processor.
        photographs: The M photographs.
        gallery: Embeddings (M, D) of the photographs in the same order, where D is the sum of the
            streams' dimensions.

    Returns:
        The values of `count_unknown_words` for the captions, and these keys:
        `recall@1` and `recall@10`: the recalls (0 to 1).
        `queries`: the number of queries.
        `repeated`: the number of captions with the same text as another caption (no search can
        distinguish their photographs).
    """
    template = model.config.caption_template
    embeddings = []
    for chunk in batched(photographs, _BATCH_SIZE):
        texts = [
            readable_text(processor, template, [photograph.caption])[0] for photograph in chunk
        ]
        embeddings.append(embed_texts(model, processor, texts))
    files = [photograph.file for photograph in photographs]
    own = Benchmark(
        protocol="captions",
        gallery=tuple(files),
        queries=tuple(RetrievalQuery("", (), frozenset({file})) for file in files),
        reference_removed=False,
    )
    ranks = rank_hits(own, np.concatenate(embeddings), gallery)
    unknown = count_unknown_words(processor, [photograph.caption for photograph in photographs])
    count = unknown.get("with_unknown_words", 0)
    if count > _UNKNOWN_CAPTIONS * len(photographs):
        logger.warning(
            "%d of %d captions have words that the model does not know: %s. It reads English; "
            "write the captions in English",
            count, len(photographs), _name_counts(unknown["unknown_words"]),
        )  # fmt: skip
    matching, naming = _captions_with_own_color(photographs)
    if naming >= _LEAST_NAMING and matching < _MATCHING_CAPTIONS * naming:
        logger.warning(
            "of %d captions that name a color, %d name that of their own row: captions and rows "
            "may be shifted against each other. Compare the columns caption and colour",
            naming, matching,
        )  # fmt: skip
    counts = Counter(" ".join(one.caption.lower().split()) for one in photographs)
    repeated = sum(count for count in counts.values() if count > 1)
    if repeated > _REPEATED_CAPTIONS * len(photographs):
        [(caption, most)] = counts.most_common(1)
        logger.warning(
            "%d of %d captions have the text of another caption, such as %r (%d times): no search "
            "can tell their photographs apart, so that the recalls of captions mean little. Write "
            "a caption for each photograph",
            repeated, len(photographs), caption, most,
        )  # fmt: skip
    return {**recalls(ranks, _KS), "queries": len(ranks), "repeated": repeated, **unknown}


def _captions_with_own_color(photographs: Sequence[Photograph]) -> tuple[int, int]:
    """Return how many captions name their photograph's color, and how many name any color.

    The color of a photograph is its value in the column `colour` of the table. A caption names a
    color if it contains a value of this column as a word.
    """
    colors = {color for one in photographs if (color := one.known("colour"))}
    matching = naming = 0
    for one in photographs:
        named = colors.intersection(re.findall(r"[^\W\d_]+", one.caption.lower()))
        naming += bool(named)
        matching += one.attributes["colour"] in named
    return matching, naming


def count_unknown_words(processor: DWCProcessor, texts: Sequence[str]) -> dict[str, Any]:
    """Count the texts with words that are not in the model's word vocabulary.

    Args:
        processor: The model's processor.
        texts: The texts, without the caption template: the fixed words that the model's input has
            around each text.

    Returns:
        A dict with `with_unknown_words`, the number of texts with at least one unknown word, and
        `unknown_words`, a dict from each of the most frequent unknown words to the number of texts
        with it. The result is an empty dict if the model has no word vocabulary.
    """
    if processor.word_tokenizer is None:
        return {}
    unknown = [{word.lower() for word in processor.unknown_words(text)} for text in texts]
    counts = Counter(word for words in unknown for word in sorted(words))
    return {
        "with_unknown_words": sum(map(bool, unknown)),
        "unknown_words": dict(counts.most_common(_WORDS_LISTED)),
    }


def _name_counts(counts: Mapping[str, int]) -> str:
    """Return the words or labels with the highest counts as text: "schwarz (17), blau (14)"."""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_COUNTS_NAMED]
    more = ", …" if len(counts) > len(most) else ""
    return ", ".join(f"{name} ({count})" for name, count in most) + more
