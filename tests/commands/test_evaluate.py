"""`python -m dwc evaluate` on each benchmark of the literature, from the command to its JSON."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from dwc.cli import main
from dwc.commands.evaluate import SPLITS
from tests.evaluation import test_cirr, test_css3d, test_fashion200k, test_fashion_iq, test_shoes
from tests.evaluation.made import WORLD
from tests.search.tiny import write_tiny_checkpoint

BENCHMARKS = {
    "fashion_iq": lambda root: test_fashion_iq.write(root, "images"),
    "shoes": test_shoes.write,
    "fashion200k": test_fashion200k.write,
    "css3d": test_css3d.write,
    "cirr": test_cirr.write,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def made_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading gives the model that sees colours alone."""
    model, processor = WORLD
    checkpoint = SimpleNamespace(
        model=model, processor=processor, name="made", fingerprint="0123456789ab"
    )
    monkeypatch.setattr("dwc.checkpoints.load.load", lambda name: checkpoint)


def evaluate(*arguments: object) -> int:
    return main(["evaluate", "made", *map(str, arguments)])


@pytest.mark.usefixtures("made_model")
@pytest.mark.parametrize("dataset", BENCHMARKS)
def test_the_json_has_what_scripts_read(
    dataset: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.mkdir()
    BENCHMARKS[dataset](data)
    file = tmp_path / "out" / "numbers.json"
    assert evaluate("--dataset", dataset, "--data", data, "--json", file) == 0
    numbers = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert json.loads(file.read_text()) == numbers
    assert (numbers["model"], numbers["fingerprint"]) == ("made", "0123456789ab")
    assert numbers["protocol"].startswith(dataset)
    # The files are a few queries of a split; its published size is known for three benchmarks.
    has_known_size = dataset in ("fashion_iq", "shoes", "cirr")
    assert numbers["coverage"]["compared_with_published"] is has_known_size
    assert numbers["comparable"] is not has_known_size
    for part in (numbers, numbers["streams"]["clip"], numbers["streams"]["cnn"]):
        assert 0 <= part["recall@1"] <= part["recall@10"] <= part["recall@50"] <= 1


@pytest.mark.usefixtures("made_model")
@pytest.mark.parametrize("dataset", BENCHMARKS)
def test_the_seed_draws_queries_and_leaves_the_gallery(
    dataset: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.mkdir()
    BENCHMARKS[dataset](data)
    reports = []
    for seed in (0, 0, 1):
        drawn = ["--queries", 2, "--seed", seed]
        assert evaluate("--dataset", dataset, "--data", data, *drawn) == 0
        reports.append(json.loads(capsys.readouterr().out, parse_constant=pytest.fail))
    assert reports[0] == reports[1]
    assert reports[0]["queries"] == (6 if dataset == "fashion_iq" else 2)
    assert reports[0]["gallery"] == reports[2]["gallery"] == reports[0]["coverage"]["gallery_of"]
    assert "an estimate" in reports[0]["comparability"]


@pytest.mark.usefixtures("made_model")
def test_wishes_need_no_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []

    def evaluate_wishes(model: object, processor: object, **options: int) -> dict[str, object]:
        drawn.append(options)
        return {"protocol": "wishes"}

    monkeypatch.setattr("dwc.evaluation.catalogue.evaluate_wishes", evaluate_wishes)
    assert evaluate("--dataset", "wishes") == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "wishes"
    assert evaluate("--dataset", "wishes", "--queries", 7, "--seed", 3) == 0
    assert drawn == [{"count": 1000, "seed": 0}, {"count": 7, "seed": 3}]


@pytest.mark.usefixtures("made_model")
def test_options_of_one_benchmark(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir()
    test_fashion200k.write(data)
    assert evaluate("--dataset", "fashion200k", "--data", data, "--states-answer") == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "fashion200k-test-states_answer"
    iq = ["--dataset", "fashion_iq", "--data", data / "iq", "--protocol", "P4"]
    test_fashion_iq.write(data / "iq", "images")
    assert evaluate(*iq, "--category", "dress", "--category", "toptee") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["protocol"] == "fashion_iq-dress-toptee-P4"
    assert set(numbers["categories"]) == {"dress", "toptee"}


@pytest.mark.usefixtures("made_model")
def test_a_submission(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir()
    entries = test_cirr.write(data, "test1", "test1/")
    out = tmp_path / "submission"
    assert evaluate("--dataset", "cirr", "--data", data, "--submission", out) == 0
    test_cirr.check_files(out, entries, test_cirr.NAMES)
    numbers = json.loads(capsys.readouterr().out)
    assert (numbers["protocol"], numbers["complete"]) == ("cirr-test1", True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dataset", "shoes"], "shoes needs its files; say where: --data DIR"),
        (["--dataset", "shoes", "--data", "none"], "none is not a folder"),
        (["--dataset", "shoes", "--data", ".", "--split", "val"], "measured on test, not on 'val'"),
        (["--dataset", "fashion_iq", "--data", ".", "--split", "test"], "--split val"),
        (["--dataset", "shoes", "--data", ".", "--protocol", "P1"], "belongs to fashion_iq"),
        (["--states-answer"], "--states-answer belongs to fashion200k"),
        (["--dataset", "cirr", "--split", "val", "--submission", "x"], "of the split test1"),
        (["--dataset", "cirr", "--submission", "x", "--queries", "9"], "wants every query"),
        (["--queries", "0"], "--queries is 0; ask at least 1"),
    ],
)
def test_what_does_not_go_together_is_told_before_a_model_is_loaded(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "no-such-model", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("DatasetError: ")
    assert says in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("made_model")
@pytest.mark.parametrize("dataset", BENCHMARKS)
def test_an_unknown_layout_says_what_is_there_and_what_to_do(
    dataset: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "unpacked").mkdir(parents=True)
    assert evaluate("--dataset", dataset, "--data", data) == 2
    told = capsys.readouterr().err
    assert told.startswith("DatasetError: ")
    for part in ("holds unpacked", "expected", "Name the folder"):
        assert part in told
    assert told.count("\n") == 1


@pytest.mark.slow
def test_a_checkpoint_from_its_folder_meets_broken_pictures_and_long_texts(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = write_tiny_checkpoint(tmp_path / "model")
    data.mkdir()
    entries = test_cirr.write(data)
    words = ["has no sleeves " * (30 if n < 3 else 1) for n in range(len(entries))]
    entries = [{**one, "caption": said} for one, said in zip(entries, words, strict=True)]
    (data / "captions" / "cap.rc2.val.json").write_text(json.dumps(entries))
    asked = {name for one in entries[:3] for name in (one["reference"], one["target_hard"])}
    broken = next(name for name in test_cirr.NAMES if name not in asked)
    (data / "dev" / f"{broken}.png").unlink()
    (data / "dev" / f"{broken}.png").write_text("<html>404</html>")
    arguments = ["--dataset", "cirr", "--data", str(data)]
    assert main(["evaluate", str(model), *arguments]) == 0
    numbers = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (numbers["texts_cut"], numbers["unreadable"], numbers["gallery"]) == (3, 1, 89)
    assert f"skipped: {data / 'dev' / broken}.png: is not a picture" in caplog.text


def test_every_benchmark_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    offered = capsys.readouterr().out
    assert set(BENCHMARKS) < set(SPLITS)
    assert all(dataset in offered for dataset in SPLITS)
