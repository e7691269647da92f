import pytest
import torch
from small_models import scatter
from torch import Tensor, nn

from dwc.modeling.combiners import Combiner, combiner_class, combiner_names, normalize, register

DIM = 6


def features() -> tuple[Tensor, Tensor]:
    return normalize(torch.randn(4, DIM)), normalize(torch.randn(4, DIM))


def build(name: str) -> Combiner:
    combiner = combiner_class(name)(DIM, 0.5).eval()
    scatter(combiner)
    return combiner


def linear(weights: dict[str, Tensor], name: str, rows: Tensor) -> Tensor:
    return rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def mlp(weights: dict[str, Tensor], name: str, rows: Tensor) -> Tensor:
    return linear(weights, f"{name}.3", linear(weights, f"{name}.0", rows).clamp_min(0))


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)


def test_dwc_is_the_formula():
    combiner = build("dwc")
    weights = combiner.state_dict()
    image, text = features()
    composed = combiner(image, text)
    both = torch.cat([image, text], dim=1)
    i = 1 / (1 + (-mlp(weights, "edit_image", both)).exp()) * image
    t = 1 / (1 + (-mlp(weights, "edit_text", both)).exp()) * text
    w = 1 / (1 + (-mlp(weights, "weigh", torch.cat([i, t], dim=1))).exp())
    torch.testing.assert_close(composed.image_part, i)
    torch.testing.assert_close(composed.text_part, t)
    torch.testing.assert_close(composed.image_weight, w)
    torch.testing.assert_close(composed.embedding, unit(w * i + (1 - w) * t))
    assert composed.joint_part is None


@pytest.mark.parametrize(
    ("name", "weight"),
    [("image_only", 1), ("text_only", 0), ("average", 0.5), ("progressive_fixed", 0.5)],
)
def test_fixed_weights(name: str, weight: float):
    image, text = features()
    composed = build(name)(image, text)
    assert (composed.image_weight == weight).all()
    torch.testing.assert_close(composed.embedding, unit(weight * image + (1 - weight) * text))


def test_concat_mlp_adds_what_it_reads_in_both():
    combiner = build("concat_mlp")
    image, text = features()
    joint = mlp(combiner.state_dict(), "join", torch.cat([image, text], dim=1))
    composed = combiner(image, text)
    torch.testing.assert_close(composed.joint_part, joint)
    torch.testing.assert_close(composed.embedding, unit((image + text) / 2 + joint))


def test_clip4cir_is_the_formula():
    combiner = build("clip4cir")
    weights = combiner.state_dict()
    image, text = features()
    composed = combiner(image, text)
    wide = torch.cat(
        [linear(weights, "project_text", text), linear(weights, "project_image", image)], dim=1
    ).clamp_min(0)
    assert wide.shape == (4, 8 * DIM)
    joint = linear(weights, "output", linear(weights, "join", wide).clamp_min(0))
    text_scalar = 1 / (1 + (-mlp(weights, "weigh", wide)).exp())
    expected = unit(joint + text_scalar * text + (1 - text_scalar) * image)
    torch.testing.assert_close(composed.embedding, expected)
    torch.testing.assert_close(composed.image_weight, 1 - text_scalar)
    assert not combiner.uses_projections


def batch_norm(weights: dict[str, Tensor], name: str, rows: Tensor) -> Tensor:
    scaled = (rows - weights[f"{name}.running_mean"]) / (
        weights[f"{name}.running_var"] + 1e-5
    ) ** 0.5
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def test_tirg_is_the_gated_image_plus_the_residual():
    combiner = build("tirg")
    with torch.no_grad():  # scales that tell the two apart
        combiner.gate_scale.fill_(1.5)
        combiner.residual_scale.fill_(-0.7)
    weights = combiner.state_dict()
    image, text = features()
    both = torch.cat([image, text], dim=1)
    gate = linear(weights, "gate.2", batch_norm(weights, "gate.0", both).clamp_min(0))
    hidden = linear(weights, "residual.2", batch_norm(weights, "residual.0", both).clamp_min(0))
    residual = linear(weights, "residual.4", hidden.clamp_min(0))
    composed = combiner(image, text)
    expected = unit(1.5 * image / (1 + (-gate).exp()) - 0.7 * residual)
    torch.testing.assert_close(composed.embedding, expected)
    torch.testing.assert_close(composed.text_part, -0.7 * residual)
    assert (composed.image_weight == 0.5).all()
    assert composed.joint_part is None


def test_tirg_starts_as_the_released_code_does():
    combiner = combiner_class("tirg")(DIM, 0.5)
    assert combiner.gate_scale.item() == 1
    assert combiner.residual_scale.item() == 10
    assert combiner.gate[0].num_features == 2 * DIM
    assert combiner.residual[2].out_features == 2 * DIM


@pytest.mark.parametrize("name", combiner_names())
def test_the_parts_of_every_combiner_add_up_to_its_scores(name: str):
    gallery = normalize(torch.randn(5, DIM))
    composed = build(name)(*features())
    parts = composed.split_scores(gallery)
    torch.testing.assert_close(sum(parts), composed.embedding @ gallery.T)


@pytest.mark.parametrize("name", combiner_names())
def test_every_combiner_gives_unit_queries_row_by_row(name: str):
    combiner = build(name)
    image, text = features()
    composed = combiner(image, text)
    torch.testing.assert_close(composed.embedding.norm(dim=1), torch.ones(4))
    assert composed.image_weight.shape == (4, 1)
    alone = combiner(image[2:3], text[2:3])
    torch.testing.assert_close(composed.embedding[2:3], alone.embedding)


@pytest.mark.parametrize("name", ["dwc", "concat_mlp", "clip4cir", "progressive"])
def test_dropout_acts_in_training_alone(name: str):
    combiner, (image, text) = build(name), features()
    assert torch.equal(combiner(image, text).embedding, combiner(image, text).embedding)
    combiner.train()
    assert not torch.equal(combiner(image, text).embedding, combiner(image, text).embedding)


def test_ours_is_dwcs_combiner_and_a_joint_part():
    ours, (image, text) = build("dwc_joint"), features()
    dwc = combiner_class("dwc")(DIM, 0.5).eval()
    weights = ours.state_dict()
    dwc.load_state_dict({name: w for name, w in weights.items() if not name.startswith("join")})
    both = torch.cat([image, text], dim=1)
    joint = linear(weights, "join.3", linear(weights, "join.0", both).clamp_min(0))
    edited, composed = dwc(image, text), ours(image, text)
    assert torch.equal(composed.image_part, edited.image_part)
    assert torch.equal(composed.image_weight, edited.image_weight)
    mixed = edited.image_weight * edited.image_part + (1 - edited.image_weight) * edited.text_part
    torch.testing.assert_close(composed.joint_part, joint)
    torch.testing.assert_close(composed.embedding, unit(mixed + joint))


def test_ours_of_even_parts_is_dwcs_combiner_at_unit_length():
    ours, (image, text) = build("dwc_unit"), features()
    dwc = combiner_class("dwc")(DIM, 0.5).eval()
    weights = ours.state_dict()
    dwc.load_state_dict(weights)
    edited, composed = dwc(image, text), ours(image, text)
    parts = unit(edited.image_part), unit(edited.text_part)
    torch.testing.assert_close((composed.image_part, composed.text_part), parts)
    both = torch.cat(parts, dim=1)
    weight = linear(weights, "weigh.3", linear(weights, "weigh.0", both).clamp_min(0)).sigmoid()
    torch.testing.assert_close(composed.image_weight, weight)
    torch.testing.assert_close(
        composed.embedding, unit(weight * parts[0] + (1 - weight) * parts[1])
    )


def test_the_register_lists_what_it_has_and_keeps_names_apart():
    expected = {"average", "clip4cir", "concat_mlp", "dwc", "image_only", "text_only"}
    assert expected | {"tirg", "progressive", "progressive_fixed"} <= set(combiner_names())
    assert combiner_names() == sorted(combiner_names())
    with pytest.raises(ValueError, match=r"'tirgg'.*average, clip4cir"):
        combiner_class("tirgg")
    with pytest.raises(ValueError, match="taken by DynamicWeightedCombiner"):
        register("dwc")(combiner_class("average"))


def test_a_combiner_that_says_nothing_is_an_error():
    class Silent(Combiner):
        pass

    assert isinstance(Silent(DIM, 0.0), nn.Module)
    with pytest.raises(NotImplementedError, match="Silent"):
        Silent(DIM, 0.0)(*features())
