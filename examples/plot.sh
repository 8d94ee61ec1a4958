#!/bin/sh
# Draws the logs of train, or certified accuracy against eps, with gnuplot, as SVG and PNG.
# usage: plot.sh LOGDIR [OUTDIR]             curves.svg and curves.png from what train --log LOGDIR wrote
#        plot.sh --certified CSV... [OUTDIR] certified.svg and certified.png from what certify --csv wrote
# Without OUTDIR the pictures go beside the data. With --certified, OUTDIR is a folder that is there or ends in a slash.
set -eu
LC_ALL=C
export LC_ALL

fail() {
    echo "plot.sh: $1" >&2
    exit "${2:-1}"
}

usage() {
    sed -n 's/^# \{0,1\}//; 2,5p' "$0"
}

# Columns of the logs: train says what they are.
train_columns=epoch,loss,accuracy,certified,p,eps_normalized,lambda,lr
test_columns=epoch,p,accuracy
infinity_columns=epoch,eps,clean,certified
certify_columns=index,label,predicted,margin,radius

# rows FILE COLUMNS: its rows, checked, separated by blanks, to standard output
rows() {
    [ -f "$1" ] || fail "$1: no such file"
    [ -r "$1" ] || fail "$1: it cannot be read"
    awk -F , -v name="$1" -v columns="$2" '
        function fail(text) { print "plot.sh: " name ": " text >"/dev/stderr"; failed = 1; exit 1 }
        NR == 1 { if ($0 != columns) fail("its first line is not " columns); count = NF; next }
        NF != count { fail("line " NR ": expected " count " numbers") }
        {
            for (i = 1; i <= NF; ++i)
                if ($i !~ /^(-?[0-9]+(\.[0-9]*)?(e[-+]?[0-9]+)?|inf)$/) fail("line " NR ": \"" $i "\" is no number")
            $1 = $1
            print
        }
        END { if (!failed && NR == 0) fail("it is empty") }' "$1"
}

# log NAME COLUMNS: rows of that log, none where it is not there
log() {
    if [ -e "$logs/$1" ]; then rows "$logs/$1" "$2"; fi >"$work/$1"
}

# draw NAME WIDTH HEIGHT: the gnuplot program work/commands, run beside the data, to OUTDIR/NAME.svg and .png
draw() {
    mkdir -p "$out" || fail "$out: no such folder, and it cannot be made"
    for kind in svg png; do
        # The letters of a screen are wider than those of print.
        case $kind in
        svg) terminal="svg size $2,$3 font 'Helvetica,Arial,sans-serif,14' background 'white'" ;;
        png) terminal="pngcairo size $2,$3 font 'sans,11'" ;;
        esac
        { echo "set terminal $terminal; set output 'picture'" && style && cat "$work/commands"; } >"$work/program"
        (cd "$work" && LC_ALL=C.UTF-8 gnuplot program) >&2 || fail "gnuplot could not draw $1.$kind"
        if ! cp "$work/picture" "$out/$1.$kind.new" || ! mv "$out/$1.$kind.new" "$out/$1.$kind"; then
            fail "$out/$1.$kind: cannot be written"
        fi
        echo "$out/$1.$kind"
    done
}

# Colours that differ for colour-blind eyes too (Okabe and Ito).
style() {
    cat <<'GNUPLOT'
set encoding utf8
blue = '#0072B2'; orange = '#E69F00'; green = '#009E73'; red = '#D55E00'; violet = '#CC79A7'; sky = '#56B4E9'
set border 3 linecolor rgb '#606060'
set tics nomirror textcolor rgb '#303030'
set grid linetype 1 linecolor rgb '#DCDCDC' linewidth 1
set key noautotitle noenhanced
set linetype 1 linecolor rgb blue; set linetype 2 linecolor rgb red; set linetype 3 linecolor rgb green
set linetype 4 linecolor rgb orange; set linetype 5 linecolor rgb violet; set linetype 6 linecolor rgb sky
set linetype 7 linecolor rgb 'black'; set linetype 8 linecolor rgb '#808080'; set linetype cycle 8
GNUPLOT
}

# What train.csv says about the panels, as gnuplot variables: infinity gets a place above all finite p.
shape_of_training() {
    awk '
        $5 == "inf" && !start { start = $1 }
        $5 != "inf" && $5 > high_p { high_p = $5 }
        $5 != "inf" && (!low_p || $5 < low_p) { low_p = $5 }
        $7 > high { high = $7 }
        $7 > 0 && (!low || $7 < low) { low = $7 }
        END {
            if (!high_p) low_p = high_p = 8
            printf "first = %d; last = %d; has_infinity = %d; first_infinite = %d\n", first, $1, (start > 0), start
            printf "low_p = %.9g; infinity_at = %.9g\n", low_p, 3 * high_p
            printf "has_lambda = %d; low_lambda = %.9g; high_lambda = %.9g\n", (high > 0), low, high
        }
        NR == 1 { first = $1 }' "$work/train.csv"
}

# curve LOG COLUMN COLOUR STYLE TITLE: a part of the command that plots accuracies, if the log has rows yet
curve() {
    [ ! -s "$work/$1" ] ||
        echo "    '$1' using 1:(\$$2*100) with linespoints linewidth 2 linecolor rgb $3 $4 title '$5', \\"
}

accuracy_curves() {
    training='dashtype (6,4) pointtype mark pointsize 0.3'
    test='pointtype 7 pointsize 0.5'
    eps=$(awk 'NR == 1 { printf "%.4g", $2 }' "$work/test-inf.csv" "$work/train-inf.csv")
    # shellcheck disable=SC1003 # the line goes on
    echo 'plot \'
    curve train.csv 3 blue "$training" 'training, at the running p'
    curve test.csv 3 blue 'pointtype 6 pointsize 1.2' 'test, at the running p'
    curve train-inf.csv 3 green "$training" 'training, p = ∞'
    curve test-inf.csv 3 green "$test" 'test, p = ∞'
    curve train-inf.csv 4 red "$training" "training, certified at $eps"
    curve test-inf.csv 4 red "$test" "test, certified at $eps"
    echo '    NaN notitle'
}

accuracy_panel() {
    cat <<'GNUPLOT'
mark = last - first < 50 ? 7 : -1 # points, so that a single epoch shows
set xrange [(first == last ? first - 0.5 : first):(first == last ? last + 0.5 : last)]
if (last - first < 10) set xtics 1
set xlabel 'epoch' offset 0,0.5
set multiplot
if (has_infinity) set object 1 rectangle from first first_infinite, graph 0 to graph 1, graph 1 behind \
    fillcolor rgb '#F0F0F0' fillstyle solid noborder
if (has_infinity) set label 1 'p = ∞' at graph 0.995, graph 0.04 right
set lmargin at screen 0.065; set rmargin at screen 0.71; set tmargin at screen 0.95; set bmargin at screen 0.54
set title 'Accuracy' offset 0,-0.5
set ylabel 'images (%)' offset 1
set yrange [0:100]
set key at screen 0.73, screen 0.95 left top Left reverse spacing 1.4 samplen 3
GNUPLOT
    accuracy_curves
}

other_panels() {
    cat <<'GNUPLOT'
unset key
unset label
set tmargin at screen 0.41; set bmargin at screen 0.085
set style data linespoints
set linetype 1 linewidth 2 pointtype mark pointsize 0.3

set lmargin at screen 0.065; set rmargin at screen 0.32
set title 'Training loss'
set ylabel 'mean of the epoch'
set yrange [0:*]
plot 'train.csv' using 1:2 linetype 1

set lmargin at screen 0.395; set rmargin at screen 0.65
set title 'p at the start of the epoch'
set ylabel 'p (log scale)'
set logscale y
set yrange [low_p / 1.5:infinity_at * 1.15]
if (has_infinity) set ytics add ('∞' infinity_at)
plot 'train.csv' using 1:(strcol(5) eq 'inf' ? infinity_at : $5) linetype 1

set lmargin at screen 0.725; set rmargin at screen 0.98
set title 'λ, the weight of the cross-entropy'
set ylabel 'λ (log scale)'
set ytics autofreq
set format y '10^{%T}'
if (has_lambda) {
    set yrange [low_lambda / 1.5:high_lambda * 1.5]
    plot 'train.csv' using 1:($7 > 0 ? $7 : NaN) linetype 1
} else {
    unset logscale y; unset ytics; unset object 1; unset ylabel
    set yrange [0:1]
    set label 1 'this loss has no λ' at graph 0.5, graph 0.5 center
    plot NaN
}
unset multiplot
GNUPLOT
}

curves() {
    logs=$1
    [ -d "$logs" ] || fail "$logs: no such folder"
    log train.csv "$train_columns"
    log test.csv "$test_columns"
    log train-inf.csv "$infinity_columns"
    log test-inf.csv "$infinity_columns"
    [ -s "$work/train.csv" ] || fail "$logs: no train.csv with an epoch in it; train --log writes it"
    { shape_of_training && accuracy_panel && other_panels; } >"$work/commands"
    draw curves 1200 800
}

# survivors FILE: eps, and the percentage of images that are certified beyond it: right, and of a larger radius. Every
# image is a step; of thousands, a part shows the same curve.
survivors() {
    all=$(wc -l <"$1")
    echo "0 $(awk '$2 == $3 && $5 > 0 { n++ } END { print 100 * n / NR }' "$1")"
    awk '$2 == $3 && $5 > 0 { printf "%.9f\n", $5 }' "$1" | sort -n |
        awk -v all="$all" '
            { radius[NR] = $1 }
            END {
                stride = int((NR + 999) / 1000)
                for (i = 1; i <= NR; ++i) if (i % stride == 0 || i == NR) print radius[i], 100 * (NR - i) / all
            }'
}

certified() {
    list=
    number=0
    for csv in "$@"; do
        if [ -d "$csv" ] || [ "${csv%/}" != "$csv" ]; then
            out=${csv%/}
            continue
        fi
        out=${out:-$(dirname "$csv")}
        number=$((number + 1))
        rows "$csv" "$certify_columns" >"$work/rows"
        [ -s "$work/rows" ] || fail "$csv: it has no images"
        survivors "$work/rows" >"$work/$number"
        name=$(basename "$csv" .csv | sed "s/'/''/g")
        clean=$(awk '$2 == $3 { n++ } END { printf "%.4f", 100 * n / NR }' "$work/rows")
        list="$list${list:+, }'$number' using 1:2 with steps linewidth 2 linetype $number title '$name, certified', \
            $clean with lines linewidth 1.5 dashtype (8,6) linetype $number \
                title sprintf('%s, clean: %.2f %%', '$name', $clean)"
    done
    [ $number -gt 0 ] || fail '--certified: no CSV file is given; --help tells the usage' 2
    {
        cat <<'GNUPLOT'
set title 'Certified accuracy' offset 0,-0.5
set xlabel 'eps: radius around every image, in raw pixels from 0 to 1'
set ylabel 'images (%)'
set yrange [0:100]
set key outside right top Left reverse spacing 1.4 samplen 3
GNUPLOT
        cat "$work"/[1-9]* | awk '$1 > most { most = $1 } END { print "set xrange [0:" (most ? 1.02 * most : 1) "]" }'
        echo "plot $list"
    } >"$work/commands"
    draw certified 1000 600
}

case ${1:-} in
--help | -h) usage && exit 0 ;;
--certified) kind=certified && out= && shift ;;
-*) fail "$1: unknown flag; --help tells the usage" 2 ;;
*)
    [ $# -eq 1 ] || [ $# -eq 2 ] || { usage >&2 && exit 2; }
    kind=curves
    out=${2:-$1}
    ;;
esac
command -v gnuplot >/dev/null 2>&1 || fail 'gnuplot is not installed (Debian: apt-get install gnuplot-nox)'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
$kind "$@"
