"""DWC's alternating training: each stream steps in turn, taught by the other.

An iteration, as in the released code: the CLIP stream steps with the CNN stream as its teacher,
then the CNN stream steps with the just-stepped CLIP stream as its teacher. The CNN stream does not
change in between, so one forward pass of it serves as teacher and as pupil; the released code runs
it twice, which moves its batch norms' running means twice as fast and changes nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    """Queries in one or more groups, and the target of each, in the same order.

    A group is what `DWCModel.compose` takes; groups differ in what is present (both modalities,
    words only, picture only). `target_pixels` (B, 3, H, W); `labels` (B,) say which targets are the
    same thing. Where CLIP's features are known already, a group brings "clip_image_features" and
    "clip_text_features" (N, F), and the batch those of its targets (B, F). Where no CNN stream
    looks at them either, pixels may be left out: None. `image_shares` (B,), where the truth is
    known, are the shares of what a query asks for that only its picture tells, NaN where not.
    """

    queries: list[dict[str, Tensor]]
    target_pixels: Tensor | None
    labels: Tensor
    target_clip_features: Tensor | None = None
    image_shares: Tensor | None = None

    def to(self, device: torch.device) -> "TripletBatch":
        """The same batch on a device; the copy may still be under way where memory is pinned."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "TripletBatch":
        """The same batch in memory that a GPU copies from by itself; a `DataLoader` asks for it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def targets_to_look_at(self) -> Tensor:
        """The pixels of the targets; ValueError where they were left out."""
        if self.target_pixels is None:
            raise ValueError("this batch has no pixels of its targets, and a tower has to see them")
        return self.target_pixels

    def _each(self, change: Callable[[Tensor], Tensor]) -> "TripletBatch":
        queries = [{name: change(value) for name, value in g.items()} for g in self.queries]
        pixels, known = self.target_pixels, self.target_clip_features
        shares = self.image_shares
        return TripletBatch(
            queries,
            None if pixels is None else change(pixels),
            change(self.labels),
            None if known is None else change(known),
            None if shares is None else change(shares),
        )


@dataclass(frozen=True)
class MutualSettings:
    """The recipe of the alternating training; defaults are the released code's.

    `teacher_side` "target" hands the pupil the teacher's embeddings of the targets; "reference"
    does what the released code does, and takes those of the reference images. `schedule` "constant"
    is the released code's; "cosine" warms up over `warmup_steps` and falls to 0. `weight_teaching`
    is ours: how much it counts that the CNN stream's weights be like the CLIP stream's; 0 leaves
    both to themselves, as the paper does. `doubt` is ours as well, for data with wrong texts: see
    `contrastive_loss`; and `share_teaching`, how much it counts that both weights be like the
    shares that only the picture tells, where batches bring them.
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
    doubt: float = 0.0
    mutual_weight: float = 1.0
    weight_teaching: float = 0.0
    share_teaching: float = 0.0
    teacher_scale: float = 10.0
    teacher_side: Literal["target", "reference"] = "target"
    max_gradient_norm: float | None = None
    log_every: int = 50
    save_every: int = 500


@dataclass(frozen=True)
class StreamOutput:
    """What one stream made of a batch, B rows each; `image_weight` (B, 1)."""

    query: Tensor
    target: Tensor
    image_weight: Tensor
    reference: Tensor | None = None


@dataclass(frozen=True)
class ClipFeatures:
    """The frozen CLIP's features of a batch; a group's missing modality is None."""

    images: list[Tensor | None]
    texts: list[Tensor | None]
    targets: Tensor = field()


class _ClipStudent(nn.Module):
    """Runs the CLIP stream on features; a module of its own so that gradients sync over devices."""

    def __init__(self, stream: ClipStream) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, features: ClipFeatures, with_reference: bool) -> StreamOutput:
        pairs = zip(features.images, features.texts, strict=True)
        query, weight = _joined([self.stream.compose(image, text) for image, text in pairs])
        reference = None
        if with_reference:
            reference = torch.cat([self.stream.embed(_present(i)) for i in features.images])
        return StreamOutput(query, self.stream.embed(features.targets), weight, reference)


class _CnnStudent(nn.Module):
    """Runs the CNN stream on pictures and words."""

    def __init__(self, stream: CnnStream) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, batch: TripletBatch, with_reference: bool) -> StreamOutput:
        query, weight = _joined([self._compose(group) for group in batch.queries])
        reference = None
        if with_reference:
            pictures = [self.stream.embed(_present(g.get("pixel_values"))) for g in batch.queries]
            reference = torch.cat(pictures)
        targets = self.stream.embed(batch.targets_to_look_at())
        return StreamOutput(query, targets, weight, reference)

    def _compose(self, group: Mapping[str, Tensor]) -> Composition:
        """A query without picture or words is normalised as whole queries are, as in use.

        Its contexts are zero. Batch norms that averaged them in would remember statistics that no
        query has, and a stream that ranks its batches well would rank nothing else.
        """
        inputs = [group.get(name) for name in ("pixel_values", "word_ids", "word_mask")]
        whole = inputs[0] is not None and inputs[1] is not None
        norms = [m for m in self.stream.modules() if isinstance(m, _BatchNorm) and m.training]
        for norm in norms:
            norm.train(whole)
        composed = self.stream.compose(*inputs)
        for norm in norms:
            norm.train()
        return composed


def _joined(groups: list[Composition]) -> tuple[Tensor, Tensor]:
    """The embeddings (B, D) and image weights (B, 1) of all groups, one after the other."""
    embeddings = torch.cat([group.embedding for group in groups])
    return embeddings, torch.cat([group.image_weight for group in groups])


def _present(pictures: Tensor | None) -> Tensor:
    if pictures is None:
        raise ValueError(
            "teacher_side='reference' needs a reference picture for every query; "
            "this batch has a group of words alone"
        )
    return pictures


@torch.no_grad()
def frozen_clip_features(clip: ClipBackbone, batch: TripletBatch) -> ClipFeatures:
    """The frozen CLIP's raw features of everything in a batch; none that it brings is computed."""
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
        targets = clip.image_features(batch.targets_to_look_at())
    return ClipFeatures(images, texts, targets)


def train_mutually(
    model: DWCModel,
    batches: Callable[[int], TripletBatch],
    settings: MutualSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "alternating",
    watcher: Callback | None = None,
) -> Mapping[str, float]:
    """Train both streams in place; a model with one stream trains that one, untaught.

    `batches(step)` gives the batch of a step, the same one whenever it is asked for. The model is
    left in train mode on the accelerator's device. `watcher` looks on between steps.
    """
    model.to(accelerator.device, memory_format=torch.channels_last).train()
    pupils: dict[str, Any] = {}
    if model.clip_stream is not None:
        pupils["clip"] = StreamTrainer(_ClipStudent(model.clip_stream), settings, accelerator)
    if model.cnn_stream is not None:
        rate = settings.cnn_learning_rate
        pupils["cnn"] = StreamTrainer(_CnnStudent(model.cnn_stream), settings, accelerator, rate)
    by_reference = settings.teacher_side == "reference" and len(pupils) == 2

    def step(number: int) -> dict[str, float]:
        batch = batches(number)
        numbers: dict[str, float] = {}
        outputs: dict[str, StreamOutput] = {}
        with accelerator.autocast():
            features = None if model.clip is None else frozen_clip_features(model.clip, batch)
            if "cnn" in pupils:
                outputs["cnn"] = pupils["cnn"].module(batch, by_reference)
            if "clip" in pupils:
                outputs["clip"] = pupils["clip"].module(features, by_reference)
        if "clip" in pupils:
            numbers |= pupils["clip"].learn("clip", outputs, batch)
        if len(pupils) == 2:
            with torch.no_grad(), accelerator.autocast():
                outputs["clip"] = pupils["clip"].module(features, by_reference)
        if "cnn" in pupils:
            numbers |= pupils["cnn"].learn("cnn", outputs, batch)
        return numbers

    return run_stage(stage, accelerator, step, loop, watcher)


def build_adam(
    trained: list[nn.Parameter], settings: MutualSettings, learning_rate: float | None = None
) -> tuple[Adam, LambdaLR]:
    """The optimiser and its schedule, as the settings say, at their learning rate or another."""
    optimiser = Adam(
        trained,
        lr=learning_rate or settings.learning_rate,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    if settings.schedule == "constant":
        return optimiser, LambdaLR(optimiser, lambda step: 1.0)
    factor = cosine_with_warmup(settings.total_steps, settings.warmup_steps)
    return optimiser, LambdaLR(optimiser, factor)


class StreamTrainer:
    """A stream with its optimiser and schedule."""

    def __init__(
        self,
        module: nn.Module,
        settings: MutualSettings,
        accelerator: Accelerator,
        learning_rate: float | None = None,
    ) -> None:
        self.settings, self.accelerator = settings, accelerator
        trained = [p for p in module.parameters() if p.requires_grad]
        optimiser, self.schedule = build_adam(trained, settings, learning_rate)
        self.module, self.optimiser = accelerator.prepare(module, optimiser)
        accelerator.register_for_checkpointing(self.schedule)

    def learn(
        self, name: str, outputs: Mapping[str, StreamOutput], batch: TripletBatch
    ) -> dict[str, float]:
        """One step of this stream, taught by the other where there is one."""
        settings, own, labels = self.settings, outputs[name], batch.labels
        query, target = own.query.float(), own.target.float()
        contrast = contrastive_loss(
            query, target, labels, settings.temperature, settings.alpha, settings.doubt
        )
        loss, numbers = contrast, {f"{name}_contrast": float(contrast.detach())}
        teachers = [output for other, output in outputs.items() if other != name]
        if teachers and settings.mutual_weight > 0:
            teacher = teachers[0]
            side = teacher.target if settings.teacher_side == "target" else teacher.reference
            mutual = mutual_loss(
                query, target, teacher.query.float(), _present(side).float(), settings.teacher_scale
            )
            loss = loss + settings.mutual_weight * mutual
            numbers[f"{name}_mutual"] = float(mutual.detach())
        if teachers and name == "cnn" and settings.weight_teaching > 0:
            taught = weight_loss(own.image_weight.float(), teachers[0].image_weight.float())
            loss = loss + settings.weight_teaching * taught
            numbers["cnn_weight"] = float(taught.detach())
        if batch.image_shares is not None and settings.share_teaching > 0:
            truth = share_loss(own.image_weight.float(), batch.image_shares)
            loss = loss + settings.share_teaching * truth
            numbers[f"{name}_share"] = float(truth.detach())
        self.optimiser.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if settings.max_gradient_norm is not None:
            self.accelerator.clip_grad_norm_(self.module.parameters(), settings.max_gradient_norm)
        self.optimiser.step()
        self.schedule.step()
        found = (query @ target.T).argmax(dim=-1)
        numbers[f"{name}_accuracy"] = float((labels[found] == labels).float().mean())
        return numbers
