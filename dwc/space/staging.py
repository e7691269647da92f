"""Staging of a Hugging Face Space: collection of its files in a folder, and checks of these files.

The folder has the app's entry point, its requirements, the package `dwc`, the checkpoints that are
served, and a README.md. It has no tests, caches or other files, since the Hub stores and shows
every file of a Space.

The README.md begins with the front matter: YAML that configures the Space. The fields of the front
matter are documented at https://huggingface.co/docs/hub/spaces-config-reference.
"""

import re
import shutil
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from huggingface_hub import SpaceCard, SpaceCardData, SpaceHardware

from dwc.checkpoints.hub import Commit, find_commit
from dwc.checkpoints.load import ALL_BUNDLED, is_companion, is_part
from dwc.checkpoints.save import list_files
from dwc.checkpoints.validate import CONFIG
from dwc.errors import CheckpointError, SpaceError, list_names
from dwc.files import asset_path, atomic_folder, write_text

README = "README.md"
APP_FILE = "app.py"
REQUIREMENTS = "requirements.txt"

MAX_BYTES = 10_000_000
"""The maximum size in bytes of a file that is not in the Hub's storage for large files."""

ZERO_GPU = "zero-a10g"
"""The Hub's name of ZeroGPU, hardware with a GPU that is shared among Spaces."""

_PACKAGE = Path(__file__).resolve().parents[1]
_STATIC = "ui/static"
_STUDY_FILES = ("study.json",)
_LEGAL_FILES = ("LICENSE", "NOTICE")
_TOP_LEVEL = (README, APP_FILE, REQUIREMENTS, *_LEGAL_FILES, ".gitattributes")
_FOLDERS = ("dwc/", "assets/")
# Weights are stored as large files. All other files are texts.
_WEIGHTS_SUFFIX = ".safetensors"
_TEXT_SUFFIXES = (".py", ".css", ".js", ".json", ".jsonl", ".md", ".txt")
_UNWANTED_PARTS = ("tests", "__pycache__", "findings", "runs")

# ZeroGPU supports only these versions; see https://huggingface.co/docs/hub/spaces-zerogpu.
_ZERO_GPU_PYTHON = "3.12.12"
_ZERO_GPU_TORCH = "torch>=2.8,<2.12"
_PYTHON = "3.11"

_APP = '''\
"""Entry point of the Space: serves the web app of the package `dwc`."""

import os
import sys

{defaults}
from dwc import cli

if __name__ == "__main__":
    sys.exit(cli.main(["app"]))
'''

_TEXT = """\

# {title}

Give a picture and say what should differ: *like this, but blue and without sleeves*. You get the
pictures that fit both, and the weight that the model gave the picture and the words for this query,
with what each did to every result.

The model is **DWC**, [Dynamic Weighted Combiner for Mixed-Modal Image
Retrieval](https://arxiv.org/abs/2312.06179), beside **PL**, [Progressive Learning for Image
Retrieval with Hybrid-Modality Queries](https://arxiv.org/abs/2204.11212).

{serves}
Uploads are deleted after ten minutes, and nothing is sent elsewhere. The app's API is described
under *Use via API* at the foot of the page; `/health` says whether it can answer.
"""


@dataclass(frozen=True)
class SpaceSettings:
    """The settings of a Space.

    Attributes:
        models: The models: names of bundled checkpoints, or names on the Hub, `owner/name` or
            `owner/name@revision`. Empty for all bundled checkpoints.
        gallery: The dataset on the Hub that the Space searches; None for the drawn garments.
        title: The title of the Space.
        hardware: The Hub's name of the intended hardware.
    """

    models: Sequence[str] = ()
    gallery: str | None = None
    title: str = "DWC"
    hardware: str = "cpu-basic"


def stage(folder: Path, settings: SpaceSettings) -> dict[str, int]:
    """Write the files of a Space to a folder, check them, and return their sizes.

    If the folder has an earlier staged Space, all of it is replaced.

    Args:
        folder: The folder. It must be new or empty, or have a staged Space.
        settings: The settings of the Space.

    Returns:
        The size of each file in bytes, by path.

    Raises:
        SpaceError: The folder has other files, a file or the front matter violates a rule of the
            Hub, or a model is a local folder.
        CheckpointError: A model is not on the Hub, or a bundled checkpoint is missing.
    """
    if folder.exists():
        _require_ours(folder)
    if settings.gallery and Path(settings.gallery).expanduser().exists():
        raise SpaceError(
            f"{settings.gallery} is on this machine only, where a Space cannot read it. Upload it "
            "as a dataset, and give its name on the Hub."
        )
    bundled, commits = _find_models(settings.models)
    with atomic_folder(folder) as partial:
        for path, file in {**_package_files(), **_asset_files(bundled)}.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial / path)
        write_text(partial / APP_FILE, _render_app(settings, bundled, commits))
        write_text(partial / REQUIREMENTS, _render_requirements(settings.hardware))
        write_text(partial / README, _render_readme(settings, bundled, commits))
        check(partial)
    return {path: file.stat().st_size for path, file in list_staged(folder).items()}


def list_staged(folder: Path) -> dict[str, Path]:
    """Return the files of a Space that are collected in a folder, sorted by path.

    The result maps a file's path in the Space to its path on this machine.
    """
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    return {file.relative_to(folder).as_posix(): file for file in files}


def check(folder: Path) -> None:
    """Check that a folder has exactly the files of a Space, and that the Hub accepts them.

    Raises:
        SpaceError: A file is missing, is too large, has the wrong type, or does not belong to a
            Space; or the front matter of README.md violates a rule. The message lists up to 20
            problems.
    """
    files = list_staged(folder)
    problems = [
        f"{name} is missing." for name in (README, APP_FILE, REQUIREMENTS) if name not in files
    ]
    for path, file in files.items():
        problems += [f"{path} {problem}." for problem in _find_file_problems(path, file)]
    if README in files:
        front_matter = read_front_matter(files[README])
        problems += [f"{README}: {p}" for p in find_problems(front_matter, files.__contains__)]
    if problems:
        raise SpaceError(
            f"the files cannot be uploaded as a Space: {' '.join(problems[:20])} Mend this and run "
            "the command again."
        )


def select_outdated(existing: Collection[str]) -> list[str]:
    """Return the paths of an existing Space's files that an upload replaces or deletes.

    Args:
        existing: The paths of all files in the Space.

    Raises:
        SpaceError: The Space has files that are not of this project and must not be deleted.
    """
    others = [p for p in existing if p not in _TOP_LEVEL and not p.startswith(_FOLDERS)]
    is_ours = "dwc/cli.py" in existing
    if others or (APP_FILE in existing and not is_ours):
        raise SpaceError(
            "there is a Space of this name already, with files that are not of this project: "
            f"{list_names(others or [APP_FILE])}. Nothing was uploaded. Give another name, or "
            "delete that Space first."
        )
    return [path for path in existing if path != ".gitattributes"]


def _require_ours(folder: Path) -> None:
    if not folder.is_dir():
        raise SpaceError(f"{folder} is a file; give a folder for the files of the Space.")
    names = [path.name for path in folder.iterdir()]
    is_staged = (folder / "dwc" / "cli.py").is_file() and (folder / APP_FILE).is_file()
    expected = (*_TOP_LEVEL, *(name.rstrip("/") for name in _FOLDERS))
    if names and not (is_staged and set(names) <= set(expected)):
        raise SpaceError(
            f"{folder} has other files than those of a staged Space: "
            f"{list_names(set(names) - set(expected) or names)}. Give a new or empty folder."
        )


def _find_models(models: Sequence[str]) -> tuple[list[str], list[Commit]]:
    """Separate a Space's models into those bundled with this package and those on the Hub.

    Args:
        models: The models' names; empty for all bundled models.

    Returns:
        The names of the bundled models, and the commits of the models on the Hub.

    Raises:
        SpaceError: A model is a local folder.
        CheckpointError: A model is not on the Hub.
    """
    if not models:
        return list(ALL_BUNDLED), []
    bundled = [name for name in models if name in ALL_BUNDLED]
    commits = []
    for name in models:
        if name in ALL_BUNDLED:
            continue
        if Path(name).expanduser().exists():
            raise SpaceError(
                f"{name} is on this machine only, where a Space cannot read it. Publish it first "
                f"(python -m dwc push {name} OWNER/NAME), and give its name on the Hub."
            )
        repo, _, revision = name.partition("@")
        commit = find_commit(repo, revision or None)
        if CONFIG not in commit.files:
            raise CheckpointError(f"{commit.where} has no {CONFIG}, so it is no checkpoint of DWC.")
        commits.append(commit)
    return bundled, commits


def _package_files() -> dict[str, Path]:
    """Return the files of the package `dwc`, including style sheets and scripts.

    The result maps a file's path in the Space to its path on this machine.
    """
    files = [*_PACKAGE.rglob("*.py"), *(_PACKAGE / _STATIC).glob("*")]
    return {f"dwc/{file.relative_to(_PACKAGE).as_posix()}": file for file in files}


def _asset_files(bundled: Iterable[str]) -> dict[str, Path]:
    """Return the asset files of a Space: bundled checkpoints, a study's results, and licenses.

    The result maps a file's path in the Space to its path on this machine.

    Raises:
        CheckpointError: A bundled checkpoint is missing.
    """
    files = {f"assets/study/{name}": asset_path("study", name) for name in _STUDY_FILES}
    for name in bundled:
        folder = asset_path("checkpoints", name)
        if not (folder / CONFIG).is_file():
            raise CheckpointError(f"the bundled checkpoint {name} is not at {folder}.")
        for path, file in list_files(folder).items():
            files[f"assets/checkpoints/{name}/{path}"] = file
    files |= {name: _PACKAGE.parent / name for name in _LEGAL_FILES}
    return {path: file for path, file in files.items() if file.is_file()}


def _render_app(settings: SpaceSettings, bundled: Sequence[str], commits: Sequence[Commit]) -> str:
    """Return the content of app.py.

    The code sets the environment variables that choose the models and the gallery. A variable that
    is already set in the settings of the Space keeps its value.
    """
    defaults: dict[str, str] = {}
    if settings.models:
        models = _order(settings.models, bundled, commits)
        defaults["DWC_MODEL"] = ",".join(models)
    if settings.gallery:
        defaults["DWC_GALLERY"] = settings.gallery
    lines = [f"os.environ.setdefault({name!r}, {value!r})" for name, value in defaults.items()]
    text = _APP.format(defaults="\n".join(lines))
    return text if lines else text.replace("import os\n", "").replace("\n\n\nfrom", "\n\nfrom")


def _order(models: Sequence[str], bundled: Sequence[str], commits: Sequence[Commit]) -> list[str]:
    """Return the models' names in the given order, with a fixed commit for each model on the Hub.

    A bundled model keeps its name. A model on the Hub gets the name `owner/name@hash`, with the
    hash of its commit.

    Args:
        models: The models' names as given by the user.
        bundled: The names in `models` that are bundled checkpoints.
        commits: The commit to use for each model on the Hub, in the order of `models`.
    """
    on_hub = (f"{commit.repo}@{commit.hash}" for commit in commits)
    return [model if model in bundled else next(on_hub) for model in models]


def _render_requirements(hardware: str) -> str:
    """Return the content of requirements.txt: the list of the packages that `dwc` needs.

    Args:
        hardware: The Hub's name of the hardware; ZeroGPU supports only some versions of torch.
    """
    file = _PACKAGE.parent / REQUIREMENTS
    if (_PACKAGE.parent / "pyproject.toml").is_file() and file.is_file():
        text = file.read_text(encoding="utf-8")
    else:  # `dwc` is an installed package, without a file of requirements
        needed = metadata.requires("dwc") or []
        text = "\n".join(line for line in needed if "extra ==" not in line) + "\n"
    if hardware == ZERO_GPU:
        text = re.sub(r"(?m)^torch[<>=].*$", _ZERO_GPU_TORCH, text)
    return text


def _render_readme(
    settings: SpaceSettings, bundled: Sequence[str], commits: Sequence[Commit]
) -> str:
    data = SpaceCardData(
        title=settings.title,
        emoji="🧥",
        colorFrom="blue",
        colorTo="yellow",
        sdk="gradio",
        sdk_version=metadata.version("gradio"),
        python_version=_ZERO_GPU_PYTHON if settings.hardware == ZERO_GPU else _PYTHON,
        app_file=APP_FILE,
        short_description="Search by picture and words, and see what it listens to",
        license="apache-2.0",
        models=list(dict.fromkeys(commit.repo for commit in commits)) or None,
        datasets=[settings.gallery] if settings.gallery else None,
        preload_from_hub=[_preload(commit) for commit in commits] or None,
        tags=["composed-image-retrieval", "image-retrieval", "multimodal", "explainability"],
        suggested_hardware=settings.hardware,
        pinned=False,
    )
    fields = {name: value for name, value in data.to_dict().items() if value is not None}
    serves = [f"- `{name}`, a bundled checkpoint\n" for name in bundled]
    serves += [
        f"- [{c.repo}](https://huggingface.co/{c.repo}), at {c.hash[:12]}\n" for c in commits
    ]
    gallery = settings.gallery or "the drawn garments"
    body = _TEXT.format(
        title=settings.title, serves=f"It serves, over {gallery}:\n\n{''.join(serves)}"
    )
    return f"---\n{SpaceCardData(**fields).to_yaml()}\n---\n{body}"


def _preload(commit: Commit) -> str:
    """Return an entry for `preload_from_hub`, a list in the front matter of a Space's README.md.

    The entry makes the Hub download the checkpoint of this commit when it builds the Space.
    """
    paths = [path for path in sorted(commit.files) if is_part(path) or is_companion(path)]
    return f"{commit.repo} {','.join(paths)} {commit.hash}"


def _find_file_problems(path: str, file: Path) -> list[str]:
    if file.is_symlink():
        return ["is a link; a Space needs the file itself"]
    problems = []
    parts = path.split("/")
    is_known = path in _TOP_LEVEL or path.startswith(_FOLDERS)
    if not is_known or any(p in _UNWANTED_PARTS or p.startswith(".") for p in parts):
        problems.append("does not belong to a Space")
    if file.suffix == _WEIGHTS_SUFFIX:
        return problems  # the Hub stores it as a large file, of any size
    if (size := file.stat().st_size) > MAX_BYTES:
        problems.append(f"has {size:,} bytes, more than {MAX_BYTES:,}")
    elif file.suffix not in _TEXT_SUFFIXES and path not in _LEGAL_FILES:
        problems.append("is of no kind that a Space needs")
    elif not _is_text_file(file):
        problems.append("is no text, whatever its name says")
    return problems


def _is_text_file(file: Path) -> bool:
    try:
        return "\0" not in file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False


COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
"""The colors that a Space's thumbnail may have."""

SHORT_DESCRIPTION_LENGTH = 60
"""The maximum length of a Space's short description, in characters."""

REQUIRED_FIELDS = (
    "title",
    "emoji",
    "colorFrom",
    "colorTo",
    "sdk",
    "sdk_version",
    "app_file",
    "license",
)
"""The fields that the front matter of this project's Spaces must have."""

# Documented fields that this project does not set. All other fields have a rule below.
_OTHER_FIELDS = (
    "suggested_storage",
    "app_build_command",
    "app_port",
    "base_path",
    "fullWidth",
    "header",
    "thumbnail",
    "hf_oauth",
    "hf_oauth_expiration_minutes",
    "hf_oauth_scopes",
    "hf_oauth_authorized_org",
    "disable_embedding",
    "startup_duration_timeout",
    "custom_headers",
)

_HUB_NAME = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?"
_PRELOAD = re.compile(rf"{_HUB_NAME}( [^\s,]+(,[^\s,]+)*( [0-9a-f]{{40}})?)?")
_EMOJI_CATEGORIES = ("So", "Sk", "Mn", "Cf")  # symbols, skin tones, variation selectors, joiners


def read_front_matter(readme: Path) -> dict[str, Any]:
    """Return the front matter of a README.md file; an empty dict if there is none.

    Raises:
        SpaceError: The front matter is not valid YAML, or the file cannot be read.
    """
    try:
        return SpaceCard.load(readme).data.to_dict()
    except Exception as error:  # among others the errors of the YAML library
        raise SpaceError(f"{readme}: its front matter cannot be read: {error}") from error


def find_problems(front_matter: Mapping[str, Any], files: Callable[[str], bool]) -> list[str]:
    """Check a Space's front matter against the documented rules of the Hub.

    Args:
        front_matter: The fields of the front matter by name.
        files: Function that returns whether the Space has a file with the given path.

    Returns:
        A sentence for each problem; empty if there is no problem.
    """
    problems = [f"{name} is missing." for name in REQUIRED_FIELDS if name not in front_matter]
    for name, value in front_matter.items():
        if name in _FIELD_RULES:
            is_valid, expected = _FIELD_RULES[name]
            if not is_valid(value):
                problems.append(f"{name} is {value!r}; expected: {expected}.")
        elif name not in _OTHER_FIELDS:
            problems.append(f"{name} is no field of a Space; check its spelling.")
    app_file = front_matter.get("app_file")
    if isinstance(app_file, str) and app_file and not files(app_file):
        problems.append(f"app_file is {app_file!r}, and there is no such file.")
    return problems


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_emoji(value: Any) -> bool:
    return _is_text(value) and all(unicodedata.category(c) in _EMOJI_CATEGORIES for c in value)


def _matches(pattern: str | re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_list_of(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_valid, value))


def _is_short(value: Any) -> bool:
    return _is_text(value) and len(value) <= SHORT_DESCRIPTION_LENGTH


_NAMES = (_is_list_of(_matches(_HUB_NAME)), "a list of names on the Hub: owner/name")
_COLOR = (lambda value: value in COLORS, f"one of {', '.join(COLORS)}")

# For each field a function that accepts its valid values, and a description of these values.
_FIELD_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "title": (_is_text, "a text"),
    "emoji": (_is_emoji, "emoji alone"),
    "colorFrom": _COLOR,
    "colorTo": _COLOR,
    "sdk": (lambda value: value == "gradio", "gradio"),
    "sdk_version": (_matches(r"\d+\.\d+\.\d+"), "a full version of Gradio, such as 6.31.0"),
    # Without quotes, YAML reads 3.10 as the number 3.1.
    "python_version": (_matches(r"3\.\d+(\.\d+)?"), "a version in quotes, such as '3.11'"),
    "app_file": (_is_text, "the path of a file"),
    "pinned": (lambda value: isinstance(value, bool), "true or false"),
    "license": (_matches(r"[a-z0-9][a-z0-9.+-]*"), "the Hub's name of a license"),
    "short_description": (_is_short, f"a text of at most {SHORT_DESCRIPTION_LENGTH} characters"),
    "suggested_hardware": (
        lambda value: value in [hardware.value for hardware in SpaceHardware],
        "a kind of hardware of the Hub, such as cpu-basic",
    ),
    "models": _NAMES,
    "datasets": _NAMES,
    "tags": (_is_list_of(_is_text), "a list of texts"),
    "preload_from_hub": (
        _is_list_of(_matches(_PRELOAD)),
        "a list with items of the form: owner/name file,file commit",
    ),
}
