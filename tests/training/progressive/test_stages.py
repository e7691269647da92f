"""Each stage learns, resumes to the last bit, and changes nothing that it should not."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.combiners import Composition, normalize
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.loop import LoopSettings
from dwc.training.progressive.stages import (
    FashionBatch,
    FashionOutput,
    FashionSettings,
    HybridOutput,
    HybridSettings,
    TowerSettings,
    fashion_objective,
    hybrid_objective,
    matching_loss,
    one_way_loss,
    parameter_groups,
    same_label,
    train_fashion,
    train_hybrid,
    train_open_domain,
)
from tests.training.tiny import (
    COLOURS,
    THINGS,
    TinyBatches,
    TinyPairs,
    picture,
    tiny_model,
    tiny_processor,
)

SETTINGS = {"total_steps": 6, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "warmup_steps": 1}


@dataclass(frozen=True)
class TinyFashion:
    """Things with two pictures each, a description, and what one half is as a tag."""

    processor: DWCProcessor

    def __call__(self, step: int) -> FashionBatch:
        generator = torch.Generator().manual_seed(step)
        rng = random.Random(step)
        things = rng.sample(THINGS, 12)
        described = self.processor(text=[f"top {top} bottom {bottom}" for top, bottom in things])
        tags = [(part, colour) for part in (0, 1) for colour in COLOURS]
        written = self.processor(text=[f"{('top', 'bottom')[part]} {c}" for part, c in tags])
        return FashionBatch(
            pixels=torch.stack([picture(thing, generator) for thing in things]),
            input_ids=described["clip_input_ids"],
            attention_mask=described["clip_attention_mask"],
            labels=torch.tensor([THINGS.index(thing) for thing in things]),
            other_pixels=torch.stack([picture(thing, generator) for thing in things]),
            tag_ids=written["clip_input_ids"],
            tag_mask=written["clip_attention_mask"],
            has_tag=torch.tensor([[thing[part] == c for part, c in tags] for thing in things]),
        )


@dataclass
class World:
    """What the stages train, and how each is run on it."""

    clip: ClipBackbone
    stream: ClipStream
    processor: DWCProcessor

    def run(
        self,
        stage: str,
        folder: Path | None = None,
        batches: Callable[[int], Any] | None = None,
        **changes: Any,
    ) -> dict[str, float]:
        changes = {**SETTINGS, **changes}
        loop = LoopSettings(changes["total_steps"], folder, save_every=3, log_every=10)
        accelerator = Accelerator(cpu=True)
        made = batches or BATCHES[stage](self.processor)
        if stage == "open_domain":
            return train_open_domain(self.clip, made, TowerSettings(**changes), accelerator, loop)
        if stage == "fashion":
            return train_fashion(self.clip, made, FashionSettings(**changes), accelerator, loop)
        return train_hybrid(
            self.clip, self.stream, made, HybridSettings(**changes), accelerator, loop
        )

    def state(self) -> dict[str, Tensor]:
        states = {"clip": self.clip.state_dict(), "stream": self.stream.state_dict()}
        return {
            f"{part}.{name}": value.clone()
            for part, state in states.items()
            for name, value in state.items()
        }


BATCHES: dict[str, Callable[[DWCProcessor], Callable[[int], Any]]] = {
    "open_domain": TinyPairs,
    "fashion": TinyFashion,
    "hybrid": lambda processor: TinyBatches(processor, size=16, text_only=2),
}


@pytest.fixture(scope="module")
def processor() -> DWCProcessor:
    return tiny_processor()


def world(processor: DWCProcessor, seed: int = 0, combiner: str = "progressive") -> World:
    config = tiny_model(processor, seed).config.clip_config
    torch.manual_seed(seed)
    clip = ClipBackbone(config)
    stream = ClipStream(config.projection_dim, config.projection_dim, combiner, 0.0)
    return World(clip, stream, processor)


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in after.items() if not torch.equal(before[name], value)}


@pytest.mark.training
@pytest.mark.parametrize("stage", ["open_domain", "fashion", "hybrid"])
def test_a_resumed_stage_ends_in_the_same_weights(
    processor: DWCProcessor, tmp_path: Path, stage: str
) -> None:
    whole = world(processor)
    whole.run(stage)
    killed = world(processor)
    batches = BATCHES[stage](processor)

    def dies(step: int) -> Any:
        if step == 4:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        killed.run(stage, tmp_path, dies)
    resumed = world(processor, seed=5)
    resumed.run(stage, tmp_path)
    trained = "" if stage == "hybrid" else "clip."  # the stream takes no part in the first two
    wanted = whole.state()
    assert not [n for n in changed(wanted, resumed.state()) if n.startswith(trained)]
    # A finished stage is loaded, without a batch being asked for.
    again = world(processor, seed=6)
    again.run(stage, tmp_path, lambda step: pytest.fail("trained again"))
    assert not [n for n in changed(wanted, again.state()) if n.startswith(trained)]


@pytest.mark.training
def test_the_stages_one_after_another_find_targets(processor: DWCProcessor) -> None:
    built = world(processor)
    first = built.run("open_domain", total_steps=60)
    assert first["accuracy"] > 4 / TinyPairs.size
    second = built.run("fashion", total_steps=60)
    assert second["accuracy"] > 0.4
    third = built.run("hybrid", total_steps=100, learning_rate=2e-3)
    assert third["accuracy"] > 8 / len(THINGS)


@pytest.mark.training
def test_stages_one_and_two_move_both_towers_and_the_scale(processor: DWCProcessor) -> None:
    for stage in ("open_domain", "fashion"):
        built = world(processor)
        before = built.state()
        built.run(stage, total_steps=2)
        moved = changed(before, built.state())
        assert {name.split(".")[1] for name in moved} == {
            "logit_scale",
            "text_model",
            "text_projection",
            "vision_model",
        }
        assert not any(name.startswith("stream.") for name in moved)


@pytest.mark.training
def test_stage_three_moves_towers_and_weight_head(processor: DWCProcessor) -> None:
    built = world(processor)
    before = built.state()
    numbers = built.run("hybrid", total_steps=2)
    moved = changed(before, built.state())
    assert {name for name in moved if name.startswith("stream.")} == {
        f"stream.combiner.weigh.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")
    }
    assert any(name.startswith("clip.vision_model") for name in moved)
    assert any(name.startswith("clip.text_model") for name in moved)
    assert {"loss", "retrieval", "weighing", "image_weight", "pseudo_weight"} <= set(numbers)


@pytest.mark.training
def test_frozen_towers_stay_unchanged_batch_norms_included(processor: DWCProcessor) -> None:
    built = world(processor)
    before = built.state()
    built.run("hybrid", trains_towers=False, total_steps=3)
    moved = changed(before, built.state())
    assert moved
    assert all(name.startswith("stream.combiner.weigh.") for name in moved)
    assert not built.clip.training


@pytest.mark.training
def test_without_an_adaptive_weight_the_towers_train_on_retrieval_alone(
    processor: DWCProcessor,
) -> None:
    built = world(processor, combiner="progressive_fixed")
    before = built.state()
    numbers = built.run("hybrid", total_steps=2)
    assert "weighing" not in numbers
    assert changed(before, built.state())


def test_nothing_to_train_is_an_error(processor: DWCProcessor) -> None:
    built = world(processor, combiner="progressive_fixed")
    with pytest.raises(ValueError, match="hybrid: nothing to train"):
        built.run("hybrid", trains_towers=False)


def test_a_loss_that_is_no_number_stops_the_stage(processor: DWCProcessor) -> None:
    built = world(processor)
    with torch.no_grad():
        built.clip.text_projection.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="open_domain: loss is nan at step 0"):
        built.run("open_domain")


def unit(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, 4, generator=generator))


def fashion_case() -> tuple[FashionOutput, FashionBatch]:
    labels = torch.tensor([0, 1, 0])
    has_tag = torch.tensor([[1, 0], [1, 1], [0, 0]]).bool()
    empty = torch.empty(0)
    batch = FashionBatch(empty, empty, empty, labels, has_tag=has_tag)
    output = FashionOutput(unit(3, 0), unit(3, 1), torch.tensor(7.0), unit(3, 2), unit(2, 3))
    return output, batch


def test_stage_two_adds_up_its_tasks() -> None:
    output, batch = fashion_case()
    settings = FashionSettings(total_steps=1, image_weight=0.3, tag_weight=2.0, image_scale=5.0)
    assert output.others is not None
    assert output.tags is not None
    assert batch.has_tag is not None
    products = same_label(batch.labels)
    parts = {
        "described": matching_loss(output.images, output.texts, products, 7.0),
        "seen_again": matching_loss(output.images, output.others, products, 5.0),
        "tagged": matching_loss(output.images, output.tags, batch.has_tag, 7.0),
    }
    loss, numbers = fashion_objective(output, batch, settings)
    expected = parts["described"] + 0.3 * parts["seen_again"] + 2.0 * parts["tagged"]
    torch.testing.assert_close(loss, expected)
    for name, part in parts.items():
        assert numbers[name] == pytest.approx(float(part))


def test_stage_two_without_second_image_or_tags_is_its_description_loss() -> None:
    output, batch = fashion_case()
    loss, numbers = fashion_objective(
        replace(output, others=None, tags=None), batch, FashionSettings(total_steps=1)
    )
    torch.testing.assert_close(
        loss, matching_loss(output.images, output.texts, same_label(batch.labels), 7.0)
    )
    assert set(numbers) == {"described", "accuracy"}


def hybrid_case() -> tuple[HybridOutput, TripletBatch, dict[str, Tensor]]:
    """Three composed queries and one of words alone; the first and the last share a target."""
    leaves = {
        "image": unit(3, 0).requires_grad_(),
        "text": unit(3, 1).requires_grad_(),
        "words": unit(1, 2).requires_grad_(),
        "targets": unit(4, 3).requires_grad_(),
        "logits": torch.tensor([[0.3], [-1.0], [2.0]], requires_grad=True),
    }
    weight = torch.sigmoid(leaves["logits"])
    composed = Composition.mix(leaves["image"], leaves["text"], weight)
    words = leaves["words"]
    alone = Composition.mix(torch.zeros_like(words), words, torch.zeros(1, 1))
    output = HybridOutput([composed, alone], [True, False], leaves["targets"], torch.tensor(6.0))
    labels = torch.tensor([4, 5, 6, 4])
    return output, TripletBatch([], torch.empty(0), labels), leaves


def naive_pseudo_weight(leaves: dict[str, Tensor], row: int, gamma: float) -> float:
    def found(query: Tensor) -> float:
        powers = [math.exp(float(query @ target) / 0.5) for target in leaves["targets"]]
        right = [powers[0], powers[3]] if row == 0 else [powers[row]]
        return sum(right) / sum(powers)

    image, text = found(leaves["image"][row]) ** gamma, found(leaves["text"][row]) ** gamma
    return image / (image + text)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_stage_three_is_retrieval_and_the_weights_own_loss(gamma: float) -> None:
    output, batch, leaves = hybrid_case()
    leaves = {name: leaf.detach() for name, leaf in leaves.items()}
    settings = HybridSettings(total_steps=1, weight_loss=0.7, gamma=gamma, pseudo_temperature=0.5)
    loss, numbers = hybrid_objective(output, batch, settings)
    queries = torch.cat([group.embedding for group in output.groups])
    retrieval = one_way_loss(queries, output.targets, same_label(batch.labels), 6.0)
    weighing = 0.0
    for row, weight in enumerate(output.groups[0].image_weight.flatten().tolist()):
        wanted = naive_pseudo_weight(leaves, row, gamma)
        weighing -= (wanted * math.log(weight) + (1 - wanted) * math.log(1 - weight)) / 3
    assert numbers["weighing"] == pytest.approx(weighing, rel=1e-4)
    assert numbers["retrieval"] == pytest.approx(retrieval.item())
    assert loss.item() == pytest.approx(retrieval.item() + 0.7 * weighing, rel=1e-4)


def test_the_weights_own_loss_reaches_the_weights_alone() -> None:
    def gradients(weight_loss: float) -> dict[str, Tensor]:
        output, batch, leaves = hybrid_case()
        settings = HybridSettings(total_steps=1, weight_loss=weight_loss)
        hybrid_objective(output, batch, settings)[0].backward()
        return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}

    without, beside = gradients(0.0), gradients(1.0)
    assert set(without) == set(beside) == {"image", "text", "words", "targets", "logits"}
    for name in ("image", "text", "words", "targets"):
        torch.testing.assert_close(without[name], beside[name])
    assert not torch.allclose(without["logits"], beside["logits"])


def test_norms_biases_and_the_scale_do_not_decay(processor: DWCProcessor) -> None:
    built = world(processor)
    module = nn.ModuleDict({"clip": built.clip, "stream": built.stream})
    settings = TowerSettings(total_steps=1, learning_rate=0.1, head_learning_rate=0.2)
    kinds = set()
    for group in parameter_groups(module, settings):
        dimensions = {parameter.ndim > 1 for parameter in group["params"]}
        assert dimensions == {group["weight_decay"] > 0}
        kinds.add((group["lr"], group["weight_decay"] > 0))
    assert kinds == {(0.1, True), (0.1, False), (0.2, True), (0.2, False)}
    counted = sum(len(group["params"]) for group in parameter_groups(module, settings))
    assert counted == len(list(module.parameters()))
