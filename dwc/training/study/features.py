"""What the study keeps: a pool, and questions to two galleries, as frozen towers made them."""

import json
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dwc.modeling.configuration import DWCConfig
from dwc.training.kept import KeptPictures, KeptPool, KeptTexts
from dwc.training.questions import Questions

_TENSORS, _COMPLETE = "features.pt", "complete.json"


@dataclass(frozen=True)
class StudyFeatures:
    """All of it. `noise` (T,) in [0, 1) says which of the pool's wishes go wrong first.

    `config` is that of the checkpoint whose towers are kept.
    """

    config: DWCConfig
    pool: KeptPool
    noise: Tensor
    test: Questions
    val: Questions

    def pool_with(self, wrong_share: float) -> KeptPool:
        """The pool where a share (0 to 1) of the triplets carries another triplet's wish.

        It is that of the triplet before, as the catalogue's own dial has it; what is wrong at a
        smaller share is wrong at a larger one, too.
        """
        if wrong_share == 0:
            return self.pool
        own = torch.arange(len(self.noise))
        said = torch.where((self.noise < wrong_share) & (own > 0), own - 1, own)
        wishes = self.pool.wishes
        mixed = KeptTexts(wishes.features[said], wishes.words[said], wishes.lengths[said])
        return replace(self.pool, wishes=mixed)


def write(features: StudyFeatures, folder: Path) -> None:
    """Write into a folder beside first, and move it in when it is whole."""
    fresh = folder.with_name(f"{folder.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    features.config.save_pretrained(fresh)
    torch.save(_as_tensors(features), fresh / _TENSORS)
    (fresh / _COMPLETE).write_text(json.dumps({"triplets": len(features.noise)}) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def is_kept(folder: Path) -> bool:
    """Whether a folder holds a whole one."""
    return (folder / _COMPLETE).is_file()


def read(folder: Path) -> StudyFeatures:
    """Read back what `write` wrote; the tensors stay on disk until they are used."""
    found = torch.load(folder / _TENSORS, mmap=True, weights_only=True)
    pool = found["pool"]
    pictures = KeptPictures(pool["pictures"]["rows"], tuple(pool["pictures"]["map_shape"]))
    return StudyFeatures(
        config=DWCConfig.from_pretrained(folder),
        pool=KeptPool(
            pictures,
            pool["references"],
            pool["targets"],
            KeptTexts(**pool["wishes"]),
            KeptTexts(**pool["descriptions"]),
        ),
        noise=found["noise"],
        test=_questions(found["test"]),
        val=_questions(found["val"]),
    )


def _questions(found: dict[str, Any]) -> Questions:
    return Questions(**{**found, "texts": KeptTexts(**found["texts"])})


def _as_tensors(part: Any) -> Any:
    """A dataclass as a dict of tensors, dicts and tuples; the config, which has a file, is out."""
    if isinstance(part, (Tensor, tuple)):
        return part
    return {
        field.name: _as_tensors(getattr(part, field.name))
        for field in fields(part)
        if field.name != "config"
    }
