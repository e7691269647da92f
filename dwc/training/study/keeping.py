"""Computing what the study keeps: every picture and text goes through the frozen towers once."""

import os
import random
import shutil
from pathlib import Path

import torch

from dwc.catalogue.splits import training_triplets
from dwc.checkpoint import Checkpoint
from dwc.errors import TrainingError
from dwc.training.keeping import keep_pictures, keep_texts
from dwc.training.pool import draw_pool
from dwc.training.questions import keep_questions
from dwc.training.recipe import PICTURE_PX
from dwc.training.study.features import StudyFeatures, is_kept, write
from dwc.training.study.settings import StudySettings

_SEED = 0  # of views, triplets and descriptions: what is kept is the same for every run


def keep_features(
    settings: StudySettings, checkpoint: Checkpoint, work: Path, drawings: Path
) -> Path:
    """Keep all that the study needs, unless it is kept already; the folder it is in.

    Drawings go to `drawings`, which may hold them. TrainingError for a checkpoint that lacks a
    stream, or does not read drawings of the catalogue's size.
    """
    folder = work / f"features-{settings.kept_name(checkpoint.fingerprint)}"
    if is_kept(folder):
        return folder
    _require_catalogue_model(checkpoint)
    model, processor = checkpoint.model, checkpoint.processor
    pool = draw_pool(settings.pool, drawings, workers=os.cpu_count() or 1)
    triplets = list(training_triplets(pool.items, _SEED, settings.triplets))
    looking = work / "looking"
    pictures = keep_pictures(model, pool, settings.views, _SEED, looking)
    kept = keep_texts(model, processor, pictures, pool, triplets, _SEED, looking)
    dial = random.Random(f"noise|{_SEED}")
    features = StudyFeatures(
        config=model.config,
        pool=kept,
        noise=torch.tensor([dial.random() for _ in triplets], dtype=torch.float64),
        test=keep_questions(model, processor, "test", settings.gallery, settings.queries),
        val=keep_questions(model, processor, "val", settings.gallery, settings.queries),
    )
    write(features, folder)
    shutil.rmtree(looking)
    return folder


def _require_catalogue_model(checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    if model.clip is None or model.cnn_stream is None:
        raise TrainingError(
            f"{checkpoint.name} lacks a stream; the study takes a DWC checkpoint with both."
        )
    size_px = model.clip.config.vision_config.image_size
    if size_px != PICTURE_PX:
        raise TrainingError(
            f"{checkpoint.name} reads pictures of {size_px} pixels; the study is of models for the "
            f"catalogue's {PICTURE_PX}."
        )
