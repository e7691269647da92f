"""Dresses, tops and outerwear: what each attribute does to the outline, measured on the outline."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.catalogue.drawing.garments import outline
from dwc.catalogue.drawing.garments.placing import Arm, draw_stance
from dwc.catalogue.drawing.garments.torso import BLOCKS, cut_sleeve
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Shape,
    arc,
    comb,
    rounded,
    scalloped,
)
from dwc.catalogue.schema import CATEGORIES, ORDERED, Garment, sample_garment

UPPER = ("dress", "t_shirt", "shirt", "jumper", "hoodie", "jacket", "coat")
PRINTED = {"t_shirt", "jumper", "hoodie"}
VALUES = [
    (category, name, value)
    for category in UPPER
    for name, values in CATEGORIES[category].items()
    for value in values
]
ATTRIBUTES = [(category, name) for category in UPPER for name in CATEGORIES[category]]
DEEPEST_PLAIN_HEM = 0.02


def draw_outline(garment: Garment, seed: int) -> Shape:
    return outline(garment, np.random.default_rng(seed))


def garment_of(category: str, seed: int, **fixed: str) -> Garment:
    return sample_garment(random.Random(f"{category} {seed}"), category).with_values(**fixed)


def clouds(shape: Shape) -> list[Points]:
    found: list[Points] = []
    for item in shape.items:
        if isinstance(item, Part):
            found += [item.outline, *item.holes]
        elif isinstance(item, Line):
            found.append(item.points)
        else:
            found.append(np.array([item.centre]))
    return found


def fingerprint(shape: Shape) -> bytes:
    return b"|".join(cloud.round(9).tobytes() for cloud in clouds(shape))


def area(points: Points) -> float:
    x, y = points.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def body(shape: Shape) -> Points:
    """The trunk: the largest piece of patterned cloth that reaches over the garment's middle."""
    pieces = [item.outline for item in shape.items if isinstance(item, Part) and item.patterned]
    return max(pieces, key=area)


def neck_width(trunk: Points) -> float:
    """The neckline's width: between the shoulders' highest points, right and left."""
    middle = (trunk[:, 0].min() + trunk[:, 0].max()) / 2
    right, left = trunk[trunk[:, 0] > middle], trunk[trunk[:, 0] < middle]
    return float(right[right[:, 1].argmin(), 0] - left[left[:, 1].argmin(), 0])


def width_at(points: Points, share: float) -> float:
    """Width of a closed outline at a share of its height."""
    y = points[:, 1].min() + share * np.ptp(points[:, 1])
    ends = np.roll(points, -1, axis=0)
    crossing = (points[:, 1] - y) * (ends[:, 1] - y) < 0
    a, b = points[crossing], ends[crossing]
    x = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return float(np.ptp(x))


def body_proportion(shape: Shape) -> float:
    """The trunk's height over its neckline's width: what the picture's scale leaves of a length."""
    trunk = body(shape)
    return float(np.ptp(trunk[:, 1])) / neck_width(trunk)


def sleeve_reach(shape: Shape) -> float:
    """The longest sleeve's diagonal over the trunk's height; 0 where there is none."""
    trunk = body(shape)
    reaches = [0.0]
    for item in shape.items:
        if isinstance(item, Part) and item.patterned and item.roundness > 0.75:
            low, high = item.outline.min(axis=0), item.outline.max(axis=0)
            reaches.append(float(np.hypot(*(high - low))))
    return max(reaches) / float(np.ptp(trunk[:, 1]))


def count(shape: Shape, kind: type) -> int:
    return sum(isinstance(item, kind) for item in shape.items)


def has_zip(shape: Shape) -> bool:
    return any(isinstance(item, Line) and item.kind == "zip" for item in shape.items)


def has_metal_frame(shape: Shape) -> bool:
    return any(
        isinstance(item, Part) and item.role == "metal" and item.holes for item in shape.items
    )


@pytest.mark.parametrize(("category", "name", "value"), VALUES)
def test_every_value_gives_a_whole_shape_within_the_picture(
    category: str, name: str, value: str
) -> None:
    for seed in range(6):
        garment = garment_of(category, seed, **{name: value})
        shape = draw_outline(garment, seed)
        for cloud in clouds(shape):
            assert np.isfinite(cloud).all()
            assert np.abs(cloud).max() <= 1.0
        everything = np.concatenate(clouds(shape))
        assert np.abs(everything.min(axis=0) + everything.max(axis=0)).max() < 1e-6  # centred
        for item in shape.items:
            if isinstance(item, Part):
                assert item.outline.shape[1] == 2
                assert 3 <= len(item.outline) < 400
                assert area(item.outline) > 1e-6
            elif isinstance(item, Line):
                assert len(item.points) >= 2
                assert 0 < item.width < 0.12
            else:
                assert isinstance(item, Disc)
                assert 0 < item.radius < 0.08
        assert (shape.print_box is not None) == (category in PRINTED)


@pytest.mark.parametrize("category", UPPER)
def test_same_seed_same_shape_other_seed_another(category: str) -> None:
    garment = garment_of(category, 1)
    once, again = draw_outline(garment, 5), draw_outline(garment, 5)
    assert fingerprint(once) == fingerprint(again)
    assert once.print_box == again.print_box
    assert fingerprint(once) != fingerprint(draw_outline(garment, 6))


@pytest.mark.parametrize(("category", "name"), ATTRIBUTES)
def test_each_attribute_changes_the_shape(category: str, name: str) -> None:
    for seed in range(4):
        shapes = {
            fingerprint(draw_outline(garment_of(category, seed, **{name: value}), seed))
            for value in CATEGORIES[category][name]
        }
        assert len(shapes) == len(CATEGORIES[category][name])


@pytest.mark.parametrize("category", UPPER)
def test_colors_and_patterns_leave_the_shape_alone(category: str) -> None:
    red = garment_of(category, 2, colour="red", pattern="striped", second_colour="blue")
    green = red.with_values(colour="green", pattern="plain")
    assert fingerprint(draw_outline(red, 3)) == fingerprint(draw_outline(green, 3))


@pytest.mark.parametrize("category", [c for c in UPPER if "length" in CATEGORIES[c]])
def test_longer_garments_have_longer_bodies(category: str) -> None:
    lengths = CATEGORIES[category]["length"]
    assert list(lengths) == sorted(lengths, key=ORDERED["length"].index)
    for seed in range(25):
        tall = [
            body_proportion(draw_outline(garment_of(category, seed, length=length), seed))
            for length in lengths
        ]
        for shorter, longer in pairwise(tall):
            assert longer > 1.12 * shorter


@pytest.mark.parametrize("category", [c for c in UPPER if "fit" in CATEGORIES[c]])
def test_looser_garments_have_wider_bodies(category: str) -> None:
    for seed in range(25):
        wide = []
        for fit in ORDERED["fit"]:
            trunk = body(draw_outline(garment_of(category, seed, fit=fit), seed))
            wide.append(width_at(trunk, 0.8) / float(np.ptp(trunk[:, 1])))
        for slimmer, looser in pairwise(wide):
            assert looser > 1.15 * slimmer


@pytest.mark.parametrize("category", [c for c in UPPER if "sleeve" in CATEGORIES[c]])
def test_longer_sleeves_reach_further(category: str) -> None:
    sleeves = CATEGORIES[category]["sleeve"]
    for seed in range(25):
        reach = [
            sleeve_reach(draw_outline(garment_of(category, seed, sleeve=sleeve), seed))
            for sleeve in sleeves
        ]
        for shorter, longer in pairwise(reach):
            assert longer > 1.15 * shorter
        assert (reach[0] == 0) == (sleeves[0] == "sleeveless")


@pytest.mark.slow
def test_flared_dresses_are_widest_at_the_hem_and_ruffled_ones_have_more_pieces() -> None:
    for seed in range(25):
        shapes = {
            hem: draw_outline(garment_of("dress", seed, hem=hem), seed)
            for hem in ("straight", "flared", "ruffled")
        }
        spread = {hem: width_at(body(shape), 0.9) for hem, shape in shapes.items()}
        waist = {hem: width_at(body(shape), 0.45) for hem, shape in shapes.items()}
        assert spread["flared"] / waist["flared"] > 1.25 * spread["straight"] / waist["straight"]
        below = [
            item
            for item in shapes["ruffled"].items
            if isinstance(item, Part)
            and item.patterned
            and item.outline[:, 1].max() > body(shapes["ruffled"])[:, 1].max() + DEEPEST_PLAIN_HEM
        ]
        assert below


@pytest.mark.parametrize("category", ["dress", "t_shirt", "jumper"])
def test_a_v_neckline_is_deeper_than_a_round_one(category: str) -> None:
    for seed in range(15):
        depth = {}
        for kind in ("round", "v"):
            trunk = body(draw_outline(garment_of(category, seed, neckline=kind), seed))
            depth[kind] = (trunk[0, 1] - trunk[:, 1].min()) / np.ptp(trunk[:, 1])
        assert depth["v"] > 1.3 * depth["round"]


def test_a_hood_and_a_roll_neck_rise_above_the_shoulders() -> None:
    for category, values in (
        ("coat", {"neckline": "hood"}),
        ("coat", {"neckline": "stand"}),
        ("jumper", {"neckline": "roll"}),
        ("hoodie", {}),
    ):
        for seed in range(10):
            shape = draw_outline(garment_of(category, seed, **values), seed)
            top = min(float(cloud[:, 1].min()) for cloud in clouds(shape))
            assert top < body(shape)[:, 1].min() - 0.05


@pytest.mark.parametrize(
    ("category", "zipped"), [("hoodie", "none"), ("jacket", "buttons"), ("coat", "buttons")]
)
def test_only_zipped_garments_have_a_zip(category: str, zipped: str) -> None:
    for seed in range(10):
        assert has_zip(draw_outline(garment_of(category, seed, fastening="zip"), seed))
        assert not has_zip(draw_outline(garment_of(category, seed, fastening=zipped), seed))


def test_buttons_run_down_the_front() -> None:
    for seed in range(15):
        plain = draw_outline(garment_of("jumper", seed, fastening="none"), seed)
        buttoned = draw_outline(garment_of("jumper", seed, fastening="buttons"), seed)
        assert count(plain, Disc) == 0
        assert count(buttoned, Disc) >= 3
        heights = [item.centre[1] for item in buttoned.items if isinstance(item, Disc)]
        assert heights == sorted(heights)
        assert min(np.diff(heights)) > 0.05  # apart from each other even at 64 pixels


@pytest.mark.parametrize("category", ["dress", "coat"])
def test_a_belted_waist_is_narrower_and_mostly_buckled(category: str) -> None:
    buckled = 0
    for seed in range(20):
        plain = body(draw_outline(garment_of(category, seed, waist="plain"), seed))
        shape = draw_outline(garment_of(category, seed, waist="belted"), seed)
        belted = body(shape)
        narrow = [
            min(width_at(trunk, share) for share in np.linspace(0.28, 0.6, 12)) / neck_width(trunk)
            for trunk in (belted, plain)
        ]
        assert narrow[0] < 0.93 * narrow[1]
        buckled += has_metal_frame(shape)
    assert buckled >= 8


@pytest.mark.parametrize(
    ("category", "value"),
    [("shirt", "chest"), ("hoodie", "pouch"), ("jacket", "patch"), ("coat", "patch")],
)
def test_pockets_are_pieces_of_plain_cloth_on_the_body(category: str, value: str) -> None:
    for seed in range(10):
        pocketed = draw_outline(garment_of(category, seed, pockets=value), seed)
        assert len(flat_plain_pieces(pocketed)) >= 1
        assert not flat_plain_pieces(draw_outline(garment_of(category, seed, pockets="none"), seed))


def flat_plain_pieces(shape: Shape) -> list[Part]:
    """Pieces of the garment's color on its body, flatter than a sleeve, without the pattern."""
    trunk = body(shape)
    return [
        item
        for item in shape.items
        if isinstance(item, Part)
        and not item.patterned
        and item.role == "main"
        and 0.008 < area(item.outline) / area(trunk) < 0.5
        and trunk[:, 1].min() < item.outline[:, 1].min()
        and item.outline[:, 1].max() < trunk[:, 1].max() + 0.02
        and abs(item.roundness - 0.38) < 0.05
    ]


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from(UPPER))
@settings(max_examples=60, deadline=None)
def test_prints_and_hanging_points_lie_on_the_garment(seed: int, category: str) -> None:
    shape = draw_outline(garment_of(category, seed), seed)
    trunk = body(shape)
    low, high = trunk.min(axis=0), trunk.max(axis=0)
    if shape.print_box is not None:
        left, top, right, bottom = shape.print_box
        assert low[0] < left < right < high[0]
        assert low[1] < top < bottom < high[1]
    assert len(shape.hung_from) in (0, 2)
    for x, y in shape.hung_from:
        assert low[0] < x < high[0]
        assert abs(y - low[1]) < 0.25 * (high[1] - low[1])


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_stances_are_modest_and_varied(seed: int) -> None:
    stance = draw_stance(np.random.default_rng(seed))
    for arm in stance.arms:
        assert np.radians(5) < arm.lift < np.radians(65)
        assert np.radians(-15) < arm.bend < np.radians(85)
    assert abs(stance.lean) <= 0.06
    assert abs(stance.tilt) <= 0.05


def test_stances_show_every_setting_and_arms_down_spread_and_bent() -> None:
    rng = np.random.default_rng(0)
    stances = [draw_stance(rng) for _ in range(300)]
    settings_seen = [stance.setting for stance in stances]
    assert set(settings_seen) == {"flat", "hung", "worn"}
    assert settings_seen.count("flat") > 110
    arms = [arm for stance in stances for arm in stance.arms]
    assert sum(arm.bend > np.radians(40) for arm in arms) > 60
    assert sum(arm.lift < np.radians(20) for arm in arms) > 150
    assert sum(not arm.in_front for arm in arms) > 120


@pytest.mark.slow
@given(
    st.sampled_from(sorted(BLOCKS)),
    st.floats(0.17, 0.62),
    st.floats(0.15, 1.0),
    st.floats(-0.1, 1.3),
)
def test_a_sleeve_is_as_long_as_asked_and_its_sides_mirror(
    fit: str, length: float, lift: float, bend: float
) -> None:
    torso = BLOCKS[fit].torso(0.09, 0.65)
    arm = Arm(lift, bend, in_front=True)
    right = cut_sleeve(torso, 1, arm, length, (0.08, 0.07, 0.05))
    left = cut_sleeve(torso, -1, arm, length, (0.08, 0.07, 0.05))
    np.testing.assert_allclose(left.outer, right.outer * (-1, 1))
    assert left.grain == -right.grain
    np.testing.assert_allclose(right.outer[0], torso.shoulder)
    np.testing.assert_allclose(right.inner[0], torso.armpit)
    assert np.hypot(*(right.outer[-1] - right.inner[-1])) == pytest.approx(0.10, rel=0.02)
    centre = (right.outer + right.inner) / 2
    travelled = np.hypot(*np.diff(centre, axis=0).T).sum()
    assert 0.75 * (length - 0.04) < travelled < 1.25 * length


@given(st.integers(2, 30))
def test_ribs_run_from_edge_to_edge(ribs: int) -> None:
    top, bottom = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.array([[-0.8, 1.0], [0.8, 1.0]])
    line = comb(top, bottom, ribs)
    assert line.shape == (2 * ribs, 2)
    assert sorted(set(line[:, 1])) == [0.0, 1.0]
    pairs = line.reshape(ribs, 2, 2)
    assert (pairs[:, 0, 1] != pairs[:, 1, 1]).all()
    at = (np.arange(ribs) + 0.5) / ribs * 2 - 1
    np.testing.assert_allclose(np.where(pairs[:, 0, 1] == 0, pairs[:, 0, 0], pairs[:, 1, 0]), at)


def test_curves_start_and_end_where_they_should() -> None:
    bent = arc((0, 0), (1, 2), (2, 0), 5)
    naive = [
        ((1 - t) ** 2 * 0 + 2 * t * (1 - t) * 1 + t**2 * 2, 2 * t * (1 - t) * 2)
        for t in np.linspace(0, 1, 5)
    ]
    np.testing.assert_allclose(bent, naive)
    edge = scalloped((1, 0), (-1, 0), sag=0.0, depth=0.1, count=4)
    np.testing.assert_allclose(edge[[0, -1]], [[1, 0], [-1, 0]], atol=1e-6)
    peaks = (edge[1:-1, 1] > edge[:-2, 1]) & (edge[1:-1, 1] >= edge[2:, 1])
    assert peaks.sum() == 4
    square = rounded(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), 0.2)
    assert 0.9 < area(square) < 1.0
