"""What frozen towers make of a pool of drawings and its texts, computed: each goes through once."""

import hashlib
import json
import logging
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dwc.catalogue.description import describe
from dwc.modeling.captions import fill_template
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor
from dwc.training.augmentation import random_views
from dwc.training.catalogue_batches import PoolTriplet
from dwc.training.kept import KeptPictures, KeptPool, KeptTexts
from dwc.training.pool import DrawnPool
from dwc.training.recipe import MEAN, PICTURE_PX, STD

logger = logging.getLogger(__name__)

Chunk = TypeVar("Chunk")
_CHUNK = 500


@torch.inference_mode()
def keep_pictures(
    model: DWCModel, pool: DrawnPool, views: int, seed: int, folder: Path
) -> KeptPictures:
    """Look at `views` random views of every drawing with both image towers of `model`.

    The rows, float16, are kept in `folder`, and read back where they are there already and of
    these very towers. `model` is left in eval mode.
    """
    model.eval()
    assert model.clip is not None
    assert model.cnn_stream is not None
    clip = model.clip.to(memory_format=torch.channels_last)
    resnet = model.cnn_stream.resnet.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)

    def look(items: Tensor) -> tuple[Tensor, Tensor]:
        pictures = pool.take(items, generator)
        pixels = random_views(pictures, PICTURE_PX, generator, MEAN, STD).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16):
            return clip.image_features(pixels), resnet(pixels).last_hidden_state

    features, one = look(torch.zeros(1, dtype=torch.long))
    file = folder / f"kept-{_name(model, pool, views, seed)}.npy"
    if not file.exists():
        generator.manual_seed(seed)
        shape = (views, len(pool.items), features.numel() + one.numel())
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial.npy")
        rows = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        chunks = [(v, c) for v in range(views) for c in torch.arange(shape[1]).split(_CHUNK)]
        with _logged(folder, "pictures", views * shape[1]):
            for view, items in _progress(chunks, "keeping pictures"):
                features, maps = look(items)
                row = torch.cat([features.float(), maps.float().flatten(1)], dim=1)
                rows[view, items[0] : items[-1] + 1] = row.cpu().half().numpy()
        rows.flush()
        partial.rename(file)
    kept = torch.from_numpy(np.load(file))
    return KeptPictures(kept, (one.shape[1], one.shape[2], one.shape[3]))


@torch.inference_mode()
def keep_texts(
    model: DWCModel,
    processor: DWCProcessor,
    pictures: KeptPictures,
    pool: DrawnPool,
    triplets: Sequence[PoolTriplet],
    seed: int,
    folder: Path,
) -> KeptPool:
    """Read the wish of every triplet, and a description of every drawing, and keep all together."""
    model.eval()
    template = model.config.caption_template
    wishes = [fill_template(template, wish.captions) for _, _, wish in triplets]
    rng = random.Random(f"{seed}/descriptions")
    descriptions = [describe(item.garment, rng) for item in pool.items]
    with _logged(folder, "texts", len(wishes) + len(descriptions)):
        return KeptPool(
            pictures=pictures,
            references=torch.tensor([reference for reference, _, _ in triplets]),
            targets=torch.tensor([target for _, target, _ in triplets]),
            wishes=read_texts(model, processor, wishes),
            descriptions=read_texts(model, processor, descriptions),
        )


@torch.inference_mode()
def read_texts(model: DWCModel, processor: DWCProcessor, texts: Sequence[str]) -> KeptTexts:
    """Texts as CLIP and the word tokenizer read them, in their order; the template is applied."""
    assert model.clip is not None
    # By length, since a batch is as long as its longest.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    chunks = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]
    features = torch.zeros(len(texts), model.clip.config.projection_dim)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    words = []
    for chunk in _progress(chunks, "keeping texts"):
        inputs = processor(text=[texts[row] for row in chunk]).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16):
            read = model.clip.text_features(inputs["clip_input_ids"], inputs["clip_attention_mask"])
        features[chunk] = read.float().cpu()
        lengths[chunk] = inputs["word_mask"].sum(dim=1).cpu()
        words.append(inputs["word_ids"].int().cpu())
    padded = torch.zeros(len(texts), max(part.shape[1] for part in words), dtype=torch.int32)
    for chunk, part in zip(chunks, words, strict=True):
        padded[chunk, : part.shape[1]] = part
    return KeptTexts(features, padded, lengths)


def _progress(chunks: Sequence[Chunk], what: str) -> Iterator[Chunk]:
    began = time.monotonic()
    for done, chunk in enumerate(chunks, 1):
        yield chunk
        if done % 40 == 0 or done == len(chunks):
            left = (time.monotonic() - began) / done * (len(chunks) - done)
            logger.info("%s %d/%d, %.0f s left", what, done, len(chunks), left)


@contextmanager
def _logged(folder: Path, what: str, count: int) -> Iterator[None]:
    """One line in `folder/keeping.jsonl` when it is done: how many of what, in how long."""
    began = time.monotonic()
    yield
    line = {"step": count, "seconds": round(time.monotonic() - began, 1), "kept": what}
    with (folder / "keeping.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def _name(model: DWCModel, pool: DrawnPool, views: int, seed: int) -> str:
    """12 hex digits of all that decides what is kept of the pictures."""
    digest = hashlib.sha256(repr((views, seed, PICTURE_PX, MEAN, STD, pool.items[-1])).encode())
    digest.update(np.ascontiguousarray(pool.pictures[:, ::997].numpy()).tobytes())
    assert model.clip is not None
    assert model.cnn_stream is not None
    for tower in (model.clip, model.cnn_stream.resnet):
        for name, tensor in sorted(tower.state_dict().items()):
            if not name.startswith("text_"):  # what CLIP reads with says nothing of pictures
                digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
