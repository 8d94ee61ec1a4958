#!/bin/sh
# The rules of the house that a grep can see (CONTRIBUTING.md). usage: rules.sh SOURCE
set -eu

cd "$1"
failures=0

# forbid WHAT PATTERN FOLDER...: no line matches. Prints the lines that do.
forbid() {
    what=$1
    pattern=$2
    shift 2
    if grep -rnE --include='*.c' --include='*.h' --include='*.inc' --include='*.def' --include='*.txt' \
        --include='*.cmake' --include='*.in' --include='*.sh' --include='*.py' --include='*.md' --include='*.json' \
        "$pattern" "$@"; then
        echo "FAILED: $what"
        failures=$((failures + 1))
    else
        echo "ok: $what"
    fi
}

# only_in WHAT PATTERN FILE FOLDER...: FILE matches, and no other file does.
only_in() {
    what=$1
    pattern=$2
    file=$3
    shift 3
    found=$(grep -rlE --include='*.c' --include='*.h' "$pattern" "$@" || true)
    if [ "$found" = "$file" ]; then
        echo "ok: $what"
    else
        echo "FAILED: $what; found in: $(echo "$found" | tr '\n' ' ')"
        failures=$((failures + 1))
    fi
}

call='(^|[^_[:alnum:]>.])'

only_in 'blis.h only in lib/gemm/gemm.c' '#[[:space:]]*include.*[<"/]blis\.h' lib/gemm/gemm.c lib src include examples
only_in 'pthreadpool.h only in src/parallel.c' '#[[:space:]]*include.*pthreadpool\.h' src/parallel.c lib src include examples
only_in 'jansson.h only in src/json.c' '#[[:space:]]*include.*jansson\.h' src/json.c lib src include examples
only_in 'zlib.h only in examples/support/gzfile.c' '#[[:space:]]*include.*[<"]zlib\.h' examples/support/gzfile.c lib src include examples
only_in 'jpeglib.h only in examples/support/jpegfile.c' '#[[:space:]]*include.*jpeglib\.h' examples/support/jpegfile.c lib src include examples
only_in 'mpi.h only in examples/train_mpi.c' '#[[:space:]]*include.*[<"]mpi\.h' examples/train_mpi.c lib src include examples
only_in 'malloc and free only in src/alloc.c' "${call}(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strn?dup) *\(" \
    src/alloc.c lib src
forbid 'intrinsics only under lib/simd' '#[[:space:]]*include.*(immintrin|x86intrin|[a-z]mmintrin|arm_neon)\.h' \
    lib/ref lib/isa lib/tmpl lib/gemm src include examples
if grep -nE '#[[:space:]]*include.*(immintrin|arm_neon)\.h' lib/*.c lib/*.h; then
    echo 'FAILED: intrinsics only under lib/simd'
    failures=$((failures + 1))
fi
forbid 'the library prints nothing and ends no process' \
    "${call}(v?f?printf|puts|fputs|putchar|perror|abort|exit|_exit|_Exit|quick_exit|assert) *\(" lib src
forbid 'the library sets nothing for the whole process' "${call}(setlocale|json_set_alloc_funcs|bli_thread_set_[a-z_]*) *\(" lib src
forbid 'no flag that relaxes IEEE arithmetic' \
    '(-f|O)fast([^a-z]|-math)|funsafe-math|fassociative-math|freciprocal-math|ffinite-math|mrecip' CMakeLists.txt cmake lib src
forbid 'lib/ includes nothing of src/ or include/' '#[[:space:]]*include.*(linfdist/|src/)' lib
forbid 'src/ includes of lib/ only kernels.h, math.h, patches.h and gemm/gemm.h' \
    '#[[:space:]]*include.*lib/([a-fh-jln-oq-z]|g[a-df-z]|p[b-z]|kernels\.def|ma[a-su-z]|ref|simd|isa|tmpl|gemm/[a-fh-z])' src
forbid 'examples include only the public header and their own support' '#[[:space:]]*include *"(\.\./|src/|lib/)' examples
forbid 'no left-over marks' '(^|[^[:alnum:]])(TO''DO|FIX''ME|X''XX)([^[:alnum:]]|$)' lib src include examples tests docs cmake
forbid 'no paths of one machine' '(^|[^[:alnum:]._$}-])/(wo''rk|ho''me|ro''ot|Us''ers|tmp/wo''rk)/' \
    README.md CONTRIBUTING.md CHANGELOG.md CMakeLists.txt CMakePresets.json lib src include examples tests docs cmake

[ "$failures" -eq 0 ]
