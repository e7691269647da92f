#!/usr/bin/env bash
# torch 2.13.0 on an x86-64 processor with AVX2: weights of a convolution that are packed for oneDNN with
# `torch._C._nn.mkldnn_reorder_conv2d_weight` and without its last argument, the size of the input, are
# rearranged again in every call of `torch.ops.mkldnn._convolution_pointwise`, by oneDNN's slowest
# implementation ("simple:any"). The result is right. For one image of 12 x 12 cells and 672 channels,
# that takes more than ten times as long as the convolution itself; of EfficientNet-Lite0's layers, six are
# concerned, and they double the time of an image.
# Expected: packed weights are packed once, or a packing without the size is refused.
# Workaround: pass the size of the input, whose number of images counts, too: weights packed for one image
# may be rearranged for eight.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
grep -q -w avx2 /proc/cpuinfo || { echo "this processor has no AVX2; nothing was tested"; exit 0; }
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy
cat > "$folder/run.py" <<'PYTHON'
import sys
import time

import torch

torch.set_num_threads(1)
convolution = torch.nn.Conv2d(672, 112, 1)
image = torch.randn(1, 672, 12, 12).contiguous(memory_format=torch.channels_last)
size = [list(image.shape)] if sys.argv[1] == "with" else []
weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
    convolution.weight.detach().to_mkldnn(), (0, 0), (1, 1), (1, 1), 1, *size
)


def call():
    return torch.ops.mkldnn._convolution_pointwise(
        image, weight, convolution.bias, (0, 0), (1, 1), (1, 1), 1, "none", [], ""
    )


with torch.inference_mode():
    assert torch.allclose(call(), convolution(image), atol=1e-5)
    start = time.process_time()
    for _ in range(20):
        call()
    print(f"{(time.process_time() - start) * 50:.2f} ms a call", file=sys.stderr)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        call()
PYTHON
"$folder/env/bin/python" -c 'import torch; print("torch", torch.__version__)'
for size in without with; do
  ONEDNN_MAX_CPU_ISA=AVX2 "$folder/env/bin/python" "$folder/run.py" "$size" > "$folder/$size.log"
  echo "$size the size: $(grep -c 'exec.*reorder' "$folder/$size.log" || true) reorders in a call"
done
grep -q 'exec.*,reorder,simple:any' "$folder/without.log" || { echo "the behavior has changed"; exit 1; }
! grep -q 'exec.*,reorder' "$folder/with.log" || { echo "the behavior with the size has changed"; exit 1; }
echo "seen: weights packed without the size of the input are rearranged in every call"
