#!/bin/sh
# Installs the library to a temporary prefix; builds and runs a C and a C++ program against it, by CMake and by
# pkg-config. usage: run.sh SOURCE BUILD C_COMPILER C++_COMPILER
set -eu

source=$1
build=$2
cc=$3
cxx=$4
if [ -z "$cxx" ]; then
    echo 'skipped: there is no C++ compiler'
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cmake --install "$build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
# An installed tree can be moved.
mv "$work/first" "$work/prefix"

cmake -S "$source/tests/consumer" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_CXX_COMPILER="$cxx" >"$work/log" && cmake --build "$work/cmake" >>"$work/log" || { cat "$work/log"; exit 1; }
"$work/cmake/consumer_c"
"$work/cmake/consumer_cpp"
echo 'ok: find_package'

if ! command -v pkg-config >/dev/null 2>&1; then
    echo 'skipped: there is no pkg-config'
    exit 77
fi
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name linfdist.pc)")
export PKG_CONFIG_PATH
libraries=$(pkg-config --libs linfdist)
library_folder=$(pkg-config --variable=libdir linfdist)
# shellcheck disable=SC2046,SC2086 # lists of flags
"$cc" "$source/tests/consumer/consumer.c" $(pkg-config --cflags linfdist) $libraries -o "$work/with_c"
# shellcheck disable=SC2046,SC2086
"$cxx" "$source/tests/consumer/consumer.cpp" $(pkg-config --cflags linfdist) $libraries -o "$work/with_cpp"
LD_LIBRARY_PATH=$library_folder "$work/with_c"
LD_LIBRARY_PATH=$library_folder "$work/with_cpp"
echo 'ok: pkg-config'
