"""axe-core on the page: fetched by npm as `package.json` pins it, and what it finds, in words."""

import json
import shutil
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).with_name("package.json")
FETCH = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
FETCH_SECONDS = 180
FAILING = {"serious", "critical"}


class NoAxeError(Exception):
    """It cannot be had here; says why."""


def fetch_axe(folder):
    """axe-core's script; `folder` keeps it for the next time."""
    version = json.loads(PACKAGE.read_text())["devDependencies"]["axe-core"]
    package = folder / "node_modules" / "axe-core"
    if _version(package) != version:
        npm = shutil.which("npm")
        if npm is None:
            raise NoAxeError("npm is not installed")
        shutil.copy(PACKAGE, folder)
        try:
            subprocess.run(
                [npm, *FETCH], cwd=folder, check=True, capture_output=True, timeout=FETCH_SECONDS
            )
        except subprocess.CalledProcessError as error:
            told = error.stderr.decode(errors="replace").strip()
            raise NoAxeError(f"npm could not fetch axe-core {version}: {told}") from error
        except subprocess.TimeoutExpired as error:
            raise NoAxeError(f"npm took more than {FETCH_SECONDS} s for axe-core") from error
    return (package / "axe.min.js").read_text(encoding="utf-8")


def _version(package):
    try:
        return json.loads((package / "package.json").read_text())["version"]
    except FileNotFoundError:
        return None


def violations(page):
    """What axe finds of impact serious or critical anywhere on the page: a line an element."""
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 20, "axe has looked at a page"
    return [
        f"{rule['id']} ({rule['impact']}): {node['target'][0]}: {_reasons(node)}"
        for rule in found["violations"]
        if rule["impact"] in FAILING
        for node in rule["nodes"]
    ]


def undecided_contrasts(page):
    """The reasons for which axe could not tell an element's contrast: reason -> elements."""
    found = page.evaluate(
        "axe.run(document, {runOnly: ['color-contrast'], resultTypes: ['incomplete']})"
    )
    undecided = {}
    for rule in found["incomplete"]:
        for node in rule["nodes"]:
            for check in node["any"]:
                undecided.setdefault(check["data"]["messageKey"], []).append(node["html"])
    return undecided


def _reasons(node):
    checks = [*node["any"], *node["all"], *node["none"]]
    return "; ".join(check["message"] for check in checks) + f" in {node['html'][:160]}"
