#!/bin/sh
# The header is C99 and C++11 on its own. usage: header.sh HEADER C_COMPILER [C++_COMPILER]
set -eu

header=$1
warnings='-pedantic -Wall -Wextra -Wconversion -Wundef -Wstrict-prototypes -Werror'
for standard in c99 c11; do
    # shellcheck disable=SC2086 # a list of flags
    "$2" -std=$standard $warnings -fsyntax-only -x c "$header"
    echo "ok: $standard"
done
if [ -z "${3:-}" ]; then
    echo 'skipped: there is no C++ compiler'
    exit 77
fi
for standard in c++11 c++17; do
    "$3" -std=$standard -pedantic -Wall -Wextra -Wconversion -Wundef -Werror -fsyntax-only -x c++ "$header"
    echo "ok: $standard"
done
