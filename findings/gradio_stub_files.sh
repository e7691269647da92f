#!/usr/bin/env bash
# gradio 6.31.0: whenever it is imported, it parses the source of every component, and reads and, if need
# be, rewrites a stub file (`.pyi`) beside it in site-packages, although a program has no use for them.
# That takes 40 % of the time of `import gradio`, in each process, and in an installation that cannot be
# written to as well.
# Expected: stub files come with the package, or are made once.
# Workaround: replace `create_or_modify_pyi` of `gradio.component_meta` before the first component is
# defined, which is while `gradio` is imported: by an import hook.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0
cat > "$folder/run.py" <<'PYTHON'
import sys
import time

opened, parsed = set(), 0


def watch(event, arguments):
    global parsed
    if event == "open" and str(arguments[0]).endswith(".pyi"):
        opened.add(str(arguments[0]))
    # `ast.parse` compiles text to a tree; an ordinary import compiles to code or reads cached code.
    if event == "compile" and arguments[1] == "<unknown>":
        parsed += 1


sys.addaudithook(watch)
start = time.process_time()
import gradio

seconds = time.process_time() - start
seen = f"{seconds:.1f} s, {len(opened)} stub files, {parsed} parsed texts"
print(f"{gradio.__version__}: {seen}", file=sys.stderr)
print(len(opened))
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
"$folder/env/bin/python" "$folder/run.py" > "$folder/first"  # compiles the modules, too
"$folder/env/bin/python" "$folder/run.py" > "$folder/second"
echo "stub files opened by the second import: $(cat "$folder/second")"
test "$(cat "$folder/second")" -gt 50 || { echo "the behavior has changed"; exit 1; }
echo "seen: every import reads the stub files of the components again"
