"""Types that document the JSON answers of the HTTP API and of MCP.

The JSON schemas of these types are part of the OpenAPI document and of the list of MCP tools. The
answers themselves are dicts from `to_dict` methods and from `api.py`; they are not instances of
these types. An answer may have more fields than its type.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

Shift = float | Literal["inf", "-inf"]


class Weight(BaseModel):
    """The weights of picture and words in one stream; they sum to 1."""

    image: float = Field(ge=0, le=1)
    text: float = Field(ge=0, le=1)


class Result(BaseModel):
    """One picture among the results of a search."""

    rank: int = Field(ge=1, description="Position in the ranking, from 1.")
    id: str = Field(description="The picture's id.")
    score: float = Field(description="The sum of the cosines with the query in all streams.")
    parts: dict[str, float] = Field(
        description="The parts whose sum is the score, such as clip_image and cnn_text."
    )
    percentile: float = Field(
        ge=0, le=100, description="The percentage of the gallery with a lower score."
    )
    near_duplicates: list[str] | None = Field(
        None, description="Ids of near-duplicates folded under this picture, if `fold` is true."
    )
    away: bool | None = Field(
        None, description="True if the picture's file was missing at the last indexing."
    )


class ModelOrigin(BaseModel):
    """The model that computed the answer."""

    name: str
    fingerprint: str = Field(description="Identifies the checkpoint's content.")
    revision: str | None = Field(description="The commit on the Hugging Face Hub, if any.")


class GalleryOrigin(BaseModel):
    """The gallery that was searched."""

    name: str
    fingerprint: str = Field(description="Identifies the gallery's pictures and vectors.")


class Indexing(BaseModel):
    """How much of a gallery was searched, if its indexing was still in progress."""

    pictures: int = Field(ge=0, description="How many pictures were searched.")
    total: int | None = Field(description="How many pictures the gallery has, if that is known.")


class GalleryPart(BaseModel):
    """Base class of answers about a gallery, which may be only partly indexed."""

    indexing: Indexing | None = Field(
        None, description="Given only if the gallery is not indexed to the end."
    )


class SearchAnswer(GalleryPart):
    """The ranked results of a search, and the weights of picture and words."""

    weights: dict[str, Weight] = Field(description="By stream, such as clip and cnn.")
    results: list[Result] = Field(description="Best first.")
    unknown_words: list[str] = Field(description="Words that the model's vocabulary lacks.")
    timings_ms: dict[str, float] = Field(description="The time of each step, in milliseconds.")
    gallery_size: int = Field(ge=0)
    shift: Shift = Field(description="The shift that was applied; 0 is as learned.")
    unfamiliar: float | None = Field(
        description="How far the picture is from the training pictures; above 1 is unusual."
    )
    read: str = Field(description="The text that the model received.")
    notes: list[str] = Field(description="Remarks on how the query was read.")
    filter: str = Field("", description="The filter that all results fit, if one was given.")
    filter_fits: int | None = Field(None, description="How many pictures fit the filter.")
    index: str = Field("exact", description="The approximate index, if one was used.")
    index_recall: float | None = Field(
        None, description="The share of the 50 best pictures that the index was measured to find."
    )
    model: ModelOrigin
    gallery: GalleryOrigin


class ScoreExplanation(BaseModel):
    """The explanation of a picture's score and rank."""

    id: str
    rank: int = Field(ge=1)
    score: float
    parts: dict[str, float] = Field(description="The parts whose sum is the score.")
    percentile: float = Field(ge=0, le=100)
    margin: float | None = Field(description="The score minus that of the picture ranked next.")
    ranks: dict[str, int | None] = Field(
        description="The rank by picture, words, average and learned weights."
    )
    ranked: int = Field(ge=1, description="How many pictures were ranked.")
    shift: Shift


class WordEffect(BaseModel):
    """The effect of one word, measured by removing it from the text."""

    position: int = Field(ge=0)
    word: str
    without: str = Field(description="The text without this word.")
    weight_effect: dict[str, float] = Field(description="Change of the image weight, by stream.")
    score_effect: float | None = Field(description="Change of the picture's score.")
    unknown: bool = Field(description="Whether the model's vocabulary lacks the word.")


class WordEffects(BaseModel):
    """The effect of each word of the query's text on the image weights and on a picture's score."""

    words: list[WordEffect]
    weights: dict[str, float] = Field(description="The image weight of the query, by stream.")
    id: str | None
    score: float | None
    shift: Shift


class TracedItem(BaseModel):
    """The ranks of one picture at several image weights, set by adding shifts to their logits."""

    id: str
    ranks: list[int | None] = Field(description="One per shift; null is beyond the limit.")


class RankTrace(BaseModel):
    """The ranks of the best pictures at several image weights."""

    shifts: list[Shift] = Field(description="Ascending, from the words alone to the picture alone.")
    learned: int = Field(ge=0, description="Index of the shift 0 in `shifts`.")
    image_weights: list[dict[str, float]] = Field(description="By shift and stream.")
    items: list[TracedItem]
    limit: int


class ExplainAnswer(GalleryPart):
    """The explanation of one search result: its score, the effect of each word, and more."""

    why: ScoreExplanation
    word_effects: WordEffects
    trace: RankTrace
    regions: dict[str, Any] | None = Field(
        description="Attention maps of the words over the picture, on the network's coarse grid; "
        "null if the query lacks a picture or words, or the model has no such maps."
    )


class ComparedResult(BaseModel):
    """One picture of a ranking, and its rank by the learned weights."""

    rank: int = Field(ge=1)
    id: str
    score: float
    learned_rank: int | None
    change: int | None = Field(description="Rank as learned minus rank in this reading.")


class Reading(BaseModel):
    """The best results of one ranking: by picture, words, both equally, or the learned weights."""

    name: str = Field(description="picture, words, average or learned.")
    weights: dict[str, Weight]
    hits: list[ComparedResult]
    shared: int = Field(ge=0, description="How many of these are among the best as learned.")


class CompareAnswer(GalleryPart):
    """The results of one query, ranked with several different weights of picture and words."""

    columns: list[Reading]
    fitting: list[str] | None = Field(
        description="The ids of all pictures that match the query, where it is known: in the drawn "
        "catalogue, and by metadata that describe the pictures."
    )
    why_unknown: str = Field(description="Why `fitting` is null.")
    fitting_filter: str | None = Field(
        None,
        description="The condition on the metadata that the pictures in `fitting` meet, as a "
        "`filter`; null if `fitting` is null or of the drawn catalogue.",
    )
    notes: list[str]


class GalleryAnswer(GalleryPart):
    """The gallery's metadata columns, and the pictures that a request selects."""

    gallery_size: int = Field(ge=0, description="How many pictures the gallery has.")
    fits: int = Field(ge=0, description="How many pictures fit the filter.")
    columns: dict[str, dict[str, Any]] = Field(
        description="The metadata's columns: the type of each, with its values and how many "
        "pictures have each, or its least and greatest number."
    )
    start: int = Field(ge=0, description="The index of the first picture listed.")
    ids: list[str]
    metadata: list[dict[str, Any]] = Field(description="One per id.")
    descriptions: list[str] = Field(description="One per id.")
    notes: list[str] = Field(description="Remarks on values in the filter that no picture has.")


class ModelsAnswer(BaseModel):
    """The names of all models that a request may choose, and the name of the default model."""

    models: list[str]
    default: str


class ErrorAnswer(BaseModel):
    """The error message of a refused request: the reason, and what to do."""

    error: str
