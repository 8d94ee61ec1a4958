#!/bin/sh
# Installs what is missing, builds everything and runs all tests. usage: sh tests/run.sh [flags of ctest]
# LINFDIST_TEST_DATA names a folder with golden/ and data/ for the tests that need outside data; without it they skip.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/cmake/setup.sh"

# shellcheck disable=SC2046 # one word per package
install_packages $(missing_packages)
# shellcheck disable=SC2046
install_optional $(missing_readers) $(missing_tools)
configure_and_build all

log=$build/tests.log
status=0
echo "Testing; the outcome comes at the end:"
(cd "$build" && ctest --output-on-failure --parallel "$(processors)" "$@" 2>&1) >"$log.part" || status=$?
mv "$log.part" "$log"
cat "$log"

details=$build/Testing/Temporary/LastTest.log
if [ -f "$details" ] && grep -q '^\[  SKIPPED \] [a-z]' "$details"; then
    echo 'Skipped inside test programs:'
    grep '^\[  SKIPPED \] [a-z]' "$details" | sort -u
fi

counts=$(awk '
    /^ *[0-9]+\/[0-9]+ Test +#/ {
        if (/ Passed /) passed++
        else if (/\*\*\*Skipped|\(Disabled\)/) skipped++
        else failed++
    }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log")
echo "$counts"
case $counts in
0\ passed*) status=1 ;;
*' 0 failed'*) ;;
*) status=1 ;;
esac
exit "$status"
