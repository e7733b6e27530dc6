#!/usr/bin/env bash
# Packs into benchmarks/carried what `gpu.sh` needs on a machine without network: bash benchmarks/gpu_prepare.sh
#   wheels   the packages of requirements-gpu.txt for Python 3.12
#   data     CIFAR-10 and four slides of $GENSIS_DATA
#   plans    the jobs of config/demo.yaml and of STUDY, a config, with one seed, two seeds, and so on; or, if a folder
#            of that name beside it has a file for each seed (seed0.yaml), of the config with each of these files
# Then copy the repository with benchmarks/carried. WHEELS=no leaves out the wheels, DEMO is another config, and with
# GPUS=0 the plans are for a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
carried=${CARRIED:-$PWD/benchmarks/carried}
largest_mb=60
# Codecs that the pipeline does not use: a third of the largest wheel.
unused=('*aom*' '*avif*' '*jxl*' '*jpegxl*' '*jpegxr*' '*cpcodec*' '*pcodec*' '*SZ3*' '*sz3*' '*blosc2*' '*brotli*'
    '*Lerc*' '*_spng*' '*htj2k*' '*openjph*' '*_bcn*' '*rgbe*' '*ultrahdr*' '*uhdr*' '*apng*' '*zfp*' '*_bmp*' '*sperr*')

wheels() {
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --platform manylinux1_x86_64 -d "$carried/wheels" -r benchmarks/requirements-gpu.txt
    zip -qd "$carried"/wheels/imagecodecs-*.whl "${unused[@]}"
}

data() {
    local from=${GENSIS_DATA:?set it to the folder of data}
    mkdir -p "$carried/data/natural/cifar10" "$carried/data/histology/lymphoma"
    cp "$from/natural/cifar10/cifar10_jpeg.h5" "$carried/data/natural/cifar10"
    find "$from/histology/lymphoma" -name "*.tiff" | sort | head -n 4 | xargs cp -t "$carried/data/histology/lymphoma"
}

plan() { # PLAN SEEDS CONFIG...: the commands of all jobs, in order; SEEDS may be empty: those of the config
    local folder to=$1 seeds=$2
    shift 2
    folder=$(mktemp -d)
    mkdir -p "$(dirname "$to")"
    if ! GENSIS_DATA="$carried/data" "$python" -m snakemake --dry-run --printshellcmds --forceall --scheduler greedy \
        --directory "$folder" --cores 16 --resources gpu="${GPUS:-1}" --configfile "$@" ${seeds:+--config "seeds=[$seeds]"} \
        >"$folder/log" 2>&1; then
        tail -n 3 "$folder/log" >&2
        return 1
    fi
    sed -n "s|$PWD|{root}|g; s/^Shell command: //p" "$folder/log" | grep -v '^None$' >"$to"
    rm -r "$folder"
}

study() { # a plan for each seed: of its own file, or of the config, where it has the earlier ones, too
    local all seeds="" seed number=0 file files=("${1%.yaml}"/seed*.yaml)
    if [ -e "${files[0]}" ]; then
        for file in "${files[@]}"; do
            number=$((number + 1))
            plan "$carried/plans/study/$(printf %02d $number).plan" "" "$1" "$file"
        done
        return
    fi
    all=$("$python" -c "import sys, yaml; print(*yaml.safe_load(open(sys.argv[1])).get('seeds', [0]))" "$1")
    for seed in $all; do
        seeds=${seeds:+$seeds, }$seed number=$((number + 1))
        plan "$carried/plans/study/$(printf %02d $number).plan" "$seeds" "$1"
    done
}

rm -rf "$carried"
mkdir -p "$carried"
data
[ "${WHEELS:-}" = no ] || wheels
plan "$carried/plans/demo/01.plan" 0 "${DEMO:-config/demo.yaml}"
study "${STUDY:-config/cifar10-two-hours.yaml}"
git log -1 --format=%h >"$carried/commit"
bytes=$(cat <(git ls-files -z | xargs -0 cat) <(find "$carried" -type f -print0 | xargs -0 cat) | wc -c)
echo "repository and $carried: $((bytes / 1000000)) MB"
if [ $((bytes / 1000000)) -ge $largest_mb ]; then
    echo "error: that is not below $largest_mb MB" >&2
    exit 1
fi
