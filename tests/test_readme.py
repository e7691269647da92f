"""The README: short, its links lead somewhere, and its numbers are those of the results page."""

import json
import re
from pathlib import Path

import pytest

from tests.bench.measuring import Row, rows_of_sizes, rows_of_table

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


def test_the_costs_of_large_galleries_are_those_that_were_measured():
    sizes = json.loads((ROOT / "assets/docs/gallery_sizes.json").read_text("utf-8"))["sizes"]
    page = (ROOT / "assets" / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows_of_sizes(sizes) if row not in page] == []
    for size in ("1000", "1000000"):
        row = sizes[size]
        assert f"{row['start_s']:.1f} s and" in README
        assert f"{row['search_ms']:.0f} ms" in README


def test_the_table_of_speed_is_what_was_measured():
    table = json.loads((ROOT / "assets/docs/speed.json").read_text("utf-8"))
    page = (ROOT / "assets" / "docs" / "speed.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.startswith("| ")][1:] == rows_of_table(table)
    rows = [Row(**fields) for section in table.values() for fields in section]
    quoted = [row for row in rows if row.beside in ("bare imports", "100 lone searches")]
    assert quoted
    assert [row for row in quoted if f"{row.ratio:.2f} times" not in README] == []


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


def test_make_installs_the_package_whose_extras_the_messages_name():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rule = makefile.partition("$(VENV)/.app: ")[2].partition("\n\n")[0]
    assert "install --quiet --no-deps --editable ." in rule
    assert ". .venv/bin/activate" in README
