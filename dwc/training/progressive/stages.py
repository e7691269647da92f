"""The step that PL's stages share: AdamW with warm-up and cosine, on whatever a stage trains.

The contrastive losses of PL's stages, as pure functions of embeddings; a reconstruction.

N rows on the left, M on the right, D the embedding; embeddings are unit length. `matches` (N, M)
says what belongs together; a row may have several matches, which share its answer evenly.

PL's stage one: the common space of pictures and captions of any kind; a reconstruction.

A CLIP from the Hub has been through it, and goes straight to stage two. Any other goes through it
here: symmetric InfoNCE between pictures and their captions.

PL's stage two: the space moves to fashion, by pre-training tasks; a reconstruction.

The paper's abstract says that there are fashion-related pre-training tasks. The three here are:

    image and description    symmetric InfoNCE
    image and image          symmetric InfoNCE over two pictures of each product
    image and tags           symmetric InfoNCE with attribute tags written out as text; a tag
                             belongs to every picture of the batch that has it

PL's stage three: composed queries, and the weight that teaches itself; a reconstruction.

    q = norm(w v + (1 - w) t)       InfoNCE of q to the targets of the batch, one way
    w -> w*                         binary cross-entropy to the pseudo weights

See `dwc.modeling.combiners.progressive` for both weights. A query of one modality has no weight to
learn; it takes part in the retrieval.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.combiners.progressive import pseudo_weights, weight_loss
from dwc.modeling.composition import Composition, normalize
from dwc.training.catalogue.pretraining import PairBatch
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.loop import LoopSettings, OptimizerStep, run_stage

Batch = TypeVar("Batch")
Outputs = TypeVar("Outputs")

_LARGEST_SCALE = 100.0  # as CLIP's training clips it


@dataclass(frozen=True)
class TowerSettings:
    """How long and how fast a stage learns; `head_learning_rate` is that of what is not a tower.

    The defaults suit towers that start from nothing. A CLIP of the Hub wants about 1e-5.
    """

    total_steps: int
    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 200
    max_gradient_norm: float = 1.0


class Towers(Protocol):
    """What a stage trains: a CLIP, or one that reads pictures kept (`kept.KeptTowers`)."""

    logit_scale: nn.Parameter

    def image_features(self, pixel_values: Tensor, /) -> Tensor:
        """Pictures -> (N, F)."""

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, /) -> Tensor:
        """Token ids (N, L) and their mask -> (N, F)."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """As of a module."""

    def eval(self) -> Any:
        """As of a module."""


def cosine_scale(clip: Towers) -> Tensor:
    """What multiplies cosines in a softmax: CLIP's own learned scale, at most 100."""
    return clip.logit_scale.exp().clamp(max=_LARGEST_SCALE)


def train_towers(
    stage: str,
    module: nn.Module,
    batches: Callable[[int], Batch],
    judge: Callable[[Outputs, Batch], tuple[Tensor, dict[str, float]]],
    settings: TowerSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
) -> dict[str, float]:
    """Train `module`, whose `clip` holds the towers, in place, from its last saved state if any.

    `module(batch)` gives the outputs of a batch (a dataclass of tensors, or of lists and dicts of
    them), `judge(outputs, batch)` their loss and numbers to log. Runs in `run_stage`, which see.
    The accelerator must be a fresh one, since its saved state holds all that it was given. Raises
    ValueError where nothing is left to train.
    """
    groups = parameter_groups(module, settings)
    if not groups:
        raise ValueError(f"{stage}: nothing to train; let the towers train, or add a weigher.")
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = OptimizerStep(module, settings, accelerator, groups, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, float]:
        batch = _moved(batches(number), accelerator.device)
        # On CPUs the fused attention's backward pass takes four times as long as the plain one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            outputs = learner.module(batch)
        loss, numbers = judge(outputs, batch)
        learner.learn(loss)
        return {"loss": float(loss.detach()), **numbers}

    return run_stage(stage, accelerator, step, loop)


def _moved(batch: Any, device: torch.device) -> Any:
    """A batch, a dataclass, with all its tensors on the device."""
    return replace(batch, **send_to_device(vars(batch), device, non_blocking=True))


def parameter_groups(module: nn.Module, settings: TowerSettings) -> list[dict[str, Any]]:
    """What learns in a stage's module, for the optimiser: its `clip` and the rest at their rates.

    Norms, biases and scales do not decay.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            kind = (name.startswith("clip."), parameter.ndim > 1)
            groups.setdefault(kind, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate if is_tower else settings.head_learning_rate,
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (is_tower, decays), parameters in groups.items()
    ]


def same_label(labels: Tensor) -> Tensor:
    """(B,) -> (B, B): which rows carry the same label."""
    return labels[:, None] == labels[None, :]


def one_way_loss(left: Tensor, right: Tensor, matches: Tensor, scale: Tensor | float) -> Tensor:
    """InfoNCE from each row of `left` (N, D) to its matches among `right` (M, D); a scalar.

    `scale` multiplies the cosines. Rows without any match do not count; 0 where none has one.
    """
    answers = functional.log_softmax(scale * left @ right.T, dim=-1)  # (N, M)
    wanted = matches.to(answers.dtype)
    counts = wanted.sum(dim=-1)  # (N,)
    by_row = -(wanted * answers).sum(dim=-1) / counts.clamp_min(1)
    return by_row.sum() / (counts > 0).sum().clamp_min(1)


def matching_loss(left: Tensor, right: Tensor, matches: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE: the mean of both ways; see `one_way_loss`."""
    forth = one_way_loss(left, right, matches, scale)
    return (forth + one_way_loss(right, left, matches.T, scale)) / 2


def top1_accuracy(left: Tensor, right: Tensor, matches: Tensor) -> float:
    """The share (0 to 1) of rows of `left` whose nearest row of `right` is a match."""
    nearest = (left.detach() @ right.detach().T).argmax(dim=-1)  # (N,)
    rows = torch.arange(len(left), device=left.device)
    return float(matches[rows, nearest].float().mean())


@dataclass(frozen=True)
class OpenDomainOutput:
    """`images` and `texts` (B, D), unit length, and the `scale` () of their cosines."""

    images: Tensor
    texts: Tensor
    scale: Tensor


class _OpenDomain(nn.Module):
    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, batch: PairBatch) -> OpenDomainOutput:
        images = self.clip.image_features(batch.pixels)
        texts = self.clip.text_features(batch.input_ids, batch.attention_mask)
        return OpenDomainOutput(
            normalize(images.float()), normalize(texts.float()), cosine_scale(self.clip)
        )


def open_domain_objective(
    output: OpenDomainOutput, batch: PairBatch
) -> tuple[Tensor, dict[str, float]]:
    """CLIP's symmetric loss, and the share of pictures whose own caption is the nearest."""
    own = torch.eye(len(output.images), dtype=torch.bool, device=output.images.device)
    loss = matching_loss(output.images, output.texts, own, output.scale)
    return loss, {"accuracy": top1_accuracy(output.images, output.texts, own)}


def train_open_domain(
    clip: ClipBackbone,
    batches: Callable[[int], PairBatch],
    settings: TowerSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "open_domain",
) -> dict[str, float]:
    """Train both towers of `clip` in place; see `train_towers`. Attribute labels are not read."""
    return train_towers(
        stage, _OpenDomain(clip), batches, open_domain_objective, settings, accelerator, loop
    )


@dataclass(frozen=True)
class FashionBatch:
    """Products: a picture, a description, and where there are any a second picture and tags.

    `pixels` and `other_pixels` (B, 3, H, W); `input_ids` and `attention_mask` (B, L) of the
    descriptions; `tag_ids` and `tag_mask` (T, L) of tags written out, `has_tag` (B, T) bool; and
    `labels` (B,), equal where rows are the same product.
    """

    pixels: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    other_pixels: Tensor | None = None
    tag_ids: Tensor | None = None
    tag_mask: Tensor | None = None
    has_tag: Tensor | None = None


@dataclass(frozen=True)
class FashionSettings(TowerSettings):
    """Weights of the image-image and the image-tag loss; that of the descriptions is 1.

    A weight of 0 leaves a task out. `image_scale` multiplies the cosines of two images, which lie
    closer together than an image and a text.
    """

    image_weight: float = 0.5
    tag_weight: float = 0.5
    image_scale: float = 10.0


@dataclass(frozen=True)
class FashionOutput:
    """Unit embeddings (B, D), of tags (T, D), and the `scale` () of images with texts."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    others: Tensor | None = None
    tags: Tensor | None = None


class _Fashion(nn.Module):
    def __init__(self, clip: Towers, settings: FashionSettings) -> None:
        super().__init__()
        self.clip, self.settings = clip, settings

    def forward(self, batch: FashionBatch) -> FashionOutput:
        others = tags = None
        if batch.other_pixels is not None and self.settings.image_weight > 0:
            others = self._images(batch.other_pixels)
        if batch.tag_ids is not None and self.settings.tag_weight > 0:
            tags = self._texts(batch.tag_ids, batch.tag_mask)
        return FashionOutput(
            self._images(batch.pixels),
            self._texts(batch.input_ids, batch.attention_mask),
            cosine_scale(self.clip),
            others,
            tags,
        )

    def _images(self, pixels: Tensor) -> Tensor:
        return normalize(self.clip.image_features(pixels).float())

    def _texts(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        return normalize(self.clip.text_features(ids, mask).float())


def fashion_objective(
    output: FashionOutput, batch: FashionBatch, settings: FashionSettings
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the tasks that the batch has, and each one by name."""
    products = same_label(batch.labels)  # (B, B)
    described = matching_loss(output.images, output.texts, products, output.scale)
    loss, numbers = described, {"described": float(described.detach())}
    if output.others is not None:
        seen_again = matching_loss(output.images, output.others, products, settings.image_scale)
        loss = loss + settings.image_weight * seen_again
        numbers["seen_again"] = float(seen_again.detach())
    if output.tags is not None and batch.has_tag is not None:
        tagged = matching_loss(output.images, output.tags, batch.has_tag, output.scale)
        loss = loss + settings.tag_weight * tagged
        numbers["tagged"] = float(tagged.detach())
    numbers["accuracy"] = top1_accuracy(output.images, output.texts, products)
    return loss, numbers


def train_fashion(
    clip: Towers,
    batches: Callable[[int], FashionBatch],
    settings: FashionSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "fashion",
) -> dict[str, float]:
    """Train both towers of `clip` in place; see `train_towers`."""
    judge = partial(fashion_objective, settings=settings)
    return train_towers(
        stage, _Fashion(clip, settings), batches, judge, settings, accelerator, loop
    )


@dataclass(frozen=True)
class HybridSettings(TowerSettings):
    """How the weight learns, and whether the towers still do.

    `weight_loss` weighs the self-supervision beside retrieval (0: the weight learns from retrieval
    alone). `gamma` is how sharply the better modality wins, `pseudo_temperature` that of the
    softmax over the batch in which both compete. With `trains_towers` False they stay as stage two
    left them, in eval mode.
    """

    weight_loss: float = 1.0
    gamma: float = 1.0
    pseudo_temperature: float = 0.07
    trains_towers: bool = True


@dataclass(frozen=True)
class HybridOutput:
    """Queries group by group, the targets' embeddings (B, D), the `scale` () of their cosines.

    `composed` says of each group whether it has both modalities.
    """

    groups: list[Composition]
    composed: list[bool]
    targets: Tensor
    scale: Tensor


class _Hybrid(nn.Module):
    def __init__(self, clip: Towers, stream: ClipStream, trains_towers: bool) -> None:
        super().__init__()
        self.clip, self.stream, self.trains_towers = clip, stream, trains_towers
        clip.requires_grad_(trains_towers)

    def train(self, mode: bool = True) -> "_Hybrid":
        super().train(mode)
        if not self.trains_towers:
            self.clip.eval()
        return self

    def forward(self, batch: TripletBatch) -> HybridOutput:
        groups, composed = [], []
        for group in batch.queries:
            image = text = None
            if "pixel_values" in group:
                image = self.clip.image_features(group["pixel_values"]).float()
            if "clip_input_ids" in group:
                ids, mask = group["clip_input_ids"], group["clip_attention_mask"]
                text = self.clip.text_features(ids, mask).float()
            groups.append(self.stream.compose(image, text))
            composed.append(image is not None and text is not None)
        targets = self.stream.embed(self.clip.image_features(batch.targets_to_look_at()).float())
        return HybridOutput(groups, composed, targets, cosine_scale(self.clip))


def hybrid_objective(
    output: HybridOutput, batch: TripletBatch, settings: HybridSettings
) -> tuple[Tensor, dict[str, float]]:
    """Retrieval over all queries, and the self-supervision of the weight where there is one.

    The pseudo weights of a query compete over the targets of the whole batch.
    """
    queries = torch.cat([group.embedding for group in output.groups]).float()
    targets = output.targets.float()
    answers = same_label(batch.labels)
    loss = retrieval = one_way_loss(queries, targets, answers, output.scale)
    numbers = {"retrieval": float(retrieval.detach())}
    numbers["accuracy"] = top1_accuracy(queries, targets, answers)
    learned = _weights(output, batch.labels, settings)
    if learned is not None:
        weights, wanted = learned
        weighing = weight_loss(weights, wanted)
        loss = loss + settings.weight_loss * weighing
        numbers["weighing"] = float(weighing.detach())
        numbers["image_weight"] = float(weights.detach().mean())
        numbers["pseudo_weight"] = float(wanted.mean())
    return loss, numbers


def _weights(
    output: HybridOutput, labels: Tensor, settings: HybridSettings
) -> tuple[Tensor, Tensor] | None:
    """Weights (N, 1) that are learned, and their pseudo weights; None where there are none."""
    weights, wanted, start = [], [], 0
    for group, has_both in zip(output.groups, output.composed, strict=True):
        end = start + len(group.embedding)
        if has_both and group.image_weight.requires_grad:
            weights.append(group.image_weight)
            wanted.append(
                pseudo_weights(
                    group.image_part,
                    group.text_part,
                    output.targets,
                    labels[start:end, None] == labels[None, :],
                    settings.pseudo_temperature,
                    settings.gamma,
                )
            )
        start = end
    return (torch.cat(weights), torch.cat(wanted)) if weights else None


def train_hybrid(
    clip: Towers,
    stream: ClipStream,
    batches: Callable[[int], TripletBatch],
    settings: HybridSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "hybrid",
) -> dict[str, float]:
    """Train `stream`, and the towers of `clip` if so set, in place; see `train_towers`.

    `stream` may have any combiner. Weights that it learns are drawn to the pseudo weights; one
    that has none ("progressive_fixed") learns retrieval alone, which is the stage without its
    adaptive weight. Raises ValueError where neither towers nor stream have anything to learn.
    """
    module = _Hybrid(clip, stream, settings.trains_towers)
    judge = partial(hybrid_objective, settings=settings)
    return train_towers(stage, module, batches, judge, settings, accelerator, loop)
