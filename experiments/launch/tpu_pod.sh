#!/usr/bin/env bash
# One run over all hosts of a TPU pod; the pod itself tells the processes who they are. Given again, it goes on.
#     experiments/launch/tpu_pod.sh my-pod us-east5-a gs-mounted/runs/humanoid experiments/continuous/fast_td3.py --env playground/G1JoystickFlatTerrain
set -euo pipefail
pod=$1 zone=$2 run_dir=$3
shift 3
gcloud compute tpus tpu-vm ssh "$pod" --zone "$zone" --worker=all \
  --command "cd jaxq && .venv/bin/python $* --coordinator auto --device tpu --run-dir $run_dir"
