#!/bin/bash
# A shared run on a cluster with Slurm: every task of the array is a worker that starts the same command.
#   sbatch --array=1-4 --export=ALL,LUIGID=HOST examples/slurm.sh --dataset-path FOLDER
# luigid must run on HOST, for example on the login node, started as configs/cluster.cfg says. The folder in which sbatch is called is the
# workspace, on a file system that all nodes see. A worker stays until the report is there and then exits with 0; Slurm requeues the workers
# of a node that fails, and in the meantime others take over what it was making.
#SBATCH --job-name=keypoints
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --requeue
#SBATCH --signal=B:TERM@30
#SBATCH --output=keypoints-%A-%a.log

exec "${LUIGI:-.venv/bin/luigi}" --module "${MODULE:-pipeline}" "${TASK:-Report}" --scheduler-host "${LUIGID:-localhost}" --scheduler-port "${LUIGID_PORT:-8082}" "$@"
