import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.catalogue.drawing.garments import accessories, footwear, lower_body
from dwc.catalogue.drawing.garments.footwear import TRAINER, Base, Upper
from dwc.catalogue.drawing.garments.placing import Camera, bounds, hull, moved
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape
from dwc.catalogue.schema import CATEGORIES, Garment, sample_garment

BUILDERS: dict[str, Callable[[Garment, np.random.Generator], Shape]] = {
    "skirt": lower_body.skirt,
    "trousers": lower_body.trousers,
    "shorts": lower_body.shorts,
    "trainers": footwear.trainers,
    "boots": footwear.boots,
    "heels": footwear.heels,
    "flats": footwear.flats,
    "sandals": footwear.sandals,
    "bag": accessories.bag,
    "hat": accessories.hat,
}
EVERY_VALUE = [
    (category, attribute, value)
    for category in BUILDERS
    for attribute, values in CATEGORIES[category].items()
    for value in values
]


def build(garment: Garment, seed: int) -> Shape:
    return BUILDERS[garment.category](garment, np.random.default_rng(seed))


def points_of(shape: Shape) -> list[Points]:
    clouds = []
    for item in shape.items:
        if isinstance(item, Part):
            clouds += [item.outline, *item.holes]
        else:
            clouds.append(item.points if isinstance(item, Line) else np.array([item.centre]))
    return clouds


def same(one: Shape, other: Shape) -> bool:
    kinds = [(type(item), getattr(item, "role", None), getattr(item, "kind", None))
             for item in one.items]  # fmt: skip
    if kinds != [(type(item), getattr(item, "role", None), getattr(item, "kind", None))
                 for item in other.items]:  # fmt: skip
        return False
    pairs = zip(points_of(one), points_of(other), strict=True)
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("category", "attribute", "value"), EVERY_VALUE)
def test_every_value_gives_a_picture_sized_shape_in_every_view(
    category: str, attribute: str, value: str
) -> None:
    for seed in range(14):
        sampled = sample_garment(random.Random(seed), category)
        shape = build(sampled.with_values(**{attribute: value}), seed)
        clouds = points_of(shape)
        everything = np.concatenate(clouds)
        assert np.isfinite(everything).all()
        assert np.abs(everything).max() <= 1.0
        assert max(np.ptp(everything, axis=0)) >= 1.4, "the garment fills the picture"
        for item in shape.items:
            if isinstance(item, Part):
                assert item.outline.ndim == 2
                assert len(item.outline) >= 3
            elif isinstance(item, Line):
                assert len(item.points) >= 2
                assert 0 < item.width < 0.2
            else:
                assert isinstance(item, Disc)
                assert 0 < item.radius < 0.2
        if shape.print_box is not None:
            left, top, right, bottom = shape.print_box
            assert left < right
            assert top < bottom


@pytest.mark.parametrize("category", BUILDERS)
def test_the_seed_decides_everything(category: str) -> None:
    garment = sample_garment(random.Random(5), category)
    assert same(build(garment, 11), build(garment, 11))
    assert not same(build(garment, 11), build(garment, 12))


@pytest.mark.parametrize("category", BUILDERS)
def test_every_attribute_changes_the_shape(category: str) -> None:
    for seed in range(6):
        garment = sample_garment(random.Random(seed), category)
        for attribute, values in CATEGORIES[category].items():
            shapes = [build(garment.with_values(**{attribute: value}), seed) for value in values]
            for index, shape in enumerate(shapes):
                assert not any(same(shape, other) for other in shapes[:index]), attribute


@pytest.mark.parametrize("category", BUILDERS)
def test_colors_and_patterns_do_not_change_the_shape(category: str) -> None:
    garment = sample_garment(random.Random(1), category).with_values(pattern="plain")
    recolored = garment.with_values(colour="red" if garment["colour"] != "red" else "blue")
    assert same(build(garment, 4), build(recolored, 4))


def proportion(garment: Garment, seed: int) -> float:
    """Height over width."""
    left, top, right, bottom = bounds(build(garment, seed).items)
    return (bottom - top) / (right - left)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("category", "fixed"),
    [
        ("skirt", {"hem": "straight"}),
        ("trousers", {"fit": "regular", "pockets": "none"}),
        ("shorts", {"fit": "regular", "pockets": "none"}),
    ],
)
def test_longer_is_longer(category: str, fixed: dict[str, str]) -> None:
    medians = []
    for value in CATEGORIES[category]["length"]:
        garment = sample_garment(random.Random(2), category).with_values(length=value, **fixed)
        medians.append(np.median([proportion(garment, seed) for seed in range(25)]))
    ratios = np.array(medians[1:]) / np.array(medians[:-1])
    assert (ratios > 1.2).all(), medians


@pytest.mark.slow
@pytest.mark.parametrize("category", ["trousers", "shorts"])
def test_looser_is_wider(category: str) -> None:
    medians = []
    for fit in ("slim", "regular", "loose"):
        garment = sample_garment(random.Random(2), category).with_values(fit=fit, pockets="none")
        medians.append(np.median([1 / proportion(garment, seed) for seed in range(25)]))
    assert medians[0] * 1.05 < medians[1]
    assert medians[1] * 1.05 < medians[2]


@pytest.mark.parametrize("category", ["boots", "heels", "flats", "sandals"])
def test_a_higher_heel_lifts_the_sole_further(
    category: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rises: list[float] = []
    plain = Base.parts

    def recording(base: Base, camera: Camera) -> list[Part | Line]:
        rises.append(float(base.bed(0.05) - base.bed(0.72)))
        return plain(base, camera)

    monkeypatch.setattr(Base, "parts", recording)
    for heel in CATEGORIES[category]["heel"]:
        build(sample_garment(random.Random(2), category).with_values(heel=heel), 0)
    assert (np.diff(rises) > 0.1).all(), rises


@pytest.mark.parametrize("category", ["trainers", "heels", "sandals"])
def test_a_chunky_sole_is_thicker(category: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sheets: list[float] = []
    plain = Base.parts

    def recording(base: Base, camera: Camera) -> list[Part | Line]:
        sheets.append(base.sheet)
        return plain(base, camera)

    monkeypatch.setattr(Base, "parts", recording)
    for sole in ("thin", "chunky"):
        build(sample_garment(random.Random(2), category).with_values(sole=sole), 0)
    assert sheets[1] > 2.5 * sheets[0]


# The cameras that shoes are drawn with: from the side or half turned, or head-on from well above.
# Head-on and low, which no drawing is, the opening's rim would stand out behind the outline.
TURNED = st.builds(Camera, st.floats(-1.1, 0.0), st.floats(0.1, 0.8))
HEAD_ON = st.builds(Camera, st.floats(-1.57, -1.1), st.floats(0.48, 0.8))


@pytest.mark.slow
@given(camera=st.one_of(TURNED, HEAD_ON), k=st.floats(0.5, 10.0), v=st.floats(-1.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_visible_places_lie_within_the_silhouette(camera: Camera, k: float, v: float) -> None:
    upper = Upper(Base().rows(TRAINER), camera)
    point = upper.on_view([k], v)[0]
    # The convex outline of the silhouette bounds the silhouette.
    outline = hull(upper.outline())
    along = np.roll(outline, -1, axis=0) - outline
    towards = point - outline
    sides = along[:, 0] * towards[:, 1] - along[:, 1] * towards[:, 0]
    lengths = np.hypot(along[:, 0], along[:, 1])
    assert (sides > -0.02 * lengths - 1e-12).all()


def test_the_camera_sees_height_from_the_side_and_plan_from_above() -> None:
    place = np.array([0.3, 0.2, 0.5])
    assert Camera(0.0, 0.0).project(place) == pytest.approx([0.3, -0.5])
    assert Camera(0.0, np.pi / 2).project(place) == pytest.approx([0.3, -0.2])
    # Toe towards the viewer: what lies along the shoe comes down in the picture.
    assert Camera(-np.pi / 2, np.pi / 2).project(np.array([1.0, 0.0, 0.0])) == pytest.approx(
        [0.0, 1.0], abs=1e-9
    )


def test_hull_holds_all_points_and_only_points() -> None:
    cloud = np.random.default_rng(0).normal(size=(300, 2))
    outline = hull(cloud)
    assert {tuple(point) for point in outline} <= {tuple(point) for point in cloud}
    for angle in np.linspace(0, 2 * np.pi, 72, endpoint=False):
        ray = np.array([np.cos(angle), np.sin(angle)])
        assert (outline @ ray).max() == pytest.approx((cloud @ ray).max())


def test_moved_turns_flips_and_scales() -> None:
    part = Part(np.array([(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]), grain=0.2)
    items = [part, Line(part.outline, width=0.1), Disc((1.0, 2.0), 0.5)]
    turned, line, disc = moved(items, turn=np.pi / 2, scale=2.0, shift=(1.0, 0.0))
    assert isinstance(turned, Part)
    assert turned.outline == pytest.approx(np.array([(1.0, 2.0), (-1.0, 0.0), (1.0, 0.0)]))
    assert turned.grain == pytest.approx(0.2 + np.pi / 2)
    assert isinstance(line, Line)
    assert line.width == pytest.approx(0.2)
    assert isinstance(disc, Disc)
    assert disc.centre == pytest.approx((-3.0, 2.0))
    assert disc.radius == pytest.approx(1.0)
    (mirrored,) = moved([part], flip=True)
    assert isinstance(mirrored, Part)
    assert mirrored.outline[0] == pytest.approx([-1.0, 0.0])
    assert mirrored.grain == pytest.approx(-0.2)
