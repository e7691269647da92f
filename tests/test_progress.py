"""Progress on a log file: whole lines, now and then, and always one at the end."""

import logging

import pytest

from dwc import progress
from dwc.progress import progress_bar, track

logger = logging.getLogger("dwc.test")


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_lines_are_written_at_the_interval_and_at_the_end(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(7, "stage", logger, done=1, line_every=2) as bar:
        for number in range(6):
            bar.set_postfix_str(f"loss {number}", refresh=False)
            bar.update()
    assert [line.split("  ")[0] for line in log.messages] == [
        "stage 3/7, loss 1",
        "stage 5/7, loss 3",
        "stage 7/7, loss 5",
    ]
    assert capsys.readouterr() == ("", "")


def test_quick_work_gets_one_line(log: pytest.LogCaptureFixture) -> None:
    assert list(track(range(300), "drawing", logger)) == list(range(300))
    assert len(log.messages) == 1
    assert log.messages[0].startswith("drawing 300/300 ")


def test_slow_work_gets_lines_by_the_clock(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    list(track(iter("abc"), "caching", logger, total=3))
    assert [line.split("  ")[0] for line in log.messages] == [f"caching {n}/3" for n in (1, 2, 3)]


def test_nothing_to_do_says_nothing(log: pytest.LogCaptureFixture) -> None:
    assert list(track([], "drawing", logger)) == []
    progress_bar(5, "stage", logger, done=5).close()
    assert log.messages == []
