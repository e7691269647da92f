import itertools
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from dwc.catalogue.drawing.contact_sheet import contact_sheet, main, varied_garments
from dwc.catalogue.drawing.draw import Style, draw, draw_shape, generator, on_hanger
from dwc.catalogue.drawing.garments import outline
from dwc.catalogue.drawing.materials import difference, material_of, nearest_color
from dwc.catalogue.drawing.parts import Disc, Line, Part, Shape, mirror, smooth
from dwc.catalogue.drawing.patterns import Pattern
from dwc.catalogue.drawing.pose import Pose
from dwc.catalogue.drawing.render import Layer, Renderer
from dwc.catalogue.schema import (
    CATEGORIES,
    COLORS,
    PATTERNS,
    SHADES,
    UNSHADED,
    Garment,
    sample_garment,
)

STYLES: tuple[Style, ...] = get_args(Style)
CLASSES = [(c, s) for c in COLORS for s in SHADES if s == "mid" or c not in UNSHADED]


def tee(**values: str) -> Garment:
    dyed = {"colour": "red", "shade": "mid", "pattern": "plain", "second_colour": "none"}
    cut = {"sleeve": "short", "neckline": "round", "length": "medium", "fit": "regular"}
    return Garment.of("t_shirt", **{**dyed, **cut, **values})


def middle(picture: Image.Image) -> np.ndarray:
    """The pixels (n, 3) in the middle of the picture, where a T-shirt is."""
    side = picture.width
    box = (int(side * 0.42), int(side * 0.42), int(side * 0.58), int(side * 0.58))
    return np.asarray(picture.crop(box), dtype=np.float64).reshape(-1, 3) / 255


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_drawn_in_every_style(category: str, style: Style) -> None:
    rng = random.Random(category)
    for seed in range(2):
        garment = sample_garment(rng, category)
        picture = draw(garment, seed, size=48, style=style)
        assert picture.mode == "RGB"
        assert picture.size == (48, 48)
        assert np.asarray(picture, dtype=float).std() > 4


@pytest.mark.parametrize("style", STYLES)
def test_the_same_arguments_give_the_same_picture(style: Style) -> None:
    garment = sample_garment(random.Random(3), "coat")
    first, second = (np.asarray(draw(garment, 5, 64, style)) for _ in range(2))
    assert np.array_equal(first, second)
    if style != "plain":
        assert not np.array_equal(first, np.asarray(draw(garment, 6, 64, style)))


@pytest.mark.slow
def test_another_process_draws_the_same_picture() -> None:
    """Python's own hash differs between processes; a picture must not."""
    code = (
        "import random, hashlib\n"
        "from dwc.catalogue.drawing.draw import draw\n"
        "from dwc.catalogue.schema import sample_garment\n"
        "p = draw(sample_garment(random.Random(4), 'dress'), 9, 40, 'training')\n"
        "print(hashlib.sha256(p.tobytes()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": salt},
        ).stdout
        for salt in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


@pytest.mark.slow
def test_earlier_pictures_leave_no_trace_in_later_ones() -> None:
    """Tiles and colors are kept between calls, and must not be changed by one."""
    garment = tee(pattern="leopard", second_colour="black")
    before = np.asarray(draw(garment, 1, 64, "training"))
    for seed, other in enumerate(varied_garments(20, seed=2)):
        draw(other, seed, 64, "training")
    assert np.array_equal(before, np.asarray(draw(garment, 1, 64, "training")))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(size=st.integers(16, 130), seed=st.integers(-(2**40), 2**40), pick=st.integers(0, 10**6))
def test_any_size_and_seed(size: int, seed: int, pick: int) -> None:
    garment = sample_garment(random.Random(pick))
    for style in STYLES:
        assert draw(garment, seed, size, style).size == (size, size)


def test_size_changes_sharpness_and_not_the_garment() -> None:
    garment = tee(colour="blue")
    for style in ("gallery", "plain"):
        small = draw(garment, 2, 64, style)
        large = draw(garment, 2, 192, style).resize((64, 64), Image.Resampling.BOX)
        apart = np.abs(np.asarray(small, float) - np.asarray(large, float))
        assert apart.mean() < 7


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 8 pixels"):
        draw(tee(), 0, size=8)
    with pytest.raises(ValueError, match="style is one of gallery, training, plain; got 'comic'"):
        draw(tee(), 0, style="comic")  # type: ignore[arg-type]


@pytest.mark.parametrize(("color", "shade"), CLASSES)
def test_colors_are_told_from_the_picture(color: str, shade: str) -> None:
    """Shading, folds and weave leave a garment's color what it is called."""
    for seed in range(3):
        for style in ("gallery", "plain"):
            seen = np.median(middle(draw(tee(colour=color, shade=shade), seed, 128, style)), 0)
            assert nearest_color(seen) == (color, shade), (seen, seed, style)


@pytest.mark.slow
def test_colors_survive_the_hasty_photograph_mostly() -> None:
    right = 0
    for color in COLORS:
        for seed in range(8):
            picture = draw(tee(colour=color), seed, 80, "training")
            right += nearest_color(np.median(middle(picture), 0))[0] == color
    assert right > 0.6 * 8 * len(COLORS)


@pytest.mark.slow
def test_garments_stand_out_from_gallery_backgrounds() -> None:
    for color, shade in CLASSES:
        for seed in range(4):
            picture = draw(tee(colour=color, shade=shade), seed, 64)
            border = np.asarray(picture, float)[:3].reshape(-1, 3).mean(0) / 255
            assert difference(np.median(middle(picture), 0), border) > 0.07, (color, shade, seed)


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p not in ("plain", "colour_block")])
def test_patterns_show_even_when_small(pattern: str) -> None:
    for seed in range(3):
        patterned = tee(colour="white", pattern=pattern, second_colour="blue")
        plain = middle(draw(tee(colour="white"), seed, 64)).std(axis=0).sum()
        assert middle(draw(patterned, seed, 64)).std(axis=0).sum() > 2.5 * plain


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p != "plain"])
def test_patterned_garments_show_both_colors(pattern: str) -> None:
    for seed in range(3):
        garment = tee(colour="yellow", pattern=pattern, second_colour="blue")
        pixels = np.asarray(draw(garment, seed, 128, "plain"), float)[24:104, 36:92] / 255
        names = [nearest_color(pixel)[0] for pixel in pixels[::4, ::4].reshape(-1, 3)]
        assert names.count("yellow") > 0.1 * len(names)
        assert names.count("blue") > 0.02 * len(names)


def test_stripes_run_across_and_pinstripes_down() -> None:
    for pattern, along in (("striped", 1), ("pinstriped", 0)):
        garment = tee(colour="white", pattern=pattern, second_colour="black")
        pixels = np.asarray(draw(garment, 1, 128, "plain").convert("L"), float)[45:95, 45:83]
        along_stripe = np.abs(np.diff(pixels, axis=along)).mean()
        across_stripe = np.abs(np.diff(pixels, axis=1 - along)).mean()
        assert across_stripe > 2 * along_stripe


@pytest.mark.parametrize("turn", [-1.6, 0.0, 0.4, 1.6, 3.1])
def test_prints_and_blocks_turn_with_the_garment(turn: float) -> None:
    """Turned back, a turned garment looks as it did."""
    for pattern in ("colour_block", "graphic", "striped"):
        garment = tee(colour="yellow", pattern=pattern, second_colour="blue")
        pictures = []
        for angle in (0.0, turn):
            rng = generator(garment, 4, "plain")
            shape = Pose(turn=angle).place(outline(garment, rng), 128)
            layer = Layer.empty(128, (0.0, 0.0))
            made_of, worn = material_of(garment, rng), Pattern.draw(pattern, rng, 128, 0.0)
            Renderer(layer, made_of, worn, 64, angle).draw(shape, rng)
            picture = Image.fromarray((layer.lit() * 255).astype(np.uint8))
            pictures.append(picture.rotate(np.degrees(angle), Image.Resampling.BILINEAR))
        blues = [_blueness(picture) for picture in pictures]
        assert (blues[0] > 0.5).mean() > 0.01
        if pattern == "striped":  # where the stripes begin may differ
            assert abs(blues[0].mean() - blues[1].mean()) < 0.15
        else:
            assert np.abs(blues[0] - blues[1]).mean() < 0.06, pattern


def _blueness(picture: Image.Image) -> np.ndarray:
    """The part of the middle of a picture that is bluer than yellow, (n, n), 0 or 1."""
    pixels = np.asarray(picture, float)[40:88, 40:88]
    return (pixels[..., 2] > pixels[..., 0] + 20).astype(float)


def square(side: float) -> np.ndarray:
    return np.array([(-side, -side), (side, -side), (side, side), (-side, side)])


def test_a_part_covers_its_outline_and_spares_its_holes() -> None:
    garment = tee(colour="black")
    shape = Shape((Part(square(0.5), holes=(square(0.2),)),))
    pixels = np.asarray(draw_shape(shape, garment, generator(garment, 0, "plain"), 100, "plain"))
    dark = pixels.mean(axis=2) < 128
    assert dark[26:74, 26:38].all()
    assert not dark[42:58, 42:58].any()
    assert abs(dark.mean() - (0.5**2 - 0.2**2)) < 0.01


def test_edges_are_smooth() -> None:
    garment = tee(colour="black")
    circle = np.stack([np.cos(np.arange(60) * np.pi / 30), np.sin(np.arange(60) * np.pi / 30)], 1)
    shape = Shape((Part(0.6 * circle),))
    picture = draw_shape(shape, garment, generator(garment, 0, "plain"), 100, "plain")
    greys = np.asarray(picture.convert("L"), int)
    between = ((greys > 80) & (greys < 230)).sum()
    assert between > 50  # a hard edge would have none


def test_later_pieces_cover_earlier_ones_and_shade_them() -> None:
    garment = tee(colour="white")
    back, front = Part(square(0.7), "main"), Part(square(0.3), "sole")
    rng = generator(garment, 0, "plain")
    alone = np.asarray(draw_shape(Shape((back,)), garment, rng, 100, "plain"), int)
    rng = generator(garment, 0, "plain")
    both = np.asarray(draw_shape(Shape((back, front)), garment, rng, 100, "plain"), int)
    assert difference(alone[50, 50] / 255, both[50, 50] / 255) > 0.1
    assert (both[66:68, 40:60].mean() - alone[66:68, 40:60].mean()) < -3  # the shadow below


@pytest.mark.parametrize(
    "kind", ["seam", "stitch", "fold", "crease", "lace", "zip", "chain", "edge"]
)
@pytest.mark.parametrize("color", ["black", "white", "red"])
def test_every_line_shows_on_dark_and_pale_cloth(kind: str, color: str) -> None:
    garment = tee(colour=color)
    body = Part(square(0.8), roundness=0.0)
    line = Line(smooth([(-0.5, 0.02), (0, 0.0), (0.5, 0.02)], closed=False), kind, 0.03)  # type: ignore[arg-type]
    pictures = []
    for items in ((body,), (body, line)):
        rng = generator(garment, 0, "plain")
        pictures.append(np.asarray(draw_shape(Shape(items), garment, rng, 128, "plain"), int))
    change = np.abs(pictures[1] - pictures[0]).max(axis=2)
    assert (change[56:74, 40:90] > 8).sum() > 60
    assert change[:40].max() == 0


def test_pieces_outside_the_picture_do_no_harm() -> None:
    garment = tee(pattern="zigzag", second_colour="grey")
    far = square(0.3) + np.array([3, 0])
    items = (Part(far), Line(far, "zip"), Line(far, "chain"), Line(far, "stitch"), Disc((3, 0)),
             Part(square(0.4) - (0.9, 0.9), grain=0.5))  # fmt: skip
    for style in STYLES:
        draw_shape(Shape(items), garment, generator(garment, 0, style), 64, style)


def test_a_hanger_is_drawn_behind_and_rises_above() -> None:
    shape = Shape((Part(square(0.5)),), hung_from=((0.4, -0.45), (-0.4, -0.45)))
    hung = on_hanger(shape, clipped=False)
    assert hung.items[-1] is shape.items[0]
    tops = [item.outline[:, 1].min() for item in hung.items if isinstance(item, Part)]
    assert min(tops) < -0.6
    assert len(on_hanger(shape, clipped=True).items) > len(hung.items)
    assert on_hanger(Shape(shape.items), clipped=False).items == shape.items


def test_a_doubled_point_is_a_corner_without_a_loop() -> None:
    curve = smooth([(0, 0), (0, 0), (1, 0), (1, 0), (1, 1), (1, 1), (0, 1), (0, 1)])
    assert curve.min() >= -1e-9
    assert curve.max() <= 1 + 1e-9
    assert {tuple(corner) for corner in square(0.5) + 0.5} <= {tuple(p) for p in curve.tolist()}
    assert np.array_equal(mirror(mirror(curve)), curve)


def test_contact_sheet(tmp_path: Path) -> None:
    garments = varied_garments(34, seed=0)
    names = [garment.category for garment in garments]
    assert sorted(names) == sorted(2 * list(CATEGORIES))
    assert all(a["colour"] != b["colour"] for a, b in itertools.pairwise(garments))
    assert contact_sheet(3, 2, tile=24, gap=2).size == (3 * 26 + 2, 2 * 26 + 2)
    out = tmp_path / "figures" / "page.png"
    main(["--out", str(out), "--columns", "2", "--rows", "1", "--tile", "32"])
    assert Image.open(out).size == (2 * 36 + 4, 36 + 4)


def _reference_seconds() -> float:
    """A fixed work of Pillow and numpy, of the kind that drawing does."""
    image = Image.fromarray(np.arange(512 * 512, dtype=np.uint8).reshape(512, 512))
    field = np.ones((512, 512, 3), np.float32)
    started = time.process_time()
    for _ in range(10):
        image.filter(ImageFilter.GaussianBlur(3)).reduce(2)
        field * np.float32(0.5) + np.float32(0.1)
    return (time.process_time() - started) / 10


@pytest.mark.bench
@pytest.mark.parametrize(("style", "size", "limit"), [("gallery", 256, 6.0), ("training", 80, 3.6)])
def test_drawing_is_fast(style: Style, size: int, limit: float) -> None:
    """Drawing takes a bounded multiple of a fixed work, whatever the machine."""
    garments = varied_garments(51, seed=1)
    for seed, garment in enumerate(garments):
        draw(garment, seed, size, style)  # tiles are made once
    reference = min(_reference_seconds() for _ in range(3))
    started = time.process_time()
    for seed, garment in enumerate(garments):
        draw(garment, seed, size, style)
    seconds = (time.process_time() - started) / len(garments)
    print(f"{style} {size}: {1000 * seconds:.1f} ms; reference {1000 * reference:.1f} ms")
    assert seconds < limit * reference
