#!/usr/bin/env bash
# Scores compared on CIFAR-10: every method, the same epochs, one seed.
#
#   examples/cifar/methods.sh MODEL.safetensors CIFAR_DIR SPARSITY [EPOCHS [METHOD...]]
#
# CIFAR_DIR holds the binary batches. METHOD may name the rank of its factors, as in tri-relative:1.
# Every method prunes the same number of weights of each layer, in one shot. Prints a markdown row a
# method: test error in percent before and after fine-tuning.
set -euo pipefail
model=$1 data=$2 sparsity=$3 epochs=${4:-5}
methods=("${@:5}")
[ ${#methods[@]} -gt 0 ] || methods=(mfbp mfbp-inflate tri tri-relative tri-relative:1 magnitude random)
tfc=${TFC:-target/release/tfc}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

field() { sed -n "/\"test\": {/,/}/s/.*\"$1\": \([0-9.]*\).*/\1/p" "$out/report.json"; }

echo "| method, $sparsity | before fine-tuning | after $epochs epochs |"
echo "|---|---|---|"
for method in "${methods[@]}"; do
  rank=half-classes
  [[ $method != *:* ]] || rank=${method#*:}
  "$tfc" compile "$model" --data "$data" --sparsity "$sparsity" --method "${method%:*}" --rank "$rank" \
    --epochs "$epochs" --rounds 1 --low-rank off --flip --shift-crop 4 --seed "${SEED:-1}" \
    --device "${DEVICE:-cpu}" --quiet --force -o "$out/model.tfc" --report "$out/report.json" >/dev/null
  echo "| \`$method\` | $(field pruned) | $(field artifact) |"
done
