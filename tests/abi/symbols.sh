#!/bin/sh
# What the shared library exports and imports. usage: symbols.sh LIBRARY HEADER SONAME
set -eu

library=$1
header=$2
soname=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail() {
    echo "FAILED: $1"
    sed 's/^/    /' "$work/what"
    failures=$((failures + 1))
}

# The functions that the header declares, and those that the library exports.
sed 's|/\*.*\*/||' "$header" | tr '\n' ' ' | grep -o 'LINFDIST_API [^;(]*(' | grep -o 'linfdist_[a-z0-9_]* *($' |
    tr -d ' (' | sort >"$work/declared"
nm -D --defined-only "$library" | awk '{ print $NF }' | sed 's/@.*//' | sort >"$work/exported"
[ -s "$work/declared" ] || { echo 'no function found in the header' >"$work/what"; fail 'reading the header'; }
diff "$work/declared" "$work/exported" >"$work/what" || fail 'declared (<) and exported (>) functions differ'

nm -D --undefined-only "$library" | awk '{ print $NF }' | sed 's/@.*//' | sort -u >"$work/imported"
[ -s "$work/imported" ] || { echo 'nm prints no imports' >"$work/what"; fail 'reading the import list'; }

# Variants of libm functions differ in the last bit from CPU to CPU; square roots and the like are exact.
functions='exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|sin|cos|tan|sincos|asin|acos|atan|atan2|sinh|cosh|tanh|asinh'
functions="$functions|acosh|atanh|cbrt|hypot|erf|erfc|tgamma|lgamma"
grep -E "^_*($functions)(f|l|f32|f64|f128)?(_r|_finite)?\$|^_ZGV" "$work/imported" >"$work/what" &&
    fail 'libm functions whose last bit depends on the CPU'

# A library prints nothing and ends no process.
output='v?f?printf|v?dprintf|f?puts|f?putc|putchar|perror|stdout|stderr|abort|_?exit|_Exit|quick_exit|raise|assert_fail'
grep -E "^_*($output)(_chk|_unlocked)?\$" "$work/imported" >"$work/what" && fail 'output or the end of the process'

# Neither OpenMP nor BLAS, by symbol or by library.
grep -E '^(GOMP_|omp_|kmp|__kmpc_|bli_|cblas_|[sdcz]gemm_)' "$work/imported" >"$work/what" && fail 'OpenMP or BLAS symbols'
readelf -d "$library" | grep NEEDED | grep -E 'gomp|iomp|libomp|blas|blis|mkl' >"$work/what" &&
    fail 'OpenMP or BLAS libraries'

readelf -d "$library" | grep SONAME >"$work/what"
grep -q "\[$soname\]" "$work/what" || fail "the soname is not $soname"

echo "$(wc -l <"$work/exported") functions exported, $(wc -l <"$work/imported") symbols imported, $failures failures"
[ "$failures" -eq 0 ]
