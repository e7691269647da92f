"""What frozen towers make of a pool of drawings and its texts, computed: each goes through once."""

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dwc.catalogue.description import describe
from dwc.modeling.captions import fill_template
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor
from dwc.training.catalogue_batches import PoolTriplet
from dwc.training.kept import KeptPictures, KeptPool, KeptTexts
from dwc.training.looking import CHUNK, look_once, with_progress
from dwc.training.pool import DrawnPool
from dwc.training.recipe import MEAN, PICTURE_PX, STD


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
    model.clip.to(memory_format=torch.channels_last)
    resnet = model.cnn_stream.resnet.to(memory_format=torch.channels_last)

    def look(pixels: Tensor) -> Tensor:
        with torch.autocast(model.device.type, torch.bfloat16):
            return rows_of(model, pixels.to(model.device))

    file = folder / f"kept-{_name(model, pool, views, seed)}.npy"
    if not file.exists():
        with _logged(folder, "pictures", views * len(pool.items)):
            look_once(pool, views, seed, (PICTURE_PX, MEAN, STD), look, file)
    blank = torch.zeros(1, 3, PICTURE_PX, PICTURE_PX, device=model.device)
    _, channels, height, width = resnet(blank).last_hidden_state.shape
    return KeptPictures(torch.from_numpy(np.load(file)), (channels, height, width))


def rows_of(model: DWCModel, pixel_values: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) -> (N, F + C h w), CLIP's features and the ResNet's last map."""
    assert model.clip is not None
    assert model.cnn_stream is not None
    maps = model.cnn_stream.resnet(pixel_values).last_hidden_state
    features = model.clip.image_features(pixel_values)
    return torch.cat([features.float(), maps.float().flatten(1)], dim=1)


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
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    features = torch.zeros(len(texts), model.clip.config.projection_dim)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    words = []
    for chunk in with_progress(chunks, "keeping texts"):
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
