#!/bin/sh
# examples/plot.sh on small logs: both formats come out, and what is wrong is named. usage: plot_sh.sh
set -eu

plot=$(cd "$(dirname "$0")/.." && pwd)/examples/plot.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
failures=0

# check WHAT CONDITION...
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        sed 's/^/    /' err 2>/dev/null || true
        failures=$((failures + 1))
    fi
}

# run STATUS ARGUMENT...: plot.sh must end with that status
run() {
    expected=$1
    shift
    status=0
    sh "$plot" "$@" >out 2>err || status=$?
    [ "$status" -eq "$expected" ]
}

# refused STATUS WORDS ARGUMENT...: an error that says the words
refused() {
    words=$2
    expected=$1
    shift 2
    run "$expected" "$@" && grep -q -F -- "$words" err && [ ! -s out ]
}

# draws ARGUMENT...: without a word of complaint
draws() {
    run 0 "$@" && [ ! -s err ]
}

# picture NAME: NAME.png and NAME.svg are whole, and nothing is left of their making
picture() {
    [ "$(head -c 8 "$1.png" | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ] &&
        tail -c 12 "$1.png" | grep -q -a IEND && head -n 3 "$1.svg" | grep -q '<svg' &&
        [ "$(sed '/^$/d' "$1.svg" | tail -n 1)" = '</svg>' ] && [ ! -e "$1.png.new" ] && [ ! -e "$1.svg.new" ]
}

# has PICTURE WORDS: a text of the SVG
has() {
    grep -q -F -- "$2" "$1.svg"
}

check '--help' run 0 --help
check 'it tells the usage' grep -q '^usage: plot.sh LOGDIR' out
check 'no arguments' run 2
check 'the usage is told' grep -q 'plot.sh --certified' err
check 'too many arguments' run 2 a b c
check 'an unknown flag' refused 2 '--certify: unknown flag' --certify x.csv
mkdir tools
for tool in sh sed cat; do
    ln -s "$(command -v $tool)" tools/$tool
done
without_gnuplot() {
    status=0
    PATH=$work/tools sh "$plot" log >out 2>err || status=$?
    [ $status -eq 1 ] && grep -q 'gnuplot is not installed (Debian: apt-get install gnuplot-nox)' err
}
check 'without gnuplot, its package is named' without_gnuplot
if ! command -v gnuplot >/dev/null; then
    [ "$failures" -eq 0 ] || exit 1
    echo 'skipped: the pictures (there is no gnuplot)'
    exit 77
fi

# ---- the curves of a training ----
mkdir log
{
    echo epoch,loss,accuracy,certified,p,eps_normalized,lambda,lr
    echo 1,0.86,0.34,0.09,8,1.46,0.05,0.03
    echo 2,0.42,0.78,0.37,90.5,1.46,0.0015,0.02
    echo 3,0.3,0.8,0.5,inf,1.46,5e-05,0.01
} >log/train.csv
printf 'epoch,p,accuracy\n2,90.5,0.75\n3,inf,0.77\n' >log/test.csv
printf 'epoch,eps,clean,certified\n2,0.3,0.7,0.4\n3,0.3,0.77,0.5\n' >log/test-inf.csv
sed 's/0\.77/0.78/' log/test-inf.csv >log/train-inf.csv
check 'curves' draws log
check 'they are told' [ "$(tr '\n' ' ' <out)" = 'log/curves.svg log/curves.png ' ]
check 'both formats' picture log/curves
for words in 'Accuracy' 'Training loss' 'p at the start of the epoch' 'λ, the weight of the cross-entropy' \
    'training, at the running p' 'test, at the running p' 'training, p = ∞' 'test, p = ∞' 'training, certified at 0.3' \
    'test, certified at 0.3' '>∞<' '>p = ∞<'; do
    check "they say '$words'" has log/curves "$words"
done
check 'the same pictures in a folder of their own' draws log "a new/folder's"
check 'both formats there' picture "a new/folder's/curves"
check 'equal data, equal picture' cmp log/curves.svg "a new/folder's/curves.svg"

mkdir young
head -n 2 log/train.csv >young/train.csv
head -n 1 log/test.csv >young/test.csv
check 'one epoch, no tests yet' draws young
check 'both formats of it' picture young/curves
check 'without a legend for what is not there' sh -c '! grep -q "test, " young/curves.svg'
check 'nor a place for infinity' sh -c '! grep -q ∞ young/curves.svg'
mkdir hinge
awk -F , -v OFS=, 'NR > 1 { $7 = 0 } { print }' log/train.csv >hinge/train.csv
check 'a loss without lambda' draws hinge
check 'says so' has hinge/curves 'this loss has no λ'

# spoiled SED_COMMANDS WORDS [FILE]: the log with that change is refused with the words, and makes no picture
spoiled() {
    file=${3:-train.csv}
    rm -rf bad
    cp -r log bad
    rm bad/curves.*
    sed "$1" "log/$file" >"bad/$file"
    refused 1 "$2" bad && [ -z "$(find bad -name 'curves*')" ]
}
check 'no folder' refused 1 'none: no such folder' none
check 'no log in it' refused 1 'tools: no train.csv with an epoch in it' tools
check 'a log without epochs' spoiled 2,9d 'no train.csv with an epoch'
check 'an empty file' spoiled 1,9d 'bad/train.csv: it is empty'
check 'other columns' spoiled 1s/loss/cost/ 'bad/train.csv: its first line is not epoch,loss,'
check 'a row cut short' spoiled '4s/,0.01//' 'bad/train.csv: line 4: expected 8 numbers'
check 'a word' spoiled 's/0.42/nan/' 'bad/train.csv: line 3: "nan" is no number'
check 'an older test.csv' spoiled 1s/.*/epoch,clean,certified/ 'bad/test.csv: its first line is not epoch,p,accuracy' \
    test.csv
check 'no number in another log' spoiled s/0.4/x/ 'bad/test-inf.csv: line 2: "x" is no number' test-inf.csv
check 'a place that is a file' refused 1 'log/train.csv: no such folder, and it cannot be made' log log/train.csv

# ---- certified accuracy against eps ----
awk 'BEGIN {
    print "index,label,predicted,margin,radius"
    for (i = 0; i < 10000; ++i) print i ",1," (i % 5 > 0) "," 0.4 * i / 10000 "," 3e-05 + 0.1 * i / 10000
}' >"it's_a net.csv"
printf 'index,label,predicted,margin,radius\n0,7,7,1,0.15\n1,7,7,0,0\n2,7,3,1,0.2\n' >small.csv
check 'certified' draws --certified "it's_a net.csv" small.csv
check 'beside the first file' [ "$(tr '\n' ' ' <out)" = './certified.svg ./certified.png ' ]
check 'both formats' picture certified
check 'a name of any letters' has certified "it's_a net, clean: 80.00 %"
check 'another file' has certified 'small, clean: 66.67 %'
check 'thousands of images stay a small picture' [ "$(wc -c <certified.svg)" -lt 100000 ]
check 'certified, to a folder' draws --certified small.csv made/
check 'both formats there' picture made/certified
check 'certified, without a file' refused 2 'no CSV file is given' --certified made
check 'a file that is not there' refused 1 'none.csv: no such file' --certified small.csv none.csv
check 'a file that certify did not write' refused 1 'log/train.csv: its first line is not index,label,' \
    --certified log/train.csv
head -n 1 small.csv >none.csv
check 'a file without images' refused 1 'none.csv: it has no images' --certified none.csv
awk -F , -v OFS=, '{ $3 = $2 + 1; print }' small.csv | sed 1s/.*/index,label,predicted,margin,radius/ >wrong.csv
check 'a net that is never right' draws --certified wrong.csv

if [ "$failures" -ne 0 ]; then
    echo "$failures failed"
    exit 1
fi
echo 'all passed'
