"""A regular expression is compiled at its first use, and then works like any other."""

import re

import pytest

from dwc import lazy_pattern
from dwc.lazy_pattern import compile_all, compile_lazily


def test_it_works_like_a_compiled_one() -> None:
    pattern = compile_lazily("(?P<color>red|blue)", re.IGNORECASE)
    assert pattern.pattern == "(?P<color>red|blue)"
    assert "compiled" not in vars(pattern)
    assert [match["color"] for match in pattern.finditer("Red, blue")] == ["Red", "blue"]
    assert pattern.sub("green", "a RED dress") == "a green dress"
    assert pattern.groups == 1
    assert vars(pattern)["compiled"] is re.compile(pattern.pattern, re.IGNORECASE)


def test_an_invalid_one_fails_at_its_first_use() -> None:
    pattern = lazy_pattern._LazyPattern("(", 0)  # not with those that `compile_all` compiles
    with pytest.raises(re.error, match="unterminated"):
        pattern.search("red")


def test_all_are_compiled_at_once() -> None:
    pattern = compile_lazily("blue")
    compile_all()
    assert vars(pattern)["compiled"] is re.compile("blue")


def test_an_attribute_that_no_regular_expression_has_is_named() -> None:
    with pytest.raises(AttributeError, match="colors"):
        _ = compile_lazily("red").colors  # type: ignore[attr-defined]
