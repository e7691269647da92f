"""The three stages of Progressive Learning (PL) and their losses; a reconstruction.

All stages use the contrastive loss InfoNCE, the cross-entropy of a softmax over similarities.
Symmetric InfoNCE is its mean over both directions, such as images to texts and texts to images.

Stage one, open domain: symmetric InfoNCE between images and captions of any kind. CLIP models from
the Hub have already been trained in this way, and start with stage two.

Stage two, fashion: three pretraining tasks. The paper's abstract does not name its tasks; ours are

    image and description    symmetric InfoNCE
    image and image          symmetric InfoNCE over two images of each product
    image and tags           symmetric InfoNCE with attribute tags as text; a tag belongs to every
                             image of the batch that has the attribute

Stage three, hybrid: queries q composed of an image v and a text t with an adaptive image weight w.
The weight is trained to match a pseudo weight w*, which is computed from the batch itself
(self-supervision).

    q = normalize(w v + (1 - w) t)  InfoNCE from q to the targets of the batch, one direction
    w -> w*                         binary cross-entropy of w and w*

The module `dwc.modeling.combiners` computes both weights. Queries with only an image or
only a text have no weight to learn; they contribute to the retrieval loss only.

The losses compare N embeddings `left` with M embeddings `right`, of size D and unit length.
`matches` (N, M) marks matching pairs. If a row has several matches, they get equal target
probabilities.
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

from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.combiners import Composition, normalize, pseudo_weights, weight_loss
from dwc.training.catalogue.pretraining import PairBatch
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.loop import AdamWSettings, LoopSettings, OptimizerStep, run_stage

Batch = TypeVar("Batch")
Outputs = TypeVar("Outputs")

_LARGEST_SCALE = 100.0  # as in CLIP's own training


@dataclass(frozen=True)
class TowerSettings(AdamWSettings):
    """Optimizer settings of a training stage of Progressive Learning (PL).

    `learning_rate` applies to the towers (CLIP's image and text encoders), `head_learning_rate` to
    all other parameters. The default `learning_rate` suits untrained towers. For a pretrained CLIP
    model from the Hub, about 1e-5 is suitable.
    """

    warmup_steps: int = 200
    head_learning_rate: float = 1e-3


class Towers(Protocol):
    """Interface of the encoders that a stage trains: CLIP, or a stand-in like `CachedTowers`."""

    logit_scale: nn.Parameter

    def image_features(self, pixel_values: Tensor, /) -> Tensor:
        """Return the features (N, F) of N images, F features per image."""

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, /) -> Tensor:
        """Return the features (N, F) of N texts, F features per text.

        The texts are padded to L tokens. They are given as token ids (N, L) and as a mask (N, L)
        that is 1 on tokens and 0 on padding.
        """

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Enable or disable gradients of all parameters, as in `torch.nn.Module`."""

    def eval(self) -> Any:
        """Switch to eval mode, as in `torch.nn.Module`."""


def cosine_scale(clip: Towers) -> Tensor:
    """Return CLIP's learned factor of cosine similarities, a scalar of at most 100."""
    return clip.logit_scale.exp().clamp(max=_LARGEST_SCALE)


def train_towers(
    stage: str,
    module: nn.Module,
    batches: Callable[[int], Batch],
    objective: Callable[[Outputs, Batch], tuple[Tensor, dict[str, float]]],
    settings: TowerSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
) -> dict[str, float]:
    """Train a module in place on a stage's loss, resuming from the last saved state, if any.

    Args:
        stage: Name of the stage's log and state.
        module: Module that maps a batch (a dataclass of tensors, or of lists and dicts of tensors)
            to outputs; its attribute `clip` contains the image and text encoders ("towers").
        batches: Function that takes a step number and returns the batch of that step.
        objective: Function that takes the module's outputs and the batch. It returns the loss, and
            numbers to log by name.
        settings: Optimizer settings.
        accelerator: A new accelerator for this stage; its saved state includes all modules and
            optimizers that it prepared.
        loop: Length and folder of the stage.

    Returns:
        Means of the loss and of the objective's numbers over the steps of the last log interval.

    Raises:
        ValueError: the module has no trainable parameters.
    """
    groups = parameter_groups(module, settings)
    if not groups:
        raise ValueError(
            f"{stage}: nothing to train; set trains_towers, or use a combiner with parameters"
        )
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer_step = OptimizerStep(module, settings, accelerator, groups, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, float]:
        batch = _to_device(batches(number), accelerator.device)
        # On CPUs the backward pass of fused attention takes four times as long as the plain one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            outputs = optimizer_step.module(batch)
        loss, numbers = objective(outputs, batch)
        optimizer_step(loss)
        return {"loss": float(loss.detach()), **numbers}

    return run_stage(stage, accelerator, step, loop)


def _to_device(batch: Any, device: torch.device) -> Any:
    """Return a copy of a batch (a dataclass) with all tensors on the device."""
    return replace(batch, **send_to_device(vars(batch), device, non_blocking=True))


def parameter_groups(module: nn.Module, settings: TowerSettings) -> list[dict[str, Any]]:
    """Return the trainable parameters of a module in groups for the optimizer.

    Parameters of `module.clip` get the learning rate `settings.learning_rate`, and all other
    parameters get `settings.head_learning_rate`. Norms, biases and scales have no weight decay.
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
    """Return a boolean matrix (B, B) that is True where two of the B labels are equal."""
    return labels[:, None] == labels[None, :]


def one_way_loss(left: Tensor, right: Tensor, matches: Tensor, scale: Tensor | float) -> Tensor:
    """Compute the contrastive loss InfoNCE from each row of `left` to its matches in `right`.

    Args:
        left: N unit-length embeddings (N, D) of size D.
        right: M unit-length embeddings (M, D).
        matches: Boolean matrix (N, M), True for matching pairs; rows without a match are ignored.
        scale: Factor of the cosine similarities.

    Returns:
        The loss, a scalar; 0 if no row has a match.
    """
    log_probabilities = functional.log_softmax(scale * left @ right.T, dim=-1)  # (N, M)
    expected = matches.to(log_probabilities.dtype)
    counts = expected.sum(dim=-1)  # (N,)
    by_row = -(expected * log_probabilities).sum(dim=-1) / counts.clamp_min(1)
    return by_row.sum() / (counts > 0).sum().clamp_min(1)


def matching_loss(left: Tensor, right: Tensor, matches: Tensor, scale: Tensor | float) -> Tensor:
    """Compute symmetric InfoNCE, the mean of `one_way_loss` in both directions.

    Args:
        left: N unit-length embeddings (N, D) of size D.
        right: M unit-length embeddings (M, D).
        matches: Boolean matrix (N, M), True for matching pairs.
        scale: Factor of the cosine similarities.

    Returns:
        The loss, a scalar.
    """
    forward = one_way_loss(left, right, matches, scale)
    return (forward + one_way_loss(right, left, matches.T, scale)) / 2


def top1_accuracy(left: Tensor, right: Tensor, matches: Tensor) -> float:
    """Return the share (0 to 1) of rows of `left` whose most similar row of `right` is a match.

    Args:
        left: N unit-length embeddings (N, D) of size D.
        right: M unit-length embeddings (M, D).
        matches: Boolean matrix (N, M), True for matching pairs.
    """
    nearest = (left.detach() @ right.detach().T).argmax(dim=-1)  # (N,)
    rows = torch.arange(len(left), device=left.device)
    return float(matches[rows, nearest].float().mean())


@dataclass(frozen=True)
class OpenDomainOutput:
    """Outputs of stage one (open domain) for B image-caption pairs, with embeddings of size D.

    Attributes:
        images: Unit-length image embeddings (B, D).
        texts: Unit-length caption embeddings (B, D).
        scale: Factor of the cosine similarities, a scalar.
    """

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
    """Compute the loss of stage one of Progressive Learning (PL).

    Returns:
        The symmetric InfoNCE of images and captions, a scalar; and `accuracy`, the share of images
        whose own caption is the most similar of the batch.
    """
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
    """Train CLIP's image and text encoders in place on images and captions.

    This is stage one of Progressive Learning (PL). Training resumes from the stage's last saved
    state, if there is one.

    Args:
        clip: The CLIP model.
        batches: Function that takes a step number and returns the batch of that step.
        settings: Optimizer settings.
        accelerator: A new accelerator for this stage.
        loop: Length and folder of the stage.
        stage: Name of the stage's log and state.

    Returns:
        The mean of each logged number over the steps of the last log interval, by name.
    """
    module = _OpenDomain(clip)
    return train_towers(stage, module, batches, open_domain_objective, settings, accelerator, loop)


@dataclass(frozen=True)
class FashionBatch:
    """B products with an image and a description, and optionally a second image and T tags.

    Attributes:
        pixels: Pixels of the first images (B, 3, H, W) of height H and width W.
        input_ids: Token ids of the descriptions (B, L), padded to L tokens.
        attention_mask: Mask of the descriptions (B, L), 1 on tokens and 0 on padding.
        labels: Product identities (B,), equal for images of the same product.
        other_pixels: Pixels of the second images (B, 3, H, W), or None.
        tag_ids: Token ids of the tags (T, K), padded to K tokens, or None.
        tag_mask: Mask of the tags (T, K), 1 on tokens and 0 on padding, or None.
        has_tag: Boolean matrix (B, T), True where a tag describes a product, or None.
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
    """Settings of stage two (fashion), whose loss is a weighted sum of the losses of three tasks.

    Attributes:
        image_weight: Factor of the loss between two images of a product; 0 omits this task.
        tag_weight: Factor of the loss between images and tags; 0 omits this task. The loss between
            images and descriptions has the factor 1.
        image_scale: Factor of the cosine similarities of two images. These similarities are higher
            than those of an image and a text.
    """

    image_weight: float = 0.5
    tag_weight: float = 0.5
    image_scale: float = 10.0


@dataclass(frozen=True)
class FashionOutput:
    """Outputs of stage two (fashion) for B products and T tags, with unit embeddings of size D.

    Attributes:
        images: Embeddings of the first images (B, D).
        texts: Embeddings of the descriptions (B, D).
        scale: Factor of the cosine similarities of images and texts, a scalar.
        others: Embeddings of the second images (B, D); None if their task is omitted.
        tags: Embeddings of the tags (T, D); None if their task is omitted.
    """

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
    """Compute the loss of stage two of Progressive Learning (PL).

    Returns:
        The weighted sum of the tasks' losses, a scalar; and numbers to log: each task's loss
        ("described", "seen_again", "tagged") and `accuracy`, the share of images whose most similar
        description in the batch is of the same product.
    """
    products = same_label(batch.labels)  # (B, B)
    descriptions = matching_loss(output.images, output.texts, products, output.scale)
    loss, numbers = descriptions, {"described": float(descriptions.detach())}
    if output.others is not None:
        views = matching_loss(output.images, output.others, products, settings.image_scale)
        loss = loss + settings.image_weight * views
        numbers["seen_again"] = float(views.detach())
    if output.tags is not None and batch.has_tag is not None:
        tags = matching_loss(output.images, output.tags, batch.has_tag, output.scale)
        loss = loss + settings.tag_weight * tags
        numbers["tagged"] = float(tags.detach())
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
    """Train CLIP's image and text encoders in place on the tasks of stage two (fashion).

    In this stage of Progressive Learning (PL), images are matched with descriptions, with second
    images of the same products and with tags; see `FashionSettings`. Training resumes from the
    stage's last saved state, if there is one.

    Args:
        clip: CLIP, or a stand-in with the same encoders.
        batches: Function that takes a step number and returns the batch of that step.
        settings: Optimizer settings and weights of the tasks.
        accelerator: A new accelerator for this stage.
        loop: Length and folder of the stage.
        stage: Name of the stage's log and state.

    Returns:
        The mean of each logged number over the steps of the last log interval, by name.
    """
    module = _Fashion(clip, settings)
    objective = partial(fashion_objective, settings=settings)
    return train_towers(stage, module, batches, objective, settings, accelerator, loop)


@dataclass(frozen=True)
class HybridSettings(TowerSettings):
    """Settings of stage three (hybrid) of Progressive Learning (PL).

    This stage trains the combiner with its image weight, and CLIP's "towers" (image encoder and
    text encoder).

    Attributes:
        weight_loss: Factor of the self-supervised loss, which trains the image weight towards the
            pseudo weight, a training target computed from the batch. At 0, the image weight is
            trained by the retrieval loss alone.
        gamma: How strongly the pseudo weight favors the modality that finds the target better; see
            `pseudo_weights`.
        pseudo_temperature: Temperature of the softmax over the batch's targets from which the
            pseudo weight is computed.
        trains_towers: Whether the towers are trained; if False, they are frozen in eval mode.
    """

    weight_loss: float = 1.0
    gamma: float = 1.0
    pseudo_temperature: float = 0.07
    trains_towers: bool = True


@dataclass(frozen=True)
class HybridOutput:
    """Outputs of stage three (hybrid) for B queries and their targets, with embeddings of size D.

    Attributes:
        groups: Composed queries in groups, as in `TripletBatch.queries`: all queries of a group
            have the same modalities (image and text, image only, or text only).
        composed: For each group, whether its queries have both image and text.
        targets: Target embeddings (B, D).
        scale: Factor of the cosine similarities, a scalar.
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
        targets = self.stream.embed(self.clip.image_features(batch.require_target_pixels()).float())
        return HybridOutput(groups, composed, targets, cosine_scale(self.clip))


def hybrid_objective(
    output: HybridOutput, batch: TripletBatch, settings: HybridSettings
) -> tuple[Tensor, dict[str, float]]:
    """Compute the loss of stage three of Progressive Learning (PL).

    This loss is a weighted sum of the retrieval loss and the self-supervised loss. The latter
    trains the image weights towards pseudo weights, which are computed from the similarities of
    image and text to the targets of the batch.

    Returns:
        The loss, a scalar, and numbers to log by name.
    """
    queries = torch.cat([group.embedding for group in output.groups]).float()
    targets = output.targets.float()
    matches = same_label(batch.labels)
    loss = retrieval = one_way_loss(queries, targets, matches, output.scale)
    numbers = {"retrieval": float(retrieval.detach())}
    numbers["accuracy"] = top1_accuracy(queries, targets, matches)
    learned = _learned_weights(output, batch.labels, settings)
    if learned is not None:
        weights, pseudo = learned
        supervision = weight_loss(weights, pseudo)
        loss = loss + settings.weight_loss * supervision
        numbers["weighing"] = float(supervision.detach())
        numbers["image_weight"] = float(weights.detach().mean())
        numbers["pseudo_weight"] = float(pseudo.mean())
    return loss, numbers


def _learned_weights(
    output: HybridOutput, labels: Tensor, settings: HybridSettings
) -> tuple[Tensor, Tensor] | None:
    """Return the learned image weights of a batch and the pseudo weights to train them towards.

    Only queries with both image and text have learned weights.

    Returns:
        Image weights (N, 1) and pseudo weights (N, 1) of the N queries with image and text. None if
        there are no such queries or the combiner learns no weight.
    """
    weights, pseudo, start = [], [], 0
    for group, has_both in zip(output.groups, output.composed, strict=True):
        end = start + len(group.embedding)
        if has_both and group.image_weight.requires_grad:
            weights.append(group.image_weight)
            pseudo.append(
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
    return (torch.cat(weights), torch.cat(pseudo)) if weights else None


def train_hybrid(
    clip: Towers,
    stream: ClipStream,
    batches: Callable[[int], TripletBatch],
    settings: HybridSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "hybrid",
) -> dict[str, float]:
    """Train a CLIP stream in place, and optionally CLIP's encoders ("towers").

    This is stage three of Progressive Learning (PL). If the stream's combiner learns image weights,
    they are also trained to match pseudo weights, which are computed from the batch; see
    `HybridSettings`. Training resumes from the stage's last saved state, if there is one.

    Args:
        clip: CLIP, or a stand-in with the same encoders.
        stream: The stream, with any combiner.
        batches: Function that takes a step number and returns the batch of that step.
        settings: Optimizer settings, including the weights of the losses.
        accelerator: A new accelerator for this stage.
        loop: Length and folder of the stage.
        stage: Name of the stage's log and state.

    Returns:
        The mean of each logged number over the steps of the last log interval, by name.

    Raises:
        ValueError: neither the towers nor the stream have trainable parameters.
    """
    module = _Hybrid(clip, stream, settings.trains_towers)
    objective = partial(hybrid_objective, settings=settings)
    return train_towers(stage, module, batches, objective, settings, accelerator, loop)
