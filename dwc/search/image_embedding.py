"""Embedding of gallery images with the model of a checkpoint, and the identity of that model.

- `image_embedder` returns the function that embeds the images of a gallery, in bfloat16 if
  `prefers_bfloat16` returns True.
- `model_identity` returns what is stored with the vectors, so that another model's vectors are
  refused.
- `forward_batches` splits images into the batches that a model encodes fastest.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from dwc.checkpoints.load import ALL_BUNDLED, Checkpoint
from dwc.errors import QueryError
from dwc.gallery.builder import Embed
from dwc.gallery.store import ModelIdentity
from dwc.modeling.modeling_dwc import DWCModel

_IMAGES_AT_ONCE = 8  # on a CPU
_LEAST_PARAMETERS = 20_000_000  # fewest parameters of image networks that compute in bfloat16


def model_identity(checkpoint: Checkpoint) -> ModelIdentity:
    """Return what identifies a checkpoint's model, to be stored with the vectors of a gallery.

    The identity includes a hash of the model, its name, and the settings of the preprocessing.
    """
    config = checkpoint.model.config
    streams = {}
    if config.clip_config is not None:
        streams["clip"] = config.clip_embedding_dim
    if config.cnn_config is not None:
        streams["cnn"] = config.cnn_embedding_dim
    # A folder's path is made absolute, to be valid from any working directory. Names of bundled
    # checkpoints and of the Hub are not paths, even if a folder of that name exists.
    is_folder = checkpoint.name not in ALL_BUNDLED and checkpoint.revision is None
    return ModelIdentity(
        fingerprint=checkpoint.fingerprint,
        name=str(Path(checkpoint.name).absolute()) if is_folder else checkpoint.name,
        revision=checkpoint.revision,
        streams=streams,
        preprocessing=checkpoint.processor.image_processor.to_dict(),
    )


def image_embedder(checkpoint: Checkpoint) -> Embed:
    """Return a function that computes the vectors (n, D) of n images with a checkpoint's model.

    D is the length of one vector, the concatenation of the embeddings of all streams. The function
    is used to build a gallery store, the folder with the vectors of a gallery. If
    `prefers_bfloat16` returns True, the image networks compute in bfloat16. All other computations
    are in float32.
    """
    model = checkpoint.model
    device = next(model.parameters()).device
    in_bfloat16 = prefers_bfloat16(model)

    def embed(images: Sequence[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixel_values = checkpoint.processor(images=list(images))["pixel_values"].to(device)
            if in_bfloat16:
                with torch.autocast("cpu", torch.bfloat16):
                    features = model.image_features(_channels_last(pixel_values))
                embeddings = model.embed_features(features.to(torch.float32))
            else:
                batches = forward_batches(pixel_values)
                embeddings = torch.cat([model.embed_images(batch) for batch in batches])
            return embeddings.float().cpu().numpy()

    return embed


def prefers_bfloat16(model: DWCModel) -> bool:
    """Return True if gallery images are embedded in bfloat16, False if in float32.

    The result is True if the image networks have at least 20 million parameters, as those of the
    paper do, and run on a CPU with instructions for products of bfloat16 matrices (AMX).
    EfficientNet-Lite is smaller. It would not be faster in bfloat16, since most of its time goes to
    depthwise convolutions. On any CPU, the environment variable `DWC_PRECISION` ("float32" or
    "bfloat16") overrides this choice.

    Raises:
        QueryError: The environment variable has another value.
    """
    precision = os.environ.get("DWC_PRECISION", "")
    if precision not in ("", "float32", "bfloat16"):
        raise QueryError(
            f"DWC_PRECISION is {precision!r}; set it to float32 or bfloat16, or do not set it, so "
            "that the program chooses"
        )
    if next(model.parameters()).device.type != "cpu":
        return False
    if precision:
        return precision == "bfloat16"
    networks: list[nn.Module] = []
    if model.clip is not None:
        networks.append(model.clip.vision_model)
    if model.cnn_stream is not None:
        networks.append(model.cnn_stream.resnet)
    size = sum(parameter.numel() for part in networks for parameter in part.parameters())
    # Older versions of torch do not tell the capabilities.
    capabilities: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    return size >= _LEAST_PARAMETERS and bool(capabilities().get("amx_bf16"))


def forward_batches(pixel_values: Tensor) -> tuple[Tensor, ...]:
    """Split N images (N, 3, height, width) into the batches that the model encodes fastest.

    On a CPU, convolutions of several images are faster if the channels are last in memory. Those
    of one image are not: in that layout, torch rearranges the weights of some layers in each call.
    Small batches are faster than large ones, whose feature maps do not fit into the cache. On other
    devices, all images are one batch.
    """
    if pixel_values.device.type != "cpu":
        return (pixel_values,)
    if len(pixel_values) == 1:
        return (pixel_values.contiguous(),)
    return _channels_last(pixel_values).split(_IMAGES_AT_ONCE)


def _channels_last(pixel_values: Tensor) -> Tensor:
    return pixel_values.contiguous(memory_format=torch.channels_last)
