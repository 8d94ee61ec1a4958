#!/bin/sh
# golden_check finds what is wrong with spoiled goldens. usage: golden_spoiled.sh GOLDEN_CHECK GOLDENS
set -eu

check=$1
goldens=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failures=0
LC_ALL=C
export LC_ALL

# expect WHAT STATUS WORDS: golden_check on the folder ends with the status and says the words
expect() {
    status=0
    "$check" "$work/folder" >"$work/log" 2>&1 || status=$?
    if [ "$status" -eq "$2" ] && grep -q -e "$3" "$work/log"; then
        echo "ok: $1"
    else
        echo "FAILED: $1 (status $status)"
        sed 's/^/    /' "$work/log"
        failures=$((failures + 1))
    fi
}

# fresh GOLDEN: a folder with this one file
fresh() {
    rm -rf "$work/folder"
    mkdir "$work/folder"
    [ $# -eq 0 ] || cp "$goldens/$1" "$work/folder"
}

# spoil WHAT GOLDEN REPLACEMENT WORDS: a replacement of equal length in the file makes it fail
spoil() {
    fresh "$2"
    sed "$3" "$goldens/$2" >"$work/folder/$2"
    if cmp -s "$goldens/$2" "$work/folder/$2"; then
        echo "FAILED: $1: the replacement changes nothing"
        failures=$((failures + 1))
    fi
    expect "$1" 1 "$4"
    expect "$1: it is counted" 1 '^0 passed, 1 failed, 0 skipped$'
}

op=op_B3_CI7_CO5_G1_HW1_p8.safetensors
layer=layers_meanshift_train_noaffine_HW1.safetensors

fresh $op
expect 'an untouched golden passes' 0 '^1 passed, 0 failed, 0 skipped$'
echo 'not a golden' >"$work/folder/report.json"
echo 'not a golden' >"$work/folder/README.md"
expect 'other files do not count' 0 '^1 passed, 0 failed, 0 skipped$'
fresh
expect 'an empty folder fails' 1 '^0 passed, 0 failed, 0 skipped$'
rm -rf "$work/folder"
expect 'no folder fails' 2 'cannot read the folder'

spoil 'an unknown category' $op 's/"category": *"op"/"category":"po"/' 'unknown category po'
spoil 'an unknown kind' $op 's/"random"/"rundom"/' 'unknown kind rundom'
spoil 'an unknown layer' $layer 's/"MeanShift"/"MeanShaft"/' 'unknown layer MeanShaft'
spoil 'an unknown loss' loss_mixture_half.safetensors 's/"loss": *"mixture"/"loss":"mixtura"/' 'unknown loss mixtura'
spoil 'a loss without its parameter' loss_hinge_default.safetensors 's/"mix"/"mux"/' 'tensor mix is missing'
spoil 'a missing tensor' $op 's/"gx"/"gq"/' 'tensor gx is missing'
spoil 'a missing tolerance' $op 's/"tol\.gw"/"tol.gq"/' 'metadata tol.gw is missing'
spoil 'a wrong shape' $op 's/\[5, *7\]/[7,5]/; s/\[3, *7, *1\]/[3,1,1]/' 'malformed'
spoil 'an unknown net' train_hybrid.safetensors 's/"HybridModel(/"HybridMadel(/' 'unknown model HybridMadel('
spoil 'another net' train_hybrid.safetensors 's/hidden=16/hidden=17/' 'tensor init\.fc_linear\.0\.weight has'
spoil 'another convolution' train_conv.safetensors 's/(6, 8, 3, 1, 1, 1)/(6, 8, 3, 1, 1, 2)/' 'conv_dist\.1\.weight has'
spoil 'a convolution without its running mean' conv_inf_eval_bounds.safetensors \
    's/"running_mean"/"running_maen"/' 'tensor running_mean is missing'
spoil 'a convolution without bias' conv_k3.safetensors 's/"bias": *"True"/"bias":"Truu"/' 'not True or False'
spoil 'another scale of weights' layers_boundlinear_B16_CI33_CO20_bias.safetensors \
    's/"w_scale_arg": *"0\.5"/"w_scale_arg":"0.6"/' 'y_lower\[.*got .* want .* tolerance'
spoil 'another scale of biases' layers_boundfinallinear_B3_CI7_CO5.safetensors \
    's/"b_scale_arg": *"1\.2"/"b_scale_arg":"1.3"/' 'g_bias\[.*got .* want .* tolerance'
spoil 'margins against other labels' layers_boundfinallinear_B3_CI7_CO5.safetensors \
    's/"targets"/"tergats"/' 'tensor targets is missing'
spoil 'missing PGD images' train_conv.safetensors 's/"pgd\.x_inf"/"pgd.x_inq"/' 'tensor pgd.x_inf is missing or too long'
spoil 'a schedule that differs' schedule.json 's/"p_end":1000.0/"p_end":999.5/' 'want'
spoil 'a schedule without a field' schedule.json 's/"p_end"/"q_end"/' 'p_end is missing'
spoil 'a schedule that is no JSON' schedule.json 's/{"schedules"/["schedules"/' 'line 1'

for size in 0 7 8 100 900 1700; do
    fresh
    head -c $size "$goldens/$op" >"$work/folder/$op"
    expect "the first $size bytes of a golden" 1 'FAIL '
done

# The last eight bytes of x: inputs that do not belong to the outputs.
fresh
bytes=$(wc -c <"$goldens/$op")
{ head -c $((bytes - 8)) "$goldens/$op" && printf 'AAAAAAAA'; } >"$work/folder/$op"
expect 'a changed input' 1 'y\[.*got .* want .* tolerance'

[ "$failures" -eq 0 ]
