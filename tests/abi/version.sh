#!/bin/sh
# The version stands in the header; everything else agrees with it. usage: version.sh SOURCE BUILD
set -eu

source=$1
build=$2
failures=0

macro() {
    sed -n "s/^#define LINFDIST_$1 \"\{0,1\}\([0-9.]*\)\"\{0,1\}\$/\1/p" "$source/include/linfdist/linfdist.h"
}

expect() {
    if [ "$2" = "$3" ]; then
        echo "ok: $1 says $2"
    else
        echo "FAILED: $1 says '$2', the header '$3'"
        failures=$((failures + 1))
    fi
}

version=$(macro VERSION_STRING)
expect 'LINFDIST_VERSION_*' "$(macro VERSION_MAJOR).$(macro VERSION_MINOR).$(macro VERSION_PATCH)" "$version"
expect CHANGELOG.md "$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' "$source/CHANGELOG.md" | head -n 1)" "$version"
expect linfdist.pc "$(sed -n 's/^Version: //p' "$build/linfdist.pc")" "$version"
expect linfdist-config-version.cmake \
    "$(sed -n 's/^set(PACKAGE_VERSION "\(.*\)")/\1/p' "$build/linfdist-config-version.cmake")" "$version"
expect convert_checkpoint.py \
    "$(sed -n 's/^LIBRARY_VERSION = "\([^"]*\)".*/\1/p' "$source/examples/convert_checkpoint.py")" "$version"
expect 'the soname link' "$(readlink "$build/liblinfdist.so")" "liblinfdist.so.$(macro ABI_VERSION)"
expect 'the file of the library' "$(readlink "$build/liblinfdist.so.$(macro ABI_VERSION)")" "liblinfdist.so.$version"
[ "$failures" -eq 0 ]
