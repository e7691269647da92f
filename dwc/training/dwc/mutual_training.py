"""Mutual training of DWC's two streams, each of which is the other's teacher.

As in the released code, each training step updates both streams: first the CLIP stream with the CNN
stream as its teacher, then the CNN stream with the updated CLIP stream as its teacher. The CNN
stream does not change before its own update, so one forward pass provides its outputs for both
updates. The released code performs this forward pass twice, which makes only one difference: the
running statistics of the CNN stream's batch norms change twice as fast.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.cnn_stream import CnnStream
from dwc.modeling.combiners import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.loop import Callback, LoopSettings, cosine_with_warmup, run_stage
from dwc.training.losses import (
    anchor_loss,
    attribute_loss,
    contrastive_loss,
    mutual_loss,
    share_loss,
    weight_loss,
)


@dataclass(frozen=True)
class TripletBatch:
    """B queries, divided into groups by modality, and their B target images in the same order.

    Attributes:
        queries: One dictionary of `DWCModel.compose` inputs per group. All N queries of a group
            have the same modalities: image and text, text only, or image only. A group may also
            have cached CLIP features, "clip_image_features" and "clip_text_features", (N, F) each.
        target_pixels: Pixels of the targets (B, 3, H, W) of height H and width W; None if no
            network needs them.
        labels: Integer identities of the targets (B,), equal for targets that count as the same.
        target_clip_features: Cached CLIP features of the targets (B, F), or None.
        image_shares: None, or true image weights of the queries (B,), in [0, 1]. The true image
            weight is the share of the target's attributes that only the query image determines; NaN
            where this share is unknown.
        anchors: None, or embeddings of size D that each stream should preserve: for each stream's
            name, a tensor (B, D) for the queries and a tensor (B, D) for the targets. A row is NaN
            if there is nothing to preserve.
        relevance: None, or the relevance of each target (column) to each query (row), (B, B); see
            `soft_labels`.
        attributes: None, or the class labels of A attributes that each query asks for (B, A), and
            those of the targets (B, A); see `attribute_loss`.
    """

    queries: list[dict[str, Tensor]]
    target_pixels: Tensor | None
    labels: Tensor
    target_clip_features: Tensor | None = None
    image_shares: Tensor | None = None
    anchors: dict[str, tuple[Tensor, Tensor]] | None = None
    relevance: Tensor | None = None
    attributes: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device) -> "TripletBatch":
        """Return the batch on a device; copies from pinned memory are asynchronous."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "TripletBatch":
        """Return a copy of the batch in pinned memory; `DataLoader` calls this method."""
        return self._map(lambda tensor: tensor.pin_memory())

    def require_target_pixels(self) -> Tensor:
        """Return the pixels of the targets, `target_pixels`; raise ValueError if they are None."""
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
            None
            if self.anchors is None
            else {name: (change(q), change(t)) for name, (q, t) in self.anchors.items()},
            None if self.relevance is None else change(self.relevance),
            None
            if self.attributes is None
            else (change(self.attributes[0]), change(self.attributes[1])),
        )


@dataclass(frozen=True)
class MutualSettings:
    """Hyperparameters of mutual training.

    The defaults are those of the released code, except `teacher_side`.

    Attributes:
        total_steps: Number of training steps; each updates both streams.
        learning_rate: Adam's learning rate.
        cnn_learning_rate: Learning rate of the CNN stream, if it differs from `learning_rate`.
        eps: Adam's epsilon.
        weight_decay: Adam's weight decay.
        schedule: Learning-rate schedule: "constant", as in the released code, or "cosine", a
            linear warm-up followed by a cosine decay to 0.
        warmup_steps: Number of warm-up steps of the cosine schedule.
        temperature: Temperature of the contrastive loss.
        alpha: Share of the similarity distribution in the soft labels, in [0, 1]; see
            `soft_labels`.
        gce_q: Parameter q of the contrastive loss, our addition for data with wrong texts; see
            `contrastive_loss`. 0 is the paper's loss.
        mutual_weight: Factor of the mutual loss.
        weight_distillation: Factor of `weight_loss`, our addition, which draws the CNN stream's
            image weights towards the CLIP stream's. 0, as in the paper, disables this loss.
        share_teaching: Factor of `share_loss`, our addition, which trains both streams' image
            weights to correlate with the true image weights of a batch. Only batches that contain
            true image weights (`image_shares`) use this loss. 0 disables it.
        anchoring: Factor of `anchor_loss`, our addition, which draws the embeddings towards
            embeddings that should be preserved. Only batches that contain embeddings to preserve
            (`anchors`) use this loss. 0 disables it.
        attribute_teaching: Factor of `attribute_loss`, our addition. Linear classifiers, which are
            used in training only, predict attributes from the embeddings of queries and targets.
            Only batches that contain attribute labels (`attributes`) use this loss. 0 disables it.
        teacher_scale: Factor of the cosine similarities in the mutual loss.
        teacher_side: Images that the teacher's queries are compared with in the mutual loss: the
            targets ("target"), or, as in the released code, the reference images ("reference").
        max_gradient_norm: Gradients with a larger norm are clipped to this norm; None disables
            clipping.
        log_every: Not used. It is only stored with the recipe; `LoopSettings.log_every` is used.
        save_every: Not used. It is only stored with the recipe; `LoopSettings.save_every` is used.
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
    anchoring: float = 0.0
    attribute_teaching: float = 0.0
    teacher_scale: float = 10.0
    teacher_side: Literal["target", "reference"] = "target"
    max_gradient_norm: float | None = None
    log_every: int = 50
    save_every: int = 500


@dataclass(frozen=True)
class StreamOutput:
    """Outputs of one stream for a batch of B triplets, with embeddings of size D.

    Attributes:
        query: Embeddings of the composed queries (B, D).
        target: Embeddings of the targets (B, D).
        image_weight: Image weights of the queries (B, 1), in [0, 1].
        reference: Embeddings of the reference images (B, D); None if not requested.
        attributes: Two lists with logits (B, classes) of each attribute, predicted from the query
            embeddings and from the target embeddings.
    """

    query: Tensor
    target: Tensor
    image_weight: Tensor
    reference: Tensor | None = None
    attributes: tuple[list[Tensor], list[Tensor]] = ([], [])


@dataclass(frozen=True)
class ClipFeatures:
    """Features of a batch from the frozen CLIP model, as vectors of length F.

    The queries of the batch are divided into groups by modality; see `TripletBatch.queries`.

    Attributes:
        images: For each group of N queries, the image features (N, F); None for text-only queries.
        texts: For each group of N queries, the text features (N, F); None for image-only queries.
        targets: Image features of the B targets (B, F).
    """

    images: list[Tensor | None]
    texts: list[Tensor | None]
    targets: Tensor


class _AttributeClassifiers(nn.Module):
    """Linear classifiers that predict attributes from embeddings of unit length.

    Args:
        size: The length D of an embedding.
        classes: The number of classes of each attribute; empty for no classifiers.
    """

    def __init__(self, size: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(size, count) for count in classes)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        """Return logits (B, classes) of each attribute for embeddings (B, D)."""
        return [head(_EMBEDDING_SCALE * embeddings) for head in self.heads]


_EMBEDDING_SCALE = 8.0  # the norm of what the classifiers read


def _weights(count: int) -> list[float]:
    """Return the weights of the losses of `count` attributes: 2 for the first, 1 for the others.

    The first attribute is the category. It has the larger weight because most wrong results of
    composed queries are of another category than the reference.
    """
    return [2.0] + [1.0] * (count - 1)


class _ClipStudent(nn.Module):
    """Module that computes the CLIP stream's outputs for a batch from CLIP's features.

    It processes a batch in a single call, so that accelerate can synchronize the gradients over
    devices.
    """

    def __init__(self, stream: ClipStream, classes: Sequence[int]) -> None:
        super().__init__()
        self.stream = stream
        self.classifiers = _AttributeClassifiers(stream.embedding_dim, classes)

    def forward(self, features: ClipFeatures, with_reference: bool) -> StreamOutput:
        pairs = zip(features.images, features.texts, strict=True)
        query, weight = _concatenate([self.stream.compose(image, text) for image, text in pairs])
        reference = None
        if with_reference:
            images = [self.stream.embed(_require_references(i)) for i in features.images]
            reference = torch.cat(images)
        targets = self.stream.embed(features.targets)
        attributes = (self.classifiers(query), self.classifiers(targets))
        return StreamOutput(query, targets, weight, reference, attributes)


class _CnnStudent(nn.Module):
    """Module that computes the CNN stream's outputs for a batch from its pixels and word ids."""

    def __init__(self, stream: CnnStream, classes: Sequence[int]) -> None:
        super().__init__()
        self.stream = stream
        self.classifiers = _AttributeClassifiers(stream.embedding_dim, classes)

    def forward(self, batch: TripletBatch, with_reference: bool) -> StreamOutput:
        query, weight = _concatenate([self._compose(group) for group in batch.queries])
        reference = None
        if with_reference:
            images = [_require_references(group.get("pixel_values")) for group in batch.queries]
            reference = torch.cat([self.stream.embed(pixels) for pixels in images])
        targets = self.stream.embed(batch.require_target_pixels())
        attributes = (self.classifiers(query), self.classifiers(targets))
        return StreamOutput(query, targets, weight, reference, attributes)

    def _compose(self, group: Mapping[str, Tensor]) -> Composition:
        """Compose the queries of a group.

        If the group lacks a modality, batch norms use their running statistics and do not update
        them. The inputs for a missing modality are zero. If these zeros entered the batch
        statistics, the statistics would not fit actual queries, and the stream would rank well only
        within training batches.
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
    """Return the embeddings (B, D) and image weights (B, 1) of the queries of all groups."""
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
    """Return the frozen CLIP model's features of a batch, reusing features cached in the batch."""
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
    classes: Sequence[int] = (),
) -> Mapping[str, float]:
    """Train the streams of a model in place, with each stream as the other's teacher.

    If the model has only one stream, the stream is trained without a teacher. The model is left in
    training mode on the accelerator's device.

    Args:
        model: The model to train.
        batches: Deterministic function that takes a step number and returns the batch of that step.
        settings: The hyperparameters.
        accelerator: A new accelerator for this training stage.
        loop: Number of steps, folder of states and logs, and intervals of saving and logging.
        stage: Name of the stage and of its files.
        callback: Object that is called before and after each step; see `Callback`.
        classes: The number of classes of each attribute in the batches' `attributes`.

    Returns:
        The last log line: the mean of each loss and accuracy over the last log interval, by name.
        Empty if the stage was already finished.
    """
    model.to(accelerator.device, memory_format=torch.channels_last).train()
    trainers: dict[str, Any] = {}
    if model.clip_stream is not None:
        trainers["clip"] = StreamTrainer(
            _ClipStudent(model.clip_stream, classes), settings, accelerator
        )
    if model.cnn_stream is not None:
        rate = settings.cnn_learning_rate
        trainers["cnn"] = StreamTrainer(
            _CnnStudent(model.cnn_stream, classes), settings, accelerator, rate
        )
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
    """Return an Adam optimizer and its learning-rate schedule.

    Args:
        trained: The parameters to optimize.
        settings: Hyperparameters of the optimizer and the schedule.
        learning_rate: Learning rate; None to use `settings.learning_rate`.
    """
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
    """Trainer of one stream, with an optimizer, a learning-rate schedule and the loss."""

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
        """Perform one optimizer step of this stream; its teacher is the other stream, if any.

        Args:
            name: Name of this stream, "clip" or "cnn".
            outputs: Outputs of the streams for the batch, by stream name.
            batch: The batch, which has the labels of the targets, and may have true image weights
                and anchors.

        Returns:
            Losses and accuracy to log, by name.
        """
        settings, student, labels = self.settings, outputs[name], batch.labels
        query, target = student.query.float(), student.target.float()
        contrast = contrastive_loss(
            query,
            target,
            labels,
            settings.temperature,
            settings.alpha,
            settings.gce_q,
            batch.relevance,
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
        if batch.attributes is not None and settings.attribute_teaching > 0:
            pairs = zip(student.attributes, batch.attributes, strict=True)
            naming = torch.stack(
                [attribute_loss(logits, wanted, _weights(len(logits))) for logits, wanted in pairs]
            ).sum()
            loss = loss + settings.attribute_teaching * naming
            numbers[f"{name}_attributes"] = float(naming.detach())
        if batch.image_shares is not None and settings.share_teaching > 0:
            truth = share_loss(student.image_weight.float(), batch.image_shares)
            loss = loss + settings.share_teaching * truth
            numbers[f"{name}_share"] = float(truth.detach())
        if batch.anchors is not None and settings.anchoring > 0:
            anchors = batch.anchors[name]
            distance = anchor_loss(query, anchors[0]) + anchor_loss(target, anchors[1])
            loss = loss + settings.anchoring * distance
            numbers[f"{name}_anchor"] = float(distance.detach())
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if settings.max_gradient_norm is not None:
            self.accelerator.clip_grad_norm_(self.module.parameters(), settings.max_gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        nearest = (query @ target.T).argmax(dim=-1)
        numbers[f"{name}_accuracy"] = float((labels[nearest] == labels).float().mean())
        return numbers
