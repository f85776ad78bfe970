#!/usr/bin/env bash
# The small weights of the paper's five systems: equal steps on equal data, stored in at most 4 MB each, and their table
# on held-out puppets.
#
#   examples/train_five.sh
#   MODELS="x2face fomm" STEPS=600 EPOCHS=6 WEIGHTS=out/weights BIN=.venv/bin examples/train_five.sh
#
# OUT: the folder for runs, results and report. WEIGHTS: the folder for the weights. STEPS: training steps of each.
# EPOCHS: of 100 steps each, the length that PriorityCut's ramp is a fifth of; shorten both together. CLIPS, FRAMES: how
# many held-out puppets they are measured on, and how much of each. BIN: the folder of `prioritycut` and its `python`,
# where they are not on PATH. Killed and repeated, it goes on.
set -euo pipefail

OUT=${OUT:-out/five}
WEIGHTS=${WEIGHTS:-src/prioritycut/weights/five}
STEPS=${STEPS:-3000}
EPOCHS=${EPOCHS:-30}
CLIPS=${CLIPS:-64}
FRAMES=${FRAMES:-32}
read -ra models <<<"${MODELS:-x2face monkey-net fomm fomm-plus prioritycut}"
here=$(dirname "$0")

run() { command "${BIN:+$BIN/}$1" "${@:2}"; }

results=()
for model in "${models[@]}"; do
  run prioritycut train "puppets-64-$model" --steps "$STEPS" --epochs "$EPOCHS" --precision bf16-mixed \
    --output "$OUT/run-$model" --resume
  run python "$here/store_weights.py" "$OUT/run-$model" "$WEIGHTS/$model.safetensors"
  # What is measured is what is stored.
  run prioritycut evaluate "$WEIGHTS/$model.safetensors" puppets "$OUT/$model.json" \
    --method "$model" --clips "$CLIPS" --frames "$FRAMES"
  results+=("$OUT/$model.json")
done
run prioritycut report "${results[@]}" --output "$OUT/report"
