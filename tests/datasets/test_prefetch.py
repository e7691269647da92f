"""Pictures opened ahead are those that opening one after the other gives."""

import random
from pathlib import Path

import pytest
from PIL import Image

from dwc.datasets.image_prefetch import ImagePrefetcher, image_order
from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.errors import ImageError

NAMES = [f"p{n}" for n in range(40)]


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """40 pictures, each of its own grey; the eighth is none."""
    for n, name in enumerate(NAMES):
        Image.new("RGB", (2, 2), (n, n, n)).save(tmp_path / f"{name}.png")
    (tmp_path / f"{NAMES[7]}.png").write_text("<html>404</html>")
    return {name: tmp_path / f"{name}.png" for name in NAMES}


def grey(picture: Image.Image) -> int:
    return picture.getpixel((0, 0))[0]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("asked", ["all in order", "some in order", "as they come", "twice"])
def test_each_name_gives_its_picture(paths: dict[str, Path], threads: int, asked: str) -> None:
    rng = random.Random(0)
    names = {
        "all in order": NAMES,
        "some in order": NAMES[::3],
        "as they come": rng.sample(NAMES, 40),
        "twice": [name for name in NAMES for _ in range(2)],
    }[asked]
    with ImagePrefetcher(paths, NAMES, threads) as open_picture:
        for name in names:
            if name == NAMES[7]:
                with pytest.raises(ImageError, match=r"p7\.png: is not a picture"):
                    open_picture(name)
            else:
                assert grey(open_picture(name)) == NAMES.index(name)


def test_a_run_opens_the_gallery_then_the_references() -> None:
    queries = tuple(RetrievalQuery(one, ("red",), frozenset("a")) for one in "ca")
    assert list(image_order(Benchmark("p", tuple("abc"), queries))) == list("abcca")


def test_leaving_early_waits_for_nothing_that_has_not_begun(paths: dict[str, Path]) -> None:
    with ImagePrefetcher(paths, NAMES * 1_000, 2) as open_picture:
        assert grey(open_picture(NAMES[0])) == 0
    with pytest.raises(RuntimeError):  # the threads are gone
        open_picture(NAMES[1])
