"""Mutual training of DWC: the streams step in turn, each with the other as its teacher.

An iteration, as in the released code: the CLIP stream steps with the CNN stream as teacher, then
the CNN stream steps with the updated CLIP stream as teacher. The CNN stream does not change in
between, so one forward pass of it serves as teacher and as student; the released code runs it
twice, which moves its batch norms' running means twice as fast and changes nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.cnn_stream import CnnStream
from dwc.modeling.composition import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.loop import Callback, LoopSettings, cosine_with_warmup, run_stage
from dwc.training.losses import contrastive_loss, mutual_loss, share_loss, weight_loss


@dataclass(frozen=True)
class TripletBatch:
    """Queries in one or more groups, and their B targets in the same order.

    Attributes:
        queries: Inputs of `DWCModel.compose`, a group each. Groups differ in what is present: both
            modalities, text only, image only. Where CLIP's features are known, a group has them as
            "clip_image_features" and "clip_text_features" (N, F).
        target_pixels: (B, 3, H, W); None if no tower needs them.
        labels: (B,); equal where two targets count as the same.
        target_clip_features: (B, F) where they are known.
        image_shares: (B,) where the truth is known: the share of what a query asks for that only
            its image tells, NaN where it is not known.
    """

    queries: list[dict[str, Tensor]]
    target_pixels: Tensor | None
    labels: Tensor
    target_clip_features: Tensor | None = None
    image_shares: Tensor | None = None

    def to(self, device: torch.device) -> "TripletBatch":
        """Return the batch on a device; from pinned memory the copy may still be under way."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "TripletBatch":
        """Return the batch in pinned memory; called by a `DataLoader`."""
        return self._map(lambda tensor: tensor.pin_memory())

    def require_target_pixels(self) -> Tensor:
        """Return the targets' pixels; ValueError if they were left out."""
        if self.target_pixels is None:
            raise ValueError("this batch has no pixels of its targets, but a tower needs them")
        return self.target_pixels

    def _map(self, change: Callable[[Tensor], Tensor]) -> "TripletBatch":
        queries = [{name: change(value) for name, value in g.items()} for g in self.queries]
        pixels, features = self.target_pixels, self.target_clip_features
        shares = self.image_shares
        return TripletBatch(
            queries,
            None if pixels is None else change(pixels),
            change(self.labels),
            None if features is None else change(features),
            None if shares is None else change(shares),
        )


@dataclass(frozen=True)
class MutualSettings:
    """The recipe of mutual training; the defaults are the released code's.

    Attributes:
        total_steps: Steps of both streams.
        learning_rate: Of the CLIP stream, and of the CNN stream unless it has its own.
        cnn_learning_rate: Of the CNN stream.
        eps: Adam's.
        weight_decay: Adam's.
        schedule: "constant" is the released code's; "cosine" warms up and falls to 0.
        warmup_steps: Of the cosine.
        temperature: Of the contrastive loss.
        alpha: Share of the soft labels; see `soft_labels`.
        gce_q: Ours, for data with wrong texts; see `contrastive_loss`. 0 is the paper's.
        mutual_weight: Multiplies the mutual loss.
        weight_distillation: Ours: multiplies the loss that pulls the CNN stream's image weights to
            the CLIP stream's; 0, the paper's, leaves them independent.
        share_teaching: Ours: multiplies the loss that pulls both streams' image weights to the
            shares that only the image tells, where batches have them; see `share_loss`.
        teacher_scale: Multiplies the cosines in the mutual loss.
        teacher_side: The teacher's gallery: its embeddings of the targets, or, as in the released
            code, of the reference images.
        max_gradient_norm: Longer gradients are clipped to this; None clips none.
        log_every: Part of the recipe's record; `LoopSettings` decides.
        save_every: The same.
    """

    total_steps: int
    learning_rate: float = 1e-4
    cnn_learning_rate: float | None = None
    eps: float = 1e-8
    weight_decay: float = 1e-6
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    temperature: float = 0.07
    alpha: float = 0.2
    gce_q: float = 0.0
    mutual_weight: float = 1.0
    weight_distillation: float = 0.0
    share_teaching: float = 0.0
    teacher_scale: float = 10.0
    teacher_side: Literal["target", "reference"] = "target"
    max_gradient_norm: float | None = None
    log_every: int = 50
    save_every: int = 500


@dataclass(frozen=True)
class StreamOutput:
    """One stream's embeddings of a batch, (B, D) each.

    Attributes:
        query: The composed queries.
        target: The targets.
        image_weight: (B, 1).
        reference: The reference images; None unless asked for.
    """

    query: Tensor
    target: Tensor
    image_weight: Tensor
    reference: Tensor | None = None


@dataclass(frozen=True)
class ClipFeatures:
    """The frozen CLIP's features of a batch.

    Attributes:
        images: (N, F) for each group of queries; None for a group without images.
        texts: (N, F) for each group of queries; None for a group without texts.
        targets: (B, F).
    """

    images: list[Tensor | None]
    texts: list[Tensor | None]
    targets: Tensor


class _ClipStudent(nn.Module):
    """The CLIP stream on features; a module of its own so that gradients sync over devices."""

    def __init__(self, stream: ClipStream) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, features: ClipFeatures, with_reference: bool) -> StreamOutput:
        pairs = zip(features.images, features.texts, strict=True)
        query, weight = _concatenate([self.stream.compose(image, text) for image, text in pairs])
        reference = None
        if with_reference:
            images = [self.stream.embed(_require_references(i)) for i in features.images]
            reference = torch.cat(images)
        return StreamOutput(query, self.stream.embed(features.targets), weight, reference)


class _CnnStudent(nn.Module):
    """The CNN stream on pixels and word ids."""

    def __init__(self, stream: CnnStream) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, batch: TripletBatch, with_reference: bool) -> StreamOutput:
        query, weight = _concatenate([self._compose(group) for group in batch.queries])
        reference = None
        if with_reference:
            images = [_require_references(group.get("pixel_values")) for group in batch.queries]
            reference = torch.cat([self.stream.embed(pixels) for pixels in images])
        targets = self.stream.embed(batch.require_target_pixels())
        return StreamOutput(query, targets, weight, reference)

    def _compose(self, group: Mapping[str, Tensor]) -> Composition:
        """Compose a group; batch norms of a group with one modality use running statistics.

        Contexts of a missing modality are zero. Averaged in, they would give batch norms statistics
        that no query has, and the stream would rank well within training batches only.
        """
        inputs = [group.get(name) for name in ("pixel_values", "word_ids", "word_mask")]
        has_both = inputs[0] is not None and inputs[1] is not None
        norms = [m for m in self.stream.modules() if isinstance(m, _BatchNorm) and m.training]
        for norm in norms:
            norm.train(has_both)
        composed = self.stream.compose(*inputs)
        for norm in norms:
            norm.train()
        return composed


def _concatenate(groups: list[Composition]) -> tuple[Tensor, Tensor]:
    """Return the embeddings (B, D) and image weights (B, 1) of all groups."""
    embeddings = torch.cat([group.embedding for group in groups])
    return embeddings, torch.cat([group.image_weight for group in groups])


def _require_references(images: Tensor | None) -> Tensor:
    if images is None:
        raise ValueError(
            "teacher_side='reference' needs a reference picture for every query; "
            "this batch has a group of text-only queries"
        )
    return images


@torch.no_grad()
def frozen_clip_features(clip: ClipBackbone, batch: TripletBatch) -> ClipFeatures:
    """Return the frozen CLIP's raw features of a batch; those that it brings are not computed."""
    images: list[Tensor | None] = []
    texts: list[Tensor | None] = []
    for group in batch.queries:
        image, text = group.get("clip_image_features"), group.get("clip_text_features")
        if image is None and "pixel_values" in group:
            image = clip.image_features(group["pixel_values"])
        if text is None and "clip_input_ids" in group:
            text = clip.text_features(group["clip_input_ids"], group["clip_attention_mask"])
        images.append(image)
        texts.append(text)
    targets = batch.target_clip_features
    if targets is None:
        targets = clip.image_features(batch.require_target_pixels())
    return ClipFeatures(images, texts, targets)


def train_mutually(
    model: DWCModel,
    batches: Callable[[int], TripletBatch],
    settings: MutualSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "alternating",
    callback: Callback | None = None,
) -> Mapping[str, float]:
    """Train both streams in place; a model with one stream trains it without a teacher.

    The model is left in train mode on the accelerator's device.

    Args:
        model: The model.
        batches: Returns the batch of a step, the same one every time.
        settings: The recipe.
        accelerator: A new one.
        loop: Length, folder and intervals.
        stage: Name of log and state.
        callback: Called between steps.

    Returns:
        The last means logged.
    """
    model.to(accelerator.device, memory_format=torch.channels_last).train()
    trainers: dict[str, Any] = {}
    if model.clip_stream is not None:
        trainers["clip"] = StreamTrainer(_ClipStudent(model.clip_stream), settings, accelerator)
    if model.cnn_stream is not None:
        rate = settings.cnn_learning_rate
        trainers["cnn"] = StreamTrainer(_CnnStudent(model.cnn_stream), settings, accelerator, rate)
    by_reference = settings.teacher_side == "reference" and len(trainers) == 2

    def step(number: int) -> dict[str, float]:
        batch = batches(number)
        numbers: dict[str, float] = {}
        outputs: dict[str, StreamOutput] = {}
        with accelerator.autocast():
            features = None if model.clip is None else frozen_clip_features(model.clip, batch)
            if "cnn" in trainers:
                outputs["cnn"] = trainers["cnn"].module(batch, by_reference)
            if "clip" in trainers:
                outputs["clip"] = trainers["clip"].module(features, by_reference)
        if "clip" in trainers:
            numbers |= trainers["clip"].step("clip", outputs, batch)
        if len(trainers) == 2:
            with torch.no_grad(), accelerator.autocast():
                outputs["clip"] = trainers["clip"].module(features, by_reference)
        if "cnn" in trainers:
            numbers |= trainers["cnn"].step("cnn", outputs, batch)
        return numbers

    return run_stage(stage, accelerator, step, loop, callback)


def build_adam(
    trained: list[nn.Parameter], settings: MutualSettings, learning_rate: float | None = None
) -> tuple[Adam, LambdaLR]:
    """Return Adam and its schedule for parameters; `learning_rate` overrides the settings'."""
    optimizer = Adam(
        trained,
        lr=learning_rate or settings.learning_rate,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    if settings.schedule == "constant":
        return optimizer, LambdaLR(optimizer, lambda step: 1.0)
    factor = cosine_with_warmup(settings.total_steps, settings.warmup_steps)
    return optimizer, LambdaLR(optimizer, factor)


class StreamTrainer:
    """A stream with its optimizer and schedule."""

    def __init__(
        self,
        module: nn.Module,
        settings: MutualSettings,
        accelerator: Accelerator,
        learning_rate: float | None = None,
    ) -> None:
        self.settings, self.accelerator = settings, accelerator
        trained = [p for p in module.parameters() if p.requires_grad]
        optimizer, self.schedule = build_adam(trained, settings, learning_rate)
        self.module, self.optimizer = accelerator.prepare(module, optimizer)
        accelerator.register_for_checkpointing(self.schedule)

    def step(
        self, name: str, outputs: Mapping[str, StreamOutput], batch: TripletBatch
    ) -> dict[str, float]:
        """Do one optimizer step; the other stream's output, if there is one, is the teacher.

        Args:
            name: This stream's, "clip" or "cnn".
            outputs: By stream.
            batch: Its labels and, where known, its image shares.

        Returns:
            Numbers to log.
        """
        settings, student, labels = self.settings, outputs[name], batch.labels
        query, target = student.query.float(), student.target.float()
        contrast = contrastive_loss(
            query, target, labels, settings.temperature, settings.alpha, settings.gce_q
        )
        loss, numbers = contrast, {f"{name}_contrast": float(contrast.detach())}
        teachers = [output for other, output in outputs.items() if other != name]
        if teachers and settings.mutual_weight > 0:
            teacher = teachers[0]
            gallery = teacher.target
            if settings.teacher_side == "reference":
                gallery = _require_references(teacher.reference)
            mutual = mutual_loss(
                query, target, teacher.query.float(), gallery.float(), settings.teacher_scale
            )
            loss = loss + settings.mutual_weight * mutual
            numbers[f"{name}_mutual"] = float(mutual.detach())
        if teachers and name == "cnn" and settings.weight_distillation > 0:
            distillation = weight_loss(
                student.image_weight.float(), teachers[0].image_weight.float()
            )
            loss = loss + settings.weight_distillation * distillation
            numbers["cnn_weight"] = float(distillation.detach())
        if batch.image_shares is not None and settings.share_teaching > 0:
            truth = share_loss(student.image_weight.float(), batch.image_shares)
            loss = loss + settings.share_teaching * truth
            numbers[f"{name}_share"] = float(truth.detach())
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if settings.max_gradient_norm is not None:
            self.accelerator.clip_grad_norm_(self.module.parameters(), settings.max_gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        nearest = (query @ target.T).argmax(dim=-1)
        numbers[f"{name}_accuracy"] = float((labels[nearest] == labels).float().mean())
        return numbers
