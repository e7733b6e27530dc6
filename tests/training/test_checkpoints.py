import itertools
import os
import signal
import time
import weakref

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gensis.artifacts.folders import write_provenance
from gensis.errors import UserError
from gensis.training.checkpoints import CheckpointFolder, fingerprint
from gensis.training.distributed import World
from gensis.training.loop import step_seed, train, train_and_publish, write_history

CPU = torch.device("cpu")


class Walk:
    """A task whose weight is a random walk, so that a repeated or missing step changes it."""

    total_steps = 10
    steps_per_row = 4
    images_per_step = 1

    def __init__(self, stop_at=None):
        self.weight = torch.zeros(1)
        self.stop_at = stop_at

    def step(self, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.weight = self.weight + torch.rand(1) * (step + 1)
        return {"loss": self.weight.sum()}

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight = state["weight"]


class Forgetful(Walk):
    """A task that fails if something else still holds the checkpoint that it was resumed from."""

    loaded = staticmethod(lambda: None)

    def step(self, step):
        assert self.loaded() is None
        return super().step(step)

    def load_state_dict(self, state):
        self.weight, self.loaded = state["weight"].clone(), weakref.ref(state["weight"])


def without_rate(history):
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in history]


def test_a_checkpoint_is_released_before_the_next_step(tmp_path):
    folder = CheckpointFolder(tmp_path, "t", "a")
    with folder, pytest.raises(KeyboardInterrupt):
        train(Walk(5), folder, World(), CPU, seed=0, checkpoint_seconds=0.0)
    with folder:
        resumed = Forgetful()
        train(resumed, folder, World(), CPU, seed=0, checkpoint_seconds=1e9)
    assert resumed.loaded is not Forgetful.loaded


def test_a_training_killed_at_any_step_and_resumed_equals_an_uninterrupted_one(tmp_path):
    whole = Walk()
    undisturbed = train(whole, CheckpointFolder(tmp_path, "t", "a"), World(), CPU, seed=0, checkpoint_seconds=1e9)
    for stop_at in range(1, 10):
        folder = CheckpointFolder(tmp_path, "t", f"b{stop_at}")
        with folder, pytest.raises(KeyboardInterrupt):
            train(Walk(stop_at), folder, World(), CPU, seed=0, checkpoint_seconds=0.0)
        resumed = Walk()
        with folder:
            history = train(resumed, folder, World(), CPU, seed=0, checkpoint_seconds=0.0)
        assert torch.equal(resumed.weight, whole.weight)
        assert without_rate(history) == without_rate(undisturbed)


def test_the_history_has_a_row_per_interval_and_one_for_the_remaining_steps(tmp_path):
    history = train(Walk(), CheckpointFolder(tmp_path, "t", "a"), World(), CPU, seed=0, checkpoint_seconds=1e9)
    assert [row["step"] for row in history] == [4, 8, 10]
    write_history(tmp_path / "history.csv", history)
    assert (tmp_path / "history.csv").read_text().splitlines()[0] == "step,loss,images_per_second"


def test_step_seeds_differ_between_seeds_steps_and_processes():
    assert step_seed(0, 5) == step_seed(0, 5)
    assert len({step_seed(seed, step, rank) for seed in range(3) for step in range(3) for rank in range(3)}) == 27


class Diverging(Walk):
    """From step 5 on (of rows of 4), one scalar and the weights are not finite."""

    def __init__(self, figure):
        super().__init__()
        self.figure = figure

    def step(self, step):
        figures = super().step(step) | {"gradient_norm": torch.ones(())}
        if step >= 5:
            self.weight = self.weight * float("nan")
            figures[self.figure] = torch.tensor(float("nan"))
        return figures


@pytest.mark.parametrize("figure", ["loss", "gradient_norm"])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, figure):
    folder = CheckpointFolder(tmp_path, "t", "a")
    with folder, pytest.raises(UserError, match=f"{figure} is nan within steps 5 to 6: .*: this starts a new training"):
        train(Diverging(figure), folder, World(), CPU, seed=0, checkpoint_seconds=0.0)
    assert folder.load()["step"] == 5
    assert folder.load()["task"]["weight"].isfinite().all()


def test_a_loss_that_is_not_finite_stops_at_the_end_of_its_row(tmp_path):
    with pytest.raises(UserError, match="loss is nan within steps 5 to 8"):
        train(Diverging("loss"), CheckpointFolder(tmp_path, "t", "a"), World(), CPU, seed=0, checkpoint_seconds=1e9)


def test_watch_gets_each_row_and_adds_columns(tmp_path):
    folder = CheckpointFolder(tmp_path, "t", "a")
    options = {"seed": 0, "checkpoint_seconds": 1e9, "watch": lambda row: {"twice": 2 * row["step"]}}
    history = train(Walk(), folder, World(), CPU, **options)
    assert [row["twice"] for row in history] == [8, 16, 20]


def test_missing_values_of_a_row_are_empty_cells(tmp_path):
    write_history(tmp_path / "history.csv", [{"step": 1}, {"step": 2, "rankme": 3.0}])
    assert (tmp_path / "history.csv").read_text() == "step,rankme\n1,\n2,3\n"


def test_the_history_has_steps_in_full_and_measurements_with_six_digits(tmp_path):
    write_history(tmp_path / "history.csv", [{"step": 1234567, "loss": 1234567.8}])
    assert (tmp_path / "history.csv").read_text() == "step,loss\n1234567,1.23457e+06\n"


def test_the_fingerprint_depends_on_all_inputs():
    base = {"settings": {"a": 1, "b": 2}, "inputs": {"train": "x"}, "seed": 0, "device": CPU, "recipe": 1}
    changes = [
        {"settings": {"a": 2, "b": 1}},
        {"inputs": {"train": "y"}},
        {"seed": 1},
        {"device": torch.device("cuda")},
        {"recipe": 2},
    ]
    assert len({fingerprint(**(base | change)) for change in [{}, *changes]}) == 6
    assert fingerprint(**(base | {"settings": {"b": 2, "a": 1}})) == fingerprint(**base)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    one, other = CheckpointFolder(tmp_path, "t", "a"), CheckpointFolder(tmp_path, "t", "b")
    other.path.mkdir(parents=True)
    one.path.mkdir(parents=True)
    one.save({"step": 1})
    (one.path / "checkpoint-000000001.pt").rename(other.path / "checkpoint-000000001.pt")
    with pytest.raises(UserError, match="belongs to another training"):
        other.load()


def test_the_last_checkpoints_are_kept_and_a_damaged_one_is_skipped(tmp_path):
    folder = CheckpointFolder(tmp_path, "t", "a", keep=2)
    with folder:
        for step in (5, 50, 500):
            folder.save({"step": step})
    older, newest = sorted(folder.path.glob("*.pt"))
    assert (older.name, newest.name) == ("checkpoint-000000050.pt", "checkpoint-000000500.pt")
    newest.write_bytes(newest.read_bytes()[:300])
    assert folder.load() == {"step": 50}
    older.write_bytes(b"")
    with pytest.raises(UserError, match=r"all checkpoints in .* are damaged: remove them to start again"):
        folder.load()


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("next_step", [51, 500, 600])
def test_a_damaged_checkpoint_does_not_count_among_the_last_ones(tmp_path, keep, next_step):
    with CheckpointFolder(tmp_path, "t", "a", keep=2) as folder:
        for step in (50, 500):
            folder.save({"step": step})
        (folder.path / "checkpoint-000000500.pt").write_bytes(b"damaged")
    with CheckpointFolder(tmp_path, "t", "a", keep=keep) as folder:
        assert folder.load() == {"step": 50}
        folder.save({"step": next_step})
        kept = [f"checkpoint-{step:09d}.pt" for step in (50, next_step)[-keep:]]
        assert sorted(path.name for path in folder.path.glob("*.pt")) == kept
        assert folder.load() == {"step": next_step}


def test_a_checkpoint_that_cannot_be_read_now_is_neither_skipped_nor_called_damaged(tmp_path):
    with CheckpointFolder(tmp_path, "t", "a", keep=2) as folder:
        for step in (1, 2):
            folder.save({"step": step})
        newest = folder.path / "checkpoint-000000002.pt"
        newest.unlink()
        newest.symlink_to(newest)
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            folder.load()


def test_a_clock_that_is_set_back_delays_no_checkpoint(tmp_path, monkeypatch):
    dates = itertools.count(time.time(), -3600)
    monkeypatch.setattr(time, "time", lambda: next(dates))
    folder = CheckpointFolder(tmp_path, "t", "a")
    with folder, pytest.raises(KeyboardInterrupt):
        train(Walk(5), folder, World(), CPU, seed=0, checkpoint_seconds=0.0)
    assert folder.load()["step"] == 5


def test_tensorboard_has_each_row_once_after_a_killed_training(tmp_path):
    folder, events = CheckpointFolder(tmp_path, "t", "a", keep=3), tmp_path / "events"
    with CheckpointFolder(tmp_path, "t", "earlier") as earlier:
        train(Walk(), earlier, World(), CPU, seed=1, checkpoint_seconds=1e9, events=events)
    with folder, pytest.raises(KeyboardInterrupt):
        train(Walk(9), folder, World(), CPU, seed=0, checkpoint_seconds=0.0, events=events)
    for late in (8, 9):
        (folder.path / f"checkpoint-{late:09d}.pt").unlink()  # it resumes from step 7 and repeats row 8
    with folder:
        history = train(Walk(), folder, World(), CPU, seed=0, checkpoint_seconds=1e9, events=events)
    shown = EventAccumulator(str(events)).Reload()
    assert [(event.step, event.value) for event in shown.Scalars("loss")] == [
        (row["step"], pytest.approx(row["loss"])) for row in history
    ]


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_checkpoint_with_a_flipped_bit_is_skipped(tmp_path, caplog, place):
    folder = CheckpointFolder(tmp_path, "t", "a", keep=2)
    with folder:
        for step in (1, 2):
            folder.save({"step": step, "task": {"weight": torch.randn(200)}})
        path = folder.path / "checkpoint-000000002.pt"
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 16
        path.write_bytes(content)
        assert folder.load()["step"] == 1
    assert f"{path} is damaged" in caplog.text


@pytest.mark.parametrize("replace", [lambda path: path.write_text("{}"), lambda path: path.mkdir()])
def test_a_checkpoint_replaced_by_something_else_is_skipped_and_later_removed(tmp_path, replace):
    with CheckpointFolder(tmp_path, "t", "a", keep=2) as folder:
        for step in (1, 2):
            folder.save({"step": step, "task": {}})
        path = folder.path / "checkpoint-000000002.pt"
        path.unlink()
        replace(path)
        assert folder.load()["step"] == 1
        for step in (3, 4):
            folder.save({"step": step, "task": {}})
        assert not path.exists()
        assert folder.load()["step"] == 4


@pytest.fixture
def publish(tmp_path):
    """Function that runs the job of a training, optionally killed before a step; returns the weights and if it trained.

    Each training has different weights, as on most devices.
    """
    seeds, trained = itertools.count(), []

    def start(output="output", stop_at=None):
        folder = CheckpointFolder(tmp_path, "encoder", "a")
        trained.clear()

        def make(target):
            trained.append(target)
            walk = Walk(stop_at)
            train(walk, folder, World(), CPU, seed=next(seeds), checkpoint_seconds=0.0)
            (target / "weights").write_text(str(walk.weight.item()))
            write_provenance(target, {})

        train_and_publish(folder, World(), tmp_path / output, make)
        return (tmp_path / output / "weights").read_text(), bool(trained)

    return start


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "encoder/a"


def test_a_finished_training_is_published_again_without_training(publish, folder, tmp_path, caplog):
    caplog.set_level("INFO")
    weights, trained = publish("one")
    assert trained
    assert publish("two") == (weights, False)
    assert f"{folder / 'published'} is published again; to retrain, set GENSIS_RETRAIN=encoder" in caplog.text
    (tmp_path / "one/weights").unlink()  # as Snakemake does before a rerun
    assert publish("one") == (weights, False)
    assert os.listdir(folder) == ["published"]


def test_a_damaged_result_is_retrained_with_a_warning(publish, folder, caplog):
    publish()
    (folder / "published/weights").write_text("damaged")
    weights, trained = publish()
    assert trained
    assert weights != "damaged"
    assert f"{folder / 'published/weights'}: damaged" in caplog.text
    assert publish() == (weights, False)


def test_a_result_that_cannot_be_read_now_is_neither_retrained_nor_removed(publish, folder, monkeypatch):
    publish()
    weights = folder / "published/weights"
    weights.unlink()
    weights.symlink_to(weights)  # reading fails, as while a file server does not answer
    with pytest.raises(OSError, match="symbolic links"):
        publish()
    assert sorted(os.listdir(folder / "published")) == ["provenance.json", "weights"]
    monkeypatch.setenv("GENSIS_RETRAIN", "encoder")  # for a disk that stays damaged
    assert publish()[1]


def test_damaging_published_files_does_not_damage_the_stored_result(publish, tmp_path):
    weights, _ = publish()
    with open(tmp_path / "output/weights", "r+") as stream:
        stream.write("x")
    assert publish() == (weights, False)


def test_retraining_keeps_the_old_result_until_the_new_one_is_complete(publish, folder, monkeypatch):
    old, _ = publish()
    monkeypatch.setenv("GENSIS_RETRAIN", "encoder")
    with pytest.raises(KeyboardInterrupt):
        publish(stop_at=5)
    assert (folder / "superseded/weights").read_text() == old
    assert [path.name for path in folder.glob("*.pt")] == ["checkpoint-000000005.pt"]
    with pytest.raises(KeyboardInterrupt):
        publish(stop_at=7)
    assert (folder / "superseded/weights").read_text() == old
    new, trained = publish()
    assert trained
    assert new != old
    assert os.listdir(folder) == ["published"]


@pytest.mark.parametrize("again", ["encoder", ""], ids=["with the variable", "without"])
def test_a_killed_retraining_resumes_from_its_own_checkpoint(publish, monkeypatch, caplog, again):
    caplog.set_level("INFO")
    publish()
    monkeypatch.setenv("GENSIS_RETRAIN", "encoder")
    with pytest.raises(KeyboardInterrupt):
        publish(stop_at=6)
    assert "resuming from step" not in caplog.text  # of the old training
    monkeypatch.setenv("GENSIS_RETRAIN", again)
    publish()
    assert "resuming from step 6 of 10" in caplog.text


def test_a_retraining_killed_while_publishing_is_not_repeated(publish, folder, tmp_path, monkeypatch):
    publish()
    monkeypatch.setenv("GENSIS_RETRAIN", "encoder")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        publish("file/output")
    new = (folder / "published/weights").read_text()
    assert publish() == (new, False)
    assert publish()[1]  # requested again after it was done


def test_retraining_another_stage_has_no_effect_and_an_unknown_one_is_refused(publish, monkeypatch):
    weights, _ = publish()
    monkeypatch.setenv("GENSIS_RETRAIN", "diffusion")
    assert publish() == (weights, False)
    monkeypatch.setenv("GENSIS_RETRAIN", "encoders")
    with pytest.raises(UserError, match="GENSIS_RETRAIN = encoders is not a training: set it to one of autoencoder"):
        publish()


def test_unfinished_files_of_a_killed_job_are_not_published(publish, folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        publish(stop_at=5)
    (folder / "unfinished/.weights.tmp").write_text("half")
    publish()
    assert sorted(os.listdir(tmp_path / "output")) == ["provenance.json", "weights"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_a_checkpoint_and_ends_with_status_1(tmp_path, number):
    class Signalled(Walk):
        def step(self, step):
            if step == 2:
                os.kill(os.getpid(), number)
            return super().step(step)

    folder = CheckpointFolder(tmp_path, "t", "a")
    before = signal.signal(number, signal.default_int_handler)  # a shell lets background jobs ignore SIGINT
    try:
        with (
            folder,
            pytest.raises(SystemExit, match="stopped by a signal after step 3: run the same command to resume"),
        ):
            train(Signalled(), folder, World(), CPU, seed=0, checkpoint_seconds=1e9)
    finally:
        signal.signal(number, before)
    assert folder.load()["step"] == 3
