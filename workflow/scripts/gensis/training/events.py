"""The history as TensorBoard events, for those who follow a training while it runs."""

import shutil
from pathlib import Path


class Events:
    """Writes each row of a history at once: `tensorboard --logdir FOLDER` shows it."""

    def __init__(self, folder: Path | None, step: int):
        """Begin at ``step``: what a training wrote there that begins anew goes, and what lies beyond a resumed one.

        Args:
            folder: None writes nothing.
            step: steps done so far.
        """
        self._writer = None
        if folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # a training that nobody follows does without the package

        if step == 0:
            shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(folder, purge_step=step + 1)

    def add(self, row: dict[str, float]) -> None:
        """Add one row; its `step` is the place on the axis."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()
