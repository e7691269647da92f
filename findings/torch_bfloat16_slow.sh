#!/usr/bin/env bash
# torch 2.13.0 and accelerate 1.15.0 on an x86-64 processor without AVX-512: `mixed_precision="bf16"`, or an
# autocast to bfloat16, is accepted without a word, and a training step takes several times as long as in
# float32 (8 times on an AMD EPYC). The flags that tell what a processor supports are not consulted.
# Expected: at most the time of float32, or a warning.
# Workaround: use bfloat16 on a CPU only if `torch.ops.mkldnn._is_mkldnn_bf16_supported()` is True.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0 numpy
cat > "$folder/run.py" <<'PYTHON'
import statistics
import sys
import time
import warnings
from importlib.metadata import version

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

torch.set_num_threads(1)
print("torch", torch.__version__, "accelerate", version("accelerate"))
print("bfloat16 supported:", torch.ops.mkldnn._is_mkldnn_bf16_supported())
images = torch.randn(8, 32, 40, 40)


def seconds(precision):
    """Processor time of a training step, the median of five."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3, padding=1)
    )
    network = accelerator.prepare(network)
    taken = []
    for _ in range(6):
        start = time.thread_time()
        accelerator.backward(network(images).float().square().mean())
        taken.append(time.thread_time() - start)
    return statistics.median(taken[1:])


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ratio = seconds("bf16") / seconds("no")
print(f"a step in bf16 takes {ratio:.1f} times as long; warnings: {len(caught)}")
sys.exit(ratio < 3 or bool(caught))
PYTHON
# On a processor with AVX-512, the library must not use it.
ONEDNN_MAX_CPU_ISA=AVX2 "$folder/env/bin/python" "$folder/run.py" || { echo "the behavior has changed"; exit 1; }
echo "seen: bfloat16 is several times slower than float32, without a warning"
