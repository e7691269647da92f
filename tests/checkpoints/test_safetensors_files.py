"""Tensors are mapped as they lie in their files, and a number that is none is found anywhere."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dwc.checkpoints.safetensors_files import (
    WEIGHTS,
    Weights,
    find_non_finite,
    map_tensors,
    read_weights,
)
from dwc.errors import CheckpointError

KINDS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


def some_tensors():
    generator = torch.Generator().manual_seed(0)
    tensors = {
        str(kind): (torch.randn(3, 5, generator=generator) * 9).to(kind).contiguous()
        for kind in KINDS
    }
    return {**tensors, "one": torch.tensor(2.5), "none": torch.zeros(0, 4), "odd": torch.ones(7)}


def test_what_is_mapped_is_what_was_saved(tmp_path):
    save_file(some_tensors(), tmp_path / "a.safetensors")
    mapped = map_tensors(tmp_path / "a.safetensors")
    expected = load_file(tmp_path / "a.safetensors")
    assert mapped.keys() == expected.keys()
    for name, tensor in expected.items():
        assert mapped[name].dtype == tensor.dtype
        assert torch.equal(mapped[name], tensor), name


def test_nothing_is_copied_and_what_is_written_stays_in_memory(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(4), "b": torch.ones(4)}, file)
    before = file.read_bytes()
    mapped = map_tensors(file)
    assert mapped["a"].untyped_storage().data_ptr() == mapped["b"].untyped_storage().data_ptr()
    mapped["a"].add_(1)
    mapped.pop("b")
    assert mapped["a"].tolist() == [1, 1, 1, 1]
    assert file.read_bytes() == before


def by_hand(file, parts):
    """A file of these (name, dtype, shape, bytes), in this order, which libraries would not use."""
    header, end = {}, 0
    for name, kind, shape, content in parts:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + len(content)]}
        end += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(content for *_, content in parts)
    file.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_a_tensor_that_begins_at_an_odd_byte_is_read_all_the_same(tmp_path):
    numbers = torch.tensor([1.5, -2.0])
    by_hand(
        tmp_path / "a.safetensors",
        [("odd", "U8", [3], b"\1\2\3"), ("numbers", "F32", [2], numbers.numpy().tobytes())],
    )
    mapped = map_tensors(tmp_path / "a.safetensors")
    assert mapped["odd"].tolist() == [1, 2, 3]
    assert torch.equal(mapped["numbers"], numbers)


def test_numbers_of_a_type_that_no_model_here_has_are_refused(tmp_path):
    save_file({"a": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="a has numbers of type F8_E4M3; those read here are"):
        map_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("length", [0, 4, 20, -1])
def test_a_file_cut_short_is_an_error(tmp_path, length):
    file = tmp_path / "a.safetensors"
    save_file(some_tensors(), file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises((SafetensorError, OSError)):
        map_tensors(file)


def sharded(folder, locations, **contents):
    for name, tensors in contents.items():
        save_file(tensors, folder / f"{name}.safetensors")
    index = {"metadata": {}, "weight_map": locations}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_file_that_ends_in_zeros_is_refused(tmp_path):
    """A download that was interrupted had the right size, and was loaded."""
    file = tmp_path / "a.safetensors"
    save_file({name: torch.randn(100, 300) for name in "abc"}, file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    with pytest.raises(CheckpointError, match="zeros, and so are tensors such as c"):
        map_tensors(file)


@pytest.mark.parametrize("rows", [75, 120])  # 90 and 144 kB
def test_a_matrix_of_zeros_of_64_kB_or_more_at_the_end_is_noticed(tmp_path, rows):
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.randn(10, 300), "b": torch.zeros(rows, 300)}, file)
    with pytest.raises(CheckpointError, match="tensors such as b"):
        map_tensors(file)


def test_zeros_that_a_model_can_have_are_accepted(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(100, 300), "b": torch.ones(20_000)}, file)
    assert not map_tensors(file)["a"].any()
    save_file({"a": torch.randn(100, 300), "b": torch.zeros(20_000)}, file)
    assert not map_tensors(file)["b"].any()
    save_file({"a": torch.randn(100, 300), "b": torch.zeros(100, 100)}, file)
    assert not map_tensors(file)["b"].any()


def test_several_files_are_one_set_of_weights(tmp_path):
    a, b = {"a": torch.ones(2).half()}, {"b": torch.zeros(3), "c": torch.arange(2)}
    sharded(tmp_path, {"a": "x.safetensors", "b": "y.safetensors", "c": "y.safetensors"}, x=a, y=b)
    weights = read_weights(tmp_path)
    assert {name: tensor.dtype for name, tensor in weights.items()} == {
        "a": torch.float32, "b": torch.float32, "c": torch.int64,
    }  # fmt: skip
    assert read_weights(tmp_path, torch.float16)["b"].dtype == torch.float16


@pytest.mark.parametrize("location", ["../x.safetensors", "/etc/x.safetensors", "in/x.safetensors"])
def test_a_file_of_the_weights_lies_in_their_folder(tmp_path, location):
    sharded(tmp_path, {"a": location})
    with pytest.raises(CheckpointError, match="which is not beside it"):
        read_weights(tmp_path)


def test_a_tensor_in_two_files_is_refused(tmp_path):
    both = {"a": torch.ones(1)}
    sharded(tmp_path, {"a": "x.safetensors", "b": "y.safetensors"}, x=both, y=both)
    with pytest.raises(CheckpointError, match=r"a is in y\.safetensors and in another file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": 3}'])
def test_an_index_of_nothing_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match="has no weight_map"):
        read_weights(tmp_path)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    kind=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]),
    poisoned=st.dictionaries(st.integers(0, 5), st.sampled_from([math.nan, math.inf, -math.inf])),
    together=st.booleans(),
)
def test_each_tensor_with_a_number_that_is_none_is_named(lengths, kind, poisoned, together):
    complete = torch.ones(sum(lengths), dtype=kind)
    parts = complete.split(lengths) if together else [torch.ones(n, dtype=kind) for n in lengths]
    for number, value in poisoned.items():
        if number < len(parts) and parts[number].numel():
            parts[number][number % parts[number].numel()] = value
    tensors = {str(number): part for number, part in enumerate(parts)}
    expected = [name for name, one in tensors.items() if not bool(torch.isfinite(one).all())]
    assert find_non_finite({**tensors, "ids": torch.arange(3)}) == expected


def test_a_sum_that_outgrows_its_type_is_of_sound_numbers():
    largest = torch.full((1_000,), torch.finfo(torch.float32).max)
    assert find_non_finite({"a": largest, "b": -largest, "c": torch.ones(3)}) == []
    opposed = torch.tensor([math.inf, -math.inf])
    assert find_non_finite({"a": largest, "b": opposed}) == ["b"]


def test_a_tensor_with_gaps_is_looked_through_as_well():
    square = torch.ones(4, 4)
    square[2, 1] = math.nan
    assert find_non_finite({"every other": square[:, ::2], "turned": square.T}) == ["turned"]


def test_weights_report_what_is_not_finite_on_every_call(tmp_path):
    save_file({"a": torch.tensor([1.0, math.nan]), "b": torch.ones(2)}, tmp_path / WEIGHTS)
    weights = Weights(tmp_path)
    assert weights.not_finite() == weights.not_finite() == ["a"]
    assert Weights(tmp_path, known_finite=True).not_finite() == []
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Weights(tmp_path / "nowhere")
