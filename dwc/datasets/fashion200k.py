"""Reader for the benchmark Fashion200k in its authors' format, with the queries of TIRG's authors.

    labels/<category>_<split>_detect_all.txt    path <tab> detection score <tab> caption
    test_queries.txt                            path of the reference, of the target
    women/…/<product>_<n>.jpeg                  the pictures, or under images/

Fashion200k has no modification texts by annotators. Two images whose captions differ in one word
form a pair, and the pair's text states the two words: "replace red with blue". Any image with the
target's caption is a hit (correct result). DWC's released code appends "and get <the target's
caption>" to the text, so that a query contains the description of its hits; the argument
`states_answer` controls this addition. Metrics with and without it are not comparable.
"""

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dwc.datasets.annotation_files import ListedImages, describe_folder, is_number, read_lines
from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet
from dwc.errors import DatasetError

logger = logging.getLogger(__name__)

SPLITS = ("train", "test")

# Characters and their spelled-out names. Word tokenization deletes the characters, which would make
# some captions equal.
_SPELLED_OUT = str.maketrans({".": "dotmark", "?": "questionmark", "&": "andmark", "*": "starmark"})
_ADVICE = (
    "expected Fashion200k's labels/ and, for testing, TIRG's test_queries.txt. "
    "Name the folder that has them"
)


@dataclass(frozen=True)
class LabeledImage:
    """An image that a label file lists, with its path and its cleaned caption."""

    path: str
    caption: str


def clean_caption(caption: str) -> str:
    """Strip the caption's surrounding white space and replace the characters `. ? & *` by words.

    For example, `&` becomes `andmark`. Otherwise, tokenization would delete these characters, and
    different captions could become equal.
    """
    return caption.strip().translate(_SPELLED_OUT)


def labeled_images(root: Path, split: str) -> list[LabeledImage]:
    """Return all images of a split ("train" or "test"), ordered by label file and line.

    An image that is listed several times gets its first caption. If some images are listed with
    different captions, a warning with the number of these images is logged.

    Raises:
        DatasetError: Files are missing or do not have the documented format.
    """
    if split not in SPLITS:
        raise DatasetError(f"Fashion200k has no split {split!r}; there are {', '.join(SPLITS)}")
    folder = Path(root) / "labels"
    files = sorted(folder.glob(f"*_{split}_detect_all.txt"))
    if not files:
        raise DatasetError(
            f"{folder} has no files *_{split}_detect_all.txt ({describe_folder(folder)}); {_ADVICE}"
        )
    pictures: dict[str, LabeledImage] = {}
    contradicted: set[str] = set()
    for path in files:
        for number, line in enumerate(read_lines(path, _ADVICE), 1):
            if line.strip():
                picture = _parse_label(path, number, line)
                first = pictures.setdefault(picture.path, picture)
                if first.caption != picture.caption:
                    contradicted.add(picture.path)
    if contradicted:
        logger.warning(
            "%s: %d of %d pictures are listed with several captions; the first is used",
            folder, len(contradicted), len(pictures),
        )  # fmt: skip
    if not pictures:
        raise DatasetError(f"{folder}: the files of {split} are empty. Fetch them again")
    return list(pictures.values())


def replacing_text(source: str, target: str, states_answer: bool = False) -> str:
    """Return the modification text "replace A with B" for two captions.

    A is the first word of `source` that is not in `target`, and B is the first word of `target`
    that is not in `source`. If all words of a caption are also in the other caption, the last word
    of the caption is used.

    Args:
        source: Caption of the reference image.
        target: Caption of the target image.
        states_answer: Whether to append " and get " and the target's caption.
    """
    old, new = _own_word(source, target), _own_word(target, source)
    answer = f" and get {target}" if states_answer else ""
    return f"replace {old} with {new}{answer}"


def fashion200k_benchmark(
    root: Path, split: str = "test", states_answer: bool = False
) -> Benchmark:
    """Return a benchmark with the queries of `test_queries.txt` and all test images as the gallery.

    The reference image of a query is excluded from its results.

    Args:
        root: The data folder.
        split: Must be "test".
        states_answer: Whether the text of a query also states its target's caption; see
            `replacing_text`.

    Raises:
        DatasetError: Files are missing or do not have the documented format, or `split` is not
            "test".
    """
    if split != "test":
        raise DatasetError(f"Fashion200k has queries for the split test only; asked for {split!r}")
    pictures = labeled_images(root, split)
    captions = {picture.path: picture.caption for picture in pictures}
    alike: dict[str, list[str]] = {}
    for picture in pictures:
        alike.setdefault(picture.caption, []).append(picture.path)
    hits = {caption: frozenset(paths) for caption, paths in alike.items()}
    queries = []
    for reference, target in _read_queries(Path(root) / "test_queries.txt", captions):
        answer = captions[target]
        text = replacing_text(captions[reference], answer, states_answer)
        queries.append(RetrievalQuery(reference, (text,), hits[answer]))
    return Benchmark(
        protocol=f"fashion200k-test-{'states_answer' if states_answer else 'replace'}",
        gallery=tuple(captions),
        queries=tuple(queries),
        notes={
            "hit": "any picture with the target's caption",
            "words": (
                "replace A with B and get <the target's caption>: the query states its answer"
                if states_answer
                else "replace A with B"
            ),
        },
    )


def fashion200k_images(root: Path, names: Iterable[str]) -> ListedImages:
    """Return a lookup of image files; an image's name is its path in the label files."""
    bases = [Path(root), Path(root) / "images"]
    return ListedImages(bases, {name: (name,) for name in names}, "Fashion200k's")


class TrainPairs:
    """Source of random training triplets whose reference and target captions differ in one word.

    Two captions differ in one word if removing one word from each leaves the same sequence of
    words. An image can be a reference if its caption differs in one word from that of another
    image. These images are numbered from 0, and a triplet is identified by the index of its
    reference.
    """

    def __init__(self, pictures: Sequence[LabeledImage], states_answer: bool = False) -> None:
        """Find the images that can be references.

        Args:
            pictures: Images that serve as references and targets.
            states_answer: Whether modification texts also state the target's caption; see
                `replacing_text`.

        Raises:
            DatasetError: No two captions differ in one word.
        """
        self._pictures = pictures
        self._states_answer = states_answer
        self._paths: dict[str, list[str]] = {}
        for picture in pictures:
            self._paths.setdefault(picture.caption, []).append(picture.path)
        self._children: dict[tuple[str, ...], list[str]] = {}
        for caption in self._paths:
            for rest in _without_a_word(caption):
                self._children.setdefault(rest, []).append(caption)
        self.indices = [  # indices of the images that can be paired with another
            index for index, picture in enumerate(pictures) if self._rests(picture.caption)
        ]
        if not self.indices:
            raise DatasetError(
                f"no two of {len(self._paths)} captions of Fashion200k are one word apart; "
                "expected many. Give the label files of the whole training split"
            )

    def __len__(self) -> int:
        """Return the number of images that can be references."""
        return len(self.indices)

    def draw(self, index: int, generator: random.Random) -> Triplet:
        """Return a triplet with a given reference and a random target.

        Three random choices are made: the word to replace in the reference's caption, another
        caption that differs only in this word, and an image with that caption as the target.

        Args:
            index: Index of the reference among the images that can be references, from 0.
            generator: Source of random choices.
        """
        picture = self._pictures[self.indices[index]]
        rest = generator.choice(self._rests(picture.caption))
        others = [caption for caption in self._children[rest] if caption != picture.caption]
        caption = generator.choice(others)
        text = replacing_text(picture.caption, caption, self._states_answer)
        return Triplet(picture.path, (text,), generator.choice(self._paths[caption]))

    def names(self) -> Iterable[str]:
        """Return the paths of all images given to the constructor; some may occur in no triplet."""
        return (picture.path for picture in self._pictures)

    def _rests(self, caption: str) -> list[tuple[str, ...]]:
        """Return, for each replaceable word of a caption, the caption's other words in order.

        A word is replaceable if some other caption differs only in this word.
        """
        return [rest for rest in _without_a_word(caption) if len(self._children[rest]) > 1]


def _without_a_word(caption: str) -> list[tuple[str, ...]]:
    words = caption.split()
    return list(dict.fromkeys((*words[:i], *words[i + 1 :]) for i in range(len(words))))


def _own_word(caption: str, other: str) -> str:
    words, others = caption.split(), set(other.split())
    return next((word for word in words if word not in others), words[-1] if words else "")


def _parse_label(path: Path, number: int, line: str) -> LabeledImage:
    fields = line.split("\t")
    if (
        len(fields) < 3
        or not fields[0].strip()
        or not fields[2].strip()
        or not is_number(fields[1])
    ):
        raise DatasetError(
            f"{path}: line {number} is {line[:80]!r}; expected a path, a detection score and a "
            "caption with tabs between them. Fetch the file again"
        )
    return LabeledImage(fields[0].strip(), clean_caption(fields[2]))


def _read_queries(path: Path, captions: dict[str, str]) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(read_lines(path, _ADVICE), 1):
        names = line.split()
        if not names:
            continue
        if len(names) != 2:
            raise DatasetError(
                f"{path}: line {number} is {line[:80]!r}; expected the paths of a reference and of "
                "a target. Fetch the file again"
            )
        if unknown := [name for name in names if name not in captions]:
            raise DatasetError(
                f"{path}: line {number} names {unknown[0]}, which no label file of the test split "
                "lists. Take labels/ and test_queries.txt from one release"
            )
        pairs.append((names[0], names[1]))
    if not pairs:
        raise DatasetError(f"{path} holds no queries; expected two paths a line. Fetch it again")
    return pairs
