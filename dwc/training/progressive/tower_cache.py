"""Pictures looked at once: an image tower that stays as it is but for its last layer.

An image tower takes nearly all the time of a step, of PL's as of any CLIP's training. Where a CLIP
that reads such pictures exists, all of the tower below its last layer may stay as it is: what that
layer reads is then computed once for a few views of every picture, and kept. The last layer and the
whole text tower learn on, so that what comes out is a CLIP like any other.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.modified_resnet import ModifiedResNet
from dwc.training.catalogue.drawn_pool import DrawnPool
from dwc.training.feature_cache import cache_view_features
from dwc.training.progressive.batches import ProgressiveBatches


class CachedTowers(nn.Module):
    """A CLIP for whom a picture is what its last image layer reads; for `train_towers` to train.

    The layers are `clip`'s own, which learns with it; the rest of its image tower is no part of it.
    """

    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.text_model, self.text_projection = clip.text_model, clip.text_projection
        self.image_layer = last_image_layer(clip)
        self.logit_scale = clip.logit_scale
        self._read_texts = clip.text_features

    def image_features(self, kept: Tensor) -> Tensor:
        """What `read_by_last_layer` gives (N, K) -> (N, F), as the CLIP has them of pictures."""
        return self.image_layer(kept)

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """As `ClipBackbone.text_features`."""
        return self._read_texts(input_ids, attention_mask)


def last_image_layer(clip: ClipBackbone) -> nn.Linear:
    """The linear layer with which a CLIP's image tower ends in the common space."""
    if isinstance(clip.vision_model, ModifiedResNet):
        return clip.vision_model.attention_pool.projection
    assert clip.visual_projection is not None  # every other tower has one
    return clip.visual_projection


@torch.no_grad()
def read_by_last_layer(clip: ClipBackbone, pixel_values: Tensor) -> Tensor:
    """Pictures (N, 3, height, width) -> (N, K), what the image tower's last layer reads of them."""
    return input_of(last_image_layer(clip), lambda: clip.image_features(pixel_values))


def input_of(layer: nn.Module, call: Callable[[], object]) -> Tensor:
    """What a layer is given while `call` runs, which must use it once."""
    read: list[Tensor] = []
    watch = layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        call()
    finally:
        watch.remove()
    return read[0]


def cache_tower_inputs(
    clip: ClipBackbone,
    pool: DrawnPool,
    batches: ProgressiveBatches,
    views: int,
    folder: Path,
    name: str,
    mixed_precision: str = "no",
) -> Tensor:
    """What `clip`'s last image layer reads of `views` random views of every picture of the pool.

    (views, items, K) float16, on the CPU. It is kept in `folder`, and read back where it is there
    already; `name` tells the clip, the pool and the views' seed from any others. `clip` is left in
    eval mode.
    """
    file = folder / f"kept-{name}.npy"
    if not file.exists():
        clip.eval()
        device = clip.logit_scale.device

        def look(pixels: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision == "bf16"):
                return read_by_last_layer(clip, pixels.to(device))

        preprocessing = batches.size_px, batches.mean, batches.std
        cache_view_features(pool, views, batches.seed, preprocessing, look, file)
    return torch.from_numpy(np.load(file))


def cache_name(fingerprint: str, batches: ProgressiveBatches, views: int, pool: object) -> str:
    """12 hex digits that tell what is kept from what any other clip, pool or seed would give."""
    described = [fingerprint, batches.seed, batches.size_px, batches.mean, batches.std, views, pool]
    told = json.dumps(described, default=lambda value: asdict(value), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]
