# Params of several stages; no rules here.
#
# A function in the params of a rule is wrapped in `tracked` or `untracked`, which says whether the job is rerun when its
# value changes. Constants are tracked. A param that no command uses, and that only causes reruns, is called
# `rerun_if_<what>_changes`.


def tracked(function: Callable) -> Callable:
    """A param whose changed value reruns the job.

    Raises:
        TypeError: the function takes more than the wildcards. Snakemake does not record what is derived from files or
            resources.
    """
    if list(inspect.signature(function).parameters) != ["wildcards"]:
        raise TypeError(f"{function.__qualname__} must take only wildcards to be tracked")
    return as_param(function, ("wildcards",), is_tracked=True)


def untracked(function: Callable) -> Callable:
    """A param that reruns nothing: Snakemake does not record the values of functions that take `output`."""
    names = dict.fromkeys([*inspect.signature(function).parameters, "output"])
    return as_param(function, names, is_tracked=False)


def as_param(function: Callable, names: Iterable[str], is_tracked: bool) -> Callable:
    """The function as a param that takes arguments of these names, of which the function gets those that it takes."""
    taken = inspect.signature(function).parameters

    def param(wildcards, **given):
        return function(wildcards, **{name: value for name, value in given.items() if name in taken})

    param.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    param.is_tracked = is_tracked
    return param


SETTINGS = {name: stage_lines(STUDY, name) for name in stages(STUDY)}


def rerun_if_settings_change(name: str) -> list[Callable]:
    """A tracked param for each setting of a stage, so that the reason of a rerun names the keys that changed.

    Stages of one kind have different numbers of settings. Params beyond the last setting repeat it, which changes
    nothing: Snakemake compares params as a set.

    Args:
        name: a stage, one of `stages`; may hold wildcards: `banks/{bank}`.
    """

    def setting(number: int) -> Callable:
        def line(wildcards):
            lines = SETTINGS[name.format(**wildcards)]
            return lines[min(number, len(lines) - 1)]

        return tracked(line)

    kind = name.partition("/")[0]
    most = max((len(lines) for other, lines in SETTINGS.items() if other.partition("/")[0] == kind), default=0)
    return [setting(number) for number in range(most)]


@functools.cache  # called for every slide
def settings_json(name: str) -> str:
    """The settings of a stage as JSON."""
    return stage_json(STUDY, name)


def stage(name: str) -> Callable[..., str]:
    """The settings of a stage as JSON, as a param; ``name`` may hold wildcards: `banks/{bank}`."""
    return lambda wildcards: settings_json(name.format(**wildcards))


def script_of(name: str) -> str:
    """Path of a script, wherever this repository lies."""
    return str(REPOSITORY / "workflow" / "scripts" / f"{name}.py")


def script(name: str) -> Callable[..., str]:
    """Path of a script as a param."""
    return lambda wildcards: script_of(name)


def interpreter() -> str:
    """The Python that runs Snakemake, or `python` of the job's own environment."""
    return "python" if workflow.deployment_settings.deployment_method else sys.executable


def assign_gpus(gpus: int) -> list[str]:
    """The start of a command line: the interpreter, after a script that assigns GPUs if the job needs any."""
    return [interpreter(), script_of("assign_gpus"), str(gpus), interpreter()] if gpus else [interpreter()]


def program(name: str) -> Callable[..., str]:
    """Interpreter and script, quoted, as a param."""
    return lambda wildcards, resources: shlex.join([*assign_gpus(resources.get("gpu", 0)), script_of(name)])


WRITING_SECONDS = 1800
"""How long torchrun waits for a process that writes a checkpoint after a signal, before it kills it."""


def launcher(wildcards, threads, resources) -> str:
    """Command that launches a training: Python, or torchrun with a process per GPU on each node.

    In a SLURM job it is a step of its own, since SLURM sends SIGTERM only to the first process of each step.
    """
    nodes = resources.get("nodes", 1)
    gpus = resources.get("gpu", 0) // nodes  # `gpu` is the total over all nodes
    python = shlex.join(assign_gpus(gpus))
    torchrun = f"{python} -m torch.distributed.run --shutdown-timeout={WRITING_SECONDS} --nproc-per-node={max(gpus, 1)}"
    cpus = f"${{SLURM_CPUS_PER_TASK:-{threads}}}"  # a job may have fewer CPUs than threads, and srun refuses more
    step = f"srun --overlap --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --cpus-per-task={cpus}"
    if nodes > 1:
        step += f" --gpus-per-node={gpus}" if gpus else ""
        rendezvous = '--rdzv-endpoint="$(hostname):$((20000 + SLURM_JOB_ID % 40000))" --rdzv-id="$SLURM_JOB_ID"'
        return f"{step} {torchrun} --nnodes={nodes} --rdzv-backend=c10d {rendezvous}"
    command = f"{torchrun} --standalone" if gpus > 1 else python
    return f"{step} {command}" if workflow.remote_exec and "SLURM_JOB_ID" in os.environ else command


def runtime(wildcards) -> str:
    """The section `runtime` as JSON."""
    return STUDY.runtime.model_dump_json()


def checkpoints(wildcards) -> str:
    """Root of the checkpoint folders, which outlive jobs."""
    return os.environ.get("GENSIS_CHECKPOINTS") or f"{RUN}/checkpoints"


def events(wildcards, output) -> str:
    """Folder of a training's TensorBoard events, which outlive the job."""
    return f"{RUN}/tensorboard/{os.path.relpath(os.path.dirname(output[0]), RUN)}"


def folder(wildcards, output) -> str:
    """The folder of the first output."""
    return os.path.dirname(output[0])


def folder_of_input(name: str) -> Callable[..., str | list]:
    """The folder of a named input's first file, as a param; an empty list if there is none."""

    def param(wildcards, input) -> str | list:
        path = input.get(name)
        return os.path.dirname(path if isinstance(path, str) else path[0]) if path else []

    return param
