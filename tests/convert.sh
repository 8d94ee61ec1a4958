#!/bin/sh
# examples/convert_checkpoint.py: what it makes of PyTorch checkpoints. Its main part, convert.py, needs PyTorch.
# usage: convert.sh SOURCE LIBRARY
set -eu

source=$1
library=$2
script=$source/examples/convert_checkpoint.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if ! command -v python3 >/dev/null 2>&1; then
    echo 'skipped: there is no python3'
    exit 77
fi
status=0
python3 -I -S "$script" "$work/none.pth" "$work/none" --data mnist 2>"$work/err" || status=$?
if [ "$status" -ne 1 ] || ! grep -q 'PyTorch is needed' "$work/err"; then
    echo "FAILED: without PyTorch it ends with $status"
    cat "$work/err"
    exit 1
fi
echo 'ok: without PyTorch it says what is needed'

# Another python3 than Debian's may come first and lack Debian's PyTorch.
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import torch' >/dev/null 2>&1; then
        LC_ALL=C "$python" -B "$source/tests/convert.py" "$source" "$library" "$work"
        exit
    fi
done
echo 'skipped: python3 has no PyTorch (Debian: python3-torch)'
exit 77
