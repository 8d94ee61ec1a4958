#!/bin/sh
# The example programs end to end, with tiny nets. usage: programs.sh BUILD_DIR
set -u

bin=$(cd "$1" && pwd)/bin
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
failures=0

# check WHAT COMMAND...
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        for log in out err; do
            [ -f $log ] && tail -n 5 $log | sed "s/^/    $log: /"
        done
        failures=$((failures + 1))
    fi
}

# run STATUS PROGRAM ARGUMENT...: must end with that status; its output goes to out and err
run() {
    expected=$1
    program=$2
    shift 2
    status=0
    "$bin/$program" "$@" >out 2>err || status=$?
    [ "$status" -eq "$expected" ]
}

# refused PROGRAM WORDS ARGUMENT...: an error of usage that says the words and prints nothing else
refused() {
    program=$1
    words=$2
    shift 2
    run 2 "$program" "$@" && grep -q -F -- "$words" err && [ ! -s out ]
}

# fails PROGRAM WORDS ARGUMENT...: any other error
fails() {
    program=$1
    words=$2
    shift 2
    run 1 "$program" "$@" && grep -q -F -- "$words" err
}

# lacks ISA: the last program refused it, and rightly as far as Linux tells
lacks() {
    case $1 in
    avx512) flag=avx512f ;;
    *) flag=$1 ;;
    esac
    [ "$1" != ref ] && grep -q "$1" err && ! grep -q -w "$flag" /proc/cpuinfo 2>/dev/null
}

# json FILE: its last line is an object with the promised fields
json() {
    tail -n 1 "$1" | grep -q -E '^\{"clean_accuracy": [01](\.[0-9]+)?, "certified_accuracy": [01](\.[0-9]+)?, '\
'"method": "(margin|interval)", "eps": [0-9.]+, "epochs": (null|[0-9]+), "seconds": [0-9]+\.[0-9]+.*\}$'
}

# field FILE NAME: a field of the last line
field() {
    tail -n 1 "$1" | sed "s/.*\"$2\": \"\{0,1\}\([^,\"}]*\).*/\1/"
}

net='--data digits:1500,200 --depth 3 --width 64 --epochs 0,0,2,7,8 --seed 1'

# ---- command lines ----
for program in train certify attack lipschitz well_separated; do
    check "$program --help" run 0 $program --help
    check "$program --help lists its flags" grep -q -e '--threads N' out
    check "$program: an unknown flag" refused $program '--widht: unknown flag' --widht 3
    check "$program: a missing value" refused $program '--data: its value is missing' --data
    check "$program: a word that is no flag" refused $program "'digits': expected a flag" digits
    check "$program: too many threads" refused $program "--threads '1025'" --threads 1025
done
check 'train --help lists the recipes' sh -c "'$bin/train' --help | grep -q mnist-0.3"
check 'train --list-recipes' run 0 train --list-recipes
for name in published mnist-0.1 mnist-0.3 cifar10-2/255 cifar10-8/255 cifar10-16/255 digits \
    published-2021 mnist-2021 fashion-mnist-2021 cifar10-2021 hybrid-2021 mnist-hybrid-2021 fashion-mnist-hybrid-2021 \
    cifar10-hybrid-2021 cifar10-conv-hybrid-2021 tiny-imagenet-2021 cifar10-hinge-2022 cifar10-hybrid-2022 \
    digits-hybrid; do
    check "it lists $name" grep -q "^  $name " out
done
check '--list-recipes takes no value' refused train '--list-recipes takes no value' --list-recipes=all
check 'a number with a tail' refused train "--width '12x'" --width 12x
check 'a negative count' refused train "--batch '-1'" --batch -1
check 'a zero' refused train "--depth '0'" --depth 0
check 'infinity' refused train "--lr 'inf'" --lr inf
check 'a number out of range' refused train "--p-end '1001'" --p-end 1001
check 'a fraction by zero' refused train "--eps-train '8/0'" --eps-train 8/0
check 'four epochs' refused train "--epochs '0,0,1,2'" --epochs 0,0,1,2
check 'an unknown year' refused train "--augment '2020': expected a whole number from 2021 to 2022" --augment 2020
check 'steps of lr that are no numbers' refused train "--lr-steps '3,x'" --lr-steps 3,x
check 'an unknown recipe' refused train "--recipe 'cifar'" --recipe cifar
check 'eps that grows from 0' refused train '--epochs 0,2' $net --epochs 0,2,0,7,8
check 'and which nets may do so' grep -q 'with a linear head (--net hybrid or conv-hybrid) it may be 0' err
check 'an unknown net' refused train "--net 'resnet': expected mlp|hybrid|conv|conv-hybrid" --net resnet
check 'no hidden neurons' refused train "--hidden '0'" --net hybrid --hidden 0
check 'channels by half' refused train "--width-factor '0.5'" --net conv --width-factor 0.5
check 'no features' refused train "--features '0'" --net conv --features 0
check 'unknown bounds' refused train "--bounds 'ibp': expected lipschitz|interval" --bounds ibp
check 'a hybrid net without distances' fails train 'depth is 2' --data digits:9,9 --net hybrid --depth 2
check 'an unknown loss' refused train "--loss 'huber': expected mixture|hinge|crossentropy" --loss huber
check 'half a choice' refused train "--decay 'l'" --decay l
check 'a mix above 1' refused train "--mix '1.5'" --loss hinge --mix 1.5
check 'eps that grows from 0, as in 2021' refused train 'eps_begin is 1, eps_finish is 3' $net --epochs 1,2,2,7,8 \
    --epochs-of 2021
check 'constant lr to the end' refused train 'lr_begin is 8' $net --epochs 0,8,0,8,8 --epochs-of 2021
check 'no model' refused certify '--model is needed' --eps 0.1
check 'no radius' refused certify '--eps is needed' --model x
check 'a bad radius' refused certify "'0.1x'" --model x --eps 0.05,0.1x
check 'an empty radius' refused certify "--eps '0.1,'" --model x --eps 0.1,
check 'an unknown method' refused certify "--method 'ibp'" --model x --eps 0.1 --method ibp
check 'an unknown surrogate' refused certify "'0.5' is no number" --model x --eps 0.1 --attack inf,0.5
check 'an attack without a model' refused attack '--model is needed' --eps 0.1
check 'an attack without a radius' refused attack '--eps is needed' --model x
check 'an attack with a bad surrogate' refused attack "--p '40,x'" --model x --eps 0.1 --p 40,x
check 'an attack without steps' refused attack "--steps '0'" --model x --eps 0.1 --steps 0
check 'an attack by an unknown method' refused attack "--method 'ibp'" --model x --eps 0.1 --method ibp
check 'an estimate without a model' refused lipschitz '--model is needed' --p 8
check 'an estimate without size' refused lipschitz "--eps '0'" --model x --eps 0
check 'points that a square cannot show' refused well_separated "--classes '7'" --classes 7
check 'fewer points than classes' refused well_separated '--points 3: fewer than the 4 classes' --points 3
check 'no radius at all' refused well_separated "--radius '0'" --radius 0
check 'points and images' refused well_separated '--points does not go with --data' --data digits --points 9
check 'classes of images' refused well_separated '--classes does not go with --data' --data digits --classes 3
check 'a picture of images' refused well_separated '--picture does not go with --data' --data digits --picture x.svg
check 'a count of points' refused well_separated '--count goes with --data alone' --count 9
check 'custom_loop without arguments' run 2 custom_loop

# ---- data that are not there or wrong ----
mkdir empty
check 'an unknown data set' fails train "'svhn' is no data set" --data svhn
check 'a folder without MNIST' fails train 'no file train-images-idx3-ubyte' --data mnist:empty
printf 'no idx file at all, but long enough' >empty/t10k-images-idx3-ubyte
check 'a folder without CIFAR-10' fails train 'none of data_batch_1.bin' --data cifar10:empty
check 'a folder without Fashion-MNIST' fails train 'no file train-images-idx3-ubyte' --data fashion-mnist:empty
check 'a folder without TinyImageNet' fails certify 'tiny-imagenet' --data tiny-imagenet:empty --model x --eps 0
check 'a file that is not IDX' fails certify 'bad magic number' --data mnist:empty --model x --eps 0.1
check 'a model that is not there' fails certify 'missing.safetensors' --model missing.safetensors --eps 0.1
check 'a folder that cannot be written' fails train 'nowhere/x' $net --steps 1 --out nowhere/x

# ---- train, and the same from the parts ----
check 'train' run 0 train $net --out whole.safetensors --log whole --checkpoint whole.ckpt
check 'its last line is the JSON object' json out
check 'it counts epochs' [ "$(field out epochs)" = 8 ]
check 'it learned' awk "BEGIN { exit !($(field out clean_accuracy) > 0.4 && $(field out certified_accuracy) > 0.2) }"
check 'train.csv has a row per epoch' [ "$(wc -l <whole/train.csv)" -eq 9 ]
for log in test train-inf test-inf; do
    check "$log.csv has the last five epochs" \
        [ "$(cut -d , -f 1 whole/$log.csv | tr '\n' ' ')" = 'epoch 4 5 6 7 8 ' ]
done
check 'train.csv names its columns' grep -q '^epoch,loss,accuracy,certified,p,eps_normalized,lambda,lr$' \
    whole/train.csv
check 'test.csv names its columns' grep -q '^epoch,p,accuracy$' whole/test.csv
check 'test-inf.csv names its columns' grep -q '^epoch,eps,clean,certified$' whole/test-inf.csv
check 'train-inf.csv names its columns' grep -q '^epoch,eps,clean,certified$' whole/train-inf.csv
check 'test-inf.csv ends with the reported accuracy' \
    grep -q "^8,0.15,$(field out clean_accuracy),$(field out certified_accuracy)\$" whole/test-inf.csv
check 'test.csv is at the p of the epoch' awk -F , '
    FNR == 1 { file++ }
    file == 1 { p[$1] = $5 }
    file == 2 && FNR > 1 { rows++; wrong += p[$1] != $2; accuracy[$1] = $3; finite += $2 != "inf" }
    file == 3 && FNR > 1 { wrong += p[$1] == "inf" && accuracy[$1] != $3; differ += accuracy[$1] != $3 }
    END { exit !(!wrong && rows == 5 && finite == 4 && differ > 0) }' whole/train.csv whole/test.csv whole/test-inf.csv
check 'train-inf.csv is about the 1500 training images' awk -F , '
    NR > 1 { for (i = 3; i <= 4; ++i) { n = 1500 * $i; d = n - int(n + 0.5); wrong += d > 1e-4 || d < -1e-4 } }
    NR > 1 && $4 <= $3 && $4 > 0.1 { rows++ }
    END { exit wrong || rows != 5 }' whole/train-inf.csv
check 'custom_loop' run 0 custom_loop digits:1500,200 custom.safetensors 8
check 'custom_loop ends with the same bytes' cmp whole.safetensors custom.safetensors

# ---- the same bits on any instruction set and number of threads ----
for isa in ref avx2 avx512; do
    if LINFDIST_ISA=$isa "$bin/custom_loop" digits:1500,200 isa.safetensors 8 2>err; then
        check "$isa: the same bytes" cmp whole.safetensors isa.safetensors
    else
        check "$isa: refused only where the machine lacks it" lacks "$isa"
    fi
done
check 'three threads' run 0 train $net --threads 3 --out threads.safetensors --checkpoint threads.ckpt
check 'three threads: the same model' cmp whole.safetensors threads.safetensors
check 'three threads: the same checkpoint' cmp whole.ckpt threads.ckpt
check 'another seed' run 0 train $net --seed 2 --out other.safetensors
check 'another seed: another model' sh -c '! cmp -s whole.safetensors other.safetensors'

# ---- other losses, weight decay, the schedule of 2021: what resuming needs is in the checkpoint ----
hinge='--loss hinge --scalar fixed --weight-decay 0.05 --decay lp --epochs 0,2,0,7,8 --epochs-of 2021'
for other in '--clip 0.5 --lr-steps 3,6' '--loss crossentropy --mix 0.5 --weight-decay 0.01' "$hinge"; do
    loss=$(echo "$other" | cut -d ' ' -f 1-2)
    check "train $loss" run 0 train $net $other --out one.safetensors --log one
    check "train $loss: another model" sh -c '! cmp -s whole.safetensors one.safetensors'
    check "train $loss: it learned" awk "BEGIN { exit !($(field out clean_accuracy) > 0.3) }"
    check "train $loss: stopped" run 0 train $net $other --steps 70 --checkpoint one.ckpt
    check "train $loss: resumed on three threads" run 0 train --data digits:1500,200 --resume one.ckpt --threads 3 \
        --out two.safetensors
    check "train $loss: the same model" cmp one.safetensors two.safetensors
done
check 'the 2021 recipe' run 0 train --data digits:200,50 --recipe mnist-2021 --width 32 --steps 2
check 'a hinge has no lambda' awk -F , 'NR > 1 && $7 != 0 { exit 1 }' one/train.csv
check 'another loss than the checkpoint has' fails train '--loss mixture: the checkpoint was trained with hinge' \
    --data digits:1500,200 --resume one.ckpt --loss mixture

# ---- every net: training, resuming on another number of threads, certificates by both methods, attacks ----
tiny='--data digits:12,6 --batch 4 --seed 1 --epochs 0,0,0,2,3 --epochs-of 2022 --depth 4 --width 16'
tiny="$tiny --hidden 8 --features 8"
# every_net NAME FLAGS: at p = 8, at p in between and at infinity
every_net() {
    net_name=$1
    shift
    check "$net_name: train" run 0 train $tiny "$@" --out one.safetensors --log net
    check "$net_name: its last line is the JSON object" json out
    check "$net_name: the loss falls" awk -F , 'NR == 3 { before = $2 } END { exit !($2 < before) }' net/train.csv
    check "$net_name: stopped within an epoch" run 0 train $tiny "$@" --threads 1 --steps 5 --checkpoint net.ckpt
    check "$net_name: resumed on three threads" run 0 train --data digits:12,6 --resume net.ckpt --threads 3 \
        --out two.safetensors
    check "$net_name: the same model" cmp one.safetensors two.safetensors
    for method in margin interval; do
        check "$net_name: certified by $method and attacked" run 0 certify --data digits:12,6 --seed 1 \
            --model one.safetensors --eps 0,0.01 --method $method --attack inf,40 --steps 2
        check "$net_name: its last line is the JSON object" json out
    done
    check "$net_name: a radius for each image" run 0 certify --data digits:12,6 --seed 1 --model one.safetensors \
        --eps 0 --csv net.csv
    check "$net_name: seven rows" [ "$(wc -l <net.csv)" -eq 7 ]
}
every_net 'mlp through intervals' --bounds interval
check 'it is trained at p = infinity' awk -F , 'NR > 1 && $5 != "inf" { exit 1 }' net/train.csv
every_net 'hybrid' --net hybrid --epochs 0,1,0,2,3
check 'eps grows from 0' grep -q '^1,[^,]*,[^,]*,[^,]*,8,0,' net/train.csv
every_net 'hybrid through intervals' --net hybrid --bounds interval --epochs 0,1,0,2,3
every_net 'conv' --net conv
check 'another net than the checkpoint has' fails train '--net mlp: the checkpoint was trained with conv' \
    --data digits:12,6 --resume net.ckpt --net mlp
every_net 'conv-hybrid' --net conv-hybrid --epochs 0,1,0,2,3
check 'its layers' [ "$(head -c 4000 one.safetensors | grep -a -o 'kind[^,]*' | tr -d '"\\\n')" = "$(
    for layer in distance_conv distance_conv distance_conv distance_conv distance_conv distance; do
        printf 'kind:%skind:mean_shift' $layer
    done)kind:linearkind:tanhkind:linear" ]
check 'the recipe of a net with a linear head' grep -a -q '^loss=crossentropy$' net.ckpt

# ---- stop and resume ----
check 'stopped after 113 of 192 steps' run 0 train $net --steps 113 --checkpoint part.ckpt --log part
check 'four epochs were complete' [ "$(field out epochs)" = 4 ]
cp part.ckpt again.ckpt
printf '5,0.15,0.5,0.5\n6,0.' >>part/test-inf.csv # as if killed after the checkpoint
check 'resumed' run 0 train --data digits:1500,200 --resume part.ckpt --checkpoint part.ckpt --log part \
    --out part.safetensors
check 'resumed: the same model' cmp whole.safetensors part.safetensors
check 'resumed: the same checkpoint' cmp whole.ckpt part.ckpt
for log in train test train-inf test-inf; do
    check "resumed: the same $log.csv" cmp whole/$log.csv part/$log.csv
done
check 'on one thread, stopped within epoch 5' run 0 train $net --threads 1 --steps 113 --checkpoint one.ckpt --log one
check 'resumed on three' run 0 train --data digits:1500,200 --resume one.ckpt --threads 3 --steps 150 \
    --checkpoint one.ckpt --log one
check 'and again on two' run 0 train --data digits:1500,200 --resume one.ckpt --threads 2 --checkpoint one.ckpt \
    --log one --out one.safetensors
check 'changed threads: the same model' cmp whole.safetensors one.safetensors
check 'changed threads: the same checkpoint' cmp whole.ckpt one.ckpt
for log in train test train-inf test-inf; do
    check "changed threads: the same $log.csv" cmp whole/$log.csv one/$log.csv
done
cp -r part old
printf 'epoch,clean,certified\n' >old/test.csv
check 'a log of other columns is named' fails train "old/test.csv: not a log of this program: its first line is not" \
    --data digits:1500,200 --resume again.ckpt --log old
check 'a finished training resumes to its result' run 0 train --data digits:1500,200 --resume part.ckpt
check 'a differing width is named' fails train '--width 32: the checkpoint was trained with 64' $net \
    --width 32 --resume again.ckpt
check 'a differing recipe is named' fails train 'the checkpoint was trained with' --recipe mnist-0.1 \
    --resume again.ckpt
check 'differing data are named' fails train '--data digits:700,200: the checkpoint was trained with digits:1500,200' \
    --data digits:700,200 --resume again.ckpt
check 'equal settings may be repeated' run 0 train $net --resume again.ckpt --steps 114
run 0 train --data digits:1500,200 --resume again.ckpt --steps 114 --out one.safetensors
LC_ALL=C sed 's/^net=/xet=/; s/^hidden=/xidden=/; s/^width-factor=/xidth-factor=/; s/^features=/xeatures=/
    s/^bounds=/xounds=/' again.ckpt >before.ckpt
check 'a checkpoint from before there were other nets' run 0 train --data digits:1500,200 --resume before.ckpt \
    --steps 114 --out two.safetensors
check 'goes on as an mlp' cmp one.safetensors two.safetensors
check 'a model is no checkpoint' fails train 'train: ' --resume whole.safetensors
head -c 3000 part.ckpt >cut.ckpt
check 'a checkpoint cut short' fails train 'train: ' --data digits:1500,200 --resume cut.ckpt

ln -s nothing.safetensors dangling
check 'a link to nothing is refused before the training' fails train '--out dangling: a symbolic link to nothing' \
    --data digits:256,64 --out dangling

# interrupt SIGNAL NUMBER: stops a long training, which must leave a checkpoint that goes on
interrupt() {
    rm -f killed.ckpt
    "$bin/train" $net --epochs 0,0,0,100000,100000 --checkpoint killed.ckpt >out 2>err &
    pid=$!
    tries=0
    while [ ! -f killed.ckpt ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -s "$1" $pid
    status=0
    wait $pid || status=$?
    pid=
    [ $status -eq $((128 + $2)) ] && [ -f killed.ckpt ] && [ ! -s out ] && grep -q "stopped by signal $2 after" err
}
check 'SIGTERM leaves a checkpoint' interrupt TERM 15
steps=$(sed -n 's/.*after \([0-9][0-9]*\) steps.*/\1/p' err)
check 'and says after how many steps' [ -n "$steps" ]
check 'that goes on' run 0 train --data digits:1500,200 --resume killed.ckpt --steps $((steps + 1)) \
    --out late.safetensors
check 'a training that was not stopped' run 0 train $net --epochs 0,0,0,100000,100000 --steps $((steps + 1)) \
    --out whole_way.safetensors
check 'ends with the same model' cmp late.safetensors whole_way.safetensors

# ---- certify ----
check 'certify' run 0 certify --data digits:1500,200 --seed 1 --model whole.safetensors --eps 0.02,8/255,0.15 \
    --csv margin.csv
check 'a table and a JSON line per radius' [ "$(wc -l <out)" -eq 7 ]
check 'its last line is the JSON object' json out
check 'the fraction is exact' grep -q '"eps": 0.03137254901960784,' out
check 'the csv has a row per image' [ "$(wc -l <margin.csv)" -eq 201 ]
check 'the csv names its columns' grep -q '^index,label,predicted,margin,radius$' margin.csv
certified=$(awk -F, 'NR > 1 && $2 == $3 && $5 > 0.15 { n++ } END { print n / 200 }' margin.csv)
check 'table and csv agree' [ "$certified" = "$(field out certified_accuracy)" ]
run 0 train --data digits:1500,200 --resume whole.ckpt
check 'train reports the same' [ "$certified" = "$(field out certified_accuracy)" ]
for isa in ref avx2 avx512; do
    if LINFDIST_ISA=$isa "$bin/certify" --data digits:1500,200 --seed 1 --model whole.safetensors --eps 0.1 \
    --threads 2 --csv isa.csv >out 2>err; then
        check "$isa: the same csv" cmp margin.csv isa.csv
    else
        check "$isa: refused only where the machine lacks it" lacks "$isa"
    fi
done
check 'certify by intervals' run 0 certify --data digits:1500,200 --seed 1 --model whole.safetensors \
    --eps 0.1 --method interval --limit 50 --csv interval.csv
check 'the method is reported' [ "$(field out method)" = interval ]
check 'the limit counts' [ "$(wc -l <interval.csv)" -eq 51 ]
check 'intervals with the pixel clamp certify no less' awk -F, '
    NR == FNR { radius[$1] = $5; next }
    FNR > 1 && $5 < 0.999 * radius[$1] { worse = 1 }
    END { exit worse }' margin.csv interval.csv
check 'a csv that cannot be written' fails certify 'nowhere/x.csv' --data digits:1500,200 \
    --model whole.safetensors --eps 0.1 --csv nowhere/x.csv

# ---- colour images: 80 of CIFAR-10's layout, each of one shade ----
mkdir cifar
i=0
while [ $i -lt 80 ]; do
    printf "\\$(printf '%03o' $((i % 10)))"
    head -c 3072 /dev/zero | tr '\000' "\\$(printf '%03o' $((i % 10 * 20)))"
    i=$((i + 1))
done >cifar/data_batch_1.bin
colour='--data cifar10:cifar --depth 2 --width 16 --epochs 0,0,0,1,2 --batch 16 --seed 1'
check 'train on CIFAR-10' run 0 train $colour --out colour.safetensors --checkpoint colour.ckpt
check 'without a test batch, the split is told' \
    grep -q 'no test_batch.bin: the last 8 of the 80 images present are the test images' err
check 'and tested on' [ "$(field out samples)" = 8 ]
check 'at the radius of its recipe' [ "$(field out eps)" = 0.03137254901960784 ]
check 'a mean per channel' grep -q -a '0.4914.*0.482.*0.446.*0.2009' colour.safetensors
check 'certify on CIFAR-10' run 0 certify --data cifar10:cifar --model colour.safetensors --eps 0,8/255 --csv colour.csv
check 'certify tells the split' grep -q 'the last 8 of the 80 images present' err
check 'a row per test image' [ "$(wc -l <colour.csv)" -eq 9 ]
check 'attack on CIFAR-10' run 0 attack --data cifar10:cifar --model colour.safetensors --eps 2/255 --p inf,40 --steps 3
check 'attack tells the split' grep -q 'attack: .*the last 8 of the 80 images present' err
check 'a model of another data set' fails certify 'takes 784 inputs to 10 classes; cifar10 has 3072 and 10' \
    --data cifar10:cifar --model whole.safetensors --eps 0.1
check 'custom_loop on CIFAR-10' run 0 custom_loop cifar10:cifar loop.safetensors 4
check 'the augmentation of 2021' run 0 train $colour --augment 2021 --out colour21.safetensors
check 'is another one' sh -c '! cmp -s colour.safetensors colour21.safetensors'
check 'and not that of the checkpoint' fails train '--augment 2021: the checkpoint was trained with 2022' $colour \
    --augment 2021 --resume colour.ckpt
# ---- certify --attack, attack, lipschitz ----
digits='--data digits:1500,200 --seed 1 --model whole.safetensors --limit 60'
few='--steps 5 --restarts 2'
check 'certify with an attack' run 0 certify $digits --eps 0.02,0.1 --method interval --attack inf,40 $few
check 'its last line is the JSON object' json out
check 'it tells the bracket' grep -q '^eps  *certified  *<= robust  *<= clean  *width ' out
check 'certified <= robust <= clean, and the width between' awk '
    $1 == "0.02" || $1 == "0.1" { rows++; if (!($2 <= $3 && $3 <= $4 && $3 - $2 - $5 < 1e-9 && $3 > 0)) wrong = 1 }
    END { exit wrong || rows != 2 }' out
check 'the attack breaks some' awk "BEGIN { exit !($(field out robust_accuracy) < $(field out clean_accuracy)) }"
bracket=$(field out robust_accuracy)/$(field out certified_accuracy)/$(field out clean_accuracy)
check 'attack' run 0 attack $digits --eps 0.1 --p inf,40 $few
check 'its last line is the JSON object' json out
check 'attack and certify agree' \
    [ "$bracket" = "$(field out robust_accuracy)/$(field out certified_accuracy)/$(field out clean_accuracy)" ]
check 'attack has a line for each p, none below the worst of all' awk '
    $1 == "p" { rows++; if (!least || $4 < least) least = $4 }
    $1 == "robust" { robust = $2 }
    END { exit !(rows == 2 && robust <= least && robust > 0) }' out
check 'the same again with three threads' sh -c "
    '$bin/attack' $digits --eps 0.1 --p inf,40 $few --threads 1 | grep -v seconds >attack1 &&
    '$bin/attack' $digits --eps 0.1 --p inf,40 $few --threads 3 | grep -v seconds >attack3 && cmp attack1 attack3"
check 'p beyond 1000' refused attack "'1001' is no number or fraction from 1 to 1000, nor inf" $digits --eps 0.1 --p 1001
check 'flags of an attack that is not there' refused certify '--steps needs --attack' $digits --eps 0.1 --steps 3
check 'lipschitz' run 0 lipschitz $digits --p 8,inf --limit 5 --steps 3 --restarts 1
check 'small p has the larger constant, and infinity none above 1' awk '
    $1 == "8" { small = $3 }
    $1 == "inf" { infinite = $4 }
    END { exit !(small > 1.1 && infinite > 0.5 && infinite < 1.001) }' out

# ---- well_separated ----
# all_certified ROWS: so many lines of certificates, all 100 %
all_certified() {
    awk -v rows="$1" '
        $1 == "margin" || $1 == "interval" { n++; if ($2 != "test" && ($(NF - 1) != 1 || $NF != 1)) wrong = 1 }
        END { exit wrong || n != rows }' out
}
check 'well_separated' run 0 well_separated --picture plane.svg
check 'every point is certified by either method' all_certified 2
check 'another seed' run 0 well_separated --seed 7 --points 30 --classes 3 --radius 0.07 --picture other.svg
check 'every point of it, too' all_certified 2
check 'the pictures differ' sh -c '! cmp -s plane.svg other.svg'
if command -v xmllint >/dev/null 2>&1; then
    check 'a picture is well-formed' xmllint --noout plane.svg other.svg
else
    echo 'skipped: a picture is well-formed: there is no xmllint (Debian: libxml2-utils)'
fi
check 'it shows every point' [ "$(grep -c '^<path fill="[^"]*" transform=' other.svg)" -eq 30 ]
check 'and every square' [ "$(grep -c -x '<rect x="[^"]*" y="[^"]*" width="[^"]*" height="[^"]*"/>' other.svg)" -eq 30 ]
check 'and is small' [ "$(wc -c <plane.svg)" -lt 150000 ]
check 'a picture that cannot be written' fails well_separated '--picture nowhere/x.svg' --picture nowhere/x.svg
check 'a square that is full' fails well_separated '--radius 0.6, --points 60, --classes 4: the unit square was full' \
    --radius 0.6
check 'digits' run 0 well_separated --data digits:300,100 --seed 1
check 'every training image is certified' all_certified 3
check 'the test images are another matter' awk '$2 == "test" { exit !($4 < 1 && $5 < 1) }' out
most=$(sed -n 's/.*; r = \([0-9.]*\),.*/\1/p' out)
check 'at the largest radius that is possible' run 0 well_separated --data digits:300,100 --seed 1 --radius "$most"
beyond=$(awk "BEGIN { print $most + 0.00001 }")
check 'and no larger one' fails well_separated "--radius $beyond: images " --data digits:300,100 --seed 1 \
    --radius "$beyond"
check 'the message tells it' grep -q "apart, so the largest radius is $most$" err
check 'nothing is printed then' [ ! -s out ]
check 'one image has no other class' fails well_separated 'all 1 images are of one class' --data digits:300,100 \
    --count 1
mkdir twins
{
    printf '\0\0\10\3\0\0\0\3\0\0\0\34\0\0\0\34'
    head -c 784 /dev/zero | tr '\000' '\377'
    head -c 1568 /dev/zero
} >twins/train-images-idx3-ubyte
printf '\0\0\10\1\0\0\0\3\1\2\3' >twins/train-labels-idx1-ubyte
cp twins/train-images-idx3-ubyte twins/t10k-images-idx3-ubyte
cp twins/train-labels-idx1-ubyte twins/t10k-labels-idx1-ubyte
check 'equal images of two classes' fails well_separated \
    'images 1 (class 2) and 2 (class 3) are only 0 apart, so the largest radius is 0' --data mnist:twins
if [ -d "${LINFDIST_TEST_DATA:-}/data/mnist" ]; then
    check 'MNIST' run 0 well_separated --data "mnist:$LINFDIST_TEST_DATA/data/mnist" --count 500
    check 'every training image of it is certified' all_certified 3
else
    echo 'skipped: well_separated on MNIST: LINFDIST_TEST_DATA is unset or has no data/mnist'
fi

if [ "$failures" -ne 0 ]; then
    echo "$failures failed"
    exit 1
fi
echo 'all passed'
