# Sourced before each job's command: a process that was killed cannot say why it ended. 137 is the status after SIGKILL.
trap '[ $? -ne 137 ] || echo "error: a process of this job was killed. If nobody stopped it, the memory was full:" \
    "give the job more or run fewer at once, and run again: finished jobs are kept" >&2' EXIT
