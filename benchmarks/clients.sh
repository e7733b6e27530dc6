#!/usr/bin/env bash
# The real clients of our artifacts on a finished run, each in an environment of its own: a table of client, version and
# result in OUT/clients.tsv.
#   bash benchmarks/clients.sh RUN SLIDES OUT [CLIENT...]     RUN: results/<run> with the targets features and geojson
# Environment: ENCODER (dino), DATASET (demo); CHECKOUTS, a folder with clones of the clients' repositories (cloned from
# GitHub into OUT if it is not given). OUT keeps the environments; repeat a client to replace its line.
# Needs python3.11 and, for STAMP, python3.13; about 20 GB on disk for all.
set -euo pipefail
run=$(realpath "$1") slides=$(realpath "$2") out=$(mkdir -p "$3" && realpath "$3")
shift 3
here=$(dirname "$(realpath "$0")")
encoder=${ENCODER:-dino} dataset=${DATASET:-demo} checkouts=${CHECKOUTS:-$out/checkouts}
export HF_HUB_OFFLINE=1 HF_HOME=$out/cache OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# client: environment, package whose version is stated, repository and commit
declare -A clients=(
    [clam-tiles]="slides - mahmoodlab/CLAM 53e2409"
    [clam-bags]="slides - mahmoodlab/CLAM 53e2409"
    [trident]="slides - mahmoodlab/TRIDENT a91fa84"
    [patho-bench]="slides - mahmoodlab/Patho-Bench 660e770"
    [geopandas]="slides geopandas"
    [stamp]="stamp stamp KatherLab/STAMP c54ce06"
    [timm]="hub timm"
    [transformers]="hub transformers"
    [diffusers]="hub diffusers"
)
order=(clam-tiles clam-bags trident patho-bench stamp timm transformers diffusers geopandas)

checkout() { # REPOSITORY COMMIT
    local folder=$checkouts/${1#*/}
    [ -d "$folder" ] || git clone -q "https://github.com/$1" "$folder" >&2
    [[ $(git -C "$folder" rev-parse HEAD) == "$2"* ]] || git -C "$folder" checkout -q "$2" >&2
    echo "$folder"
}

environment() { # NAME CHECKOUT
    local folder=$out/environments/$1 python=python3.11
    [ "$1" != stamp ] || python=python3.13
    if [ ! -e "$folder/complete" ]; then
        "$python" -m venv --clear "$folder" >&2
        "$folder/bin/pip" install -q -r "$here/requirements-clients-$1.txt" >&2
        [ "$1" != stamp ] || "$folder/bin/pip" install -q "$2" >&2
        touch "$folder/complete"
    fi
    echo "$folder/bin/python"
}

touch "$out/clients.tsv"
for client in "${@:-${order[@]}}"; do
    read -r name package repository commit <<<"${clients[$client]}"
    source=$([ -z "${repository:-}" ] || checkout "$repository" "$commit")
    python=$(environment "$name" "$source")
    version=${commit:-}
    [ "$package" = - ] || version=$("$python" -c "import importlib.metadata as m; print(m.version('$package'))")
    [ "$name" != stamp ] || source=
    result=$("$python" "$here/clients.py" "$client" "$run" "$encoder" "$dataset" "$slides" ${source:+"$source"} \
        2>"$out/$client-$dataset.log" | tail -n 1) || result="failed: $(tail -n 1 "$out/$client-$dataset.log")"
    sed -i "/^$client\t$dataset\t/d" "$out/clients.tsv"
    printf '%s\t%s\t%s\t%s\n' "$client" "$dataset" "$version" "$result" | tee -a "$out/clients.tsv"
done
