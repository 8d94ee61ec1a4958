#!/bin/sh
# golden_check on the goldens outside the repository. usage: outside_goldens.sh GOLDEN_CHECK
set -eu

if [ -z "${LINFDIST_TEST_DATA:-}" ]; then
    echo 'skipped: LINFDIST_TEST_DATA is not set'
    exit 77
fi
exec "$1" "$LINFDIST_TEST_DATA/golden/dev"
