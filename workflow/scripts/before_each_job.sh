# Sourced before each job's command.

# A process that was killed cannot say why it ended. 137 is the status after SIGKILL.
trap '[ $? -ne 137 ] || echo "error: a process of this job was killed. If nobody stopped it, the memory was full:" \
    "give the job more or run fewer at once, and run again: finished jobs are kept" >&2' EXIT

# Threads of OpenMP spin while they wait for each other. Where other work takes the cores, the default makes a training
# two to forty times slower; this number costs a small network 8 % where it is alone (docs/results.md).
[ -n "${OMP_WAIT_POLICY:-}" ] || export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-10000}"
