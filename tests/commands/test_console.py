"""The parser of arguments, and what the commands print."""

import argparse
import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from dwc import cli
from dwc.commands.console import CommandParser, expand_home, json_text, printable_lines
from tests.fork_server import PYTHON
from tests.search.tiny import write_tiny_checkpoint


def options_of(parser, words=()):
    """The options of a command and of its subcommands: their words, parser and action."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from options_of(inner, (*words, name))
        elif action.option_strings:
            yield words, parser, action


OPTIONS = [
    (words, parser, action)
    for command in cli.COMMANDS
    for words, parser, action in options_of(cli._parser([command]))
]


def values_of(action):
    """Two different texts that the option takes."""
    if action.choices:
        return [str(choice) for choice in list(action.choices)[:2]]
    return ["/a", "/b"] if action.dest == "root_path" else ["3", "4"]


def single_valued():
    for words, _, action in OPTIONS:
        takes_value = action.nargs is None and not isinstance(
            action, (argparse._AppendAction, argparse._HelpAction, argparse._VersionAction)
        )
        if takes_value and len(values_of(action)) == 2:
            yield pytest.param(words, action, id=" ".join([*words, action.option_strings[-1]]))


def test_options_that_may_be_repeated_are_collected():
    args = cli._parser(["search"]).parse_args(["search", "s", "--filter", "a", "--filter", "b"])
    assert args.filter == ["a", "b"]


@pytest.mark.parametrize(("words", "action"), single_valued())
def test_two_values_of_one_option_are_refused(words, action, capsys):
    first, second = values_of(action)
    for option in action.option_strings:
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, option, first, f"{option}={second}"])
        assert ended.value.code == 2
        if action.type is float:
            first, second = str(float(first)), str(float(second))
        assert f"given twice, as {first!r} and {second!r}" in capsys.readouterr().err


def test_the_same_value_may_be_repeated_and_a_parser_used_again():
    parser = CommandParser()
    parser.add_argument("--k", type=int)
    for k in (3, 4):
        assert parser.parse_args(["--k", str(k), f"--k={k}"]).k == k


PATHS = {
    "check", "clip", "clip_tokenizer", "data", "drawings", "image", "json_file", "metrics", "out",
    "photographs", "start", "submission", "to_authors", "wardrobe", "work", "captions",
    "clip_config", "global_weights", "local_weights", "model", "models", "gallery",
}  # fmt: skip
# Their files are opened by functions that expand `~`, and they may be names on the Hub.
EXPANDED_LATER = {"model", "models", "gallery", "clip", "clip_tokenizer", "start"}


def test_a_home_folder_is_found_in_every_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    checked = set()
    for words, parser, action in OPTIONS:
        if action.type in (Path, expand_home):
            value = parser._get_value(action, "~/photos.store")
            assert str(value) == str(tmp_path / "photos.store"), (words, action.dest)
            checked.add(action.dest)
        elif action.type is None and action.nargs is None:
            assert action.dest not in PATHS - EXPANDED_LATER, (words, action.dest)
    assert {"out", "check", "image", "json_file", "submission", "work", "data"} <= checked
    for command, rest in (("search", []), ("push", ["name"]), ("weights", [])):
        args = cli._parser([command]).parse_args([command, "~/photos.store", *rest])
        assert str(tmp_path / "photos.store") in map(str, vars(args).values())
    args = cli._parser(["search"]).parse_args(["search", "./~", "--text=~/a"])
    assert (args.store, args.text) == ("./~", "~/a")


ESCAPE = "\x1b[31mred\x1b[0m"
NAMES = ["caf\u00e9", "\u670d", "Andr\udce9", ESCAPE, "a\u202eb", "c\x9b2J", "line\nline"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_is_json_in_every_encoding(name: str, encoding: str) -> None:
    text = json_text({"id": name}, encoding)
    assert json.loads(text.encode(encoding).decode(encoding)) == {"id": name}
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text if sign != "\n")


def test_letters_stay_where_the_encoding_has_them() -> None:
    assert "caf\u00e9" in json_text({"id": "caf\u00e9"}, "cp1252")
    assert "caf\\u00e9" in json_text({"id": "caf\u00e9"}, "ascii")


def test_control_characters_are_escaped() -> None:
    assert printable_lines(ESCAPE) == r"\x1b[31mred\x1b[0m"
    assert printable_lines("one\n\x1btwo\u202e") == "one\n\\x1btwo\\u202e"
    assert printable_lines("caf\u00e9, \u670d") == "caf\u00e9, \u670d"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of pictures with odd names."""
    folder = tmp_path_factory.mktemp("odd")
    photos = folder / "photos"
    photos.mkdir()
    names = [b"caf\xc3\xa9.png", b"Andr\xe9.png", b"\x1b[31mred.png", b"plain.png"]
    for n, name in enumerate(names):
        Image.new("RGB", (40, 40 + n), (60 * n, 90, 200)).save(folder / "one.png")
        os.rename(folder / "one.png", os.path.join(os.fsencode(photos), name))
    model = write_tiny_checkpoint(folder / "model")
    done = run("ascii", "index", photos, "--model", model, "--out", folder / "store")
    assert done.returncode == 0, done.stderr
    return folder / "store"


def run(encoding: str, *arguments: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*PYTHON, "-m", "dwc", *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_search_prints_odd_names_in_every_encoding(store: Path, encoding: str) -> None:
    done = run(encoding, "search", store, "--text", "is red", "--json")
    assert done.returncode == 0, done.stderr
    ids = {hit["id"] for hit in json.loads(done.stdout.decode(encoding))["results"]}
    assert len(ids) == 4
    assert {"caf\u00e9.png", "plain.png"} < ids
    table = run(encoding, "search", store, "--text", "is red")
    assert table.returncode == 0, table.stderr
    assert b"\x1b" not in table.stdout
    assert rb"\x1b[31mred.png" in table.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", ["-sleeves", "-high sleeves", "-1 sleeves"])
def test_words_may_begin_with_a_minus(store: Path, words: str) -> None:
    done = run("utf-8", "search", store, "--text", words, "--json")
    assert done.returncode == 0, done.stderr
    assert "sleeves" in json.loads(done.stdout)["read"]


@pytest.mark.parametrize("number", ["0", "-5", "2.5", "many"])
@pytest.mark.parametrize(
    "command",
    [
        ["index", "photos", "--out", "store", "--batch-size"],
        ["weights", "model", "--gallery"],
        ["weights", "model", "--queries"],
    ],
)
def test_a_number_of_things_is_at_least_one(command, number, capsys):
    """A batch size of 0 indexed nothing without a word, and -5 ended in a traceback."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, number])
    assert ended.value.code == 2
    assert f"{command[-1]}: '{number}' is not a whole number from 1 on" in capsys.readouterr().err
