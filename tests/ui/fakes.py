"""A gallery of plain colours and a searcher over it, with the interfaces that the page asks for."""

import colorsys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import torch
from PIL import Image

from dwc.errors import QueryError
from dwc.gallery.metadata import Metadata
from dwc.modeling.combiners import ComposedQuery, Composition
from dwc.search.query import EncodedQuery, QueryEncoding
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import NearDuplicates, SearchResult
from dwc.search.weight_sweep import WeightSweep

WIDTH = 8  # of each stream's embedding


class ColouredPictures:
    """Squares of one colour, one file each."""

    noun = "colours"
    skipped: Mapping[str, str] = MappingProxyType({})
    remarks: Sequence[str] = ()
    indexing = None

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.metadata = Metadata({}, size)
        self.ids = [f"p-{place:04d}" for place in range(size)]
        for place, picture_id in enumerate(self.ids):
            colour = colorsys.hsv_to_rgb(place / size, 0.6, 0.9)
            square = Image.new("RGB", (64, 64), tuple(round(255 * level) for level in colour))
            square.save(self.thumbnail(picture_id))

    def thumbnail(self, picture_id: str) -> Path:
        return self.folder / f"{picture_id}.png"

    def draw_thumbnail(self, picture_id: str) -> Path:
        return self.thumbnail(picture_id)

    def draw_missing(self, thumbnail: str | Path) -> None:
        """Every file exists."""

    def open_large(self, picture_id: str, drawn_px: int) -> Image.Image:
        if picture_id not in self.ids:
            raise KeyError(picture_id)
        return Image.open(self.thumbnail(picture_id))

    def describe(self, picture_id: str) -> str:
        return f"colour <{picture_id}>"

    def id_of(self, thumbnail: str | Path) -> str | None:
        path = Path(thumbnail)
        return path.stem if path.parent == self.folder and path.stem in self.ids else None

    def digest(self, picture_id: str) -> str:
        return f"{zlib.crc32(self.thumbnail(picture_id).read_bytes()):08x}"

    def id_with_digest(self, digest: str) -> str | None:
        return next((id for id in self.ids if self.digest(id) == digest), None)


class RandomSearcher:
    """Answers at random, the same for the same question; keeps what it was last asked."""

    def __init__(
        self, ids: list[str], unfamiliar: float | None = None, seed: int = 0, name: str = "random"
    ) -> None:
        self.ids = ids
        self.checkpoint = SimpleNamespace(name=name, fingerprint=f"{seed:012x}", revision=None)
        self.store = SimpleNamespace(
            manifest=SimpleNamespace(argument="colours"),
            fingerprint="0" * 12,
            metadata=Metadata({}, 0),
        )
        self.ood_score = unfamiliar
        self.asked: dict[str, object] = {}
        self.reference_weights: ReferenceWeights | None = None
        generator = torch.Generator().manual_seed(seed)
        streams = torch.randn(len(ids), 2, WIDTH, generator=generator)
        self.vectors = torch.nn.functional.normalize(streams, dim=-1).flatten(1).numpy()
        self.near_duplicates = NearDuplicates(self.vectors, ids)

    def encode_query(
        self,
        image: Image.Image | None = None,
        text: str = "",
        reference_id: str | None = None,
        filter: str = "",
    ) -> EncodedQuery:
        self.asked = {"image": image, "text": text, "reference_id": reference_id}
        if len(text.split()) > 70:
            raise QueryError(
                f"the text has {len(text.split())} tokens; at most 70 are read. Shorten it."
            )
        has_picture = image is not None or reference_id is not None
        seed = zlib.crc32(f"{text} {reference_id} {image and image.size}".encode())
        generator = torch.Generator().manual_seed(seed)
        streams = {}
        for name, least in (("clip", 0.3), ("cnn", 0.4)):
            picture, words = torch.randn(2, 1, WIDTH, generator=generator)
            weight = least + 0.4 * torch.rand(1, 1, generator=generator)
            if not text:
                weight, words = torch.ones(1, 1), torch.zeros_like(words)
            if not has_picture:
                weight, picture = torch.zeros(1, 1), torch.zeros_like(picture)
            streams[name] = Composition.mix(picture, words, weight)
        excluded = () if reference_id is None else (self.ids.index(reference_id),)
        encoded = QueryEncoding(ComposedQuery(**streams), text, self.ood_score)
        return EncodedQuery(image, text, encoded, excluded, reference_id, encode_ms=14.2)

    def answer(
        self,
        asked: EncodedQuery,
        k: int = 12,
        shift: float = 0.0,
        sweep: WeightSweep | None = None,
        fold: bool = False,
    ) -> SearchResult:
        self.asked |= {"k": k, "shift": shift}
        sweep = sweep or self.sweep(asked)
        return SearchResult(
            hits=sweep.hits(shift, k, self.near_duplicates if fold else None),
            weights=sweep.weights(shift),
            unknown_words=[word for word in asked.text.split() if "sequin" in word],
            timings_ms={"embed": 14.2, "search": 0.4, "total": 14.6},
            gallery_size=len(self.ids),
            shift=shift,
            ood_score=self.ood_score,
            model_text=asked.text,
        )

    def sweep(self, asked: EncodedQuery) -> WeightSweep:
        return WeightSweep(asked.encoding.composed, self.vectors, self.ids, asked.excluded)
