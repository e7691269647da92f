import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwc.ui.panels.results import PART_ORDER, Scale, render_bar, render_legend
from tests.ui.reading import read

parts = st.fixed_dictionaries(
    {name: st.floats(-1, 1).map(lambda x: round(x, 6)) for name in PART_ORDER}
)


def width(element):
    return float(element.style("width").rstrip("%"))


def drawn(answer, chosen):
    scale = Scale.of(answer)
    return scale, read(render_bar(chosen, sum(chosen.values()), scale))


@pytest.mark.slow
@given(st.lists(parts, min_size=1, max_size=5))
def test_widths_are_the_parts_on_one_scale(answer):
    scale = Scale.of(answer)
    span = scale.negative + scale.positive
    for one in answer:
        tree = read(render_bar(one, sum(one.values()), scale))
        negative, positive = tree.all(cls="side")
        assert width(negative) + width(positive) == pytest.approx(100, abs=0.01)
        for side, sign in ((negative, -1), (positive, 1)):
            for part in side.all(cls="part"):
                value = one[part.attributes["data-part"]]
                assert value * sign >= 0
                if span > 1e-3:
                    share = width(part) * width(side) / 100
                    assert share == pytest.approx(100 * abs(value) / span, abs=0.01)
            if side.all(cls="part"):
                assert sum(width(part) for part in side.all(cls="part")) <= 100.01


@pytest.mark.slow
@given(parts)
def test_every_part_is_told_once_and_adds_up(one):
    _, tree = drawn([one], one)
    told = {
        part.attributes["data-part"]: float(part.attributes["data-value"])
        for part in tree.all(cls="part")
    }
    assert told == pytest.approx(one, abs=1e-6)
    spoken = tree.one(cls="sr-only").full_text().replace("−", "-")
    numbers = [float(piece.rstrip(".").split()[-1]) for piece in spoken.split(";")]
    assert sum(numbers) == pytest.approx(sum(one.values()), abs=0.00501)


def test_negative_parts_stand_left_of_zero():
    one = {"clip_image": 0.6, "cnn_image": 0.2, "clip_text": -0.2, "cnn_text": 0.0}
    scale, tree = drawn([one], one)
    assert (scale.negative, scale.positive) == pytest.approx((0.2, 0.8))
    assert float(tree.one(cls="zero").style("left").rstrip("%")) == pytest.approx(20)
    (left,) = tree.all(cls="negative")[0].all(cls="part")
    assert left.attributes["data-part"] == "clip_text"
    assert "words −0.20" in tree.one("p").full_text()


def test_without_negative_parts_there_is_no_zero_line():
    one = dict.fromkeys(PART_ORDER, 0.25)
    _, tree = drawn([one], one)
    assert not tree.all(cls="zero")
    assert width(tree.one(cls="positive")) == 100


def test_parts_of_other_models_are_shown_too():
    one = {"clip_image": 0.5, "clip_text": 0.25, "clip_joint": 0.25}
    _, tree = drawn([one], one)
    assert {part.attributes["data-part"] for part in tree.all(cls="part")} == set(one)
    assert len(read(render_legend(one)).all("li")) == 3
