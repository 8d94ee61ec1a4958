#!/bin/sh
# bench --quick runs through, and every line that --json writes has the keys that docs/performance.md names.
# usage: bench.sh BENCH
set -eu

bench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}

number='[0-9][-+.e0-9]*'
count='[1-9][0-9]*'
positive='(0\.0*[1-9]|[1-9])[-+.e0-9]*'
head="\"op\": \"[a-z0-9_]+\", \"isa\": \"(ref|avx2|avx512)\", \"threads\": $count"
head="$head, \"B\": $count, \"O\": $count, \"K\": $count"
head="$head, \"p\": ($positive|\"inf\"), \"data\": \"(random|trained)\", \"gelem_per_s\": $positive"
compared="\"sgemm_gelem_per_s\": $positive, \"ratio\": $positive, \"blis_config\": \"[a-z0-9]+\""
alone='"sgemm_gelem_per_s": null, "ratio": null, "blis_config": "(generic|none)"'
extras="(, \"[a-z_]+\": ($number|\"[a-z]+\"))*"

if "$bench" --quick --json "$folder/rows" >"$folder/table" 2>"$folder/errors"; then
    if grep -vE "^\\{$head, ($compared|$alone)$extras\\}\$" "$folder/rows"; then
        fail 'a line is no row'
    fi
    if grep -E "\"ratio\": [0-9].*\"blis_config\": \"(generic|none)\"" "$folder/rows"; then
        fail 'a ratio to a product without kernels'
    fi
    for op in linf_forward linf_forward_argmax linf_bounds lp_forward lp_backward training_step certify_dense \
        certify_pruned conv3x3; do
        grep -q "\"op\": \"$op\"" "$folder/rows" || fail "no row of $op"
        grep -q "^$op " "$folder/table" || fail "no $op in the table"
    done
    grep '"op": "linf_forward", "isa": "avx[0-9]*", "threads": 1,.*"random"' "$folder/rows" | grep -qv '"of_limit": ' &&
        fail 'a row of linf_forward without its limit'
    grep '"op": "l[a-z_]*"' "$folder/rows" | grep '"isa": "ref"' | grep -q '"of_limit": ' && fail 'a limit of the reference'
    grep -q '"op": "certify_pruned".*"B": 1,.*"faster_in_a_row": ' "$folder/rows" || fail 'no single images in a row'
    [ "$(grep -cE '^[a-z0-9_]+ +(ref|avx2|avx512) ' "$folder/table")" -eq "$(wc -l <"$folder/rows")" ] ||
        fail 'the table and the file have different rows'
else
    cat "$folder/errors"
    fail 'bench --quick'
fi

# refused WORD FLAG...: status 2, with the word in the message.
refused() {
    word=$1
    shift
    status=0
    "$bench" "$@" >"$folder/table" 2>"$folder/errors" || status=$?
    { [ "$status" -eq 2 ] && grep -q -- "$word" "$folder/errors"; } || fail "bench $*"
}

refused lp_sideways --ops linf_forward,lp_sideways
refused --shape --shape 512x1024
refused --isa --isa avx1024
refused --p --p 0.5
refused --repeat --repeat 3

"$bench" --quick --ops linf_forward --shape 2x3x4 --isa ref --json "$folder/rows" >"$folder/table" 2>&1
grep -q '"op": "linf_forward", "isa": "ref", "threads": 1, "B": 2, "O": 3, "K": 4, "p": "inf", "data": "random"' \
    "$folder/rows" || fail '--ops, --shape and --isa'
[ "$(wc -l <"$folder/rows")" -eq 1 ] || fail '--ops, --shape and --isa leave one row'

[ "$failures" -eq 0 ]
