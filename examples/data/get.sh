#!/bin/sh
# Downloads a public data set and checks it against its published checksums.
# usage: get.sh mnist|fashion-mnist|cifar10|tiny-imagenet DIR
# LINFDIST_MIRROR: a base URL to use instead of the published ones (file:///folder works); the files may lie there or
# in a folder named after the set. Files that are already in DIR and good are kept.
set -u

usage='usage: get.sh mnist|fashion-mnist|cifar10|tiny-imagenet DIR'
part=

fail() {
    echo "get.sh: $*" >&2
    exit 1
}

cleanup() {
    if [ -n "$part" ]; then
        rm -rf "$part"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

have() {
    command -v "$1" >/dev/null 2>&1
}

# digest ALGORITHM: of standard input, in hexadecimal
digest() {
    if have "${1}sum"; then
        "${1}sum" | cut -d ' ' -f 1
    elif have openssl; then
        openssl dgst "-$1" -r | cut -d ' ' -f 1
    else
        fail "neither ${1}sum nor openssl is here to check files with"
    fi
}

# checksum KIND FILE. KIND: md5, or sha256-gunzip of the decompressed bytes, for sets that mirrors recompress
checksum() {
    case $1 in
    md5) digest md5 <"$2" ;;
    sha256-gunzip) gzip -dc "$2" 2>/dev/null | digest sha256 ;;
    esac
}

# fetch URL FILE
fetch() {
    case $1 in
    file://*)
        cp "${1#file://}" "$2" 2>/dev/null
        return
        ;;
    esac
    if have curl; then
        curl -fsSL --retry 2 --connect-timeout 30 -o "$2" "$1"
    elif have wget; then
        wget -q -t 3 -T 30 -O "$2" "$1"
    else
        fail "neither curl nor wget is here to download with"
    fi
}

# get FILE KIND CHECKSUM: from the first base URL that has it. The final name only ever holds a checked file.
get() {
    if [ -f "$dir/$1" ] && [ "$(checksum "$2" "$dir/$1")" = "$3" ]; then
        echo "$1: already here"
        return
    fi
    reason="not found at any of: $bases"
    for base in $bases; do
        part="$dir/.$1.part.$$"
        if fetch "$base/$1" "$part"; then
            found=$(checksum "$2" "$part")
            if [ "$found" = "$3" ]; then
                chmod u+w "$part" && mv -f "$part" "$dir/$1" || fail "$dir/$1: cannot be written"
                part=
                echo "$1: downloaded, $2 $3"
                return
            fi
            reason="the file from $base has $2 $found, expected $3"
        fi
        rm -f "$part"
    done
    fail "$1: $reason"
}

# extract ARCHIVE FOLDER
extract() {
    case $1 in
    *.tar.gz) tar -xzf "$1" -C "$2" ;;
    *.zip)
        if have unzip; then
            unzip -q "$1" -d "$2"
        elif have bsdtar; then
            bsdtar -xf "$1" -C "$2"
        else
            fail "neither unzip nor bsdtar is here to unpack $1 with"
        fi
        ;;
    esac
}

# unpack ARCHIVE FOLDER: FOLDER appears whole or not at all
unpack() {
    if [ -d "$dir/$2" ]; then
        echo "$2: already here"
        return
    fi
    part="$dir/.$2.part.$$"
    mkdir "$part" && extract "$dir/$1" "$part" && mv "$part/$2" "$dir/$2" ||
        fail "$1: cannot be unpacked into $dir"
    cleanup
    part=
    echo "$2: unpacked"
}

if [ $# -ne 2 ]; then
    echo "$usage" >&2
    exit 2
fi
set_name=$1
dir=$2
case $set_name in
mnist) bases='https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist' ;;
fashion-mnist) bases='http://fashion-mnist.s3-website.eu-central-1.amazonaws.com' ;;
cifar10) bases='https://www.cs.toronto.edu/~kriz' ;;
tiny-imagenet) bases='http://cs231n.stanford.edu' ;;
*)
    echo "get.sh: '$set_name' is no data set; $usage" >&2
    exit 2
    ;;
esac
if [ -n "${LINFDIST_MIRROR:-}" ]; then
    bases="${LINFDIST_MIRROR%/} ${LINFDIST_MIRROR%/}/$set_name"
fi
mkdir -p "$dir" || fail "$dir: cannot be made"

case $set_name in
mnist)
    get train-images-idx3-ubyte.gz sha256-gunzip ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
    get train-labels-idx1-ubyte.gz sha256-gunzip 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
    get t10k-images-idx3-ubyte.gz sha256-gunzip 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
    get t10k-labels-idx1-ubyte.gz sha256-gunzip ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2
    ;;
fashion-mnist)
    get train-images-idx3-ubyte.gz md5 8d4fb7e6c68d591d4c3dfef9ec88bf0d
    get train-labels-idx1-ubyte.gz md5 25c81989df183df01b3e8a0aad5dffbe
    get t10k-images-idx3-ubyte.gz md5 bef4ecab320f06d8554ea6380940ec79
    get t10k-labels-idx1-ubyte.gz md5 bb300cfdad3c16e7a12a480ee83cd310
    ;;
cifar10)
    get cifar-10-binary.tar.gz md5 c32a1d4ab5d03f1284b67883e8d87530
    unpack cifar-10-binary.tar.gz cifar-10-batches-bin
    ;;
tiny-imagenet)
    get tiny-imagenet-200.zip md5 90528d7ca1a48142e341f4ef8d21d0de
    unpack tiny-imagenet-200.zip tiny-imagenet-200
    ;;
esac
