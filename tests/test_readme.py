"""The README: short, its links lead somewhere, and its numbers are those of the results page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "assets" / "docs").glob("*.md"))


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_readme_quotes_rows_of_the_results_page():
    results = (ROOT / "assets" / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    section = README.split("## Results\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 5
    assert [row for row in rows if row not in results] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_local_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_modules_that_are_named_exist(page):
    named = re.findall(r"`(dwc/[\w/]+\.py|dwc/[\w/]+/)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
