"""Options that are given twice, and paths that begin with `~`, in all commands."""

import argparse
from pathlib import Path

import pytest

from dwc import cli
from dwc.commands.arguments import CommandParser, expand_home


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
