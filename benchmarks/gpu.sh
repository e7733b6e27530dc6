#!/usr/bin/env bash
# Benchmarks on one GPU: bash benchmarks/gpu.sh OUT [PART...]
# Parts: environment checks paper resnet bank cifar diffusion
# Each part takes under 10 minutes on one GPU and writes its results to OUT. To repeat a part that failed or was
# stopped, name it; `cifar`, and then `diffusion`, resume from their last checkpoint. SIZE=toy runs all parts on a CPU
# at toy size. Packages that the machine lacks are taken from benchmarks/wheels (README.md), images from $GENSIS_DATA.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=${WORK:-$PWD/.gpu} # checkpoints and images: kept between calls, not among the results
mkdir -p "$work"

if [ "${SIZE:-}" = toy ]; then
    device=cpu gpus=0 threads=$(nproc) toy=(--toy) repeats=1 seconds=400 epochs=1 batch=32 freeze=0.5
    images='{"train": 128, "test": 64}' network='{"channels": [8, 8, 8, 8]}'
    sampling='"sampling_steps": 1, "guidance": 1.5'
    diffusion='{"image_px": 32, "channels": [8, 16], "layers_per_block": 1, "steps": 4, "batch_size": 16}'
else
    device=cuda gpus=1 threads=$(nproc) toy=() repeats=3 seconds=480 epochs=200 batch=256 freeze=0.01 images='{}'
    network='{}' sampling='"sampling_steps": 12, "guidance": 1.5, "precision": "bfloat16"'
    # About 20 minutes if the GPU trains on 5,000 images per second.
    diffusion='{"image_px": 32, "steps": 12000, "batch_size": 512, "ema_decay": 0.999, "precision": "bfloat16"}'
fi

backbone="\"dataset\": \"cifar10\", \"backbone\": \"resnet18_cifar\", \"backbone_args\": $network, \"image_px\": 32"

if [ -d benchmarks/wheels ] && ! "$python" -c "import pydantic, imagecodecs, simplejpeg, diffusers, torchmetrics" 2>/dev/null; then
    "$python" -m pip install -q --no-index --no-deps --target "$work/site" --upgrade benchmarks/wheels/*.whl
fi
export PYTHONPATH="$work/site:$PWD/workflow/scripts${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

environment() {
    { date -u; git log -1 --format=%h 2>/dev/null || true; nvidia-smi 2>/dev/null || echo "no GPU"; nproc
      "$python" -c "import torch, torchvision, timm; print(torch.__version__, torchvision.__version__, timm.__version__)"
    } >"$out/environment.txt" 2>&1
}

checks() {
    "$python" benchmarks/gpu_checks.py --device $device "${toy[@]}" >"$out/checks.jsonl"
}

pretrain() { # a case in each variant: end to end, without data and views, compiled
    local case=$1 variant
    shift
    : >"$out/$case.jsonl"
    for variant in "" "--tensors" "--compile" "--compile --tensors"; do
        # shellcheck disable=SC2086 # a variant may be two words
        "$python" benchmarks/pretrain.py --case "$case" --device $device --repeats $repeats "${toy[@]}" $variant "$@" \
            >>"$out/$case.jsonl" || echo "{\"case\": \"$case\", \"failed\": \"$variant\"}" >>"$out/$case.jsonl"
    done
}

paper() {
    pretrain step-paper --precision bfloat16
}

resnet() {
    pretrain step-resnet18-32 --alone --precision bfloat16
}

bank() { # beside diffusers' plain loop, eager and compiled
    local case variant
    : >"$out/bank.jsonl"
    for case in bank-32 bank-64; do
        for variant in "" "--compile"; do
            # shellcheck disable=SC2086 # a variant may be no word
            "$python" benchmarks/bank.py --case $case --device $device --repeats $repeats --precision bfloat16 \
                "${toy[@]}" $variant >>"$out/bank.jsonl" || echo "{\"case\": \"$case\", \"failed\": \"$variant\"}" >>"$out/bank.jsonl"
        done
    done
}

cifar() { # ResNet-18, 200 epochs; stops after a time limit: call again until evaluation-k*/knn.json exist
    local scripts=workflow/scripts images_folder="$work/images" run="$work/cifar" started=$SECONDS status=0 split k
    local data="{\"kind\": \"hdf5\", \"path\": \"$GENSIS_DATA/natural/cifar10/cifar10_jpeg.h5\", \"max_images\": $images}"
    local recipe="{$backbone, \"epochs\": $epochs,
        \"batch_size\": $batch, \"optimizer\": \"sgd\", \"learning_rate\": 0.12, \"weight_decay\": [0.0005, 0.0005],
        \"drop_path\": 0, \"dino\": {\"prototypes\": 2048, \"teacher_temperature\": 0.04, \"teacher_momentum\": 0.99,
        \"freeze_last_layer\": $freeze},
        \"precision\": \"bfloat16\", \"views\": {\"local_crops\": 0, \"global_scale\": [0.2, 1.0]}}"
    local runtime='{"checkpoint_seconds": 60, "inference_batch_size": 1000}'
    local common=(--threads "$threads" --gpus $gpus --seed 0 --runtime "$runtime")
    for split in train test; do
        [ -e "$images_folder/$split-0000.h5" ] || "$python" $scripts/import_images.py --config "$data" \
            --unit $split-0000 --store "$images_folder/$split-0000.h5" --outcome "$images_folder/$split-0000.json"
    done
    for table in train units labels; do
        "$python" $scripts/index_images.py --config "$data" --output "$images_folder/$table.tsv"
    done
    timeout -s TERM $((seconds - SECONDS + started)) "$python" $scripts/pretrain_encoder.py --config "$recipe" \
        "${common[@]}" --train "$images_folder/train.tsv" --checkpoints "$run/checkpoints" --output "$run/encoder" \
        2>>"$out/cifar.log" || status=$?
    if [ $status -ne 0 ]; then
        tail -n 2 "$out/cifar.log"
        return $status
    fi
    cp "$run/encoder/history.csv" "$run/encoder/provenance.json" "$out"
    for split in train test; do
        "$python" $scripts/embed_images.py --config '{}' "${common[@]}" --encoder "$run/encoder" \
            --images "$images_folder" --units $split-0000 --output "$run/$split.h5"
    done
    for k in "200 0.1" "20 0.07"; do # the published protocol, and the pipeline's default
        read -r neighbours temperature <<<"$k"
        "$python" $scripts/evaluate_encoder.py --config "{\"knn\": [$neighbours], \"knn_temperature\": $temperature}" \
            --threads "$threads" --gpus $gpus --seed 0 --encoder pretrained --dataset cifar10 --tasks knn \
            --embeddings "$run/train.h5" "$run/test.h5" --units "$images_folder/units.tsv" \
            --labels "$images_folder/labels.tsv" --output "$out/evaluation-k$neighbours"
    done
}

diffusion() { # after cifar: diffusion model of its encoder, bank, quality; call again until quality.json exists
    local scripts=workflow/scripts images_folder="$work/images" run="$work/cifar" status=0
    local bank="{$sampling}"
    local runtime='{"checkpoint_seconds": 60, "inference_batch_size": 2000}'
    local common=(--threads "$threads" --gpus $gpus --seed 0 --runtime "$runtime")
    local from=(--train "$images_folder/train.tsv" --embeddings "$run/train.h5" --diffusion "$run/diffusion")
    timeout -s TERM $seconds "$python" $scripts/train_diffusion.py --config "$diffusion" "${common[@]}" \
        "${from[@]:0:4}" --checkpoints "$run/checkpoints" --output "$run/diffusion" 2>>"$out/diffusion.log" || status=$?
    if [ $status -ne 0 ]; then
        tail -n 2 "$out/diffusion.log"
        return $status
    fi
    cp "$run/diffusion/history.csv" "$out/diffusion-history.csv"
    "$python" $scripts/generate_bank.py --config "$bank" "${common[@]}" "${from[@]}" --checkpoints "$run/checkpoints" \
        --generative "$run/bank/generative-0000.h5" --interpolated "$run/bank/interpolated-0000.h5" 2>>"$out/diffusion.log"
    "$python" $scripts/evaluate_bank.py --config "$bank" "${common[@]}" "${from[@]}" --encoder "$run/encoder" \
        --pretraining "{$backbone}" --bank "$run/bank" \
        --units "$images_folder/units.tsv" --labels "$images_folder/labels.tsv" --output "$out/quality.json" \
        --held-out "$images_folder/test-0000.h5" 2>>"$out/diffusion.log"
}

[ $# -gt 0 ] || set -- environment checks paper resnet bank cifar diffusion
for part in "$@"; do
    declare -F "$part" >/dev/null || { echo "error: no part '$part': see the head of $0" >&2; exit 1; }
    echo "$(date +%T) $part"
    "$part"
done
