#!/usr/bin/env bash
# The paper's five systems by the same commands: each trained on puppets, run, measured; then all side by side.
#
#   examples/all_models.sh
#   OUT=out/longer STEPS=3000 CLIPS=64 FRAMES=32 BIN=.venv/bin examples/all_models.sh
#
# OUT: the folder for everything. STEPS: training steps of each. CLIPS, FRAMES: how many held-out puppets, and how much
# of each. BIN: the folder of `prioritycut`, where it is not on PATH. Killed and repeated, it goes on.
set -euo pipefail

OUT=${OUT:-out/all-models}
STEPS=${STEPS:-50}
CLIPS=${CLIPS:-8}
FRAMES=${FRAMES:-16}
MODELS=(x2face monkey-net fomm fomm-plus prioritycut)

prioritycut() { command "${BIN:+$BIN/}prioritycut" "$@"; }

# Two held-out puppets: the first gives its looks, the second its motion.
prioritycut synthesize "$OUT/puppets" --clips 2 --frames "$FRAMES" --size 64 --seed 1
puppets=("$OUT"/puppets/*.mp4)

checkpoints=() results=()
for model in "${MODELS[@]}"; do
  run=$OUT/run-$model
  # X2Face finds no keypoints, and so knows no relative motion.
  motion=relative
  [ "$model" = x2face ] && motion=absolute

  prioritycut train "puppets-64-$model" --steps "$STEPS" --output "$run" --resume
  prioritycut animate "${puppets[0]}" "${puppets[1]}" "$OUT/$model.mp4" --checkpoint "$run" --motion "$motion" --explain
  prioritycut evaluate "$run" puppets "$OUT/$model.json" --method "$model" --clips "$CLIPS" --frames "$FRAMES"
  checkpoints+=("$model=$run")
  results+=("$OUT/$model.json")
done

prioritycut figure 5 --checkpoints "${checkpoints[@]}" --output "$OUT/figure-5.png"
prioritycut report "${results[@]}" --output "$OUT/report"
