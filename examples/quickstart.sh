#!/bin/sh
# Trains a small l_inf-distance net on generated digits and certifies it: a table of clean and certified accuracy.
# usage: sh examples/quickstart.sh [flags of train, such as --seed 7]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/cmake/setup.sh"

# certify must look at the model and the digits of this training.
model=$build/quickstart.safetensors
data=digits
seed=2021
previous=
only=
for argument in "$@"; do
    case $argument in
    --help)
        echo 'usage: sh examples/quickstart.sh [flags of train, such as --seed 7; build/bin/train --help lists them]'
        exit 0
        ;;
    --list-recipes) only=$argument ;;
    esac
    case $argument in
    --out=* | --data=* | --seed=*) value=${argument#*=} && name=${argument%%=*} ;;
    *) value=$argument && name=$previous ;;
    esac
    case $name in
    --out) model=$value ;;
    --data) data=$value ;;
    --seed) seed=$value ;;
    esac
    previous=$argument
done

# shellcheck disable=SC2046 # one word per package
install_packages $(missing_packages)
# shellcheck disable=SC2046
install_optional $(missing_readers)
configure_and_build train certify
[ -z "$only" ] || exec "$build/bin/train" "$only"

echo
echo "Training on $data, seed $seed:"
"$build/bin/train" --data digits --out "$model" "$@"
echo
echo "Certifying the test images; eps in raw pixels:"
"$build/bin/certify" --model "$model" --data "$data" --seed "$seed" --eps 0,0.05,0.1,0.15,0.2,0.25,0.3
