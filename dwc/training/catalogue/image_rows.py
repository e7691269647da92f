"""What the frozen image networks of both streams make of images, computed once."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.efficientnet_lite import MEAN, STD, EfficientNetLiteTower, reduced
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.widening import kept_channels

_CHUNK = 64


@dataclass(frozen=True)
class ImageRows:
    """What the frozen image networks make of images, one row an image.

    Attributes:
        pooled: EfficientNet-Lite's map, averaged (N, 1280).
        details: the small image tower's features (N, D).
        regions: the small ResNet's map (N, C, h, w).
        shared: EfficientNet-Lite's map on the same grid (N, 1280, h, w).
    """

    pooled: Tensor
    details: Tensor
    regions: Tensor
    shared: Tensor

    @property
    def towers(self) -> Tensor:
        """What the projection reads: (N, 1280 + D) float32."""
        return torch.cat([self.pooled.float(), self.details.float()], dim=1)

    def maps(self, rows: Tensor) -> Tensor:
        """Both maps of some rows, flat and side by side, float32."""
        own, shared = self.regions[rows].float(), self.shared[rows].float()
        return torch.cat([own.flatten(1), shared.flatten(1)], dim=1)


@torch.inference_mode()
def cache_rows(
    model: DWCModel, pixels: Tensor, views: int, seed: int, file: Path
) -> list[ImageRows]:
    """Random views of images (N, 3, H, W) uint8 through the image networks, one `ImageRows` a view.

    The rows are written to `file`, and read from it where it is there.
    """
    if not file.exists():
        tower, stream = image_networks(model)
        size_px = model.config.clip_config.vision_config.image_size
        parts: list[list[Tensor]] = []
        for view in range(views):
            generator = torch.Generator().manual_seed(seed + view)
            for chunk in pixels.split(_CHUNK):
                images = random_views(chunk, size_px, generator, (MEAN,) * 3, (STD,) * 3)
                parts.append(_rows_of(tower, stream, images))
        stacked = [torch.cat(columns) for columns in zip(*parts, strict=True)]
        unfinished = file.with_suffix(".partial.pt")
        torch.save([tensor.unflatten(0, (views, -1)) for tensor in stacked], unfinished)
        unfinished.rename(file)
    stored = torch.load(file, weights_only=True, mmap=True)
    return [ImageRows(*(tensor[view] for tensor in stored)) for view in range(len(stored[0]))]


def image_networks(model: DWCModel) -> tuple[EfficientNetLiteTower, Any]:
    """The image tower and the CNN stream of a model whose streams share EfficientNet-Lite."""
    assert model.clip is not None
    assert model.cnn_stream is not None
    tower = model.clip.vision_model
    assert isinstance(tower, EfficientNetLiteTower)
    return tower, model.cnn_stream


def _rows_of(tower: EfficientNetLiteTower, stream: Any, images: Tensor) -> list[Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        shared = tower.region_map(images)
        own = stream.resnet(reduced(images, stream.config.resnet_size)).last_hidden_state
        assert tower.detail is not None
        details = tower.detail(reduced(images, tower.detail_size))
    grid = functional.adaptive_avg_pool2d(shared.float(), own.shape[-2:])
    return [part.half() for part in (shared.float().mean(dim=(2, 3)), details, own, grid)]


class CachedRegions(nn.Module):
    """Stands where a ResNet was: rows of cached maps -> regions, whose new channels it computes."""

    def __init__(self, projection: nn.Conv2d, own: int, grid: tuple[int, int]) -> None:
        super().__init__()
        channels = projection.out_channels
        self.own, self.grid = own, grid
        kept = kept_channels(own, channels)
        self.fresh = torch.tensor(sorted(set(range(channels)) - set(kept.tolist())))
        self.order = torch.empty(channels, dtype=torch.long)
        self.order[kept] = torch.arange(own)
        self.order[self.fresh] = torch.arange(own, channels)
        self.project = nn.Conv2d(projection.in_channels, channels - own, 1)
        with torch.no_grad():
            self.project.weight.copy_(projection.weight[self.fresh])
            assert projection.bias is not None
            assert self.project.bias is not None
            self.project.bias.copy_(projection.bias[self.fresh])

    def forward(self, rows: Tensor) -> SimpleNamespace:
        """Rows (N, F + C h w + 1280 h w) -> the regions (N, C + new, h, w)."""
        cells = self.grid[0] * self.grid[1]
        maps = rows[:, -self.project.in_channels * cells :].unflatten(1, (-1, *self.grid))
        new = torch.relu(self.project(maps))
        regions = torch.cat([maps[:, : self.own].to(new.dtype), new], dim=1)[:, self.order]
        return SimpleNamespace(
            last_hidden_state=regions.contiguous(memory_format=torch.channels_last)
        )

    @torch.no_grad()
    def write_back(self, projection: nn.Conv2d) -> None:
        """Put the learned channels into the projection that they came from."""
        assert projection.bias is not None
        assert self.project.bias is not None
        projection.weight[self.fresh] = self.project.weight
        projection.bias[self.fresh] = self.project.bias
