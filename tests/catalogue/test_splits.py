import random
from collections import Counter
from hashlib import sha256

import pytest

from dwc.catalogue.language.description import describe
from dwc.catalogue.schema import CATEGORIES, COLORS, PATTERNS, Garment, sample_garment
from dwc.catalogue.splits import SPLITS, family, gallery, split_of, training_triplets


def combination(garment: Garment) -> tuple[str, str, str]:
    return garment.category, garment["colour"], garment["pattern"]


@pytest.mark.slow
def test_splits_share_no_combination_and_training_knows_every_part() -> None:
    rng = random.Random(0)
    combinations: dict[str, set[tuple[str, str, str]]] = {split: set() for split in SPLITS}
    for _ in range(30_000):
        garment = sample_garment(rng)
        combinations[split_of(garment)].add(combination(garment))
    assert not combinations["train"] & combinations["test"]
    assert not combinations["train"] & combinations["val"]
    assert not combinations["val"] & combinations["test"]
    categories, colors, patterns = (set(part) for part in zip(*combinations["train"], strict=True))
    assert categories == set(CATEGORIES)
    assert colors == set(COLORS)
    assert patterns == set(PATTERNS)
    total = sum(map(len, combinations.values()))
    assert len(combinations["train"]) / total == pytest.approx(0.7, abs=0.03)
    assert len(combinations["test"]) / total == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("split", SPLITS)
def test_a_family_stays_in_its_split_and_spans_small_and_large_changes(split: str) -> None:
    differing: Counter[int] = Counter()
    for seed in range(100):
        base, *others = family(random.Random(seed), split)  # type: ignore[arg-type]
        assert {split_of(garment) for garment in (base, *others)} == {split}
        assert len({base, *others}) == 1 + len(others)
        for other in others:
            if other.category == base.category:
                differing[sum(a != b for a, b in zip(base.values, other.values, strict=True))] += 1
            Garment.of(other.category, **other.attributes)  # raises where it contradicts itself
    assert differing[1] > 40
    assert sum(count for changes, count in differing.items() if changes >= 6) > 40


def test_a_gallery_is_distinct_grows_at_its_end_and_differs_by_seed() -> None:
    items = gallery("test", 600)
    assert len({item.garment for item in items}) == 600
    assert len({item.picture_seed for item in items}) == 600
    assert items[42].id == "test-00042"
    assert {split_of(item.garment) for item in items} == {"test"}
    assert gallery("test", 100) == items[:100]
    assert gallery("test", 100, seed=1) != items[:100]
    assert gallery("test", 0) == []
    with pytest.raises(ValueError, match="0 or more"):
        gallery("test", -1)


def test_the_catalogue_is_the_same_everywhere() -> None:
    """Changes with the schema or the language, on purpose; then published numbers change too."""
    items = gallery("test", 40)
    rng = random.Random(0)
    lines = [f"{i.id} {i.garment.category} {i.garment.values} {i.picture_seed}" for i in items]
    lines += [describe(item.garment, rng) for item in items]
    drawn = training_triplets(items, seed=0, count=40)
    lines += [
        f"{reference} {target} {modification.captions}" for reference, target, modification in drawn
    ]
    assert sha256("\n".join(lines).encode()).hexdigest()[:16] == "7c180c3aab6135c3"


@pytest.mark.slow
def test_triplets_span_all_numbers_of_changes() -> None:
    items = gallery("train", 3000)
    changes: Counter[int] = Counter()
    crossing = 0
    for reference, target, _ in training_triplets(items, seed=0, count=2000):
        one, other = items[reference].garment, items[target].garment
        if one.category != other.category:
            crossing += 1
        else:
            changes[sum(a != b for a, b in zip(one.values, other.values, strict=True))] += 1
    assert 0 < crossing < 200
    assert all(changes[count] > 120 for count in range(1, 9))


@pytest.mark.slow
def test_the_noise_dial_changes_the_words_and_nothing_else() -> None:
    items = gallery("train", 500)
    clean = list(training_triplets(items, 3, 800))
    noisy = list(training_triplets(items, 3, 800, wrong_text_share=0.25))
    right = {(reference, target): modification for reference, target, modification in clean}
    both = [(right[r, t], modification) for r, t, modification in noisy if (r, t) in right]
    wrong = sum(one != other for one, other in both) / len(both)
    assert len(both) > 700
    assert wrong == pytest.approx(0.25, abs=0.06)
    assert list(training_triplets(items, 3, 50)) == clean[:50]
    with pytest.raises(ValueError, match="a share from 0 to 1"):
        next(training_triplets(items, 3, 1, wrong_text_share=2))


def test_a_pool_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="take a larger pool"):
        next(training_triplets(gallery("train", 1), seed=0))
