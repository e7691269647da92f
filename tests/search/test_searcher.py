"""One search against the whole arithmetic done by hand, and what is refused."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from dwc.checkpoints import load
from dwc.datasets.image_loading import decode
from dwc.errors import ImageError, QueryError, StoreError
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.gallery.store import Store
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from tests.search.tiny import write_tiny_checkpoint

PARTS = {"clip_image", "clip_text", "cnn_image", "cnn_text"}


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


@pytest.fixture(scope="module")
def reference(pictures):
    with Image.open(pictures / "p03.png") as picture:
        return picture.convert("RGB").rotate(90)  # none of the gallery's


def rank_naively(loaded, pictures, image, text, shift=0.0):
    """Every gallery picture's score, from the public contracts alone, one picture at a time."""
    inputs = loaded.processor(images=image, text=text and f"<BOS> {text} <EOS>")
    with torch.inference_mode():
        query = loaded.model.compose(**inputs).shifted(shift).embedding[0]
        scores = {}
        for file in pictures.iterdir():
            with Image.open(file) as picture:
                values = loaded.processor(images=picture.convert("RGB"))["pixel_values"]
            scores[file.name] = float(loaded.model.embed_images(values)[0] @ query)
    return scores


@pytest.mark.parametrize("shift", [0.0, 1.5, -4.0, math.inf, -math.inf])
@pytest.mark.parametrize(("has_picture", "text"), [(True, "is red"), (True, ""), (False, "is red")])
def test_a_search_is_what_the_contracts_say(
    searcher, loaded, pictures, reference, has_picture, text, shift
):
    image = reference if has_picture else None
    result = searcher.search(image, text, k=100, shift=shift)
    scores = rank_naively(loaded, pictures, image, text or None, shift)
    assert {hit.id for hit in result.hits} == set(scores)
    assert [hit.rank for hit in result.hits] == list(range(1, 22))
    for hit in result.hits:
        assert hit.score == pytest.approx(scores[hit.id], abs=1e-5)
        assert set(hit.parts) == PARTS
        assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-5)
        lower = sum(other.score < hit.score for other in result.hits)
        assert hit.percentile == pytest.approx(100 * lower / 21)
    ranked = [hit.score for hit in result.hits]
    assert ranked == sorted(ranked, reverse=True)


def test_the_parts_are_the_parts(searcher, loaded, store, reference):
    result = searcher.search(reference, "is red", k=3)
    inputs = loaded.processor(images=reference, text="<BOS> is red <EOS>")
    with torch.inference_mode():
        streams = loaded.model.compose(**inputs).streams
    for hit in result.hits:
        vector = torch.from_numpy(store.vectors[store.position(hit.id)].copy())
        for name, gallery in (("clip", vector[:12]), ("cnn", vector[12:])):
            stream = streams[name]
            weight = float(stream.image_weight)
            mixed = weight * stream.image_part[0] + (1 - weight) * stream.text_part[0]
            image = weight * float(stream.image_part[0] @ gallery / mixed.norm())
            text = (1 - weight) * float(stream.text_part[0] @ gallery / mixed.norm())
            assert hit.parts[f"{name}_image"] == pytest.approx(image, abs=1e-5)
            assert hit.parts[f"{name}_text"] == pytest.approx(text, abs=1e-5)
            assert result.weights[name].image == pytest.approx(weight)
            assert result.weights[name].text == pytest.approx(1 - weight)


@pytest.mark.parametrize("shift", [0.0, 3.0, math.inf, -math.inf])
def test_a_query_of_one_modality_has_one_weight(searcher, reference, shift):
    of_words = searcher.search(None, "is red", shift=shift)
    of_picture = searcher.search(reference, "", shift=shift)
    for name in ("clip", "cnn"):
        assert (of_words.weights[name].image, of_words.weights[name].text) == (0.0, 1.0)
        assert (of_picture.weights[name].image, of_picture.weights[name].text) == (1.0, 0.0)
        assert {hit.parts[f"{name}_image"] for hit in of_words.hits} == {0.0}
        assert {hit.parts[f"{name}_text"] for hit in of_picture.hits} == {0.0}
    assert of_words.ood_score is None


def test_the_ends_of_the_dial_are_one_modality(searcher, reference):
    both = searcher.search(reference, "is red", shift=math.inf)
    assert both.weights["clip"].image == both.weights["cnn"].image == 1.0
    other = searcher.search(reference, "is red", shift=-math.inf)
    assert other.weights["clip"].text == other.weights["cnn"].text == 1.0
    assert all(hit.parts["cnn_image"] == 0 for hit in other.hits)


def test_k_is_at_most_what_there_is(searcher, reference):
    assert len(searcher.search(reference, "is red", k=1).hits) == 1
    assert len(searcher.search(reference, "is red", k=10_000).hits) == 21
    many = searcher.search(reference, "is red", k=21).hits
    few = searcher.search(reference, "is red", k=4).hits
    assert many[:4] == few


def test_the_reference_is_left_out_by_its_pixels(searcher, pictures):
    for file in ("p07.png", "p07-copy.bmp"):
        found = {hit.id for hit in searcher.search(pictures / file, "is red", k=100).hits}
        assert len(found) == 19
        assert not found & {"p07.png", "p07-copy.bmp"}
    kept = searcher.search(pictures / "p07.png", k=100, exclude_reference=False).hits
    assert {hit.id for hit in kept[:2]} == {"p07.png", "p07-copy.bmp"}


def test_a_reference_of_the_gallery_is_its_picture(searcher, pictures):
    by_id = searcher.search(reference_id="p05.png", text="is red", k=100)
    by_file = searcher.search(pictures / "p05.png", "is red", k=100)
    assert by_id.hits == by_file.hits
    assert len(by_id.hits) == 20
    assert by_id.notes == []


def test_a_reference_whose_file_is_gone_is_its_thumbnail(loaded, pictures, tmp_path):
    folder = tmp_path / "moved"
    folder.mkdir()
    for name in ("p01.png", "p02.png", "p03.png"):
        (folder / name).write_bytes((pictures / name).read_bytes())
    store = build_store(
        FolderSource(folder), image_embedder(loaded), tmp_path / "store", model_identity(loaded)
    )
    (folder / "p02.png").unlink()
    result = Searcher(loaded, store).search(reference_id="p02.png")
    assert {hit.id for hit in result.hits} == {"p01.png", "p03.png"}
    assert "p02.png" in result.notes[0]


def searcher_with(image, name, loaded, pictures, tmp_path):
    """Return a searcher of a folder that has one of the pictures and an image, and the folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "p01.png").write_bytes((pictures / "p01.png").read_bytes())
    image.save(folder / name)
    store = build_store(
        FolderSource(folder), image_embedder(loaded), tmp_path / "store", model_identity(loaded)
    )
    return Searcher(loaded, store), folder


@pytest.mark.parametrize(
    ("size", "cut"),
    [((40, 240), "upper square of this tall"), ((240, 40), "middle square of this wide")],
)
def test_a_reference_that_is_cut_to_a_square_is_told(loaded, pictures, tmp_path, size, cut):
    """A screenshot of a chat was searched by its status bar, without a note."""
    strip = Image.effect_noise(size, 60).convert("RGB")
    searcher, folder = searcher_with(strip, "shot.png", loaded, pictures, tmp_path)
    note = f"Only the {cut} picture is used. Crop it to the garment."
    for image in (folder / "shot.png", strip, decode(strip)):
        assert searcher.search(image, "is red").notes.count(note) == 1
    for _ in range(2):  # the second time from the store's cache
        assert searcher.search(reference_id="shot.png").notes.count(note) == 1
    assert note not in searcher.search(strip.crop((0, 0, 40, 40))).notes


def test_a_reference_that_is_squeezed_or_of_which_nothing_is_seen_is_told(
    loaded, pictures, tmp_path
):
    noise = Image.effect_noise((180, 60), 60).convert("RGB")
    searcher, folder = searcher_with(noise, "wide.png", loaded, pictures, tmp_path)
    strip = Image.new("RGB", (700, 100), "white")
    strip.paste(noise.crop((0, 0, 60, 60)), (10, 10))
    wide = "The picture is very wide (3.0:1): the model reads a square"
    tall = "The picture is very tall (3.0:1): the model reads a square"
    part = "Only the middle square of this wide picture is used, and nothing can be seen in it."
    for image, expected in (
        (folder / "wide.png", wide), (noise.rotate(90, expand=True), tall), (strip, part),
        (noise.crop((0, 0, 140, 60)), None), (Image.new("RGB", (700, 100), "white"), None),
    ):  # fmt: skip
        notes = [note for note in searcher.search(image, "is red").notes if "square" in note]
        assert [note[: len(expected or "")] for note in notes] == ([expected] if expected else [])
    assert any(note.startswith(wide) for note in searcher.search(reference_id="wide.png").notes)


def test_a_reference_of_several_frames_names_the_used_one(loaded, pictures, tmp_path):
    frames = [Image.effect_noise((60, 60), 60).convert("RGB") for _ in range(3)]
    frames[0] = Image.new("RGB", (60, 60))
    frames[0].save(tmp_path / "pages.tiff", save_all=True, append_images=frames[1:])
    frames[1].save(tmp_path / "page.tiff")
    searcher, _ = searcher_with(frames[1], "one.png", loaded, pictures, tmp_path)
    several = decode(tmp_path / "pages.tiff")
    for image in (tmp_path / "pages.tiff", several, decode(several)):
        [note] = [n for n in searcher.search(image, "is red").notes if "several pictures" in n]
        assert "number 2 is used" in note
    notes = searcher.search(tmp_path / "page.tiff", "is red").notes
    assert not any("several pictures" in note for note in notes)


def test_a_reference_whose_file_ends_in_zeros_may_be_incomplete(loaded, pictures, tmp_path):
    picture = Image.effect_noise((60, 60), 60).convert("RGB")
    searcher, _ = searcher_with(picture, "one.png", loaded, pictures, tmp_path)
    picture.save(tmp_path / "half.bmp")
    content = (tmp_path / "half.bmp").read_bytes()
    (tmp_path / "half.bmp").write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    note = "The picture may be incomplete: the last 50% of its file are zero bytes"
    for image in (tmp_path / "half.bmp", decode(tmp_path / "half.bmp")):
        assert any(note in text for text in searcher.search(image, "is red").notes)
    assert not any(note in text for text in searcher.search(picture, "is red").notes)


def disc(color, alpha, ground=0):
    """A disc with a line in it; `alpha` is that of the disc, `ground` that of all else."""
    picture = Image.new("RGBA", (120, 160), (*color, ground))
    ImageDraw.Draw(picture).ellipse((10, 10, 110, 150), fill=(*color, alpha))
    ImageDraw.Draw(picture).line((20, 80, 100, 80), fill=(90, 0, 0, alpha), width=6)
    return picture


@pytest.mark.slow
@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (disc((0, 60, 90), 255), "parts of the picture are read as white"),
        (disc((255, 255, 255), 255), "parts of the picture are read as gray"),
        (disc((0, 60, 90), 128), "half transparent: its colors are mixed with white"),
        (disc((0, 60, 90), 128, 128), "half transparent: its colors are mixed with white"),
        (disc((0, 60, 90), 0), "Nothing can be seen in the picture: on white, it vanishes."),
        (Image.new("L", (90, 90), 128), "Nothing can be seen in the picture: it is of a single"),
        (disc((0, 60, 90), 255, 255), None),
        (disc((0, 60, 90), 255, 254), None),
    ],
)
def test_a_reference_that_looks_otherwise_than_elsewhere_is_told(loaded, tmp_path, picture, told):
    """A half transparent coat was searched as a pale one, and a transparent picture as white."""
    folder = tmp_path / "cut out"
    folder.mkdir()
    picture.save(folder / "a.png")
    picture.resize((1200, 1600)).save(folder / "large.webp", lossless=True)
    store = build_store(
        FolderSource(folder), image_embedder(loaded), tmp_path / "store", model_identity(loaded)
    )
    searcher = Searcher(loaded, store)
    queries = [{"image": folder / "a.png"}, {"image": picture}, {"image": decode(picture)}]
    queries += [{"reference_id": id} for id in ("a.png", "large.webp", "a.png")]
    for query in queries:
        notes = searcher.search(text="is red", **query).notes
        found = [note for note in notes if "picture is" in note or "the picture" in note]
        assert [note for note in found if told in note] == found if told else found == []
        assert len(found) == (told is not None)


def test_a_reference_of_several_pictures_is_told(searcher, tmp_path):
    """A grid of four garments was searched as one garment."""
    grid = Image.new("RGB", (212, 212), "white")
    for n in range(4):
        one = Image.effect_noise((100, 100), 60 + n).convert("RGB")
        grid.paste(one, (112 * (n % 2), 112 * (n // 2)))
    expected = "several pictures in one"
    assert sum(expected in note for note in searcher.search(grid, "is red").notes) == 1
    alone = grid.crop((0, 0, 100, 100))
    assert not any(expected in note for note in searcher.search(alone, "is red").notes)


def test_the_text_in_a_png_is_not_taken_for_a_note(searcher, tmp_path):
    text = PngInfo()
    for key in ("filled_with", "half_transparent"):
        text.add_text(key, "<b>red</b>")
    disc((0, 60, 90), 255).convert("RGB").save(tmp_path / "a.png", pnginfo=text)
    assert searcher.search(tmp_path / "a.png", "is red").notes == []


@pytest.mark.parametrize("size", [(47, 60), (60, 32)])
def test_a_reference_that_is_too_small_to_compare_well_is_told(loaded, pictures, tmp_path, size):
    """Half of the results for a thumbnail were other ones than those for its picture."""
    small = Image.effect_noise(size, 60).convert("RGB")
    searcher, folder = searcher_with(small, "small.png", loaded, pictures, tmp_path)
    expected = f"a picture of {size[0]} × {size[1]} pixels"
    for query in ({"image": folder / "small.png"}, {"image": small}, {"reference_id": "small.png"}):
        notes = searcher.search(text="is red", **query).notes
        assert sum(expected in note for note in notes) == 1
    large_enough = Image.effect_noise((48, 48), 60).convert("RGB")
    assert searcher.search(large_enough, "is red").notes == []
    assert not any("pixels" in note for note in searcher.search(text="is red").notes)


def test_a_gallery_of_nothing_but_the_reference_answers_with_nothing(loaded, pictures, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "p.png").write_bytes((pictures / "p01.png").read_bytes())
    store = build_store(
        FolderSource(tmp_path / "one"),
        image_embedder(loaded),
        tmp_path / "s",
        model_identity(loaded),
    )
    assert Searcher(loaded, store).search(reference_id="p.png", text="is red").hits == []


def test_words_are_read_through_the_template_and_unknown_ones_told(searcher):
    result = searcher.search(None, "  is BLUE, zork and quux! ")
    assert result.model_text == "<BOS> is BLUE, zork and quux! <EOS>"
    assert result.unknown_words == ["zork", "quux"]


def test_unfamiliarity_is_the_models(searcher, loaded, reference):
    result = searcher.search(reference, "is red")
    values = loaded.processor(images=reference)["pixel_values"]
    with torch.inference_mode():
        features = loaded.model.clip.image_features(values)
        expected = float(loaded.model.familiarity.score(features))
    assert result.ood_score == pytest.approx(expected, rel=1e-5)
    assert searcher.search(reference).ood_score == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("score", "count"), [(None, 0), (0.2, 0), (1.0, 0), (1.01, 1), (1.4, 1)])
def test_an_unfamiliar_reference_is_told_in_the_notes(searcher, reference, score, count):
    """Only the page told of it: the command line and the API had a number alone."""
    query = searcher.encode_query(reference, "is red")
    query = replace(query, encoding=query.encoding._replace(ood_score=score))
    notes = searcher.answer(query, shift=1.0).to_dict()["notes"]
    said = [note for note in notes if "unlike those the model learned from" in note]
    assert len(said) == count
    assert notes[:count] == said


@pytest.mark.parametrize(("change", "count"), [(None, 0), (("trousers", "skirt"), 1)])
def test_a_change_of_kind_has_a_note(searcher, reference, change, count):
    query = searcher.encode_query(reference, "is red")
    query = replace(query, encoding=query.encoding._replace(change_of_kind=change))
    notes = searcher.answer(query).to_dict()["notes"]
    said = [note for note in notes if 'garment for "trousers"' in note]
    assert len(said) == count
    assert all('the words ask for "skirt"' in note for note in said)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "neither a picture nor words"),
        ({"text": " \n\t "}, "neither a picture nor words"),
        ({"text": "is red", "k": 0}, "k is 0"),
        ({"text": "is red", "k": -3}, "k is -3"),
        ({"text": "is red", "shift": math.nan}, "shift is not a number"),
        ({"text": "x" * 300 + " is red"}, r"CLIP tokens; this model reads at most 24\. Shorten it"),
        ({"reference_id": "nobody.png"}, r"no picture 'nobody\.png'"),
        ({"reference_id": "p01.png", "image": Image.new("RGB", (9, 9))}, "two references"),
    ],
)
def test_what_cannot_be_asked_is_a_query_error(searcher, query, says):
    with pytest.raises(QueryError, match=says):
        searcher.search(**query)


def test_a_reference_that_is_no_picture_is_a_picture_error(searcher, tmp_path):
    (tmp_path / "letter.jpg").write_text("dear")
    with pytest.raises(ImageError, match=r"letter\.jpg"):
        searcher.search(tmp_path / "letter.jpg", "is red")


@pytest.mark.slow
def test_a_store_of_another_model_is_refused(store, tmp_path):
    other = load.load(write_tiny_checkpoint(tmp_path / "other", seed=1))
    with pytest.raises(StoreError) as raised:
        Searcher(other, store)
    for seen in (store.manifest.model.fingerprint, other.fingerprint, "python -m dwc index"):
        assert seen in str(raised.value)


def test_an_empty_store_is_refused(loaded, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"no")
    store = build_store(
        FolderSource(folder), image_embedder(loaded), tmp_path / "store", model_identity(loaded)
    )
    with pytest.raises(StoreError, match=r"no pictures to find \(1 could not be read\)"):
        Searcher(loaded, store)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, -2.0, math.inf])
def test_a_joint_part_is_told_and_counts(pictures, tmp_path, shift):
    joint = load.load(write_tiny_checkpoint(tmp_path / "joint", combiner="clip4cir"))
    store = build_store(
        FolderSource(pictures), image_embedder(joint), tmp_path / "store", model_identity(joint)
    )
    result = Searcher(joint, store).search(pictures / "p02.png", "is red", shift=shift)
    for hit in result.hits:
        assert ("clip_joint" in hit.parts) == (shift != math.inf)
        assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-5)


def test_the_answer_is_plain_data(searcher, reference):
    answer = searcher.search(reference, "is blue", k=3, shift=0.5).to_dict()
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert set(answer["timings_ms"]) == {"encode", "search", "total"}
    assert answer["gallery_size"] == 21


def test_texts_composed_together_are_those_composed_alone(searcher, reference):
    """Also where one of them has no word that the model knows, and the image stays alone."""
    texts = ["is red", "zork", "is blue and shorter"]
    together = searcher.compose_texts(reference, texts).embedding
    for row, text in zip(together, texts, strict=True):
        alone = searcher.encode_query(reference, text).encoding.composed.embedding[0]
        assert row.numpy() == pytest.approx(alone.numpy(), abs=1e-5)


@pytest.mark.slow
def test_threads_do_not_disturb_each_other(searcher, pictures):
    files = sorted(pictures.glob("*.png"))
    questions = [
        {"image": file, "text": text, "shift": shift, "k": 5}
        for file in files[:6]
        for text, shift in [("is red", 0.0), ("has no sleeves", 2.0), ("", 0.0)]
    ] * 4
    alone = [searcher.search(**question).hits for question in questions]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda question: searcher.search(**question).hits, questions))
    for one, other in zip(alone, together, strict=True):
        assert [hit.id for hit in one] == [hit.id for hit in other]
        scores = [[hit.score for hit in hits] for hits in (one, other)]
        assert np.allclose(*scores, atol=1e-6)


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=40), st.booleans(), st.floats(allow_nan=False), st.integers(1, 30))
def test_any_query_is_answered_or_refused(searcher, reference, text, has_picture, shift, k):
    try:
        result = searcher.search(reference if has_picture else None, text, k=k, shift=shift)
    except QueryError:
        assert not has_picture or len(text.encode()) > 4  # too long, or no words either
        return
    assert len(result.hits) == min(k, 21)
    for weight in result.weights.values():
        assert 0 <= weight.image <= 1
        assert weight.image + weight.text == pytest.approx(1)
    for hit in result.hits:
        assert math.isfinite(hit.score)
        assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-5)


def test_a_store_opened_again_gives_the_same_answer(searcher, loaded, store, reference):
    again = Searcher(loaded, Store.open(store.path)).search(reference, "is red")
    assert again.hits == searcher.search(reference, "is red").hits


@pytest.mark.parametrize("id", ["./p03.png", "P03.PNG"])
def test_a_reference_is_known_however_its_id_is_spelled(searcher, id):
    assert searcher.encode_query(text="is red", reference_id=id).reference_id == "p03.png"
    found = searcher.search(text="is red", reference_id=id)
    wanted = searcher.search(text="is red", reference_id="p03.png")
    assert [hit.id for hit in found.hits] == [hit.id for hit in wanted.hits]
    query = searcher.encode_query(text="is red")
    sweep = searcher.sweep(query)
    assert sweep.position(id) == sweep.position("p03.png")
