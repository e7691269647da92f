"""One picture saved many times: as results, which fold, and as the reference's own copies."""

import io

import pytest
from PIL import Image, ImageDraw, ImageFilter

from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.results import image_cells, same_picture
from dwc.search.searcher import Searcher

SAVED_AGAIN = {
    "messenger": lambda image: jpeg(image.resize((320, 240), Image.Resampling.BICUBIC), 60),
    "poor": lambda image: jpeg(image, 25),
    "large": lambda image: jpeg(image.resize((960, 720), Image.Resampling.LANCZOS), 85),
    "webp": lambda image: again(image, "WEBP", 70),
}


def again(image, kind, quality):
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def jpeg(image, quality):
    return again(image, "JPEG", quality)


def motif(seed):
    """A soft scene of shapes, 640 by 480."""
    image = Image.new("RGB", (640, 480), (200, 40 + 30 * seed % 200, 255 - 20 * seed % 255))
    draw = ImageDraw.Draw(image)
    for n in range(6):
        x, y = (137 * (seed + 3 * n)) % 520, (89 * (2 * seed + n)) % 360
        color = (41 * (seed + n) % 256, 97 * (n + 1) % 256, 61 * (seed + 2 * n) % 256)
        draw.ellipse((x, y, x + 110, y + 110), fill=color)
    return image.filter(ImageFilter.GaussianBlur(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve motifs; the first saved thirteen times more, the second in the ways of others."""
    folder = tmp_path_factory.mktemp("copies")
    for seed in range(12):
        motif(seed).save(folder / f"m{seed:02}.png")
    for n in range(13):
        motif(0).save(folder / f"m00-{n:02}.jpg", quality=95 - 3 * n)
    for name, save in SAVED_AGAIN.items():
        save(motif(1)).save(folder / f"m01-{name}.png")
    with_mark = motif(1)
    ImageDraw.Draw(with_mark).rectangle((300, 200, 360, 260), fill="white")
    with_mark.save(folder / "other.png")
    return folder


@pytest.fixture(scope="module")
def searcher(folder, loaded, tmp_path_factory):
    store = build_store(
        FolderSource(folder),
        image_embedder(loaded),
        tmp_path_factory.mktemp("stores") / "copies",
        model_identity(loaded),
    )
    return Searcher(loaded, store)


def ids(result):
    return [hit.id for hit in result.hits]


@pytest.mark.slow
@pytest.mark.parametrize("save", [None, *SAVED_AGAIN.values()])
def test_the_references_own_copies_are_left_out(searcher, folder, save):
    """Uploaded as it is, or as a messenger saved it once more."""
    image = motif(1) if save is None else save(motif(1))
    result = searcher.search(image, "is red", k=100)
    assert not [id for id in ids(result) if id.startswith("m01")]
    assert "other.png" in ids(result)  # one mark is another picture
    assert len(result.hits) == 12 + 13 - 1 + 1
    assert "The reference saved again is left out: " in result.notes[0]


@pytest.mark.parametrize("id", ["m01.png", "m01-messenger.png"])
def test_copies_of_a_reference_of_the_gallery_are_left_out(searcher, id):
    result = searcher.search(reference_id=id, text="is red", k=100)
    assert not [id for id in ids(result) if id.startswith("m01")]
    query = searcher.encode_query(reference_id=id, text="is red")
    shifted = searcher.sweep(query).hits(1.5, 100)
    assert {hit.id for hit in shifted} == set(ids(result))


@pytest.fixture(scope="module")
def exact_copies(loaded, tmp_path_factory):
    """A gallery of nothing but one picture, in four files."""
    folder = tmp_path_factory.mktemp("exact")
    for name in ("a.png", "b.png", "c.bmp", "d.png"):
        motif(1).save(folder / name)
    store = tmp_path_factory.mktemp("stores") / "exact"
    made = build_store(FolderSource(folder), image_embedder(loaded), store, model_identity(loaded))
    return Searcher(loaded, made)


@pytest.mark.slow
def test_exact_copies_that_are_left_out_are_named(exact_copies):
    """The list was empty, and nothing said why."""
    by_id = exact_copies.search(reference_id="b.png", text="is red")
    assert by_id.hits == []
    assert by_id.notes == ["Exact copies of the reference are left out: a.png, c.bmp, d.png."]
    by_file = exact_copies.search(motif(1), "is red")
    assert "a.png, b.png, c.bmp and 1 more" in by_file.notes[0]
    assert exact_copies.search(motif(1), "is red", exclude_reference=False).notes == []


def test_a_reference_without_exact_copies_names_none(searcher):
    assert not any("Exact" in note for note in searcher.search(reference_id="m05.png").notes)


def test_copies_stay_where_the_reference_does(searcher):
    result = searcher.search(motif(1), "is red", k=100, exclude_reference=False)
    assert len([id for id in ids(result) if id.startswith("m01")]) == 1 + len(SAVED_AGAIN)
    assert result.notes == []


@pytest.mark.parametrize("color", [(30, 40, 120), (30, 46, 126)])
def test_another_plain_color_is_another_picture(color):
    reference = image_cells(Image.new("RGB", (64, 64), (30, 40, 110)))
    swatch = jpeg(Image.new("RGB", (64, 64), color), 60)
    assert not same_picture(reference, image_cells(swatch))
    assert same_picture(image_cells(Image.new("RGB", (64, 64), color)), image_cells(swatch))


def test_many_copies_of_the_reference_are_all_left_out(searcher):
    result = searcher.search(jpeg(motif(0), 50), k=100)
    assert not [id for id in ids(result) if id.startswith("m00")]
    assert "and 11 more" in result.notes[0]


def test_a_folded_answer_has_as_many_results_as_asked(searcher):
    plain = searcher.search(text="is red", k=100)
    folded = searcher.search(text="is red", k=8, fold=True)
    assert len(folded.hits) == 8
    assert [hit.rank for hit in folded.hits] == list(range(1, 9))
    every = [id for hit in folded.hits for id in (hit.id, *hit.near_duplicates)]
    assert len(set(every)) == len(every)
    order = ids(plain)
    assert sorted(every, key=order.index) == order[: len(every)]
    scores = {hit.id: hit.score for hit in plain.hits}
    for hit in folded.hits:
        assert hit.score == scores[hit.id]
        assert all(scores[id] <= hit.score for id in hit.near_duplicates)
    assert len([id for id in ids(folded) if id.startswith("m00")]) <= 1


def test_folding_shows_in_json_only_where_asked(searcher):
    plain = searcher.search(text="is red", k=3).to_dict()["results"]
    assert all("near_duplicates" not in hit for hit in plain)
    folded = searcher.search(text="is red", k=3, fold=True).to_dict()["results"]
    assert all(isinstance(hit["near_duplicates"], list) for hit in folded)
