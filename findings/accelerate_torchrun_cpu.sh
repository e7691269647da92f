#!/usr/bin/env bash
# accelerate 1.15.0 with torch 2.13.0: on a machine without a GPU, two processes that `torchrun` starts
# are each told by `Accelerator()` and `PartialState()` that they are the only one: `num_processes` is 1,
# `is_main_process` is True, and neither warns, although WORLD_SIZE is 2. Each trains a model of its own,
# and both write the files that the main process alone should write.
# Expected: two processes connected by gloo, of which one is the main process, or an error.
# Workaround: `Accelerator(cpu=True)`, `PartialState(cpu=True)`. The variable ACCELERATE_USE_CPU=true
# serves for `Accelerator` alone, and not after a `PartialState()`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check accelerate==1.15.0 torch==2.13.0 numpy
cat > "$folder/run.py" <<'PYTHON'
import os
import sys

import accelerate

kind = getattr(accelerate, sys.argv[1])
state = kind(cpu=True) if sys.argv[2] == "cpu=True" else kind()
number, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
seen = f"num_processes {state.num_processes}, main {state.is_main_process}"
sys.stdout.write(f"process {number} of {size}: {seen}\n")
PYTHON
launch() {
  CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1 "$folder/env/bin/torchrun" --standalone --nproc_per_node 2 \
    "$folder/run.py" "$@" | sort
}
"$folder/env/bin/python" -c 'import accelerate, torch; print("accelerate", accelerate.__version__, "torch", torch.__version__)'
alone=$'process 0 of 2: num_processes 1, main True\nprocess 1 of 2: num_processes 1, main True'
together=$'process 0 of 2: num_processes 2, main True\nprocess 1 of 2: num_processes 2, main False'
for kind in Accelerator PartialState; do
  for argument in "" cpu=True; do
    echo "$kind($argument)"
    seen=$(launch "$kind" "$argument")
    echo "$seen"
    if test -z "$argument"; then expected=$alone; else expected=$together; fi
    test "$seen" = "$expected" || { echo "the behavior has changed"; exit 1; }
  done
done
seen=$(ACCELERATE_USE_CPU=true launch PartialState "")
test "$seen" = "$alone" || { echo "the behavior of ACCELERATE_USE_CPU has changed"; exit 1; }
seen=$(ACCELERATE_USE_CPU=true launch Accelerator "")
test "$seen" = "$together" || { echo "the behavior of ACCELERATE_USE_CPU has changed"; exit 1; }
echo "seen: without cpu=True, both processes are the main process of one"
