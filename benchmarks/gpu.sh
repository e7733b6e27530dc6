#!/usr/bin/env bash
# Benchmarks on one GPU, in the minutes that there are. `gpu_prepare.sh` packs beforehand what the machine lacks.
#   bash benchmarks/gpu.sh OUT first [SECONDS]     the parts in order of worth; 540 seconds
#   bash benchmarks/gpu.sh OUT second [SECONDS]    CIFAR-10; continues from its last checkpoint; 540 seconds
#   bash benchmarks/gpu.sh OUT PART...             single parts, without a limit
# Each part of `first` has a share of SECONDS as its limit; what it does not use is left to the later ones. A part that
# is cut off or fails keeps its finished results, and the next one starts; OUT/parts.tsv says how each ended.
# Then `python benchmarks/gpu_report.py OUT` writes the figures into docs/results.md.
# Environment: EPOCHS of CIFAR-10, PYTHON, CARRIED (what gpu_prepare.sh packed), WORK (checkpoints and images, kept
# between calls), SIZE=toy (all parts on a CPU at toy size).
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
carried=${CARRIED:-$PWD/benchmarks/carried}
export WORK=${WORK:-$PWD/.gpu} GENSIS_DATA=${GENSIS_DATA:-$carried/data} PYTHONUNBUFFERED=1

if [ "${SIZE:-}" = toy ]; then
    device=cpu gpus=0 toy=(--toy) repeats=1 epochs=1 batch=32 freeze=0.5
    images='{"train": 128, "test": 64}' network='{"channels": [8, 8, 8, 8]}'
    sampling='"sampling_steps": 1, "guidance": 1.5'
    diffusion='{"image_px": 32, "channels": [8, 16], "layers_per_block": 1, "steps": 4, "batch_size": 16}'
else
    device=cuda gpus=1 toy=() repeats=3 epochs=${EPOCHS:-200} batch=256 freeze=0.01 images='{}' network='{}'
    sampling='"sampling_steps": 12, "guidance": 1.5, "precision": "bfloat16"'
    # About 20 minutes if the GPU trains on 5,000 images per second.
    diffusion='{"image_px": 32, "steps": 12000, "batch_size": 512, "ema_decay": 0.999, "precision": "bfloat16"}'
fi
threads=$(nproc)
step=(--device "$device" --repeats "$repeats" --precision bfloat16 "${toy[@]}")
export PYTHONPATH="$WORK/site:$PWD/workflow/scripts${PYTHONPATH:+:$PYTHONPATH}"

environment() {
    local commit card
    commit=$(git log -1 --format=%h 2>/dev/null || cat "$carried/commit" 2>/dev/null || echo unknown)
    card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null || echo none)
    "$python" -c "import json, sys, torch, torchvision, timm
names = 'date commit gpu cores python torch torchvision timm'.split()
versions = [sys.version.split()[0], torch.__version__, torchvision.__version__, timm.__version__]
print(json.dumps(dict(zip(names, [*sys.argv[1:], *versions]))))" "$(date -u +%F)" "$commit" "$card" "$threads"
    nvidia-smi >&2 || true
}

checks() { # device against CPU
    "$python" benchmarks/gpu_checks.py --device "$device" "${toy[@]}"
}

paper() { # ViT-S/16, multi-crop, beside the original's loop
    "$python" benchmarks/pretrain.py --case step-paper "${step[@]}" --tensors
}

resnet() {
    "$python" benchmarks/pretrain.py --case step-resnet18-32 "${step[@]}" --tensors
}

small() { # a network that is bound by launches
    "$python" benchmarks/pretrain.py --case step-small-16 "${step[@]}"
}

bank() { # beside diffusers' plain loop
    "$python" benchmarks/bank.py --case bank-32 "${step[@]}"
}

demo() { # all jobs of config/demo.yaml, verified
    chain "$carried/plans/demo"
}

compiled_paper() {
    "$python" benchmarks/pretrain.py --case step-paper "${step[@]}" --alone --compile
}

compiled_resnet() {
    "$python" benchmarks/pretrain.py --case step-resnet18-32 "${step[@]}" --alone --compile
}

study() { # seed after seed; one that is finished is not repeated
    chain "$carried/plans/study"
}

chain() { # FOLDER OF PLANS
    mkdir -p "$WORK/$(basename "$1")"
    "$python" benchmarks/chain.py --folder "$WORK/$(basename "$1")" --summaries "$out" "$1"/*.plan
}

compiled_checks() {
    "$python" benchmarks/gpu_checks.py --device "$device" "${toy[@]}" --compile
}

compiled_small() {
    "$python" benchmarks/pretrain.py --case step-small-16 "${step[@]}" --alone --compile
}

compiled_bank() {
    "$python" benchmarks/bank.py --case bank-32 "${step[@]}" --compile
}

cifar() { # ResNet-18, then k-NN; stops at the limit and continues from its last checkpoint
    local scripts=workflow/scripts folder="$WORK/images" run="$WORK/cifar" status=0 split table
    local backbone="\"dataset\": \"cifar10\", \"backbone\": \"resnet18_cifar\", \"backbone_args\": $network, \"image_px\": 32"
    local data="{\"kind\": \"hdf5\", \"path\": \"$GENSIS_DATA/natural/cifar10/cifar10_jpeg.h5\", \"max_images\": $images}"
    local recipe="{$backbone, \"epochs\": $epochs,
        \"batch_size\": $batch, \"optimizer\": \"sgd\", \"learning_rate\": 0.12, \"weight_decay\": [0.0005, 0.0005],
        \"drop_path\": 0, \"dino\": {\"prototypes\": 2048, \"teacher_temperature\": 0.04, \"teacher_momentum\": 0.99,
        \"freeze_last_layer\": $freeze},
        \"precision\": \"bfloat16\", \"views\": {\"local_crops\": 0, \"global_scale\": [0.2, 1.0]}}"
    local common=(--threads "$threads" --gpus "$gpus" --seed 0 --runtime
        '{"checkpoint_seconds": 60, "inference_batch_size": 1000}')
    for split in train test; do
        [ -e "$folder/$split-0000.h5" ] || "$python" $scripts/import_images.py --config "$data" \
            --unit $split-0000 --store "$folder/$split-0000.h5" --outcome "$folder/$split-0000.json"
    done
    for table in train units labels; do
        "$python" $scripts/index_images.py --config "$data" --output "$folder/$table.tsv"
    done
    "$python" $scripts/pretrain_encoder.py --config "$recipe" "${common[@]}" --train "$folder/train.tsv" \
        --checkpoints "$run/checkpoints" --output "$run/encoder" || status=$?
    [ $status -eq 0 ] || return $status
    cp "$run/encoder/history.csv" "$out/cifar-history.csv"
    for split in train test; do
        "$python" $scripts/embed_images.py --config '{}' "${common[@]}" --encoder "$run/encoder" \
            --images "$folder" --units $split-0000 --output "$run/$split.h5"
    done
    for k in "200 0.1" "20 0.07"; do # the published protocol, and the pipeline's default
        read -r neighbours temperature <<<"$k"
        "$python" $scripts/evaluate_encoder.py --config "{\"knn\": [$neighbours], \"knn_temperature\": $temperature}" \
            --threads "$threads" --gpus "$gpus" --seed 0 --encoder pretrained --dataset cifar10 --tasks knn \
            --embeddings "$run/train.h5" "$run/test.h5" --units "$folder/units.tsv" \
            --labels "$folder/labels.tsv" --output "$run/evaluation-k$neighbours"
        cp "$run/evaluation-k$neighbours/knn.json" "$out/cifar-knn-k$neighbours.json"
    done
}

diffusion() { # after cifar: diffusion model of its encoder, bank, quality; continues as well
    local scripts=workflow/scripts folder="$WORK/images" run="$WORK/cifar"
    local backbone="\"dataset\": \"cifar10\", \"backbone\": \"resnet18_cifar\", \"backbone_args\": $network, \"image_px\": 32"
    local common=(--threads "$threads" --gpus "$gpus" --seed 0 --runtime
        '{"checkpoint_seconds": 60, "inference_batch_size": 2000}')
    local from=(--train "$folder/train.tsv" --embeddings "$run/train.h5" --diffusion "$run/diffusion")
    "$python" $scripts/train_diffusion.py --config "$diffusion" "${common[@]}" "${from[@]:0:4}" \
        --checkpoints "$run/checkpoints" --output "$run/diffusion"
    cp "$run/diffusion/history.csv" "$out/diffusion-history.csv"
    "$python" $scripts/generate_bank.py --config "{$sampling}" "${common[@]}" "${from[@]}" \
        --checkpoints "$run/checkpoints" --generative "$run/bank/generative-0000.h5" \
        --interpolated "$run/bank/interpolated-0000.h5"
    "$python" $scripts/evaluate_bank.py --config "{$sampling}" "${common[@]}" "${from[@]}" --encoder "$run/encoder" \
        --pretraining "{$backbone}" --bank "$run/bank" --units "$folder/units.tsv" --labels "$folder/labels.tsv" \
        --output "$out/quality.json" --held-out "$folder/test-0000.h5"
}

install() { # the carried packages, once; not again what an earlier call installed
    if [ -d "$carried/wheels" ] && [ ! -e "$WORK/site/installed" ]; then
        "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$WORK/site" \
            "$carried"/wheels/*.whl
        touch "$WORK/site/installed"
    fi
}

run_part() { # its figures go to OUT/figures.jsonl, each as a line with the name of the part; everything else to log.txt
    export TMPDIR="$WORK/tmp"
    rm -rf "$TMPDIR" && mkdir -p "$TMPDIR"
    echo "== $1" >>"$out/log.txt"
    touch "$out/figures.jsonl"
    sed -i "/^{\"part\": \"$1\", /d" "$out/figures.jsonl" # those of an earlier call
    # A part that is cut off may still write lines: wait for them.
    trap 'exit 143' TERM
    "$1" 2>>"$out/log.txt" | (
        trap '' TERM
        tee -a "$out/log.txt" | sed -u -n "s/^{/{\"part\": \"$1\", /p" >>"$out/figures.jsonl"
    )
}

within() { # LIMIT PART: run the part, cut off after that many seconds and at the end of the call's time
    local left=$((total - SECONDS)) limit=$1 status=0 began=$SECONDS how
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -le 0 ]; then
        how="not run"
    else
        timeout -k 5 "$limit" bash benchmarks/gpu.sh "$out" "$2" || status=$?
        case $status in
        0) how=done ;;
        124 | 137) how="cut off" ;;
        *) how=failed ;;
        esac
    fi
    printf '%s\t%s\t%s\t%s\n' "$2" "$how" $((limit > 0 ? limit : 0)) $((SECONDS - began)) >>"$out/parts.tsv"
    echo "$(date +%T) $2: $how after $((SECONDS - began)) of $((limit > 0 ? limit : 0)) s"
}

# Seconds of each part, if there are 540. The study gets what the others leave, and the last ones what the study leaves.
first="environment 10  checks 50  paper 90  resnet 35  small 30  bank 50  demo 80  compiled_paper 100  compiled_resnet 60
    study 540  compiled_small 540  compiled_bank 540  compiled_checks 540"
second="environment 10  cifar 540  diffusion 540"

case ${1:-} in
first | second)
    total=${2:-540} parts=${!1} SECONDS=0
    [ -e "$out/parts.tsv" ] || printf 'part\tended\tlimit_s\tseconds\n' >"$out/parts.tsv"
    touch "$out/figures.jsonl"
    install
    # shellcheck disable=SC2086 # words in pairs
    set -- $parts
    while [ $# -gt 0 ]; do
        within $(($2 * total / 540)) "$1"
        shift 2
    done
    ;;
*)
    install
    for part in "$@"; do
        if ! declare -F "$part" >/dev/null; then
            echo "error: no part '$part': see the head of $0" >&2
            exit 1
        fi
        run_part "$part"
    done
    ;;
esac
