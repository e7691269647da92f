"""The page on security: every test that it names exists, and every threat has one."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "assets" / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
# Rows of the tables of threats, without their heads; the last table is of dependencies.
THREATS = [
    line
    for line in PAGE.split("## Dependencies")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| threat ")
]


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_the_tests_that_are_named_exist(file):
    assert (ROOT / file).is_file()
    named = {name for one, name in NAMED if one == file}
    assert named - names_in(file) == set()
    assert all(name.startswith("test_") for name in named)


def test_every_threat_has_a_test():
    assert len(THREATS) >= 30
    assert [row for row in THREATS if not re.search(r"`tests/[\w/]+\.py::test_\w+` \|$", row)] == []


def test_no_test_is_named_in_another_form():
    assert len(re.findall(r"tests/[\w/]+\.py::", PAGE)) == len(NAMED)


def test_a_name_that_is_no_test_is_seen():
    assert "test_that_does_not_exist" not in names_in("tests/test_security_page.py")
    assert "test_every_threat_has_a_test" in names_in("tests/test_security_page.py")


def test_every_dependency_has_its_bounds_with_a_reason():
    """The table of dependencies has the requirements of the project's own file."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| `([^`]+)` \| (.{10,}) \|$", PAGE.split("## Dependencies")[1], re.M)
    extras = project["optional-dependencies"]
    expected = [*project["dependencies"]]
    expected += [one for name, listed in extras.items() if name != "dev" for one in listed]
    assert sorted(requirement for requirement, _ in rows) == sorted(expected)
