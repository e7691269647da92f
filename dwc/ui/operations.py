"""The operations that programs may call over HTTP (`rest.py`) or over MCP (`mcp_server.py`).

Each class whose name ends in `Arguments` defines the arguments of one operation. The JSON schema of
the class is in the OpenAPI document and in the list of MCP tools.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dwc.datasets.image_loading import decode
from dwc.errors import ImageError, QueryError, quote
from dwc.gallery.store import match_id
from dwc.search.model_pool import ModelPool, origin_of
from dwc.search.query import EncodedQuery
from dwc.search.searcher import Searcher
from dwc.ui import answers
from dwc.ui.api import (
    COMPARED,
    GALLERY_PAGE,
    compare_query,
    explain_query,
    gallery_table,
    list_models,
)
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring import Observer, observe_operation
from dwc.ui.request_parsing import DEFAULT_RESULTS, MAX_CHARACTERS, MAX_RESULTS, parse_shift

MAX_GALLERY_PAGE = 10_000
"""The maximum number of gallery pictures in one answer."""

MAX_SHIFT = 1e6
"""The maximum absolute value of a finite weight shift; the weights are 0 or 1 far below it."""

_BASE64: dict[str, Any] = {"format": "byte", "contentEncoding": "base64", "minLength": 1}
_HAS_PICTURE = {"required": ["reference"], "properties": {"reference": {"type": "string"}}}
_HAS_ID = {"required": ["reference_id"], "properties": {"reference_id": {"minLength": 1}}}
_HAS_TEXT = {"required": ["text"], "properties": {"text": {"pattern": r"\S"}}}
_QUERY_RULES: dict[str, Any] = {
    # A picture, a picture of the gallery, or a text that is not blank; not both kinds of picture.
    "anyOf": [_HAS_PICTURE, _HAS_ID, _HAS_TEXT],
    "not": {"allOf": [_HAS_PICTURE, _HAS_ID]},
}

Answer = dict[str, Any]
ArgumentsType = TypeVar("ArgumentsType", bound="Arguments")


class NotFoundError(QueryError):
    """A request names a picture or a model that does not exist on this server."""


def _refuse_other_types(value: object) -> object:
    """Return a number unchanged; raise `ValueError` for any other value, such as "5" or True."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("expected a number")
    return value


def _to_whole(value: object) -> object:
    """Convert a whole number such as 5.0 to an int, and return any other number unchanged.

    JSON does not distinguish 5.0 from 5.

    Raises:
        ValueError: The value is not a number.
    """
    number = _refuse_other_types(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


Whole = Annotated[int, BeforeValidator(_to_whole)]
Number = Annotated[
    float,
    Field(ge=-MAX_SHIFT, le=MAX_SHIFT, allow_inf_nan=False),
    BeforeValidator(_refuse_other_types),
]


Filter = Annotated[
    str,
    Field(
        max_length=MAX_CHARACTERS,
        description="Only pictures whose metadata fit, such as `category = dress and price < 50`; "
        "empty for all. The operation `gallery` lists the columns.",
        json_schema_extra={"format": "filter"},
    ),
]


class Arguments(BaseModel):
    """Base class of the arguments of an operation; an unknown argument is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class QueryArguments(Arguments):
    """A query: a picture to start from, words that say what should be different, or both."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.update(_QUERY_RULES))

    reference: Annotated[str, Field(json_schema_extra=_BASE64)] | None = Field(
        None,
        description="The picture to start from: the file's content (JPEG, PNG, WebP and others) in "
        "Base64, with or without the beginning of a data URL. Leave it out, or send null, for "
        "words alone; an empty string is refused.",
    )
    reference_id: str = Field(
        "", description="Instead of `reference`: the id of a picture of the gallery."
    )
    text: str = Field(
        "",
        max_length=MAX_CHARACTERS,
        description="What should be different, in English, such as `shorter, with a belt`. Leave "
        "it out for the picture alone. Words that are no English are refused if none is known.",
        json_schema_extra={"format": "english"},
    )
    model: str = Field("", description="The name of the model that answers; empty for the first.")
    filter: Filter = ""


class SearchArguments(QueryArguments):
    """The arguments of a search: the query, and the options of the ranking."""

    k: Whole = Field(DEFAULT_RESULTS, ge=1, le=MAX_RESULTS, description="How many results.")
    shift: Number | Literal["inf", "-inf"] = Field(
        0.0,
        description="Added to the logit of each stream's image weight: 0 is as learned, positive "
        "numbers lean to the picture, negative ones to the words. JSON has no infinity: the "
        'strings "inf" and "-inf" mean the picture alone and the words alone.',
    )
    fold: bool = Field(
        False,
        description="Whether near-duplicates are folded under the best of each group, with further "
        "results in their place.",
    )


class ExplainArguments(QueryArguments):
    """The arguments of an explanation: the query, and the result to explain."""

    id: str = Field("", description="The id of the picture to explain; empty for the best result.")
    shift: Number | Literal["inf", "-inf"] = Field(
        0.0, description="Leans the learned weights, as in a search."
    )


class CompareArguments(QueryArguments):
    """The arguments of a comparison: the query, and the number of results of each ranking."""

    k: Whole = Field(COMPARED, ge=1, le=MAX_RESULTS, description="How many results per reading.")


class GalleryArguments(Arguments):
    """The arguments of the gallery listing: a filter, and the range of pictures."""

    start: Whole = Field(0, ge=0, le=2**31 - 1, description="The first picture, from 0.")
    limit: Whole = Field(
        GALLERY_PAGE, ge=1, le=MAX_GALLERY_PAGE, description="How many pictures at most."
    )
    filter: Filter = ""


class ModelsArguments(Arguments):
    """The arguments of the model listing. There are none."""


class Operations:
    """The operations of an app: search, explain, compare, list the gallery, and list the models.

    All methods are thread-safe. The answers are JSON-compatible dicts.
    """

    def __init__(
        self, models: ModelPool, images: GalleryImages, observers: Sequence[Observer] = ()
    ) -> None:
        """Build the object that runs the operations.

        Args:
            models: The models.
            images: The gallery.
            observers: The observers to which `run` reports its calls.
        """
        self.models, self.images = models, images
        self._observers = observers

    def run(self, operation: "Operation", args: Arguments, picture: bytes | None = None) -> Answer:
        """Run an operation, report the call to the observers, and return the answer."""
        with observe_operation(operation.name, self._observers):
            return operation.call(self, args, picture)

    def search(self, args: SearchArguments, picture: bytes | None = None) -> Answer:
        """Search the gallery, and return the ranked results with scores and weights.

        Args:
            args: The query, the number of results, the weight shift, and whether to fold
                near-duplicates.
            picture: The file content of the reference image; None if there is none or it is in
                `args`.

        Raises:
            NotFoundError: The model or the reference's id is unknown.
            QueryError: The query is invalid.
            ImageError: The picture cannot be read.
            BusyError: Too many queries are waiting for the model.
        """
        with self._encode(args, picture) as (searcher, query):
            result = searcher.answer(query, args.k, parse_shift(args.shift), fold=args.fold)
            return {**result.to_dict(), **origin_of(searcher).to_dict()}

    def explain(self, args: ExplainArguments, picture: bytes | None = None) -> Answer:
        """Explain why a picture has its rank in the results of a query.

        Args:
            args: The query, the id of the picture, and the weight shift.
            picture: The file content of the reference image; None if there is none or it is in
                `args`.

        Raises:
            NotFoundError: The model or an id is unknown, or the picture to explain is the
                reference.
            QueryError: The query is invalid.
            ImageError: The reference cannot be read.
            BusyError: Too many queries are waiting for the model.
        """
        image_id = self._complete_id(args.id, "id")
        with self._encode(args, picture) as (searcher, query):
            if image_id and image_id == query.reference_id:
                raise NotFoundError("id is the reference itself, which is never among the results.")
            return explain_query(searcher, query, image_id, parse_shift(args.shift))

    def compare(self, args: CompareArguments, picture: bytes | None = None) -> Answer:
        """Return four rankings: by image, by text, with equal weights, with the learned weights.

        Args:
            args: The query, and the number of results of each ranking.
            picture: The file content of the reference image; None if there is none or it is in
                `args`.

        Raises:
            NotFoundError: The model or the reference's id is unknown.
            QueryError: The query is invalid.
            ImageError: The picture cannot be read.
            BusyError: Too many queries are waiting for the model.
        """
        with self._encode(args, picture) as (searcher, query):
            return compare_query(searcher, self.images, query, args.k)

    def list_gallery(self, args: GalleryArguments, picture: bytes | None = None) -> Answer:
        """List pictures of the gallery, with their metadata and descriptions.

        Args:
            args: The filter, and the range of pictures.
            picture: Not used.

        Raises:
            QueryError: The filter is invalid.
        """
        with self.models.using() as searcher:
            table = gallery_table(searcher, args.filter, args.start, args.limit)
        descriptions = [self.images.describe(image_id) for image_id in table["ids"]]
        return {**table, "descriptions": descriptions}

    def list_models(self, args: ModelsArguments, picture: bytes | None = None) -> Answer:
        """Return the names of all models, and the name of the default model.

        Args:
            args: Not used, since this operation has no arguments.
            picture: Not used.
        """
        return list_models(self.models)

    def thumbnail(self, image_id: str) -> Path:
        """Return the path of the thumbnail (a WebP file) of a picture of the gallery.

        Raises:
            NotFoundError: The gallery has no such picture.
        """
        if not image_id:
            raise NotFoundError("id is missing; expected the id of a picture of the gallery.")
        return self.images.draw_thumbnail(self._complete_id(image_id, "id"))

    @contextmanager
    def _encode(
        self, args: QueryArguments, picture: bytes | None
    ) -> Iterator[tuple[Searcher, EncodedQuery]]:
        if args.model and args.model not in self.models.names:
            offered = ", ".join(self.models.names)
            raise NotFoundError(
                f"there is no model {quote(args.model)} here. Choose one of: {offered}."
            )
        self._complete_id(args.reference_id, "reference_id")
        query = self._query(args, picture)
        with self.models.using(args.model) as searcher:
            yield searcher, searcher.encode_query(**query, filter=args.filter)

    def _query(self, args: QueryArguments, picture: bytes | None) -> dict[str, Any]:
        """Return the query as keyword arguments of `Searcher.encode_query`."""
        text = args.text.strip()
        if args.reference is not None:
            picture = decode_base64(args.reference)
        if picture is not None and args.reference_id:
            raise QueryError("reference and reference_id are both given; send one of them.")
        if picture is None and not args.reference_id and not text:
            raise QueryError("There is nothing to search: send a picture, words, or both.")
        image = None if picture is None else _decode_picture(picture)
        return {"image": image, "text": text, "reference_id": args.reference_id or None}

    def _complete_id(self, image_id: str, name: str) -> str:
        """Return the exact id of the gallery picture that `image_id` refers to.

        Args:
            image_id: The id. It may differ from the exact id in letter case and in the Unicode form
                of accents. If it is empty, the result is empty.
            name: The name of the argument, for the error message.

        Raises:
            NotFoundError: No picture of the gallery matches, or several do.
        """
        if not image_id:
            return ""
        known = match_id(image_id, self.images.ids)
        if known is None:
            raise NotFoundError(f"{name} is {quote(image_id)}; the gallery has no such picture.")
        return known


def parse_arguments(kind: type[ArgumentsType], values: Mapping[str, Any]) -> ArgumentsType:
    """Check the arguments of an operation, and convert them to an object.

    Args:
        kind: The class of the result.
        values: The arguments by name, as parsed from JSON.

    Raises:
        QueryError: Some arguments are invalid; the message names all of them.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        complaints = []
        for problem in error.errors(include_url=False):
            name = problem["loc"][0] if problem["loc"] else "arguments"
            if name == "shift" and name in values and values["shift"] is None:
                parse_shift(None)
            complaint = f"{name}: {problem['msg'].removeprefix('Value error, ')}"
            if problem["type"] == "extra_forbidden":
                complaint = f"{name} is no argument; expected: {', '.join(kind.model_fields)}"
            complaints.append(complaint)
        raise QueryError("; ".join(dict.fromkeys(complaints)) + ".") from None


def decode_base64(text: str) -> bytes:
    """Decode Base64, with or without the prefix of a data URL, such as "data:image/png;base64,".

    Raises:
        ImageError: The text is not Base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError(
            "reference is not Base64; send the content of a picture's file in Base64."
        ) from None


def _decode_picture(content: bytes) -> Image.Image:
    try:
        return decode(content)
    except ImageError as error:
        raise ImageError(str(error).replace("the picture given: ", "The picture ")) from error


@dataclass(frozen=True)
class Operation:
    """Description of an operation, with the function that runs it.

    Attributes:
        name: The name. It is also the last part of the operation's address, and the name of its MCP
            tool.
        title: A short title.
        description: What the operation does, for people and language models.
        arguments: The class of its arguments.
        answer: The class that documents its answer.
        call: The function that runs the operation. Its parameters are an `Operations`, the
            arguments, and the file content of the reference image or None.
    """

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    answer: type[BaseModel]
    call: Callable[..., Answer]

    @property
    def has_query(self) -> bool:
        """Whether the arguments contain a query."""
        return issubclass(self.arguments, QueryArguments)


OPERATIONS = (
    Operation(
        "search",
        "Search",
        "Find the gallery's pictures that look like a reference picture and fit words of change. "
        "The answer has the ranked results, and the weight that the model gave the picture and the "
        "words in each of its streams.",
        SearchArguments,
        answers.SearchAnswer,
        Operations.search,
    ),
    Operation(
        "explain",
        "Explain a result",
        "Explain why a picture has its rank in the answer to a query: its score in parts, its "
        "ranks by picture, words, average and as learned, what each word did, how ranks move with "
        "the weight, and where in the reference each word looked.",
        ExplainArguments,
        answers.ExplainAnswer,
        Operations.explain,
    ),
    Operation(
        "compare",
        "Compare readings",
        "Answer one query by the picture, by the words, by their average, and as learned.",
        CompareArguments,
        answers.CompareAnswer,
        Operations.compare,
    ),
    Operation(
        "gallery",
        "List the gallery",
        "List pictures of the gallery: ids, which can be a `reference_id`, and descriptions.",
        GalleryArguments,
        answers.GalleryAnswer,
        Operations.list_gallery,
    ),
    Operation(
        "models",
        "List the models",
        "List the models that can answer. The first is the default.",
        ModelsArguments,
        answers.ModelsAnswer,
        Operations.list_models,
    ),
)
