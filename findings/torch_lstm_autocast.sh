#!/usr/bin/env bash
# torch 2.13.0 on an x86-64 processor without AVX-512: under `torch.autocast("cpu", torch.bfloat16)`, an
# `nn.LSTM` raises "could not create a primitive descriptor for the LSTM forward propagation primitive",
# in training and in inference. Linear layers and convolutions work there, so that a training in bfloat16
# runs on one machine and ends on another.
# Expected: autocast leaves an LSTM in float32 where there is no implementation in bfloat16.
# Workaround: run the LSTM within `torch.autocast("cpu", enabled=False)`, on float32, if
# `torch.ops.mkldnn._is_mkldnn_bf16_supported()` is False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy
cat > "$folder/run.py" <<'PYTHON'
import torch

print("torch", torch.__version__)
words = torch.randn(4, 5, 16)
for layer in (torch.nn.LSTM(16, 16, batch_first=True), torch.nn.Linear(16, 16)):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        try:
            layer(words)
            seen = "works"
        except RuntimeError as error:
            seen = str(error).split(".")[0]
    print(type(layer).__name__, seen)
PYTHON
# On a processor with AVX-512, the library must not use it.
ONEDNN_MAX_CPU_ISA=AVX2 "$folder/env/bin/python" "$folder/run.py" | tee "$folder/log"
grep -q "^LSTM could not create a primitive descriptor" "$folder/log" || { echo "the behavior has changed"; exit 1; }
grep -q "^Linear works" "$folder/log" || { echo "the behavior has changed"; exit 1; }
echo "seen: an LSTM under autocast to bfloat16 is an error without AVX-512"
