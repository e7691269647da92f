"""A gallery of plain colours and a searcher over it, with the interfaces that the page asks for."""

import colorsys
import random
from pathlib import Path

from PIL import Image

from dwc.errors import QueryError
from dwc.search.result import Hit, SearchResult, Weight


class ColouredPictures:
    """Squares of one colour, one file each."""

    noun = "colours"

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.ids = [f"p-{place:04d}" for place in range(size)]
        for place, picture_id in enumerate(self.ids):
            colour = colorsys.hsv_to_rgb(place / size, 0.6, 0.9)
            square = Image.new("RGB", (64, 64), tuple(round(255 * level) for level in colour))
            square.save(self.thumbnail(picture_id))

    def thumbnail(self, picture_id: str) -> Path:
        return self.folder / f"{picture_id}.png"

    def describe(self, picture_id: str) -> str:
        return f"colour <{picture_id}>"

    def id_of(self, thumbnail: str | Path) -> str | None:
        path = Path(thumbnail)
        return path.stem if path.parent == self.folder and path.stem in self.ids else None


class RandomSearcher:
    """Answers at random, the same for the same question; keeps what it was last asked."""

    def __init__(self, ids: list[str], unfamiliar: float | None = None) -> None:
        self.ids = ids
        self.unfamiliar = unfamiliar
        self.asked: dict[str, object] = {}

    def search(
        self,
        image: Image.Image | None = None,
        text: str = "",
        k: int = 12,
        shift: float = 0.0,
        reference_id: str | None = None,
    ) -> SearchResult:
        self.asked = {
            "image": image,
            "text": text,
            "k": k,
            "shift": shift,
            "reference_id": reference_id,
        }
        words = text.split()
        if len(words) > 70:
            raise QueryError(f"the text has {len(words)} tokens; at most 70 are read. Shorten it.")
        rng = random.Random(f"{text} {reference_id} {image and image.size}")
        has_picture = image is not None or reference_id is not None
        clip = 1.0 if not words else 0.0 if not has_picture else rng.uniform(0.3, 0.7)
        cnn = clip if clip in (0, 1) else rng.uniform(0.3, 0.8)
        found = rng.sample([i for i in self.ids if i != reference_id], min(k, len(self.ids) - 1))
        scores = sorted((rng.uniform(0.2, 1.4) for _ in found), reverse=True)
        hits = []
        for place, (picture_id, score) in enumerate(zip(found, scores, strict=True)):
            parts = {
                "clip_image": 0.5 * clip * score,
                "clip_text": 0.5 * (1 - clip) * score,
                "cnn_image": 0.5 * cnn * score,
                "cnn_text": 0.5 * (1 - cnn) * score - (0.1 if place % 4 == 3 else 0.0),
            }
            percentile = 100 * (1 - (place + 1) / len(self.ids))
            hits.append(Hit(place + 1, picture_id, sum(parts.values()), parts, percentile))
        return SearchResult(
            hits=hits,
            weights={"clip": Weight(clip, 1 - clip), "cnn": Weight(cnn, 1 - cnn)},
            unknown_words=[word for word in words if "sequin" in word],
            timings_ms={"embed": 14.2, "search": 0.4, "total": 14.6},
            gallery_size=len(self.ids),
            shift=shift,
            unfamiliar=self.unfamiliar,
            read=text,
        )
