"""Explanations wait for searches, but not for ever."""

import threading
import time

import pytest

from dwc.ui.concurrency import SearchActivity


def test_without_searches_nothing_waits():
    activity = SearchActivity()
    assert activity.wait_until_idle(5) < 1
    with activity.count():
        pass
    with pytest.raises(RuntimeError), activity.count():
        raise RuntimeError
    assert activity.wait_until_idle(5) < 1


def test_an_explanation_waits_until_the_last_search_is_answered():
    activity = SearchActivity()
    first, second = threading.Event(), threading.Event()
    order = []

    def search(end):
        with activity.count():
            started.release()
            end.wait(10)
            order.append("search")

    started = threading.Semaphore(0)
    threads = [threading.Thread(target=search, args=(end,)) for end in (first, second)]
    for thread in threads:
        thread.start()
        started.acquire()

    def explain():
        activity.wait_until_idle(10)
        order.append("explanation")

    explaining = threading.Thread(target=explain)
    explaining.start()
    first.set()
    threads[0].join()
    time.sleep(0.05)
    second.set()
    for thread in (*threads, explaining):
        thread.join()
    assert order == ["search", "search", "explanation"]


def test_searches_without_a_pause_delay_an_explanation_by_a_limited_time():
    activity = SearchActivity()
    with activity.count():
        assert 0.1 <= activity.wait_until_idle(0.1) < 5
