#!/usr/bin/env bash
# The README's comparison of scores: every method, three seeds, same epochs.
#
#   examples/mnist/methods.sh MODEL.safetensors MNIST_DIR SPARSITY [EPOCHS]
#
# Prints a markdown row a method: test error in percent after pruning in one shot, before and after
# fine-tuning, as mean (lowest to highest) over the seeds.
set -euo pipefail
model=$1 data=$2 sparsity=$3 epochs=${4:-5}
tfc=${TFC:-target/release/tfc}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

spread() { sort -n | awk '{ s += $1; v[NR] = $1 } END { printf "%.2f (%.2f to %.2f)", s / NR, v[1], v[NR] }'; }
field() { sed -n "/\"test\": {/,/}/s/.*\"$1\": \([0-9.]*\).*/\1/p" "$2"; }

echo "| method | before fine-tuning | after $epochs epochs |"
echo "|---|---|---|"
for method in mfbp mfbp-inflate tri magnitude random; do
  for seed in 1 2 3; do
    "$tfc" compile "$model" --data "$data" --sparsity "$sparsity" --method "$method" --seed "$seed" \
      --epochs "$epochs" --rounds 1 --low-rank off --device cpu --quiet --force \
      -o "$out/model.tfc" --report "$out/report.json" >/dev/null
    field pruned "$out/report.json" >>"$out/$method.before"
    field artifact "$out/report.json" >>"$out/$method.after"
  done
  echo "| \`$method\` | $(spread <"$out/$method.before") | $(spread <"$out/$method.after") |"
done
