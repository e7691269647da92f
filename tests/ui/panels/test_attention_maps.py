"""The maps as they are drawn, and the same in sentences."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from dwc.explain.attention_maps import AttentionMaps, WordAttention
from dwc.ui.panels.attention_maps import (
    describe_gate,
    describe_word,
    locate_maximum,
    render_attention_maps,
)
from tests.ui.reading import read

PICTURE = Image.new("RGB", (400, 200), (200, 120, 40))


def peak(row, column, rest=0.1):
    grid = np.full((4, 4), rest, np.float32)
    grid[row, column] = 1
    return grid


SLEEVES = (("sleeves", peak(3, 0), 0.4),)


def maps(words=SLEEVES, gate=None, box=(0.0, 0.0, 400.0, 200.0)):
    gate = 0.2 + 0.5 * peak(0, 3) if gate is None else gate
    shown = [
        WordAttention(place, word, word == "zork", grid, focus, grid)
        for place, (word, grid, focus) in enumerate(words)
    ]
    return AttentionMaps(shown, gate, np.zeros((4, 4), np.float32), box, (400, 200))


def pixels(image):
    """A drawn overlay (h, w, 4)."""
    content = base64.b64decode(image.attributes["src"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [(0, 0, "the upper left"), (1, 2, "the middle"), (3, 1, "the bottom"), (2, 3, "the right")],
)
def test_places_are_thirds_of_the_picture(row, column, place):
    assert locate_maximum(maps(), peak(row, column)) == place


def test_places_are_of_the_picture_where_its_middle_alone_is_seen():
    seen = maps(box=(150.0, 0.0, 250.0, 200.0))
    assert locate_maximum(seen, peak(0, 0)) == "the top"  # its left third is not seen at all


def test_a_word_says_where_it_looked_and_how_surely():
    word = describe_word(maps(), maps().words[0])
    assert "“sleeves” looks most at the lower left" in word
    assert "40\N{NO-BREAK SPACE}%" in word
    assert "6.4 times an even share" in word
    vague = maps([("zork", peak(3, 0, rest=0.9), 0.07)])
    told = describe_word(vague, vague.words[0])
    assert "about everywhere" in told
    assert "not known" in told


def test_the_gate_says_where_the_picture_is_kept():
    told = describe_gate(maps())
    assert "most at the upper right, where 70\N{NO-BREAK SPACE}%" in told
    assert "25\N{NO-BREAK SPACE}% do" in told
    assert "alike everywhere" in describe_gate(maps(gate=np.full((4, 4), 0.5, np.float32)))


def test_the_first_word_is_chosen_and_each_has_its_drawing():
    words = [("blue", peak(1, 1), 0.5), ("<b>", peak(3, 3), 0.2), ("blue", peak(0, 0), 0.1)]
    tree = read(render_attention_maps(maps(words), PICTURE))
    radios = tree.all("input")
    assert [radio.attributes["value"] for radio in radios] == ["0", "1", "2"]
    assert ["checked" in radio.attributes for radio in radios] == [True, False, False]
    assert len({radio.attributes["name"] for radio in radios}) == 1
    drawn = [image for image in tree.all("img") if "data-word" in image.attributes]
    assert ["hidden" in image.attributes for image in drawn] == [False, True, True]
    for image, (_, grid, focus) in zip(drawn, words, strict=True):
        opaque = pixels(image)[..., 3].astype(float)
        row, column = np.unravel_index(opaque.argmax(), opaque.shape)
        assert (row // 8, column // 8) == np.unravel_index(grid.argmax(), grid.shape)
        # One scale for all words; smoothing overshoots a lone peak a little.
        assert opaque.max() == pytest.approx(255 * 0.82 * focus / 0.5, rel=0.3)
    assert "“<b>” looks" in tree.full_text()


def test_kept_and_given_way_have_each_their_colour():
    overlay = read(render_attention_maps(maps(), PICTURE)).all("img")[-1]
    painted = pixels(overlay)
    kept, given = painted[3, 28], painted[28, 3]
    assert kept[0] > kept[2]  # orange
    assert given[2] > given[0]  # blue
    assert min(kept[3], given[3]) > 100
    flat = read(render_attention_maps(maps(gate=np.full((4, 4), 0.5, np.float32)), PICTURE))
    assert pixels(flat.all("img")[-1])[..., 3].max() == 0


def test_overlays_lie_where_the_network_sees():
    tree = read(render_attention_maps(maps(box=(100.0, 0.0, 300.0, 200.0)), PICTURE))
    for image in tree.all("img"):
        assert image.attributes["style"] == "left:25.00%;top:0.00%;width:50.00%;height:100.00%"
    frame = tree.all(cls="region-frame")[0]
    assert frame.attributes["style"] == "aspect-ratio:400/200"
    address = re.search(r"url\((.*)\)", tree.one(cls="regions").attributes["style"]).group(1)
    shown = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert shown.size == (320, 160)


def test_words_that_none_can_read_leave_the_gate():
    tree = read(render_attention_maps(maps([]), PICTURE))
    assert tree.all("input") == []
    assert "can read none of these words" in tree.full_text()
    assert len(tree.all(cls="region-frame")) == 1
