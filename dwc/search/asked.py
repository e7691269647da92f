"""A question that was read and encoded, before anything is ranked."""

from dataclasses import dataclass

from PIL import Image

from dwc.search.encoding import EncodedQuery


@dataclass(frozen=True, eq=False)
class AskedQuery:
    """One question as one `Searcher` read it; its caller keeps it, and may explain it many ways.

    `image` is the decoded reference, upright RGB; `text` what was typed, stripped; at least one of
    them is there. `excluded` are the positions, in that searcher's store, which must not be found.
    `reference_id` is the gallery's own picture, where the reference is one. `encode_ms` is how long
    reading and encoding took.
    """

    image: Image.Image | None
    text: str
    encoded: EncodedQuery
    excluded: tuple[int, ...] = ()
    reference_id: str | None = None
    notes: tuple[str, ...] = ()
    encode_ms: float = 0.0
