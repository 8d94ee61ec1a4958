#!/bin/sh
# examples/data/get.sh against a mirror that is a folder. usage: get_sh.sh
# The good case needs real MNIST files: LINFDIST_TEST_DATA/data/mnist.
set -eu

get=$(cd "$(dirname "$0")/.." && pwd)/examples/data/get.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failures=0

# check WHAT CONDITION...
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        sed 's/^/    /' "$work/log" 2>/dev/null || true
        failures=$((failures + 1))
    fi
}

# run STATUS ARGUMENT...: get.sh must end with that status
run() {
    expected=$1
    shift
    status=0
    sh "$get" "$@" >"$work/log" 2>&1 || status=$?
    [ "$status" -eq "$expected" ]
}

says() {
    grep -q -- "$1" "$work/log"
}

is_empty() {
    [ -z "$(ls -A "$1")" ]
}

check 'no arguments is an error of usage' run 2
check 'an unknown set is an error of usage' run 2 svhn "$work/none"
check 'the unknown set is named' says svhn

mkdir "$work/empty" "$work/bad"
LINFDIST_MIRROR=file://$work/empty
export LINFDIST_MIRROR
for set_name in mnist fashion-mnist cifar10 tiny-imagenet; do
    check "$set_name: a mirror without the files is an error" run 1 $set_name "$work/a"
    check "$set_name: the error names file and mirror" says "\\(gz\\|zip\\): not found at any of: file://$work/empty"
    check "$set_name: nothing is left behind" is_empty "$work/a"
done

LINFDIST_MIRROR=file://$work/bad
echo 'not the data' | gzip -c >"$work/bad/train-images-idx3-ubyte.gz"
cp "$work/bad/train-images-idx3-ubyte.gz" "$work/bad/cifar-10-binary.tar.gz"
cp "$work/bad/train-images-idx3-ubyte.gz" "$work/bad/tiny-imagenet-200.zip"
for set_name in mnist fashion-mnist cifar10 tiny-imagenet; do
    check "$set_name: wrong bytes are an error" run 1 $set_name "$work/b"
    check "$set_name: the error tells both checksums" says '\(gz\|zip\): the file from .* has .* expected [0-9a-f]\{32\}'
    check "$set_name: nothing is left behind" is_empty "$work/b"
done
echo precious >"$work/b/train-images-idx3-ubyte.gz"
check 'a bad file with no better one is an error' run 1 mnist "$work/b"
check 'and is left as it was' grep -q precious "$work/b/train-images-idx3-ubyte.gz"

# Archives of our own in the place of the published ones, whose checksums a copy of the script then expects.
# unpacks SET ARCHIVE FOLDER MD5: LINFDIST_MIRROR/ARCHIVE, which holds FOLDER/list
unpacks() {
    sum=$(md5sum "$work/own/$2" | cut -d ' ' -f 1)
    sed "s/$4/$sum/" "$get" >"$work/get-own.sh"
    published=$get
    get=$work/get-own.sh
    check "$1: a good archive is unpacked" run 0 "$1" "$work/u"
    check "$1: its folder is there" grep -q inside "$work/u/$3/list"
    check "$1: and nothing else" [ "$(ls -A "$work/u" | wc -l)" -eq 2 ]
    check "$1: what is there is kept" run 0 "$1" "$work/u"
    check "$1: and said to be" says "$3: already here"
    rm -r "$work/u"
    head -c 60 "$work/own/$2" >"$work/own/$2.cut" && mv "$work/own/$2.cut" "$work/own/$2"
    sum=$(md5sum "$work/own/$2" | cut -d ' ' -f 1)
    sed "s/$4/$sum/" "$published" >"$work/get-own.sh"
    check "$1: a damaged archive is an error" run 1 "$1" "$work/u"
    check "$1: that names it" says "$2: cannot be unpacked into"
    check "$1: no part of its folder is there" [ "$(ls -A "$work/u")" = "$2" ]
    rm -r "$work/u"
    get=$published
}
mkdir -p "$work/own/cifar-10-batches-bin" "$work/own/tiny-imagenet-200"
LINFDIST_MIRROR=file://$work/own
for folder in cifar-10-batches-bin tiny-imagenet-200; do
    echo inside >"$work/own/$folder/list"
done
(cd "$work/own" && tar -czf cifar-10-binary.tar.gz cifar-10-batches-bin)
unpacks cifar10 cifar-10-binary.tar.gz cifar-10-batches-bin c32a1d4ab5d03f1284b67883e8d87530
if command -v unzip >/dev/null && command -v python3 >/dev/null; then
    (cd "$work/own" && python3 -m zipfile -c tiny-imagenet-200.zip tiny-imagenet-200)
    unpacks tiny-imagenet tiny-imagenet-200.zip tiny-imagenet-200 90528d7ca1a48142e341f4ef8d21d0de
else
    echo 'skipped: unpacking a zip archive (there is no unzip, or no python3 to make one with)'
fi

# Without file://: a stand-in for wget that serves the folder, and no curl.
mkdir "$work/tools"
for tool in sh cp mv rm mkdir chmod gzip tar cut cat md5sum sha256sum; do
    ln -s "$(command -v $tool)" "$work/tools/$tool"
done
cat >"$work/tools/wget" <<'WGET'
#!/bin/sh
for last; do :; done
while [ "$1" != -O ]; do shift; done
cp "$MIRROR_FOLDER/${last##*/}" "$2" 2>/dev/null
WGET
chmod +x "$work/tools/wget"
with_wget() {
    (
        PATH=$work/tools
        LINFDIST_MIRROR=http://mirror.invalid/
        export PATH LINFDIST_MIRROR MIRROR_FOLDER
        exec sh "$get" "$@"
    ) >"$work/log" 2>&1
}

mnist=${LINFDIST_TEST_DATA:-}/data/mnist
if [ -z "${LINFDIST_TEST_DATA:-}" ] || [ ! -f "$mnist/t10k-labels-idx1-ubyte.gz" ]; then
    echo 'skipped: downloads of good files (LINFDIST_TEST_DATA is unset or has no data/mnist)'
else
    LINFDIST_MIRROR=file://$mnist
    check 'good files are downloaded over a bad one' run 0 mnist "$work/b"
    check 'and are the same bytes' cmp "$mnist/train-images-idx3-ubyte.gz" "$work/b/train-images-idx3-ubyte.gz"
    check 'all four are there, and nothing else' [ "$(ls -A "$work/b" | wc -l)" -eq 4 ]
    LINFDIST_MIRROR=file://$work/empty
    check 'good files are kept' run 0 mnist "$work/b"
    check 'without a download' says 'already here'
    head -c 1000 "$mnist/t10k-images-idx3-ubyte.gz" >"$work/b/t10k-images-idx3-ubyte.gz"
    check 'a file that was cut short is not kept' run 1 mnist "$work/b"
    LINFDIST_MIRROR=file://$(dirname "$mnist")
    check 'a mirror with a folder per set works' run 0 mnist "$work/b"
    MIRROR_FOLDER=$mnist
    check 'wget works where there is no curl' with_wget mnist "$work/c"
fi

[ "$failures" -eq 0 ] || exit 1
