"""Reading pickles as plain data: what comes through, and that nothing in a file is called."""

import os
import pickle
import pickletools
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dwc.datasets.css3d import PickledArray, read_pickled_npy
from dwc.errors import DatasetError


def save(path: Path, value: object) -> Path:
    whole = np.empty((), dtype=object)
    whole[()] = value
    np.save(path, whole, allow_pickle=True)
    return path


def write_raw(path: Path, program: bytes) -> Path:
    """A file with numpy's header of one pickled object, and any program after it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        file.write(program)
    return path


def read(path: Path) -> Any:
    return read_pickled_npy(path, "name the folder")


def plain(value: Any) -> Any:
    return value.elements if isinstance(value, PickledArray) else value


def test_plain_data_comes_through(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True, ("x", b"y")], "ü": {"deep": [[]]}, 3: 10**30}
    assert read(save(tmp_path / "f.npy", value)) == value


def test_numpy_numbers_and_text_become_pythons(tmp_path: Path) -> None:
    values = [np.int64(-3), np.float32(0.5), np.bool_(True), np.str_("red"), np.uint8(200)]
    found = read(save(tmp_path / "f.npy", values))
    assert found == [-3, 0.5, True, "red", 200]
    assert [type(one) for one in found] == [int, float, bool, str, int]


plain_arrays = hnp.arrays(
    st.sampled_from(["<i8", ">i4", "u1", "<f4", ">f8", "?", "<U5", "S3"]),
    hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(array=plain_arrays, protocol=st.sampled_from([2, 3, 4]))
def test_arrays_come_through_in_every_protocol(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, protocol: int
) -> None:
    path = tmp_path_factory.mktemp("f") / "f.npy"
    whole = np.empty((), dtype=object)
    whole[()] = {"array": np.ascontiguousarray(array).reshape(array.shape)}
    found = read(write_raw(path, pickle.dumps(whole, protocol)))["array"]
    assert found.shape == array.shape
    np.testing.assert_array_equal(np.array(found.elements).reshape(-1), array.reshape(-1).tolist())


def test_arrays_of_objects_come_through(tmp_path: Path) -> None:
    array = np.empty(2, dtype=object)
    array[:] = [{"x": 1}, "y"]
    assert plain(read(save(tmp_path / "f.npy", array.tolist()))) == [{"x": 1}, "y"]
    found = read(save(tmp_path / "f.npy", {"a": array}))["a"]
    assert (found.shape, found.elements) == ((2,), [{"x": 1}, "y"])


def test_what_python_2_wrote_comes_through(tmp_path: Path) -> None:
    # Protocol 2 of Python 2: an object array of a dict of byte text, with a number of numpy's.
    program = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01)cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK?tb\x89]}(U\x06to_strU\x04red\xe9U\x01n"
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02i8K\x00K\x01\x87R(K\x03U\x01<NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08\x07\x00\x00\x00\x00\x00\x00\x00\x86R"
        b"uatb."
    )
    assert read(write_raw(tmp_path / "f.npy", program)) == {"to_str": "red\xe9", "n": 7}


class Call:
    """Pickled as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "function", [os.system, os.mkdir, eval, exec, getattr, open, np.load, np.save]
)
def test_a_malicious_pickle_does_not_run(tmp_path: Path, function: Any, protocol: int) -> None:
    made = tmp_path / "made"
    first = f"touch {made}" if function is os.system else str(made)
    program = pickle.dumps({"test": [Call(function, first)]}, protocol)
    with pytest.raises(DatasetError, match=r"is not plain data: it asks for .*Do not trust"):
        read(write_raw(tmp_path / "f.npy", program))
    assert not made.exists()


def test_the_malicious_pickle_would_have_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    pickle.loads(pickle.dumps({"test": [Call(os.mkdir, str(made))]}))
    assert made.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"(S'x'\niposix\nsystem\n.",  # INST
        b"c__builtin__\ngetattr\n.",
        b"cnumpy\nsave\n.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",  # a dotted STACK_GLOBAL
        b"Pid\n.",  # a persistent id
        b"\x82\x01.",  # an extension
        b"cnumpy.core.multiarray\nscalar\n}(S'__setstate__'\nNub.",  # a state for a function
        b"cnumpy\nndarray\n(N}S'elements'\nNstb.",  # a state for a type
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # 2^63 bytes, it says
        b"}.",  # not an array
        b"(" * 10 + b".",
        b"",
    ],
)
def test_odd_programs_are_refused(tmp_path: Path, program: bytes) -> None:
    with pytest.raises(DatasetError, match=r"f\.npy"):
        read(write_raw(tmp_path / "f.npy", program))


def forged(kind: str, shape: object, content: object, state: object = None) -> bytes:
    """An array whose state says anything, as a pickle."""

    class Type:
        def __reduce__(self) -> Any:
            return np.dtype, (kind,), state or (3, "<", None, None, None, -1, -1, 0)

    class Array:
        def __reduce__(self) -> Any:
            rebuild = np.array(0).__reduce__()[0]
            return rebuild, (np.ndarray, (0,), b"b"), (1, shape, Type(), False, content)

    class Whole:
        def __reduce__(self) -> Any:
            rebuild = np.array(0).__reduce__()[0]
            object_type = np.dtype(object)
            return rebuild, (np.ndarray, (0,), b"b"), (1, (), object_type, False, [Array()])

    return pickle.dumps(Whole())


def test_a_well_forged_array_is_read(tmp_path: Path) -> None:
    program = forged("i4", (2,), b"\1\0\0\0\2\0\0\0")
    assert plain(read(write_raw(tmp_path / "f.npy", program))) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "shape", "content", "state"),
    [
        ("i8", (2**40,), b"\0" * 8, None),  # more elements than bytes
        ("i8", (-1,), b"\0" * 8, None),
        ("i8", (1,), b"\0" * 7, None),
        ("i8", "1", b"\0" * 8, None),
        ("O", (1,), b"\x41" * 8, None),  # bytes as pointers to objects
        ("V8", (1,), b"\x41" * 8, (3, "|", None, ("f",), {"f": (None, 0)}, 8, 1, 0)),
        ("i8,O", (1,), b"\0" * 16, None),
        ("M8", (1,), b"\0" * 8, None),
        ("S0", (1,), b"", None),
        ("i8", (1,), b"\0" * 8, (3, "?", None, None, None, -1, -1, 0)),
        ("i8", (1,), b"\0" * 8, "state"),
    ],
)
def test_forged_arrays_are_refused(
    tmp_path: Path, kind: str, shape: object, content: object, state: object
) -> None:
    program = forged(kind, shape, content, state)
    with pytest.raises(DatasetError, match=r"f\.npy"):
        read(write_raw(tmp_path / "f.npy", program))


def whole_file(tmp_path: Path) -> bytes:
    value = {"test": {"mods": [{"from": np.arange(3), "to": [np.int64(2)], "to_str": "x"}]}}
    return save(tmp_path / "whole.npy", value).read_bytes()


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_read_or_refused_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(whole_file(folder))
    start = content.index(b"\n") + 1
    for place in data.draw(st.lists(st.integers(start, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    assume("LONG_BINPUT" not in opcodes(content))  # a memo of four billion places: only memory
    path = folder / "f.npy"
    path.write_bytes(bytes(content[: data.draw(st.integers(start, len(content)))]))
    with suppress(DatasetError):
        read(path)


def opcodes(content: bytes) -> set[str]:
    """The names of a program's steps, up to where it stops making sense."""
    names = set()
    with suppress(ValueError, IndexError):
        for opcode, _, _ in pickletools.genops(bytes(content[content.index(b"\n") + 1 :])):
            names.add(opcode.name)
    return names


def test_files_that_are_no_such(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is missing \(.*holds nothing\); name the folder"):
        read(tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("not an array")
    with pytest.raises(DatasetError, match="cannot be read"):
        read(tmp_path / "text.npy")
    np.save(tmp_path / "numbers.npy", np.arange(4))
    with pytest.raises(DatasetError, match=r"array of shape \(4,\) and type int64; expected one"):
        read(tmp_path / "numbers.npy")
