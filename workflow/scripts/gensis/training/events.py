"""The history as TensorBoard events, to follow a training while it runs."""

import shutil
from pathlib import Path


class Events:
    """Writes each row of a history immediately. `tensorboard --logdir FOLDER` shows it."""

    def __init__(self, folder: Path | None, step: int):
        """Start at ``step``: remove events of an earlier training, or events after the step of a resumed one.

        Args:
            folder: of the events; None writes nothing.
            step: number of steps done so far.
        """
        self._writer = None
        if folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # not needed unless events are written

        if step == 0:
            shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(folder, purge_step=step + 1)

    def add(self, row: dict[str, float]) -> None:
        """Add one row at its `step`."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()
