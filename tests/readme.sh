#!/bin/sh
# The C examples of README.md compile as they stand; the first links, and certifies with a model that train made.
# usage: readme.sh SOURCE BUILD C_COMPILER
set -eu

source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$source/README.md" >"$work/example.c"
[ -s "$work/example.c" ] || { echo 'FAILED: README.md has no C example'; exit 1; }
"$3" -std=c99 -pedantic -Wall -Wextra -Werror -I"$source/include" "$work/example.c" -L"$build" -llinfdist \
    -Wl,-rpath,"$build" -o "$work/example"
echo "ok: $(wc -l <"$work/example.c") lines compile and link"
awk '/^```c$/ { ++block; inside = 1; next } /^```$/ { inside = 0 } inside && block > 1' "$source/README.md" >"$work/net.c"
[ -s "$work/net.c" ] || { echo 'FAILED: README.md has no list of layers'; exit 1; }
cat >>"$work/net.c" <<'END'
int main(void) {
    linfdist_context *context = NULL;
    linfdist_model *model = NULL;
    int ok = linfdist_context_create(NULL, &context) == LINFDIST_OK && make_net(context, &model) == LINFDIST_OK;
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return !ok;
}
END
"$3" -std=c99 -pedantic -Wall -Wextra -Werror -I"$source/include" "$work/net.c" -L"$build" -llinfdist \
    -Wl,-rpath,"$build" -o "$work/net"
"$work/net"
echo 'ok: the list of layers makes a model'

if [ ! -x "$build/bin/train" ]; then
    echo 'skipped: train is not built, so there is no model to run the example on'
    exit 77
fi
"$build/bin/train" --data digits:256,64 --depth 2 --width 16 --epochs 0,0,0,1,1 --batch 64 \
    --out "$work/model.safetensors" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/example" "$work/model.safetensors"
if "$work/example" "$work/none.safetensors"; then
    echo 'FAILED: the example accepts a model that is not there'
    exit 1
fi
