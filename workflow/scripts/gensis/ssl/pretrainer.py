"""DINO pre-training, with or without a bank: one step and the whole training state."""

from pathlib import Path
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import nn

from gensis.augment.resample import resize
from gensis.augment.views import view
from gensis.images.ranges import to_unit
from gensis.images.reading import Images, channel_statistics
from gensis.settings.pretraining import Pretraining, Ramp
from gensis.settings.runtime import Runtime
from gensis.ssl.auto import view_recipes
from gensis.ssl.backbone import create_backbone
from gensis.ssl.bank_images import SyntheticImages
from gensis.ssl.batch import Batch, Batches
from gensis.ssl.batch_plan import Chooser
from gensis.ssl.dino_loss import cross_entropy, dino_loss, entropy, teacher_targets, updated_centre
from gensis.ssl.disentangle import disentangle_targets
from gensis.ssl.networks import create_networks
from gensis.ssl.optimizer import clip_each, make_optimizer, set_rates
from gensis.ssl.rates import Rates, generative_probability, is_last_layer_frozen, rates_of
from gensis.ssl.teacher import update_teacher
from gensis.training.distributed import World, gradient_sync
from gensis.training.loop import PREFETCHED_STEPS
from gensis.training.sampler import Sampler
from gensis.training.sharding import load_module, load_optimizer, shard, whole

LARGEST_ROW = 1000
"""Largest number of steps per row of the history; an epoch of 100 million images would take days."""


class Pretrainer:
    """DINO's student, teacher, centre and optimizer; with a bank, Gen-DINO's. A `training.loop.Task`."""

    def __init__(
        self,
        settings: Pretraining,
        images: Images,
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
        self.settings, self.images, self.device, self.world = settings, images, device, world
        networks = create_networks(settings, len(images), device, init)
        self.student, self.teacher = networks.student, networks.teacher
        self.backbone_args, self.resolved = networks.backbone_args, networks.resolved
        if world.size > 1 and device.type == "cuda":  # torch has no SyncBatchNorm on the CPU
            self.student, self.teacher = map(convert_sync_batchnorm, (self.student, self.teacher))
        if world.size > 1 and runtime.sharding == "fsdp":
            shard([*self.student.parts(), *self.teacher.parts()], device)
            self.parallel_student = self.student
        else:
            self.parallel_student = world.parallel(self.student)
        if runtime.compile:
            self.parallel_student.compile(dynamic=False)
            self.teacher.compile(dynamic=False)
        self.centre = torch.zeros(self.resolved.prototypes, device=device)
        self.optimizer = make_optimizer(self.student, settings)
        self.recipes = view_recipes(settings.views, settings.image_px, self.resolved)
        self.mean, self.std = channel_statistics(images)
        self._scale = [torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.mean, self.std)]
        first_rows = images.index.first_rows if settings.balance_units else None
        self.sampler = Sampler(len(images), settings.batch_size, seed, world.rank, world.size, first_rows)
        self.steps_per_row = min(self.sampler.steps_per_epoch, LARGEST_ROW)
        self.total_steps = settings.epochs * self.sampler.steps_per_epoch
        self.images_per_step = self.sampler.batch_size
        chooser = Chooser(settings, images, generative, interpolated, seed, world.rank, self.total_steps)
        self.disentangles = chooser.disentangles
        self.batches = Batches(settings, self.recipes, chooser, device, self._normalise)

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Do one training step; return scalars for the history."""
        batch = self.batches.draw(self.sampler.rows(step), step)
        ahead = step + PREFETCHED_STEPS
        self.batches.prefetch(self.sampler.rows(ahead), ahead)
        return self.learn(batch, step)

    def learn(self, batch: Batch, step: int) -> dict[str, torch.Tensor | float]:
        """Do step number ``step`` with this process's share of the batch; return scalars for the history."""
        rates = rates_of(step, self.total_steps, self.images_per_step, self.settings, self.resolved)
        figures = self._backward(batch, rates.teacher_temperature)
        gradient_norm = self._update(step, rates)
        mean_logits, mean_targets = self.world.mean(torch.stack([figures.pop("logits"), figures.pop("targets")]))
        self.centre = updated_centre(self.centre, mean_logits, self.settings.centre_momentum)
        figures["teacher_batch_entropy"] = entropy(mean_targets)
        if self.disentangles:
            figures.setdefault("disentangle", 0.0)  # steps without this loss count as 0 in the mean of a row
        if isinstance(getattr(self.settings, "generative_probability", None), Ramp):
            figures["generative_probability"] = generative_probability(step, self.total_steps, self.settings)
        return figures | {"gradient_norm": gradient_norm} | vars(rates)

    @torch.no_grad()
    def embed(self, rows: torch.Tensor) -> torch.Tensor:
        """Embeddings by the teacher's backbone of images and of two global views of each.

        The views are drawn with torch's global generators. The training state does not change.

        Returns:
            float32 (3, n, D) for int64 (n,) rows.
        """
        images = self.images.batch(rows)
        whole = to_unit(resize(images, self.settings.image_px))
        views = self._normalise(torch.cat([whole, *(view(images, recipe) for recipe in self.recipes[:2])]))
        self.teacher.backbone.eval()  # so that the BatchNorm statistics do not change
        try:
            with self._autocast():
                return self.teacher.backbone(views).float().unflatten(0, (3, -1))
        finally:
            self.teacher.train()

    def encoder(self) -> nn.Module:
        """The teacher's backbone, to publish. All processes must call it; the result of the first is used."""
        weights = whole(self.teacher.backbone.state_dict())
        if not self.world.is_first:
            return self.teacher.backbone
        settings = self.settings
        backbone, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
        backbone.load_state_dict(weights)
        return backbone

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        state = {
            "student": self.student.state_dict(),
            "teacher": self.teacher.state_dict(),
            "centre": self.centre,
            "optimizer": self.optimizer.state_dict(),
        }
        return whole(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        load_module(self.student, state["student"])
        load_module(self.teacher, state["teacher"])
        self.centre = state["centre"]
        load_optimizer(self.optimizer, state["optimizer"])

    def _backward(self, batch: Batch, temperature: float) -> dict[str, torch.Tensor]:
        """Accumulate the gradients of the batch part by part; return the mean output of `_losses`."""
        self.optimizer.zero_grad()
        means: dict[str, torch.Tensor] = {}
        parts = batch.split(self.settings.gradient_accumulation)
        for number, part in enumerate(parts, start=1):
            share = len(part) / len(batch)
            with gradient_sync(self.parallel_student, skip=number < len(parts)):
                figures = self._losses(part, temperature)
                (share * figures["loss"]).backward()
            for name, value in figures.items():
                means[name] = means.get(name, 0) + share * value.detach()
        return means

    def _losses(self, batch: Batch, temperature: float) -> dict[str, torch.Tensor]:
        """Losses and entropy of some images, and the teacher's mean logits and targets (K,) of their global views."""
        views, interpolated, count = batch.views, batch.interpolated, len(batch)
        both = views.global_views.flatten(0, 1)
        of_student = torch.cat([both, interpolated.views]) if interpolated else both
        of_teacher = torch.cat([both, interpolated.partners.flatten(0, 1)]) if interpolated else both
        sizes = [of_student, *([views.local_views.flatten(0, 1)] if len(views.local_views) else [])]
        with self._autocast():
            with torch.no_grad():
                teacher_logits = self.teacher(of_teacher).float()
            student_logits = self.parallel_student(*sizes)
        teacher_logits = teacher_logits.unflatten(0, (-1, count))
        of_views = list(student_logits.unflatten(0, (-1, count)).unbind())
        targets = teacher_targets(teacher_logits[:2], self.centre, temperature)
        means = {"logits": teacher_logits[:2].mean((0, 1)), "targets": targets.mean((0, 1))}
        figures = {"teacher_entropy": entropy(targets)}
        if interpolated:
            of_sources = teacher_logits[interpolated.source_slots, torch.arange(count, device=self.device)]
            targets_of_interpolated = disentangle_targets(
                of_sources, teacher_logits[2:], interpolated.alpha, self.centre, temperature
            )
            counted = targets_of_interpolated.mean(0) * interpolated.counts.unsqueeze(1)
            figures["disentangle"] = cross_entropy(counted, of_views.pop(2), self.settings.student_temperature)
        figures["dino"] = loss = dino_loss(targets, of_views, self.settings.student_temperature)
        if interpolated:
            loss = loss + self.settings.disentangle_weight * figures["disentangle"]
        return {"loss": loss} | figures | means

    def _update(self, step: int, rates: Rates) -> torch.Tensor:
        norm = clip_each(list(self.student.parameters()), self.settings.gradient_clip_norm or float("inf"))
        if is_last_layer_frozen(step, self.total_steps, self.settings):
            self.student.head.prototypes.grad = None
        set_rates(self.optimizer, rates.learning_rate, rates.weight_decay)
        self.optimizer.step()
        update_teacher(self.teacher, self.student, rates.teacher_momentum)
        return norm

    def _normalise(self, views: torch.Tensor) -> torch.Tensor:
        mean, std = self._scale
        return views.sub_(mean).div_(std)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")
