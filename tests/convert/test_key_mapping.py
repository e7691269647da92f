"""Rules by name, both ways."""

import pytest
import torch

from dwc.convert.key_mapping import (
    GLOBAL_RULES,
    LOCAL_RULES,
    Rule,
    clip_stream_weights,
    cnn_stream_weights,
    global_state,
    local_state,
    moves,
    rename,
    rename_back,
)
from dwc.convert.openai_clip import backbone_rules, backbone_weights, openai_state
from dwc.errors import CheckpointError
from tests.convert import state_dicts
from tests.convert.state_dicts import SHAPES, fill, global_shapes, hollow, tiny_clip_shapes


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_clip_there_and_back_is_the_same_bit_by_bit(kind):
    state = fill(tiny_clip_shapes(kind))
    back = openai_state(backbone_weights(state, kind))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_the_global_stream_there_and_back_is_the_same_bit_by_bit():
    state = fill(global_shapes())
    back = global_state(clip_stream_weights(state, "global.pth"))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state if name != "loss_weight")
    assert back["loss_weight"].shape == state["loss_weight"].shape


def test_the_local_stream_there_and_back_is_the_same_and_every_name_is_there():
    """Nothing is copied on the way, so the very tensors come back."""
    state = state_dicts.local_state()
    ours = cnn_stream_weights(state, "local.pth")
    back = local_state(ours)
    assert {name: list(tensor.shape) for name, tensor in back.items()} == SHAPES["rn50"]["local"]
    left_behind = [name for name, to in moves(list(state), LOCAL_RULES).items() if not to]
    assert len(left_behind) == 11
    for name, tensor in back.items():
        assert (tensor is state[name]) == (name not in left_behind), name
        if name in left_behind and name != "loss_weight":
            assert not tensor.any()


@pytest.mark.parametrize("part", ["clip", "global", "local"])
@pytest.mark.parametrize("golden", ["rn50", "vitb32"])
def test_no_two_tensors_get_one_name(golden, part):
    state = hollow(SHAPES[golden][part])
    rules = {"global": GLOBAL_RULES, "local": LOCAL_RULES, "clip": backbone_rules(state)}[part]
    targets = [name for names in moves(list(state), rules).values() for name in names]
    assert len(set(targets)) == len(targets)
    assert len(rename(state, rules, "file", part)) == len(targets)


def test_split_and_swapped_tensors_are_joined_and_swapped_back():
    rules = (
        Rule("joint.{n}.{leaf}", ("a.{n}.{leaf}", "b.{n}.{leaf}")),
        Rule("matrix", ("turned",), transposed=True),
        Rule("unread", ()),
    )
    state = {
        "joint.0.weight": torch.arange(8.0).view(4, 2),
        "joint.11.bias": torch.arange(4.0),
        "matrix": torch.arange(6.0).view(2, 3),
        "unread": torch.zeros(1),
    }
    ours = rename(state, rules, "file", "a test")
    assert ours["b.0.weight"].tolist() == [[4, 5], [6, 7]]
    assert ours["b.11.bias"].tolist() == [2, 3]
    assert ours["turned"].shape == (3, 2)
    back = rename_back(ours, rules)
    assert back.keys() == state.keys() - {"unread"}
    assert all(torch.equal(back[name], state[name]) for name in back)


@pytest.mark.parametrize("name", ["joint.0", "joint.x.bias", "xjoint.0.bias", "joint.0.bias2"])
def test_names_are_matched_whole(name):
    rules = (Rule("joint.{n}.{leaf}", ("a.{n}.{leaf}",)),)
    with pytest.raises(CheckpointError, match=f"file has tensors that a test does not: {name}"):
        rename({name: torch.zeros(1)}, rules, "file", "a test")


def test_what_no_rule_leads_to_is_listed():
    rules = (Rule("theirs", ("ours",)),)
    with pytest.raises(CheckpointError, match=r"extra\.a, extra\.b"):
        rename_back(dict.fromkeys(("ours", "extra.b", "extra.a"), torch.zeros(1)), rules)
