# The folder of this repository; no rules here. `workflow.basedir` cannot tell it: if another workflow uses this one as a
# module, it is the folder of that workflow.
import os
import tempfile
from pathlib import Path


def checked_out(source) -> Path:
    """A checkout of the repository that a module names by `github(...)` or `gitlab(...)`.

    Snakemake reads single files of such a repository, but scripts need the library beside them. The checkout is in the
    working directory, which all jobs see.
    """
    cached = source.hosted_repo.repo  # cloned by Snakemake, bare
    commit = cached.commit(source.ref).hexsha
    folder = Path(".snakemake", "gensis", commit).absolute()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            clone = cached.clone(f"{temporary}/clone", no_checkout=True)
            clone.git.checkout(commit, detach=True)
            os.rename(clone.working_dir, folder)
    return folder


def repository(rules) -> Path:
    """The folder of this repository, of the folder `workflow/rules` in it as Snakemake knows it."""
    return checked_out(rules) if hasattr(rules, "hosted_repo") else Path(str(rules)).parents[1]


REPOSITORY = repository(workflow.current_basedir)
