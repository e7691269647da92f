"""CLIP's features of a benchmark's pictures and texts, computed once and kept in files.

CLIP is frozen, and training sees a picture in two ways at most, as it is and mirrored. So after one
pass over all of them a step needs no forward pass of CLIP: it reads rows.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image, ImageOps
from torch import Tensor

from dwc.datasets.prefetch import ImagePrefetcher
from dwc.errors import ImageError, QueryError
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.dwc.benchmark_data import BenchmarkData, FixedTriplets
from dwc.training.feature_cache import log_progress

logger = logging.getLogger(__name__)

_CHUNK = 64


@dataclass(frozen=True)
class ClipFeatureTable:
    """Where the features are: `rows` are places of pictures by name, `views` 1 or 2 of each.

    The files are opened by whoever reads, so that a table costs nothing to hand to a process.
    `texts_file` is None where texts are not fixed but drawn.
    """

    pictures_file: Path
    rows: Mapping[str, int]
    views: int
    texts_file: Path | None

    def pictures(self, names: Sequence[str], mirrored: Sequence[bool]) -> Tensor:
        """(N, F) float32, of each picture as it was seen."""
        places = [
            self.rows[name] * self.views + int(is_mirrored)
            for name, is_mirrored in zip(names, mirrored, strict=True)
        ]
        return torch.from_numpy(_mapped(self.pictures_file)[places])

    def texts(self, places: Sequence[int]) -> Tensor | None:
        """(N, F) float32, of the texts of these triplets."""
        if self.texts_file is None:
            return None
        return torch.from_numpy(_mapped(self.texts_file)[list(places)])


@lru_cache(maxsize=8)
def _mapped(file: Path) -> np.ndarray:
    return np.load(file, mmap_mode="r")


def cache_clip_features(
    clip: ClipBackbone,
    processor: DWCProcessor,
    template: Mapping[str, str],
    data: BenchmarkData,
    folder: Path,
    accelerator: Accelerator,
    threads: int,
) -> ClipFeatureTable:
    """Compute what is not in `folder` yet; of several processes the first does it for all.

    What cannot be read has a row of NaN: who learns from it opens it as well, and says which
    triplet it belongs to.
    """
    names = list(dict.fromkeys(data.learned.names()))
    is_fixed = isinstance(data.learned, FixedTriplets)
    table = ClipFeatureTable(
        folder / "clip_pictures.npy",
        {name: row for row, name in enumerate(names)},
        2 if data.mirrored else 1,
        folder / "clip_texts.npy" if is_fixed else None,
    )
    if accelerator.is_main_process:
        if not table.pictures_file.exists():
            count = len(names) * table.views
            with _new_table(table.pictures_file, count, clip) as rows, accelerator.autocast():
                _look(clip, processor, data, names, table.views, rows, threads)
        if table.texts_file is not None and not table.texts_file.exists():
            assert isinstance(data.learned, FixedTriplets)
            texts = [fill_template(template, t.captions) for t in data.learned.triplets]
            with _new_table(table.texts_file, len(texts), clip) as rows, accelerator.autocast():
                _read(clip, processor, texts, rows)
    accelerator.wait_for_everyone()
    return table


@contextmanager
def _new_table(file: Path, count: int, clip: ClipBackbone) -> Iterator[np.ndarray]:
    """Rows of NaN to fill; the file has its name only when they are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".fresh")
    shape = (count, clip.config.projection_dim)
    rows = np.lib.format.open_memmap(fresh, mode="w+", dtype=np.float32, shape=shape)
    rows[:] = np.nan
    yield rows
    rows.flush()
    fresh.replace(file)
    logger.info("%s: CLIP's features of %s, %.0f MB", file, f"{count:,}", rows.nbytes / 1e6)


@torch.no_grad()
def _look(
    clip: ClipBackbone,
    processor: DWCProcessor,
    data: BenchmarkData,
    names: Sequence[str],
    views: int,
    rows: np.ndarray,
    threads: int,
) -> None:
    device = next(clip.parameters()).device
    starts = range(0, len(names), _CHUNK)
    with ImagePrefetcher(data.paths, names, threads) as open_picture:
        for start in log_progress(starts, "keeping CLIP's features, pictures"):
            seen: list[Image.Image] = []
            places: list[int] = []
            for place, name in enumerate(names[start : start + _CHUNK], start):
                try:
                    picture = open_picture(name)
                except ImageError:
                    continue
                seen += [picture, ImageOps.mirror(picture)][:views]
                places += range(place * views, (place + 1) * views)
            if seen:
                pixels = processor(images=seen)["pixel_values"]
                pixels = pixels.to(device, memory_format=torch.channels_last)
                rows[places] = clip.image_features(pixels).float().cpu().numpy()


@torch.no_grad()
def _read(
    clip: ClipBackbone, processor: DWCProcessor, texts: Sequence[str], rows: np.ndarray
) -> None:
    device = next(clip.parameters()).device

    def read(start: int, end: int) -> None:
        inputs = processor(text=list(texts[start:end])).to(device)
        features = clip.text_features(inputs["clip_input_ids"], inputs["clip_attention_mask"])
        rows[start:end] = features.float().cpu().numpy()

    for start in log_progress(range(0, len(texts), _CHUNK), "keeping CLIP's features, texts"):
        end = min(start + _CHUNK, len(texts))
        try:
            read(start, end)
        except QueryError:
            for place in range(start, end):
                with suppress(QueryError):
                    read(place, place + 1)
