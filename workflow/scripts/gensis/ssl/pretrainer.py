"""Self-supervised training of an encoder, with or without a bank: one step and the whole training state."""

import logging
from pathlib import Path
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import nn

from gensis.augment.resample import resize
from gensis.augment.views import view
from gensis.errors import UserError
from gensis.images.reading import Images
from gensis.ranges import to_unit
from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining, Ramp
from gensis.settings.runtime import Runtime
from gensis.ssl.accumulation import Accumulation
from gensis.ssl.auto import view_recipes
from gensis.ssl.backbone import create_backbone
from gensis.ssl.bank_images import SyntheticImages
from gensis.ssl.batch import Batch, Batches
from gensis.ssl.batch_plan import Chooser
from gensis.ssl.building import build
from gensis.ssl.continued import Freezing, load_merged, preprocessing_for_training
from gensis.ssl.drop_path import begin_part
from gensis.ssl.method import Losses
from gensis.ssl.optimizer import clip_each, make_optimizer, set_rates
from gensis.ssl.rates import Rates, disentangles_at, generative_probability, rates_of
from gensis.training.compiling import begin_step, compile_network
from gensis.training.distributed import World, gradient_sync
from gensis.training.loop import PREFETCHED_STEPS
from gensis.training.memory import GPUMemory
from gensis.training.sampler import Sampler
from gensis.training.sharding import load_module, load_optimizer, local_bytes, shard, whole

log = logging.getLogger(__name__)

LARGEST_ROW = 1000
"""Largest number of steps per row of the history; an epoch of 100 million images would take days."""


class Pretrainer:
    """An SSL method with its optimizer and its batches. A `training.loop.Task`."""

    def __init__(
        self,
        settings: Pretraining,
        images: Images,
        *,
        device: torch.device,
        world: World,
        seed: int,
        generative: SyntheticImages | None = None,
        interpolated: SyntheticImages | None = None,
        runtime: Runtime = Runtime(),
        init: Path | None = None,
    ):
        """Build the initial state, which depends only on ``seed``.

        Args:
            settings: a `Retraining` if there is a bank.
            images: the train split.
            device: where to train.
            world: this process among all.
            seed: of initialisation and sampling.
            generative: the bank's generative images.
            interpolated: the bank's interpolated images.
            runtime: speed and memory.
            init: folder of the encoder whose weights initialise the backbone.
        """
        torch.manual_seed(seed)
        self.images, self.device, self.world, self.seed = images, device, world, seed
        built = build(settings, len(images), world=world, device=device, init=init)
        self.method, self.resolved, self.backbone_args = built.method, built.resolved, built.backbone_args
        for name, reason in self.resolved.reasons.items():
            log.info("%s: %s for %d images (%s)", name, self.resolved.values[name], len(images), reason)
        self.settings = settings = self.resolved.settings
        _check_shares(settings, world)
        self._distribute(runtime)
        self.optimizer = make_optimizer(self.method.student, settings)
        self.recipes = view_recipes(settings.views, settings.image_px)
        self.preprocessing = preprocessing_for_training(settings, images, init)
        of_channels = (self.preprocessing.mean, self.preprocessing.std)
        self._scale = [torch.tensor(values, device=device).view(1, 3, 1, 1) for values in of_channels]
        first_rows = images.index.first_rows if settings.balance_units else None
        self.sampler = Sampler(
            len(images), settings.batch_size, seed=seed, rank=world.rank, world=world.size, first_rows=first_rows
        )
        self.steps_per_row = min(self.sampler.steps_per_epoch, LARGEST_ROW)
        self.total_steps = settings.epochs * self.sampler.steps_per_epoch
        self.freezing = Freezing(self.method.networks, settings.continued, self.sampler.steps_per_epoch)
        self.images_per_step = self.sampler.batch_size
        chooser = Chooser(
            settings,
            images,
            generative=generative,
            interpolated=interpolated,
            seed=seed,
            rank=world.rank,
            steps=self.total_steps,
        )
        self.disentangles = chooser.disentangles
        self.batches = Batches(settings, self.recipes, chooser=chooser, device=device, normalise=self._normalise)
        self.accumulation = Accumulation(settings, world, device, GPUMemory(device) if device.type == "cuda" else None)

    def _distribute(self, runtime: Runtime) -> None:
        """Prepare the networks for several processes, and compile them."""
        method, world = self.method, self.world
        if world.size > 1 and self.device.type == "cuda":  # torch has no SyncBatchNorm on the CPU
            self.method = method = convert_sync_batchnorm(method)
        if world.size > 1 and runtime.sharding == "fsdp":
            shard([part for network in method.networks for part in network.parts()], self.device)
            self.parallel_student = method.student
        else:
            self.parallel_student = world.parallel(method.student)
        self._compile = runtime.compile
        for network in filter(None, (self.parallel_student, method.teacher)):
            compile_network(network, runtime.compile)

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Do one training step; return scalars for the history."""
        if self.accumulation.parts is None:
            self._choose_parts()
        batch = self.batches.draw(self.sampler.rows(step), step)
        ahead = step + PREFETCHED_STEPS
        self.batches.prefetch(self.sampler.rows(ahead), ahead)
        return self.learn(batch, step)

    def learn(self, batch: Batch, step: int) -> dict[str, torch.Tensor | float]:
        """Do step number ``step`` with this process's share of the batch; return scalars for the history."""
        begin_step(self._compile)
        self.freezing.begin_step(step)
        rates = rates_of(step, self.total_steps, self.images_per_step, self.settings)
        scheduled = self.method.scheduled(step, self.total_steps)
        logged, statistics = self.accumulation.within_memory(len(batch), lambda: self._backward(batch, scheduled))
        gradient_norm = self._update(step, rates)
        logged |= self.method.after_update(self.world.means(statistics), scheduled)
        if self.disentangles:
            logged.setdefault("disentangle", 0.0)  # steps without this loss count as 0 in the mean of a row
        if isinstance(getattr(self.settings, "generative_probability", None), Ramp):
            logged["generative_probability"] = generative_probability(step, self.total_steps, self.settings)
        return logged | {"gradient_norm": gradient_norm} | vars(rates) | scheduled

    @torch.no_grad()
    def embed(self, rows: torch.Tensor) -> torch.Tensor:
        """Embeddings by the published backbone of images and of two global views of each.

        The views are drawn with torch's global generators. The training state does not change.

        Returns:
            float32 (3, n, D) for int64 (n,) rows.
        """
        images = self.images.batch(rows)
        whole = to_unit(resize(images, self.settings.image_px))
        views = self._normalise(torch.cat([whole, *(view(images, recipe) for recipe in self.recipes[:2])]))
        network = self.method.networks[-1].eval()  # so that the BatchNorm statistics do not change
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                return network.backbone(views).float().unflatten(0, (3, -1))
        finally:
            network.train()

    def encoder(self) -> nn.Module:
        """The backbone to publish. All processes must call it; the result of the first is used."""
        weights = whole(self.method.encoder.state_dict())
        if not self.world.is_first:
            return self.method.encoder
        settings = self.settings
        backbone, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
        load_merged(backbone, weights, settings.continued)
        return backbone

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        parts = {"parts": self.accumulation.parts} if self.accumulation.is_automatic else {}
        return whole({"method": self.method.state_dict(), "optimizer": self.optimizer.state_dict()}) | parts

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        load_module(self.method, state["method"])
        load_optimizer(self.optimizer, state["optimizer"])
        if self.accumulation.is_automatic:
            self.accumulation.parts = state["parts"]

    def _choose_parts(self) -> None:
        """Choose the number of parts by the first batch with all losses."""
        steps = range(self.total_steps) if self.disentangles else ()
        step = next((step for step in steps if disentangles_at(step, self.seed, self.settings)), 0)
        scheduled = self.method.scheduled(step, self.total_steps)

        def work(part: Batch) -> None:
            begin_part(self.method.student, range(len(part)), len(part), self.device)
            self._pass(part, scheduled, share=1.0, skip_sync=True)

        trained = (parameter for parameter in self.method.student.parameters() if parameter.requires_grad)
        moments = 2 * local_bytes(trained)  # of the optimizer, which has none before it steps
        self.accumulation.choose(lambda: self.batches.draw(self.sampler.rows(step), step), work, moments)
        self.optimizer.zero_grad()

    def _backward(
        self, batch: Batch, scheduled: dict[str, float]
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Accumulate the gradients of the batch part by part; return the means of what `Method.losses` gives."""
        self.optimizer.zero_grad()
        logged: dict[str, torch.Tensor] = {}
        statistics: dict[str, torch.Tensor] = {}
        done = 0
        for part in batch.split(self.accumulation.parts):
            begin_part(self.method.student, range(done, done + len(part)), len(batch), self.device)
            done, share = done + len(part), len(part) / len(batch)
            losses = self._pass(part, scheduled, share, skip_sync=done < len(batch))
            _add(logged, {"loss": losses.loss.detach()} | losses.logged, share)
            _add(statistics, losses.statistics, share)
        return logged, statistics

    def _pass(self, part: Batch, scheduled: dict[str, float], share: float, skip_sync: bool) -> Losses:
        """Add the gradients of a part, which is a ``share`` of its batch."""
        with gradient_sync(self.parallel_student, skip=skip_sync):
            losses = self.method.losses(self.parallel_student, part, scheduled)
            (share * losses.loss).backward()
        return losses

    def _update(self, step: int, rates: Rates) -> torch.Tensor:
        self.freezing.before_update(step)
        norm = clip_each(list(self.method.student.parameters()), self.settings.gradient_clip_norm)
        self.method.before_update(step, self.total_steps)
        set_rates(self.optimizer, rates.learning_rate, rates.weight_decay)
        self.optimizer.step()
        return norm

    def _normalise(self, views: torch.Tensor) -> torch.Tensor:
        mean, std = self._scale
        return views.sub_(mean).div_(std)


def _check_shares(settings: Pretraining, world: World) -> None:
    """Refuse a batch that cannot be divided equally among processes which exchange their images."""
    if METHODS[settings.method].compares_images and settings.batch_size % world.size:
        raise UserError(
            f"batch_size {settings.batch_size} is not a multiple of the {world.size} processes that train together, "
            f"as {settings.method} needs: change batch_size, or the number of GPUs"
        )


def _add(sums: dict[str, torch.Tensor], values: dict[str, torch.Tensor], share: float) -> None:
    for name, value in values.items():
        sums[name] = sums.get(name, 0) + share * value
