#!/bin/sh
# Install PyTorch into the environment of the given interpreter, as a CPU build where one can be had.
#
#   sh tools/install-torch.sh .venv/bin/python
#
# A plain `pip install torch` on Linux brings several gigabytes of CUDA libraries. This asks, in this order: what pip is
# already set up with, for a release that it has as a CPU wheel; PyTorch's own CPU index; and only then whatever there is.
set -eu
python="$1"
wanted="torch==2.13.0"

if "$python" -c "import torch" 2>/dev/null; then
    exit 0
fi
if "$python" -m pip install -q --dry-run --no-deps --retries 0 "$wanted" --report - 2>/dev/null | grep -q -i -E '(\+|%2b)cpu'; then
    exec "$python" -m pip install -q "$wanted"
fi
if "$python" -m pip install -q --no-deps --retries 0 --timeout 15 torch --index-url https://download.pytorch.org/whl/cpu 2>/dev/null; then
    exec "$python" -m pip install -q torch
fi
echo "no CPU build of PyTorch was found for this Python; installing the default build" >&2
exec "$python" -m pip install -q torch
