#!/bin/sh
# Several processes take the trajectory of one, up to rounding. usage: mpi.sh BUILD_DIR
# Losses agree to 1e-6 of themselves. Parameters agree to 1e-4 where no weight has a gradient that cancels to nothing
# but its rounding, of which Adam makes a step: those of the identity do, so it is left out there (docs/threading.md).
set -u

bin=$(cd "$1" && pwd)/bin
if ! [ -x "$bin/train_mpi" ] || ! command -v mpirun >/dev/null 2>&1; then
    echo 'skipped: built without MPI (Debian: libopenmpi-dev openmpi-bin)'
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
failures=0

# Any machine will do: as root, with fewer CPUs than processes, without ssh, in a container.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=isolated
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_btl_base_warn_component_unused=0
export OMPI_MCA_mpi_yield_when_idle=1
flags=
mpirun --version 2>&1 | grep -q 'Open MPI' && flags='--oversubscribe --bind-to none'

# check WHAT COMMAND...
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        tail -n 8 err | sed 's/^/    /'
        failures=$((failures + 1))
    fi
}

# processes N STATUS ARGUMENT...: train_mpi must end with that status; its output goes to out and err
processes() {
    n=$1
    expected=$2
    shift 2
    status=0
    # The flags are a list of words on purpose.
    # shellcheck disable=SC2086
    timeout 120 mpirun $flags -n "$n" "$bin/train_mpi" --threads 1 "$@" >out 2>err || status=$?
    [ "$status" -eq "$expected" ]
}

# refused N WORDS ARGUMENT...: an error of usage that says the words
refused() {
    n=$1
    words=$2
    shift 2
    processes "$n" 2 "$@" && grep -q -F -- "$words" err && [ ! -s out ]
}

# numbers MODEL: its tensors' numbers, one a line
numbers() {
    header=$(od -A n -t u4 -N 4 "$1" | tr -d ' ')
    tail -c "+$((header + 9))" "$1" | od -A n -v -t f4 | tr -s ' ' '\n' | grep .
}

# largest_difference MODEL MODEL
largest_difference() {
    numbers "$1" >left
    numbers "$2" >right
    [ "$(wc -l <left)" -eq "$(wc -l <right)" ] && [ "$(wc -l <left)" -gt 50000 ] && paste left right |
        awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d } END { print most + 0 }'
}

# close MODEL MODEL: to 1e-4
close() {
    difference=$(largest_difference "$1" "$2")
    [ -n "$difference" ] || return 1
    echo "    largest difference $difference"
    awk "BEGIN { exit !($difference + 0 <= 1e-4) }"
}

# same_losses LOG LOG: of every epoch, to 1e-6
same_losses() {
    grep '^epoch ' "$1" >left
    grep '^epoch ' "$2" >right
    paste left right | awk '
        { rows++; d = ($4 - $10) / $4; if (d < 0) d = -d; if (!(d <= 1e-6)) wrong = 1; if (d > most) most = d }
        END { print "    largest difference of a loss " most + 0; exit wrong || rows < 2 }'
}

net='--data digits:1500,200 --depth 3 --width 64 --epochs 0,0,2,7,8 --batch 256 --seed 1'
check 'one process' processes 1 0 $net --identity 0 --out one.safetensors
mv err one.log
"$bin/train" $net --identity 0 --out train.safetensors >out 2>err
check 'is what train does, byte for byte' cmp one.safetensors train.safetensors
check 'and its loss' [ "$(sed -n 's/.*loss \([0-9.]*\) .*/\1/p' err)" = \
    "$(awk '$1 == "epoch" { printf "%.4f\n", $4 }' one.log)" ]
# Batches of 256 and a last one of 220: with three processes in parts of 85, 85, 86 and 73, 73, 74.
for n in 2 3; do
    check "$n processes" processes $n 0 $net --identity 0 --out many.safetensors
    check "$n processes: the same losses" same_losses one.log err
    check "$n processes: the same model" close one.safetensors many.safetensors
done
check 'another seed' processes 2 0 $net --identity 0 --seed 2 --steps 6 --out other.safetensors
difference=$(largest_difference one.safetensors other.safetensors)
check 'another seed: another model' awk "BEGIN { exit !(${difference:-0} > 1e-4) }"

# with_losses FLAG...: two processes have the losses of one, for two epochs
with_losses() {
    check "one process with $*" processes 1 0 $net --steps 12 "$@"
    mv err one.log
    check "two with $*" processes 2 0 $net --steps 12 "$@"
    check 'have the same losses' same_losses one.log err
}
with_losses --identity 10
with_losses --loss hinge --scalar fixed --weight-decay 0.05 --decay lp
with_losses --net hybrid --depth 4 --hidden 32
with_losses --net hybrid --depth 4 --hidden 32 --bounds interval

check 'a batch with too few samples' refused 2 '1500 images make a batch of 1, too few for 2 processes' $net \
    --batch 1499
check 'a log' refused 2 '--checkpoint, --resume and --log are those of train' $net --log log
check 'an unknown flag' refused 2 '--widht: unknown flag' --widht 3
check '--help' processes 2 0 --help
check 'is printed once' [ "$(grep -c '^usage: mpirun' out)" -eq 1 ]
check 'a process that fails ends all' processes 2 1 $net --out nowhere/x
check 'and says why' grep -q 'train_mpi: --out nowhere/x' err

if [ "$failures" -ne 0 ]; then
    echo "$failures failed"
    exit 1
fi
echo 'all passed'
