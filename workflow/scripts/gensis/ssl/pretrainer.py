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
from gensis.images.ranges import to_unit
from gensis.images.reading import Images, channel_statistics
from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining, Ramp
from gensis.settings.runtime import Runtime
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.backbone import create_backbone
from gensis.ssl.bank_images import SyntheticImages
from gensis.ssl.batch import Batch, Batches
from gensis.ssl.batch_plan import Chooser
from gensis.ssl.class_token import class_token_only
from gensis.ssl.method import Method, method_class
from gensis.ssl.networks import check_local_views, create_backbones, memory_format_of, patch_px_of
from gensis.ssl.optimizer import clip_each, make_optimizer, set_rates
from gensis.ssl.rates import Rates, generative_probability, rates_of
from gensis.training.distributed import World, gradient_sync
from gensis.training.loop import PREFETCHED_STEPS
from gensis.training.sampler import Sampler
from gensis.training.sharding import load_module, load_optimizer, shard, whole

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
        self.images, self.device, self.world = images, device, world
        self._build(settings, init)
        settings = self.settings
        _check_shares(settings, world)
        self._distribute(runtime)
        self.optimizer = make_optimizer(self.method.student, settings)
        self.recipes = view_recipes(settings.views, settings.image_px)
        self.mean, self.std = channel_statistics(images)
        self._scale = [torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.mean, self.std)]
        first_rows = images.index.first_rows if settings.balance_units else None
        self.sampler = Sampler(
            len(images), settings.batch_size, seed=seed, rank=world.rank, world=world.size, first_rows=first_rows
        )
        self.steps_per_row = min(self.sampler.steps_per_epoch, LARGEST_ROW)
        self.total_steps = settings.epochs * self.sampler.steps_per_epoch
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

    def _build(self, settings: Pretraining, init: Path | None) -> None:
        """Create the method's networks and resolve `auto`."""
        method = method_class(settings.method)
        backbones, self.backbone_args = create_backbones(settings, init)
        patch_px, layout = patch_px_of(backbones[0]), memory_format_of(backbones[0])
        own = method.automatic(settings, len(self.images), patch_px > 1)
        self.resolved = resolve(settings, len(self.images), patch_px, own)
        for name, reason in self.resolved.reasons.items():
            log.info("%s: %s for %d images (%s)", name, self.resolved.values[name], len(self.images), reason)
        self.settings = self.resolved.settings
        if not method.needs_patch_tokens:
            backbones = [class_token_only(backbone) for backbone in backbones]
        self.method: Method = method(self.settings, backbones, self.world).to(self.device, memory_format=layout)
        if self.settings.views.local_crops:
            check_local_views(self.method.student, self.settings, self.device)

    def _distribute(self, runtime: Runtime) -> None:
        """Prepare the networks for several processes, and compile them."""
        method, world = self.method, self.world
        if world.size > 1 and self.device.type == "cuda":  # torch has no SyncBatchNorm on the CPU
            self.method = method = convert_sync_batchnorm(method)
        networks = [network for network in (method.student, method.teacher) if network]
        if world.size > 1 and runtime.sharding == "fsdp":
            shard([part for network in networks for part in network.parts()], self.device)
            self.parallel_student = method.student
        else:
            self.parallel_student = world.parallel(method.student)
        if runtime.compile:
            self.parallel_student.compile(dynamic=False)
            if method.teacher:
                method.teacher.compile(dynamic=False)

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Do one training step; return scalars for the history."""
        batch = self.batches.draw(self.sampler.rows(step), step)
        ahead = step + PREFETCHED_STEPS
        self.batches.prefetch(self.sampler.rows(ahead), ahead)
        return self.learn(batch, step)

    def learn(self, batch: Batch, step: int) -> dict[str, torch.Tensor | float]:
        """Do step number ``step`` with this process's share of the batch; return scalars for the history."""
        rates = rates_of(step, self.total_steps, self.images_per_step, self.settings)
        scheduled = self.method.scheduled(step, self.total_steps)
        logged, statistics = self._backward(batch, scheduled)
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
        encoder = self.method.encoder.eval()  # so that the BatchNorm statistics do not change
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                return encoder(views).float().unflatten(0, (3, -1))
        finally:
            encoder.train()

    def encoder(self) -> nn.Module:
        """The backbone to publish. All processes must call it; the result of the first is used."""
        weights = whole(self.method.encoder.state_dict())
        if not self.world.is_first:
            return self.method.encoder
        settings = self.settings
        backbone, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
        backbone.load_state_dict(weights)
        return backbone

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        return whole({"method": self.method.state_dict(), "optimizer": self.optimizer.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        load_module(self.method, state["method"])
        load_optimizer(self.optimizer, state["optimizer"])

    def _backward(
        self, batch: Batch, scheduled: dict[str, float]
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Accumulate the gradients of the batch part by part; return the means of what `Method.losses` gives."""
        self.optimizer.zero_grad()
        logged: dict[str, torch.Tensor] = {}
        statistics: dict[str, torch.Tensor] = {}
        parts = batch.split(self.settings.gradient_accumulation)
        for number, part in enumerate(parts, start=1):
            share = len(part) / len(batch)
            with gradient_sync(self.parallel_student, skip=number < len(parts)):
                losses = self.method.losses(self.parallel_student, part, scheduled)
                (share * losses.loss).backward()
            _add(logged, {"loss": losses.loss.detach()} | losses.logged, share)
            _add(statistics, losses.statistics, share)
        return logged, statistics

    def _update(self, step: int, rates: Rates) -> torch.Tensor:
        norm = clip_each(list(self.method.student.parameters()), self.settings.gradient_clip_norm or float("inf"))
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
