"""A batch in parts: stochastic depth, the automatic number of parts, and a memory that is full."""

import copy

import pytest
import timm.layers
import torch
from pydantic import ValidationError
from tests.ssl.conftest import CPU, TINY
from tests.ssl.test_step import IMAGES, batch

from gensis.errors import UserError
from gensis.settings.pretraining import Pretraining
from gensis.ssl.accumulation import MARGIN, Accumulation, fewest_parts
from gensis.ssl.bank_views import BatchViews
from gensis.ssl.batch import Batch
from gensis.ssl.drop_path import DropPath, begin_part, replace_drop_paths
from gensis.ssl.rates import disentangles_at
from gensis.training.distributed import World
from gensis.training.loop import step_seed

DEEP = {"backbone_args": TINY["backbone_args"] | {"depth": 3}, "drop_path": 0.5, "disentangle_weight": 1.0}


def learn(pretrainer, step=1):
    torch.manual_seed(step_seed(0, step))
    return pretrainer.learn(batch(step, with_bank=True), step)


def gradients(pretrainer):
    return [parameter.grad for parameter in pretrainer.method.student.parameters()]


def assert_same_step(one, other):
    """The same figures and gradients, up to rounding."""
    torch.testing.assert_close(other[0], one[0])
    torch.testing.assert_close(gradients(other[1]), gradients(one[1]), atol=1e-6, rtol=1e-4)


def stepped(pretrainer):
    return learn(pretrainer), pretrainer


def test_parts_drop_the_same_paths_as_the_whole_batch(make_pretrainer):
    whole, parts = (stepped(make_pretrainer(gradient_accumulation=count, **DEEP)) for count in (1, 3))
    assert_same_step(whole, parts)
    never = stepped(make_pretrainer(**DEEP | {"drop_path": 0.0}))
    assert not torch.equal(never[0]["loss"], whole[0]["loss"])


def test_each_step_in_parts_drops_other_paths(make_pretrainer):
    layer = DropPath(timm.layers.DropPath(0.5))
    kept = []
    for _ in range(2):
        parts = []
        for start in (0, 8):
            begin_part(layer, range(start, start + 8), 16, CPU)
            parts.append(layer(torch.ones(16, 1)).unflatten(0, (2, 8)))  # two views
        kept.append(torch.cat(parts, dim=1))
    assert not torch.equal(*kept)
    assert set(kept[0].flatten().tolist()) == {0.0, 2.0}


def test_a_whole_batch_draws_what_timms_layer_draws():
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=3, drop_path_rate=0.5, num_classes=0)
    ours, images = copy.deepcopy(network), torch.rand(4, 3, 32, 32)
    replace_drop_paths(ours)
    assert sum(isinstance(layer, DropPath) for layer in ours.modules()) == 4  # the first block drops nothing
    begin_part(ours, range(4), 4, CPU)
    results = []
    for each in (network, ours):
        torch.manual_seed(1)
        results.append((each(images), torch.rand(1)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize(
    ("free", "parts"),
    [
        (1e9, 1),  # 100 images of 1 MB and 50 MB of workspace
        (150e6 / 0.9 + 1, 1),
        (149e6 / 0.9, 2),
        (100e6 / 0.9 + 1, 2),
        (51e6 / 0.9 + 1, 100),
    ],
)
def test_the_fewest_parts_that_fit_are_chosen(free, parts):
    assert fewest_parts(100, {8: 58_000_000, 4: 54_000_000}, int(free)) == parts


def test_a_gpu_without_room_for_one_image_is_refused():
    with pytest.raises(UserError, match=r"one image needs 0\.1 GB in training, of which 0\.0 GB are free"):
        fewest_parts(100, {8: 58_000_000, 4: 54_000_000}, 40_000_000)


class SavedTensors:
    """A device that holds ``size`` bytes, of which a pass needs those of the tensors that autograd saves."""

    def __init__(self, size):
        self.size, self.peaks = size, []

    def free_bytes(self):
        return self.size

    def peak_bytes(self, work):
        self.saved = 0

        def pack(tensor):
            self.saved += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            work()
        self.peaks.append(self.saved)
        return self.saved


def automatic(pretrainer, size):
    """The pretrainer, on a device of ``size`` bytes."""
    pretrainer.accumulation = Accumulation(pretrainer.settings, World(), CPU, SavedTensors(size))
    return pretrainer


def test_auto_measures_a_pass_and_changes_neither_weights_nor_draws(make_pretrainer):
    settings = {"gradient_accumulation": "auto"}
    deep = {key: value for key, value in DEEP.items() if key != "disentangle_weight"}

    def trained(pretrainer):
        torch.manual_seed(0)
        return pretrainer.step(0), pretrainer

    roomy, tight = (trained(automatic(make_pretrainer(**settings, **deep), size)) for size in (10**9, 10**6))
    given = trained(make_pretrainer(**deep))
    assert roomy[1].accumulation.parts == 1
    assert 1 < tight[1].accumulation.parts < 8
    for name, value in given[0].items():
        assert float(roomy[0][name]) == float(value)
    for one, other in zip(gradients(given[1]), gradients(roomy[1])):
        assert torch.equal(one, other)
    assert_same_step(given, tight)


def test_auto_measures_the_losses_that_only_some_steps_have(make_pretrainer, copies):
    often, rarely = (
        automatic(make_pretrainer(gradient_accumulation="auto", disentangle_probability=share, **copies), 10**9)
        for share in (1.0, 0.3)
    )
    assert not disentangles_at(0, 0, rarely.settings)
    peaks = []
    for pretrainer in (often, rarely):
        pretrainer.step(0)
        peaks.append(pretrainer.accumulation.memory.peaks)
    assert peaks[0] == peaks[1]


def test_a_cpu_needs_no_parts_and_the_number_is_kept_in_checkpoints(make_pretrainer):
    pretrainer = make_pretrainer(gradient_accumulation="auto", **DEEP)
    learn(pretrainer)
    state = pretrainer.state_dict()
    assert state["parts"] == 1
    resumed = automatic(make_pretrainer(gradient_accumulation="auto", **DEEP), 10**9)
    resumed.load_state_dict(state | {"parts": 3})
    learn(resumed)
    assert resumed.state_dict()["parts"] == 3
    assert "parts" not in make_pretrainer(gradient_accumulation=3).state_dict()


def probed(images, fitting, batch_size=256):
    """The number of parts chosen for a batch of images of 4,000 bytes, where a pass has at most ``fitting`` images."""

    def work(part):
        if len(part) > fitting:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 2.00 GiB")
        torch.ones(len(part), 1000, requires_grad=True).square()

    size = int(4000 * images / (1 - MARGIN)) + 1
    views = [torch.zeros(count, batch_size, 3, 1, 1) for count in (2, 0)]
    settings = Pretraining(dataset="d", gradient_accumulation="auto")
    accumulation = Accumulation(settings, World(), CPU, SavedTensors(size))
    accumulation.choose(lambda: Batch(BatchViews(*views, torch.zeros(batch_size, dtype=torch.int64))), work, 0)
    return accumulation.parts


def test_auto_measures_fewer_images_where_its_probe_does_not_fit():
    assert probed(3, fitting=3) == probed(3, fitting=256) == 86
    with pytest.raises(UserError, match="full with 2 images at a time: lower runtime"):
        probed(3, fitting=1)


def test_auto_leaves_a_single_image_undivided():
    assert probed(3, fitting=1, batch_size=1) == 1
    with pytest.raises(UserError, match="full with 1 images at a time"):
        probed(3, fitting=0, batch_size=1)


def full_above(pretrainer, views):
    """Let the student's memory be full with more than so many global views."""

    def check(module, sizes):
        if len(sizes[0]) > views:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 2.00 GiB")

    pretrainer.method.student.register_forward_pre_hook(check)
    return pretrainer


def test_a_step_that_does_not_fit_is_repeated_with_more_parts(make_pretrainer, caplog):
    undisturbed = stepped(make_pretrainer(**DEEP))
    repeated = stepped(full_above(make_pretrainer(gradient_accumulation="auto", **DEEP), 3 * IMAGES // 4))
    assert repeated[1].accumulation.parts == 4
    assert_same_step(undisturbed, repeated)
    assert "full with gradient_accumulation 2: repeating the step with 4 parts" in caplog.text


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"gradient_accumulation": 2}, "set pretraining.gradient_accumulation: 4, or auto"),
        ({"gradient_accumulation": IMAGES}, "one image a part: lower runtime.image_cache_gb, or choose a smaller"),
        ({"gradient_accumulation": "auto"}, "8, one image a part: .* fewer or smaller views"),
    ],
)
def test_a_memory_that_stays_full_says_what_to_set(make_pretrainer, settings, advice):
    with pytest.raises(UserError, match=advice):
        learn(full_above(make_pretrainer(**settings, **DEEP), 0))


@pytest.mark.parametrize(
    ("settings", "size", "advice"),
    [
        ({"method": "simclr"}, 1, "lower pretraining.batch_size"),
        ({"gradient_accumulation": "auto"}, 2, "run again to resume .* set pretraining.gradient_accumulation: 2,"),
    ],
)
def test_where_parts_cannot_be_raised_another_way_is_named(settings, size, advice):
    def full():
        raise torch.OutOfMemoryError("out of memory")

    accumulation = Accumulation(Pretraining(dataset="d", **settings), World(0, size), CPU, None)
    with pytest.raises(UserError, match=advice):
        accumulation.within_memory(IMAGES, full)


def test_auto_refuses_what_parts_would_change(make_pretrainer):
    with pytest.raises(UserError, match=r"auto would change results, because vit_tiny.* or its head has BatchNorm"):
        make_pretrainer(gradient_accumulation="auto", head_batch_norm=True)
    with pytest.raises(ValidationError, match="simclr compares the images of a batch"):
        Pretraining(dataset="d", method="simclr", gradient_accumulation="auto")
