"""The front matter of a Space, checked against the rules that the Hub documents."""

import pytest

from dwc.errors import SpaceError
from dwc.space.front_matter import find_problems, read_front_matter

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VALID = {
    "title": "DWC", "emoji": "🧥", "colorFrom": "blue", "colorTo": "yellow", "sdk": "gradio",
    "sdk_version": "6.31.0", "python_version": "3.11", "app_file": "app.py", "pinned": False,
    "license": "apache-2.0", "short_description": "Search by picture and words",
    "suggested_hardware": "cpu-basic", "models": ["owner/tiny"], "datasets": ["owner/clothes"],
    "tags": ["image-retrieval"], "header": "mini",
    "preload_from_hub": ["owner/tiny", f"owner/tiny config.json,a/b.json {COMMIT}"],
}  # fmt: skip


def problems(**changes):
    fields = {name: value for name, value in {**VALID, **changes}.items() if value is not ...}
    return find_problems(fields, {"app.py", "README.md"}.__contains__)


def test_valid_fields_have_no_problem():
    assert problems() == []


@pytest.mark.parametrize("emoji", ["👩🏽‍🔬", "✂️", "🇫🇷"])
def test_an_emoji_of_several_characters_is_accepted(emoji):
    assert problems(emoji=emoji) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", " "),
        ("title", 5),
        ("emoji", "coat"),
        ("emoji", "🧥 x"),
        ("emoji", ""),
        ("colorFrom", "orange"),
        ("colorTo", "#ff0000"),
        ("sdk", "streamlit"),
        ("sdk_version", "6.31"),
        ("sdk_version", 6.3),
        ("python_version", 3.1),
        ("python_version", "2.7"),
        ("app_file", ""),
        ("pinned", "no"),
        ("license", "Apache 2.0"),
        ("short_description", "x" * 61),
        ("suggested_hardware", "cpu"),
        ("models", "owner/tiny"),
        ("models", ["owner/tiny/more"]),
        ("datasets", ["../clothes"]),
        ("tags", [1]),
        ("preload_from_hub", [f"owner/tiny {COMMIT} config.json"]),
        ("preload_from_hub", ["owner/tiny config.json main"]),
        ("preload_from_hub", ["owner/tiny config.json, b.json"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(name, value):
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name} is {value!r}; expected: ")


def test_a_misspelled_field_a_missing_one_and_a_missing_file_are_named():
    assert problems(colourFrom="blue") == ["colourFrom is no field of a Space; check its spelling."]
    assert problems(license=...) == ["license is missing."]
    assert problems(app_file="main.py") == ["app_file is 'main.py', and there is no such file."]


def test_front_matter_is_read_and_broken_yaml_is_refused(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("---\ntitle: DWC\nemoji: 🧥\npinned: false\n---\n\n# DWC\n")
    assert read_front_matter(readme) == {"title": "DWC", "emoji": "🧥", "pinned": False}
    readme.write_text("---\ntitle: [\n---\n")
    with pytest.raises(SpaceError, match=r"README\.md: its front matter cannot be read"):
        read_front_matter(readme)
