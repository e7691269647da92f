#!/usr/bin/env bash
# pathspec 1.1.1: asked about a folder, `GitIgnoreSpec` with the patterns `*` and `!*/` answers that the
# folder is ignored, while git descends into it, since the last pattern that matches counts. About files in
# the folder it answers as git does. A program that walks a tree and asks about each folder before it
# enters it therefore loses every subfolder, although the patterns say "no file but those in .jpg".
# In turn, for `sub/` and `!sub/b.jpg`, it includes sub/b.jpg; git does not, as sub/ stays excluded.
# Expected: git's answers, which the class promises.
# Workaround: match each path, file or folder, by every pattern itself and let the last match decide, and
# do not enter excluded folders; or ask about files only, where no folder is excluded.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pathspec==1.1.1
cat > "$folder/run.py" <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from pathspec import GitIgnoreSpec

tree = Path(sys.argv[1])
(tree / "sub").mkdir(parents=True)
for name in ("a.jpg", "a.txt", "sub/b.jpg", "sub/b.txt"):
    (tree / name).touch()
subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
seen = []
for patterns, path in ((["*", "!*/", "!*.jpg"], "sub/"), (["sub/", "!sub/b.jpg"], "sub/b.jpg")):
    (tree / ".gitignore").write_text("\n".join(patterns) + "\n")
    # The status is 0 for an ignored path and 1 for others.
    checked = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", path], cwd=tree)
    by_git, by_pathspec = checked.returncode == 0, GitIgnoreSpec.from_lines(patterns).match_file(path)
    print(f"{patterns}: {path} is ignored by git: {by_git}, by pathspec: {by_pathspec}")
    seen.append((by_git, by_pathspec))
print(f"pathspec {version('pathspec')}")
sys.exit(seen != [(False, True), (True, False)])
PYTHON
"$folder/env/bin/python" "$folder/run.py" "$folder/tree" || { echo "the behavior has changed"; exit 1; }
echo "seen: both differ"
