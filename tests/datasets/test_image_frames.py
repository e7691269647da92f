"""Of an animation or of several pages, the frame that shows something is used."""

import numpy as np
import pytest
from PIL import Image

from dwc.datasets import image_frames
from dwc.datasets.image_details import FRAME, OTHER_FRAMES, find_issues
from dwc.datasets.image_loading import decode
from dwc.errors import ImageError
from tests.datasets.image_files import LEFT, RIGHT, assert_close, pages, saved, two_halves


def test_the_default_image_outside_an_animation_is_passed_over():
    shown = two_halves().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other = Image.new("RGB", (60, 40), (0, 200, 0))
    options = {"save_all": True, "duration": 100_000}
    content = saved(
        two_halves(), "PNG", append_images=[shown, other], default_image=True, **options
    )
    assert_close(decode(content).getpixel((5, 20)), RIGHT)
    content = saved(two_halves(), "PNG", append_images=[shown, other], **options)
    assert_close(decode(content).getpixel((5, 20)), LEFT)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_of_single_colors_gives_its_first_frame(format):
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "lime", "blue")]
    encoded = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert_close(decode(encoded).getpixel((9, 9)), (255, 0, 0))


def test_a_first_frame_of_one_color_is_passed_over():
    frames = [Image.new("RGB", (60, 40), "white"), Image.new("RGB", (60, 40), "black")]
    frames += [two_halves(), two_halves(left=RIGHT, right=LEFT)]
    for format, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        encoded = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        decoded = decode(encoded)
        assert_close(decoded.getpixel((5, 20)), LEFT)
        assert_close(decoded.getpixel((55, 20)), RIGHT)


def frames_of(format, first):
    options = {"WEBP": {"lossless": True}}.get(format, {})
    rest = [two_halves(first.size), two_halves(first.size)]
    return saved(first, format, save_all=True, append_images=rest, duration=99, **options)


FADES = [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]


@pytest.mark.parametrize("strengths", [(0, 0.1, 0.5, 1, 1), (0.1, 0.3, 0.6, 1), (0, 0.02, 0.2, 1)])
@pytest.mark.parametrize(("format", "options"), FADES)
@pytest.mark.parametrize("ground", ["white", "black", "teal"])
def test_of_a_picture_that_fades_in_a_frame_of_full_contrast_is_used(
    format, options, ground, strengths
):
    blank, full = Image.new("RGB", (60, 40), ground), two_halves()
    frames = [Image.blend(blank, full, strength) for strength in strengths]
    encoded = saved(
        frames[0], format, save_all=True, append_images=frames[1:], duration=80, **options
    )
    decoded = decode(encoded)
    assert decoded.info[FRAME] == 4
    assert OTHER_FRAMES not in decoded.info
    assert_close(decoded.getpixel((5, 20)), LEFT)


def test_a_cut_animation_shows_its_first_frame():
    frames = [Image.effect_noise((60, 40), 90).convert("RGB") for _ in range(6)]
    encoded = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    decoded = decode(encoded[: len(encoded) // 2])
    assert decoded.info[FRAME] == 1
    assert decoded.tobytes() == decode(encoded).tobytes()


@pytest.mark.parametrize("ending", [b"!", b"!\xf9\x01\x01\x00", b"!\xf9\x01\x00\x00"])
def test_a_gif_that_ends_within_an_extension_is_refused(ending):
    content = saved(two_halves(), "GIF")
    with pytest.raises(ImageError, match="cut short or damaged"):
        decode(content[:-1] + ending)


def garment(color, box):
    picture = Image.new("RGB", (90, 120), "white")
    picture.paste(color, box)
    return picture


@pytest.mark.parametrize(
    ("format", "second", "is_other"),
    [
        *((format, garment("blue", (10, 10, 80, 110)), True) for format in ("GIF", "WEBP", "TIFF")),
        *((format, garment("red", (15, 14, 85, 116)), False) for format in ("GIF", "WEBP", "PNG")),
        ("TIFF", garment("red", (10, 10, 80, 110)).resize((45, 60)), False),  # a preview
        ("TIFF", Image.new("RGB", (90, 120), "white"), False),
        ("MPO", garment("blue", (10, 10, 80, 110)), False),
    ],
)
def test_a_file_that_shows_several_pictures_has_an_issue(format, second, is_other):
    first = garment("red", (10, 10, 80, 110))
    decoded = decode(saved(first, format, save_all=True, append_images=[second]))
    assert (OTHER_FRAMES in decoded.info) == is_other
    assert find_issues(decoded) == ({"other_frames"} if is_other else set())


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_few_frames_are_decoded_of_a_picture_that_does_not_fade_in(monkeypatch, format):
    decoded = []
    grid = image_frames._grid
    monkeypatch.setattr(image_frames, "_grid", lambda frame: decoded.append(1) or grid(frame))
    frames = [garment("red", (20 + n, 10, 90 + n, 110)).resize((600, 800)) for n in range(16)]
    encoded = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert OTHER_FRAMES not in decode(encoded).info
    assert len(decoded) == 4
    decoded.clear()
    pages = [garment(color, (10, 10, 80, 110)) for color in ("red", "blue") for _ in range(8)]
    encoded = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert OTHER_FRAMES in decode(encoded).info
    assert len(decoded) == 9


@pytest.mark.parametrize("steps", [8, 24, 40])
def test_a_large_picture_that_fades_in_slowly_is_seen_in_full(steps):
    blank, full = Image.new("RGB", (600, 800), "white"), garment("red", (10, 10, 80, 110))
    full = full.resize(blank.size)
    frames = [Image.blend(blank, full, 0.1 + 0.9 * n / (steps - 1)) for n in range(steps)]
    encoded = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    assert_close(decode(encoded).getpixel((300, 400)), (255, 10, 10), 30)


def test_a_preview_page_is_no_further_picture_of_a_tiff():
    first = garment("red", (10, 10, 80, 110))
    encoded = saved(first, "TIFF", save_all=True, append_images=[first.resize((45, 60))])
    assert FRAME not in decode(encoded).info


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("level", [0, 120, 244])
def test_a_first_frame_of_faint_noise_is_passed_over(format, level):
    noise = np.random.default_rng(0).integers(level, level + 12, (96, 64, 3), np.uint8)
    decoded = decode(frames_of(format, Image.fromarray(noise)))
    assert_close(decoded.getpixel((9, 9)), LEFT)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("drawn", ["soft", "small", "striped"])
def test_a_dark_first_frame_that_shows_something_is_used(format, drawn):
    if drawn == "soft":  # from black at the top to nearly black at the bottom
        levels = np.repeat(np.linspace(0, 11, 96).round()[:, None], 64, axis=1)
    else:
        levels = np.zeros((96, 64))
        levels[40:56, 24:40] = 11
        if drawn == "striped":
            levels[::2] = 0
    frame = Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    assert decode(frames_of(format, frame)).tobytes() == frame.tobytes()


def test_an_animation_of_noise_alone_gives_its_first_frame():
    generator = np.random.default_rng(0)
    noise = [Image.fromarray(generator.integers(0, 12, (96, 64, 3), np.uint8)) for _ in range(3)]
    content = saved(noise[0], "WEBP", save_all=True, append_images=noise[1:], lossless=True)
    assert decode(content).tobytes() == noise[0].tobytes()


def test_a_smaller_copy_of_a_page_of_a_tiff_is_passed_over():
    small, full = two_halves((30, 20), RIGHT, LEFT), two_halves((60, 40))
    mask = two_halves((60, 40), (0, 0, 0), (255, 255, 255))
    for content in (
        pages((small, 1), (full, 0)),
        pages((full, 0), (small, 1)),
        pages((small, 1), (mask, 4), (Image.new("RGB", (60, 40)), 0), (small, 1), (full, 2)),
    ):
        decoded = decode(content)
        assert decoded.size == (60, 40)
        assert_close(decoded.getpixel((3, 3)), LEFT)
    assert decode(pages((small, 1), (mask.resize((30, 20)), 4))).size == (30, 20)


def test_the_limit_counts_for_every_page_of_a_tiff():
    for pair in ((two_halves((30, 20)), 1), (Image.new("RGB", (30, 20)), 0)):
        content = pages(pair, (two_halves((60, 40)), 0))
        assert decode(content, max_pixels=2_400).size == (60, 40)
        with pytest.raises(ImageError, match="is 60 x 40, 2,400 pixels; at most 2,000 are read"):
            decode(content, max_pixels=2_000)


def test_the_size_of_the_page_that_is_read_decides_how_much_it_is_reduced():
    content = pages((Image.new("RGB", (1100, 1100)), 0), (two_halves((60, 40)), 0))
    assert decode(content).size == (60, 40)
