"""Training of the image and text encoders ("towers") on photographs and their texts.

EfficientNet-Lite's upper blocks are the only part of the image networks that is trained. A sentence
encoder is the teacher: the text tower learns features that are a linear map of the sentence
encoder's vectors.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.combiners import normalize
from dwc.modeling.efficientnet_lite import EfficientNetLite, EfficientNetLiteTower
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.joint_batches import JointTexts
from dwc.training.catalogue.photographs import (
    HEADS,
    PhotographPool,
    encode_photographs,
    query_attribute_labels,
)
from dwc.training.catalogue.text_tuning import TEACHER_DIM, SentenceTeacher
from dwc.training.catalogue.widening import (
    FrozenOutputs,
    ImageRows,
    image_networks,
    old_channel_indices,
    unpack_lower,
)
from dwc.training.feature_cache import encode_texts
from dwc.training.loop import (
    AdamWSettings,
    LoopSettings,
    OptimizerStep,
    autocast_bfloat16,
    cpu_precision,
    decay_groups,
    run_stage,
)
from dwc.training.losses import NOT_APPLICABLE, attribute_loss


@dataclass(frozen=True)
class StageSettings(AdamWSettings):
    """Optimizer settings of a training stage on photographs."""

    warmup_steps: int = 40


@dataclass(frozen=True)
class ImageStageSettings(StageSettings):
    """Optimizer settings of the image tower's training.

    Attributes:
        backbone_rate: Ratio of the learning rate of EfficientNet-Lite's upper blocks to the
            learning rate of the other parameters.
        frozen_steps: Number of initial steps in which these blocks are not trained. The linear maps
            after the blocks are untrained at first, so gradients through them would be useless.
        photographs: Number of photographs in a batch.
        recolored: Number of recolored photographs in a batch.
        second_views: Number of photographs that a batch also contains as a second view, that is, a
            differently augmented copy.
        drawings: Number of drawings in a batch.
    """

    backbone_rate: float = 0.3
    frozen_steps: int = 80
    photographs: int = 96
    recolored: int = 48
    second_views: int = 24
    drawings: int = 24


class _Projector(nn.Module):
    """EfficientNet-Lite's upper blocks, and linear maps of images and texts to a common space.

    The map of images computes the dimensions that are added to CLIP's image features. The map of
    texts takes the sentence encoder's vectors. Linear heads classify attributes of images. Batch
    norms use their running statistics.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        backbone: EfficientNetLite,
        trained_from: int,
        mean: Tensor,
        deviation: Tensor,
        features: int,
    ) -> None:
        super().__init__()
        self.blocks, self.head = backbone.blocks[trained_from:], backbone.head
        self._upper = partial(backbone.run_upper, start=trained_from)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.images = nn.Linear(len(mean), features)
        self.texts = nn.Linear(TEACHER_DIM, features)
        self.heads = nn.ModuleList(nn.Linear(features, len(values)) for values in HEADS.values())
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def train(self, mode: bool = True) -> "_Projector":
        """Switch to training or eval mode; batch norms always use their running statistics."""
        super().train(mode)
        for module in [*self.blocks.modules(), *self.head.modules()]:
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, lower: Tensor, details: Tensor, with_gradient: bool = True) -> Tensor:
        """Return the E new features per image, (N, E), that extend CLIP's features of N images.

        Args:
            lower: Output (N, C, h, w) of the frozen lower blocks: C channels on an h x w grid.
            details: Features (N, D) from CLIP's small image encoder, D per image.
            with_gradient: Whether to compute gradients of the upper blocks.
        """
        with torch.set_grad_enabled(with_gradient and torch.is_grad_enabled()):
            pooled = self._upper(lower).float().mean(dim=(2, 3))
        standard = (torch.cat([pooled, details], dim=1) - self.mean) / self.deviation
        return self.images(functional.dropout(standard, _DROPOUT, self.training))

    def attribute_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the mean attribute classification loss over all labels except `NOT_APPLICABLE`.

        Args:
            features: The E features of each of N images, (N, E), from `forward`.
            labels: Labels of the images (N, attributes), from `encode_photographs`.
        """
        losses = [
            functional.cross_entropy(head(features), wanted, reduction="sum", label_smoothing=0.05)
            for head, wanted in zip(self.heads, labels.unbind(dim=1), strict=True)
        ]
        return torch.stack(losses).sum() / (labels != NOT_APPLICABLE).sum().clamp_min(1)


_DROPOUT = 0.3
_CHUNK = 64
_SAMPLE = 2_000  # number of images from which the features' statistics are computed


def _matching_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the symmetric contrastive loss of B image-text pairs.

    Args:
        logits: Scaled similarities (B, B) of images (rows) and texts (columns).
        ids: Ids of the pairs' texts (B,); texts with equal ids are equally correct for an image.
    """
    same = (ids[:, None] == ids[None, :]).float()
    wanted = same / same.sum(dim=1, keepdim=True)
    forward = -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean()
    return (forward - (wanted * logits.T.log_softmax(dim=1)).sum(dim=1).mean()) / 2


def train_image_tower(
    model: DWCModel,
    pool: PhotographPool,
    texts: JointTexts,
    photographs: Sequence[FrozenOutputs],
    drawings: FrozenOutputs,
    trained_from: int,
    teacher: SentenceTeacher,
    settings: ImageStageSettings,
    loop: LoopSettings,
    seed: int,
    mixed_precision: str = "bf16",
) -> nn.Linear:
    """Train EfficientNet-Lite's upper blocks and the new part of the image projection in place.

    The new part of the projection computes the features that widening added. The loss is a weighted
    sum of three losses: the contrastive loss of images and texts, the classification loss of the
    photographs' attributes, and the contrastive loss of two views (augmented copies) of the same
    photograph. Photographs have captions and short texts; recolored photographs and drawings have
    only short texts.

    Args:
        model: The widened model.
        pool: The photographs.
        texts: All texts of the training.
        photographs: Outputs of the image networks' frozen parts for all images of `pool`, one
            `FrozenOutputs` per view.
        drawings: Outputs of the image networks' frozen parts for the drawings.
        trained_from: Index of EfficientNet-Lite's first trained block.
        teacher: The sentence encoder.
        settings: Batch sizes and optimizer.
        loop: Length and folder of the stage.
        seed: Seed of all random choices.
        mixed_precision: Precision of the upper blocks, "no" (float32) or "bf16".

    Returns:
        The linear map from the teacher's vectors (N, 384) of N texts to the new features.
    """
    tower, _ = image_networks(model)
    count = len(pool.photographs)
    sample = _pooled_sample(tower, [photographs[0], drawings], trained_from)
    projector = _Projector(
        tower.backbone, trained_from, sample.mean(0), sample.std(0) + 1e-2, _new_features(model)
    )
    names = list(dict.fromkeys([t for row in texts.short_texts for t in row] + texts.drawing_names))
    row_of = {text: row for row, text in enumerate(names)}
    vectors = torch.cat([teacher.encode(names), teacher.encode(texts.captions)])
    short = torch.tensor([[row_of[text] for text in row] for row in texts.short_texts])
    named = torch.tensor([row_of[text] for text in texts.drawing_names])
    labels = encode_photographs([pool.photograph_of(image) for image in range(pool.images)])
    accelerator = Accelerator(cpu=True, mixed_precision=cpu_precision(mixed_precision))
    upper = {id(p) for part in (projector.blocks, projector.head) for p in part.parameters()}
    rate = settings.learning_rate * settings.backbone_rate
    groups = [
        {**group, "params": [p for p in group["params"] if (id(p) in upper) == is_upper]}
        | ({"lr": rate} if is_upper else {})
        for is_upper in (False, True)
        for group in decay_groups(projector)
    ]
    optimizer_step = OptimizerStep(projector, settings, accelerator, groups)

    def step(number: int) -> dict[str, float]:
        generator = _generator(f"{seed}/projection/{number}")

        def draw(low: int, high: int, size: int) -> Tensor:
            return torch.randint(low, high, (size if high > low else 0,), generator=generator)

        images = torch.cat(
            [
                torch.randperm(count, generator=generator)[: settings.photographs],
                draw(count, pool.images, settings.recolored),
            ]
        )
        has_caption = (images < count) & (torch.rand(len(images), generator=generator) < 0.65)
        column = torch.randint(0, short.shape[1], (len(images),), generator=generator)
        ids = torch.where(has_caption, len(names) + images, short[images, column])
        drawn = draw(0, len(drawings.lower), settings.drawings)
        again = images[: settings.second_views]
        first, second = torch.randperm(len(photographs), generator=generator)[:2].tolist()
        parts = [
            (photographs[first], images),
            (photographs[second], again),
            (drawings, drawn),
        ]
        lower = torch.cat([outputs.lower[rows] for outputs, rows in parts])
        details = torch.cat([outputs.details[rows] for outputs, rows in parts])
        with accelerator.autocast():
            features = optimizer_step.module(
                unpack_lower(lower), details.float(), number >= settings.frozen_steps
            )
        own, twice, of_drawings = features.float().split([len(rows) for _, rows in parts])
        all_ids = torch.cat([ids, named[drawn]])
        scale = projector.log_scale.exp().clamp(max=100)
        every = normalize(torch.cat([own, of_drawings]))
        logits = scale * every @ normalize(projector.texts(vectors[all_ids])).T
        matching = _matching_loss(logits, all_ids)
        naming = projector.attribute_loss(own, labels[images])
        similarity = 10 * normalize(twice) @ every[: len(images)].T
        alike = functional.cross_entropy(similarity, torch.arange(len(again)))
        loss = matching + naming + 0.3 * alike
        optimizer_step(loss)
        return {"matching": float(matching.detach()), "naming": float(naming.detach())}

    run_stage("projection", accelerator, step, loop)
    projector.eval()
    with torch.no_grad():
        old = tower.projection.out_features - _new_features(model)
        weight = projector.images.weight / projector.deviation
        bias = projector.images.bias - weight @ projector.mean
        sample = _pooled_sample(tower, [photographs[0], drawings], trained_from)
        lengths = (sample @ weight.T + bias).norm(dim=1).mean()
        details = sample[:, -drawings.details.shape[1] :].norm(dim=1).mean()
        tower.projection.weight[old:] = weight * details / lengths
        tower.projection.bias[old:] = bias * details / lengths
    return projector.texts


@torch.no_grad()
def _pooled_sample(
    tower: EfficientNetLiteTower, parts: Sequence[FrozenOutputs], trained_from: int
) -> Tensor:
    """Return the image projection's inputs for the first 2,000 images of each given set.

    The mean and the spread of the inputs are estimated from these images. The inputs (N, 1280 + D)
    of all N images are 1280 pooled features from EfficientNet-Lite, and D features from CLIP's
    small image encoder.

    Args:
        tower: The image networks.
        parts: For each set of images, the outputs of the networks' frozen parts.
        trained_from: Index of EfficientNet-Lite's first trained block.
    """
    rows = []
    for outputs in parts:
        chunks = [part[:_SAMPLE].split(_CHUNK) for part in (outputs.lower, outputs.details)]
        for lower, details in zip(*chunks, strict=True):
            with autocast_bfloat16():
                shared = tower.backbone.run_upper(unpack_lower(lower), trained_from)
            rows.append(torch.cat([shared.float().mean(dim=(2, 3)), details.float()], dim=1))
    return torch.cat(rows)


def _generator(name: str) -> torch.Generator:
    """Return a random number generator whose seed depends only on `name`."""
    return torch.Generator().manual_seed(random.Random(name).getrandbits(63))


def _new_features(model: DWCModel) -> int:
    clip = model.config.clip_config
    return clip.projection_dim - clip.vision_config.detail_config.projection_dim


def tune_text_tower(
    model: DWCModel,
    processor: DWCProcessor,
    before: tuple[DWCModel, DWCProcessor],
    texts: JointTexts,
    photographs: ImageRows,
    teacher: SentenceTeacher,
    teacher_map: nn.Linear,
    settings: StageSettings,
    loop: LoopSettings,
    seed: int,
    mixed_precision: str = "bf16",
) -> None:
    """Train CLIP's text tower (text encoder) in place on texts about photographs and drawings.

    CLIP's features have an old part and a new part. The new part consists of the dimensions that
    widening added. The training has three goals:

    - For texts about photographs, the new part should equal the mapped vector of the teacher.
    - Some of these texts are captions, each of one photograph. For a caption, the new part should
      also match the image features of that photograph.
    - For texts about drawings, the old part should stay equal to the features of the drawings model
      (the model before widening).

    Args:
        model: The widened model, with trained image projection.
        processor: The processor of the model.
        before: The drawings model and its processor.
        texts: All texts of the training.
        photographs: Cached outputs of the image networks for the photographs.
        teacher: The sentence encoder.
        teacher_map: Map of the teacher's vectors to the new features, from `train_image_tower`.
        settings: Optimizer settings.
        loop: Length and folder of the stage.
        seed: Seed of the batches.
        mixed_precision: Precision of the training, "no" (float32) or "bf16".
    """
    assert model.clip is not None
    clip = model.clip
    old = model.config.clip_config.projection_dim - _new_features(model)
    short = [text for row in texts.short_texts for text in row] + texts.drawing_names
    taught = [*texts.captions, *dict.fromkeys(short), *texts.words]
    with torch.no_grad():
        wanted = normalize(teacher_map(teacher.encode(taught)))
        tower, _ = image_networks(model)
        count = len(texts.captions)
        images = normalize(tower.projection(photographs.towers[:count])[:, old:])
    of_drawings = list(dict.fromkeys([m[2] for m in texts.modifications] + texts.descriptions))
    preserved = encode_texts(*before, of_drawings).features
    spread = preserved.var()
    tuned = _TextEncoder(clip)
    accelerator = Accelerator(cpu=True, mixed_precision=cpu_precision(mixed_precision))
    optimizer_step = OptimizerStep(tuned, settings, accelerator, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, float]:
        generator = _generator(f"{seed}/photograph texts/{number}")

        def draw(low: int, high: int, size: int) -> Tensor:
            return torch.randint(low, high, (size,), generator=generator)

        names = len(taught) - len(texts.words)
        rows = torch.cat([draw(0, count, 80), draw(count, names, 40), draw(names, len(taught), 40)])
        drawn = draw(0, len(of_drawings), 96)
        chosen = [taught[row] for row in rows.tolist()]
        chosen += [of_drawings[row] for row in drawn.tolist()]
        inputs = processor(text=chosen)
        # On CPUs the backward pass of fused attention takes four times as long as the plain one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            features = optimizer_step.module(
                inputs["clip_input_ids"], inputs["clip_attention_mask"]
            )
        features = features.float()
        new, own = normalize(features[: len(rows), old:]), features[len(rows) :, :old]
        distance = (1 - (new * wanted[rows]).sum(dim=1)).mean()
        order = _matching_loss(40 * new @ wanted[rows].T, rows)
        retrieval = _matching_loss(40 * new[:80] @ images[rows[:80]].T, rows[:80])
        memory = ((own - preserved[drawn]) ** 2).mean() / spread
        optimizer_step(4 * distance + 0.3 * order + retrieval + 4 * memory)
        return {"distance": float(distance.detach()), "memory": float(memory.detach())}

    run_stage("photograph-texts", accelerator, step, loop)
    clip.eval()
    with torch.no_grad():  # scale the new part to the old part's mean norm on texts of drawings
        features = encode_texts(model, processor, of_drawings[:500]).features
        ratio = features[:, :old].norm(dim=1).mean() / features[:, old:].norm(dim=1).mean()
        clip.text_projection.weight[old:] *= ratio


class _TextEncoder(nn.Module):
    """CLIP as a module that returns text features.

    The text encoder and its projection are trainable. All other parameters of CLIP, such as those
    of the image encoder, are frozen.
    """

    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(name.startswith("text_"))
        self.clip = clip

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the features (N, F) of N texts; F is the number of features per text.

        Args:
            input_ids: CLIP token ids (N, L), padded to L tokens.
            attention_mask: (N, L), 1 on tokens and 0 on padding.
        """
        return self.clip.text_features(input_ids, attention_mask)


@torch.no_grad()
def start_new_channels(model: DWCModel, photographs: ImageRows, rows: int = 600) -> None:
    """Initialize the CNN stream's new channels, which widening added, in place.

    The new channels start as linear maps of EfficientNet-Lite's feature map. The weights are the
    first right singular vectors of the projection that computes CLIP's new features. Each vector is
    used for two channels, once with each sign, because a ReLU follows. The channels are scaled to
    the standard deviation of the ResNet's channels.

    Args:
        model: The widened model, with trained image projection.
        photographs: Cached outputs of the image networks for the photographs.
        rows: Number of photographs used to estimate the scale.
    """
    tower, stream = image_networks(model)
    projection = stream.project_regions
    own = model.config.cnn_config.backbone_channels
    old_channels = old_channel_indices(own, projection.out_channels)
    fresh = torch.tensor(sorted(set(range(projection.out_channels)) - set(old_channels.tolist())))
    channels = photographs.shared.shape[1]
    new = tower.projection.weight[-_new_features(model) :, :channels]
    directions = torch.linalg.svd(new, full_matrices=False)[2][: len(fresh) // 2]
    values = torch.einsum("nchw,kc->knhw", photographs.shared[:rows].float(), directions).flatten(1)
    mean, deviation = values.mean(dim=1), values.std(dim=1).clamp_min(1e-6)
    scale = photographs.regions[:rows].float().std()
    weight, bias = directions / deviation[:, None] * scale, -mean / deviation * scale
    projection.weight[fresh] = 0
    projection.weight[fresh, own:, 0, 0] = torch.cat([weight, -weight])
    projection.bias[fresh] = torch.cat([bias, -bias])


_ATTRIBUTE_STEPS = 600
_ATTRIBUTE_BATCH = 2_048
_ATTRIBUTE_RATE = 2e-3
_ATTRIBUTE_DECAY = 0.3
_ATTRIBUTE_NORM = 0.3  # scale of the probabilities' square roots / mean norm of CLIP's features


def fit_attributes(
    model: DWCModel, pool: PhotographPool, photographs: Sequence[ImageRows], seed: int
) -> None:
    """Fit the attribute classifiers of the CLIP stream to all views of the photographs, in place.

    The classifiers belong to `AttributeFeatures`. Its scale is also set, relative to the mean norm
    of CLIP's features.

    Args:
        model: The widened model, with trained image projection.
        pool: The photographs, with their labels.
        photographs: Cached outputs of the image networks for the photographs, one `ImageRows` per
            augmented view.
        seed: Seed of the batches.
    """
    assert model.clip_stream is not None
    attributes = model.clip_stream.attributes
    assert attributes is not None  # see `widened_config`
    tower, _ = image_networks(model)
    with torch.no_grad():
        features = torch.cat([tower.projection(rows.towers) for rows in photographs]).float()
    records = [pool.photograph_of(image) for image in range(pool.images)]
    labels = query_attribute_labels(records, list(model.config.image_attributes))
    labels = labels.repeat(len(photographs), 1)
    mean, deviation = features.mean(dim=0), features.std(dim=0).clamp_min(1e-3)
    classifier = nn.Linear(features.shape[1], sum(attributes.sizes))
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=_ATTRIBUTE_RATE, weight_decay=_ATTRIBUTE_DECAY
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, _ATTRIBUTE_STEPS)
    generator = _generator(f"{seed}/attributes")
    for _ in range(_ATTRIBUTE_STEPS):
        rows = torch.randint(len(features), (_ATTRIBUTE_BATCH,), generator=generator)
        logits = classifier((features[rows] - mean) / deviation).split(attributes.sizes, dim=1)
        loss = attribute_loss(logits, labels[rows], [1.0] * len(logits), label_smoothing=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():  # the standardization becomes a part of the linear layer
        weight = classifier.weight / deviation
        attributes.classifiers.weight.copy_(weight)
        attributes.classifiers.bias.copy_(classifier.bias - weight @ mean)
        attributes.scale.fill_(_ATTRIBUTE_NORM * features.norm(dim=1).mean())
