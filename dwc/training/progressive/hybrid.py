"""PL's stage three: composed queries, and the weight that teaches itself; a reconstruction.

    q = norm(w v + (1 - w) t)       InfoNCE of q to the targets of the batch, one way
    w -> w*                         binary cross-entropy to the pseudo weights

See `dwc.modeling.combiners.progressive` for both weights. A query of one modality has no weight to
learn; it takes part in the retrieval.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.combiners.progressive import pseudo_weights, weight_loss
from dwc.modeling.composition import Composition
from dwc.training.alternating import TripletBatch
from dwc.training.loop import LoopSettings
from dwc.training.progressive.losses import first_found, one_way_loss, same
from dwc.training.progressive.towers import Towers, TowerSettings, cosine_scale, train_towers


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


def judge_hybrid(
    output: HybridOutput, batch: TripletBatch, settings: HybridSettings
) -> tuple[Tensor, dict[str, float]]:
    """Retrieval over all queries, and the self-supervision of the weight where there is one.

    The pseudo weights of a query compete over the targets of the whole batch.
    """
    queries = torch.cat([group.embedding for group in output.groups]).float()
    targets = output.targets.float()
    answers = same(batch.labels)
    loss = retrieval = one_way_loss(queries, targets, answers, output.scale)
    numbers = {"retrieval": float(retrieval.detach())}
    numbers["accuracy"] = first_found(queries, targets, answers)
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
    judge = partial(judge_hybrid, settings=settings)
    return train_towers(stage, module, batches, judge, settings, accelerator, loop)
