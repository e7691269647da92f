import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwc.datasets.fashion200k import (
    LabeledImage,
    TrainPairs,
    clean_caption,
    fashion200k_benchmark,
    fashion200k_images,
    labeled_images,
    replacing_text,
)
from dwc.errors import DatasetError

DRESSES = [
    ("women/dresses/1/1_0.jpeg", "black lace dress"),
    ("women/dresses/1/1_1.jpeg", "black lace dress"),
    ("women/dresses/2/2_0.jpeg", "white lace dress"),
    ("women/dresses/3/3_0.jpeg", "white lace dress"),
]
TOPS = [("women/tops/4/4_0.jpeg", "black & white no.5 top"), ("women/tops/5/5_0.jpeg", "silk top")]
QUERIES = "women/dresses/1/1_1.jpeg women/dresses/2/2_0.jpeg\n" * 2


def lines(rows: list[tuple[str, str]]) -> str:
    return "".join(f"{path}\t0.98{n}\t{caption}\n" for n, (path, caption) in enumerate(rows))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labels").mkdir()
    for split in ("train", "test"):
        (tmp_path / "labels" / f"dress_{split}_detect_all.txt").write_text(lines(DRESSES))
        (tmp_path / "labels" / f"top_{split}_detect_all.txt").write_text(lines(TOPS))
    (tmp_path / "labels" / "top_test_detect.txt").write_text("of another kind")
    (tmp_path / "test_queries.txt").write_text(QUERIES + "\n")
    return tmp_path


def test_captions_are_cleaned() -> None:
    assert clean_caption(" a.b? & *c \n") == "adotmarkbquestionmark andmark starmarkc"


def test_labels_are_read_file_by_file(root: Path) -> None:
    found = labeled_images(root, "test")
    assert [picture.path for picture in found] == [path for path, _ in (*DRESSES, *TOPS)]
    assert found[4].caption == "black andmark white nodotmark5 top"


def test_a_picture_listed_again_counts_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "labels" / "yyy_test_detect_all.txt").write_text(lines(DRESSES[:1]))
    labeled_images(root, "test")
    assert not caplog.records
    again = [(DRESSES[0][0], "red dress")]
    (root / "labels" / "zzz_test_detect_all.txt").write_text(lines(again))
    assert [p.caption for p in labeled_images(root, "test")].count("red dress") == 0
    assert len(labeled_images(root, "test")) == 6
    assert "1 of 6 pictures are listed with several captions" in caplog.text


def test_the_benchmark(root: Path) -> None:
    made = fashion200k_benchmark(root)
    assert made.protocol == "fashion200k-test-replace"
    assert made.reference_removed
    assert len(made.gallery) == 6
    assert len(made.queries) == 2
    query = made.queries[0]
    assert query.reference == "women/dresses/1/1_1.jpeg"
    assert query.captions == ("replace black with white",)
    assert query.hits == {"women/dresses/2/2_0.jpeg", "women/dresses/3/3_0.jpeg"}


def test_the_answer_is_stated_only_on_request_and_the_protocol_says_so(root: Path) -> None:
    made = fashion200k_benchmark(root, states_answer=True)
    assert made.queries[0].captions == ("replace black with white and get white lace dress",)
    assert made.protocol == "fashion200k-test-states_answer"
    assert "states its answer" in made.notes["words"]


def test_a_word_added_or_taken_away() -> None:
    assert replacing_text("long dress", "dress") == "replace long with dress"
    assert replacing_text("dress", "long dress") == "replace dress with long"


def one_word_apart(one: str, other: str) -> bool:
    def rests(caption: str) -> set[tuple[str, ...]]:
        words = caption.split()
        return {tuple(w for j, w in enumerate(words) if j != i) for i in range(len(words))}

    return one != other and bool(rests(one) & rests(other))


words = st.lists(st.sampled_from(["red", "blue", "long", "dress"]), min_size=1, max_size=4)
captions = st.lists(words.map(" ".join), min_size=2, max_size=8)


@pytest.mark.slow
@given(captions=captions, seed=st.integers(0, 9))
def test_training_pairs_are_all_those_one_word_apart(captions: list[str], seed: int) -> None:
    pictures = [LabeledImage(str(n), caption) for n, caption in enumerate(captions)]
    partners = [{o for o in captions if one_word_apart(c, o)} for c in captions]
    if not any(partners):
        with pytest.raises(DatasetError, match="one word apart"):
            TrainPairs(pictures)
        return
    pairs = TrainPairs(pictures)
    assert pairs.indices == [n for n, found in enumerate(partners) if found]
    generator = random.Random(seed)
    for place in range(len(pairs)):
        drawn = {captions[int(pairs.draw(place, generator).target)] for _ in range(5)}
        assert drawn <= partners[pairs.indices[place]]


def test_training_pairs_follow_the_generator(root: Path) -> None:
    pairs = TrainPairs(labeled_images(root, "train"))
    assert len(pairs) == 4  # the dresses
    drawn = [pairs.draw(0, random.Random(seed)) for seed in range(20)]
    assert drawn == [pairs.draw(0, random.Random(seed)) for seed in range(20)]
    assert {t.target for t in drawn} == {"women/dresses/2/2_0.jpeg", "women/dresses/3/3_0.jpeg"}
    assert {t.captions for t in drawn} == {("replace black with white",)}
    stating = TrainPairs(labeled_images(root, "train"), states_answer=True)
    assert stating.draw(0, random.Random(0)).captions[0].endswith("and get white lace dress")


@pytest.mark.parametrize("base", ["", "images"])
def test_pictures_are_found_at_their_paths(root: Path, base: str) -> None:
    place = root / base / DRESSES[0][0]
    place.parent.mkdir(parents=True)
    place.touch()
    found = fashion200k_images(root, fashion200k_benchmark(root).gallery)
    assert found.find(DRESSES[0][0]) == place
    assert len(found.missing(fashion200k_benchmark(root).gallery)) == 5


def test_no_pictures_at_all(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"no pictures such as women/dresses/1/1_0\.jpeg under"):
        fashion200k_images(root, fashion200k_benchmark(root).gallery).find("x")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("labels/dress_test_detect_all.txt", "a.jpeg\t0.9\n", "line 1 is .* a path, a detection"),
        ("labels/dress_test_detect_all.txt", "a.jpeg\thigh\tred dress\n", "line 1"),
        ("labels/dress_test_detect_all.txt", "a\t1\tred\n\t1\tred\n", "line 2"),
        ("test_queries.txt", "\n", "holds no queries"),
        ("test_queries.txt", QUERIES + "a b c\n", "line 3 is 'a b c'; expected the paths"),
        ("test_queries.txt", "women/tops/4/4_0.jpeg gone.jpeg\n", "line 1 names gone.jpeg"),
    ],
)
def test_malformed_files(root: Path, file: str, content: str, message: str) -> None:
    (root / file).write_text(content)
    with pytest.raises(DatasetError, match=message):
        fashion200k_benchmark(root)


def test_bytes_that_are_no_text(root: Path) -> None:
    (root / "test_queries.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read"):
        fashion200k_benchmark(root)


def test_missing_files_and_unknown_splits(root: Path) -> None:
    with pytest.raises(DatasetError, match="queries for the split test only"):
        fashion200k_benchmark(root, "train")
    with pytest.raises(DatasetError, match="no split 'val'"):
        labeled_images(root, "val")
    (root / "test_queries.txt").unlink()
    with pytest.raises(DatasetError, match=r"test_queries\.txt is missing"):
        fashion200k_benchmark(root)
    for path in (root / "labels").glob("*_train_*"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"no files \*_train_detect_all\.txt"):
        labeled_images(root, "train")
