"""Pre-training by DINO, with or without a bank: one step, and all that it changes."""

from typing import Any

import torch
from torch import nn

from gensis.augment.views import view
from gensis.errors import UserError
from gensis.images.reading import Images, channel_statistics
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.backbone import create_backbone
from gensis.ssl.bank_images import SyntheticImages
from gensis.ssl.bank_views import BatchViews, mixed_views, real_views
from gensis.ssl.dino_loss import cross_entropy, dino_loss, entropy, teacher_targets, updated_centre
from gensis.ssl.disentangle import disentangle_targets
from gensis.ssl.head import DINOHead
from gensis.ssl.optimizer import clip_each, make_optimizer, set_rates
from gensis.ssl.schedules import cosine, linear_warmup, warmup_cosine
from gensis.ssl.teacher import update_teacher
from gensis.training.distributed import World
from gensis.training.sampler import Sampler


class Projector(nn.Module):
    """Backbone and head: views of several sizes to logits, one backbone pass a size."""

    def __init__(self, backbone: nn.Module, head: DINOHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, *sizes: torch.Tensor) -> torch.Tensor:
        """Logits (sum of n, K) of batches (n, 3, S, S) of different sides S."""
        return self.head(torch.cat([self.backbone(views) for views in sizes]))


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
    ):
        """Build everything at its initial value, which depends on ``seed`` alone.

        Args:
            settings: a `Retraining` if there is a bank.
            images: the train split.
            device: where to train.
            world: this process among all.
            seed: of initialisation and sampling.
            generative: the bank's views of single images.
            interpolated: the bank's images between two.
        """
        torch.manual_seed(seed)
        self.settings, self.images, self.device, self.world = settings, images, device, world
        self.generative = generative if settings_of_bank(settings, "generative_probability") else None
        self.interpolated = interpolated if settings_of_bank(settings, "disentangle_weight") else None
        student, self.backbone_args = create_backbone(
            settings.backbone, settings.image_px, settings.backbone_args, settings.drop_path
        )
        teacher, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
        patch_px = _patch_px(student)
        self.resolved = resolve(settings, len(images), is_transformer=patch_px > 1, patch_px=patch_px)
        self.student = Projector(student, self._head(student)).to(device)
        self.teacher = Projector(teacher, self._head(teacher)).to(device).requires_grad_(False)
        self.teacher.load_state_dict(self.student.state_dict())
        self.parallel_student = world.parallel(self.student)
        self.centre = torch.zeros(self.resolved.prototypes, device=device)
        self.optimizer = make_optimizer(self.student, settings)
        self.recipes = view_recipes(settings.views, settings.image_px, self.resolved)
        self.mean, self.std = channel_statistics(images)
        self._scale = [torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.mean, self.std)]
        self.sampler = Sampler(len(images), settings.batch_size, seed, world.rank, world.size)
        self.steps_per_row = self.sampler.steps_per_epoch
        self.total_steps = settings.epochs * self.sampler.steps_per_epoch
        self.images_per_step = self.sampler.batch_size
        self._check_view_sizes()

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of training; scalars for the history."""
        rows = self.sampler.rows(step)
        rates = self._rates(step)
        temperature = rates["teacher_temperature"]
        # What concerns the bank is drawn from a stream of its own: a bank of copies trains exactly as no bank does.
        draws = torch.Generator().manual_seed(torch.initial_seed() ^ 1)
        views = self._views(rows, draws)
        with self._autocast():
            with torch.no_grad():
                teacher_logits = self.teacher(self._normalised(views.global_views)).float().unflatten(0, (2, -1))
            student_logits = self._student_logits(views)
        targets = teacher_targets(teacher_logits, self.centre, temperature)
        figures = {"dino": dino_loss(targets, student_logits, self.settings.student_temperature)}
        loss = figures["dino"]
        if self.interpolated is not None:
            real_logits = teacher_logits[views.real_slot, torch.arange(len(rows), device=self.device)]
            figures["disentangle"] = self._disentangle(rows, real_logits, temperature, draws)
            loss = loss + self.settings.disentangle_weight * figures["disentangle"]
        gradient_norm = self._update(loss, step, rates)
        batch_mean = self.world.mean(teacher_logits.mean((0, 1)))
        self.centre = updated_centre(self.centre, batch_mean, self.settings.centre_momentum)
        mean_target = self.world.mean(targets.mean((0, 1)))
        return {
            "loss": loss,
            **figures,
            "teacher_entropy": entropy(targets),
            "teacher_batch_entropy": entropy(mean_target),
            "gradient_norm": gradient_norm,
            **{name: torch.tensor(value) for name, value in rates.items()},
        }

    @torch.no_grad()
    def embed_views(self, rows: torch.Tensor) -> torch.Tensor:
        """The teacher's embeddings, as published, of two global views that torch's global generators draw.

        Returns:
            float32 (2, n, D) for int64 (n,) rows; nothing that training goes by is changed.
        """
        images = self.images.batch(rows)
        views = self._normalised([view(images, recipe) for recipe in self.recipes[:2]])
        self.teacher.backbone.eval()  # else BatchNorm would learn from these images
        try:
            with self._autocast():
                return self.teacher.backbone(views).float().unflatten(0, (2, -1))
        finally:
            self.teacher.train()

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        return {
            "student": self.student.state_dict(),
            "teacher": self.teacher.state_dict(),
            "centre": self.centre,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        self.student.load_state_dict(state["student"])
        self.teacher.load_state_dict(state["teacher"])
        self.centre = state["centre"]
        self.optimizer.load_state_dict(state["optimizer"])

    def _head(self, backbone: nn.Module) -> DINOHead:
        return DINOHead(
            backbone.num_features,
            self.resolved.prototypes,
            self.settings.head_hidden,
            self.settings.head_bottleneck,
            self.resolved.head_batch_norm,
        )

    def _rates(self, step: int) -> dict[str, float]:
        settings, resolved, steps = self.settings, self.resolved, self.total_steps
        peak = settings.learning_rate * self.sampler.batch_size / 256
        warmup = int(resolved.warmup * steps)
        heating = int(resolved.teacher_temperature_warmup * steps)
        return {
            "learning_rate": warmup_cosine(peak, settings.minimum_learning_rate, step, steps, warmup),
            "weight_decay": cosine(*settings.weight_decay, step, steps),
            "teacher_momentum": cosine(resolved.teacher_momentum, 1.0, step, steps),
            "teacher_temperature": linear_warmup(
                resolved.teacher_temperature_start, resolved.teacher_temperature, step, heating
            ),
        }

    def _views(self, rows: torch.Tensor, draws: torch.Generator) -> BatchViews:
        views, real = self.settings.views, self.images.batch(rows)
        if self.generative is None:
            return real_views(real, self.recipes, views.local_crops)
        positions, has = self.generative.choose(rows, draws)
        has = has & (torch.rand(len(rows), generator=draws) < self.settings.generative_probability)
        slot = torch.randint(2, (len(rows),), generator=draws)
        return mixed_views(
            real,
            self.generative.images.batch(positions),
            has.to(self.device),
            slot.to(self.device),
            self.recipes,
            views.local_crops,
            self.settings.generative_local_fraction,
        )

    def _student_logits(self, views: BatchViews) -> list[torch.Tensor]:
        sizes = [self._normalised(group) for group in (views.global_views, views.local_views) if group]
        return list(self.parallel_student(*sizes).chunk(2 + len(views.local_views)))

    def _disentangle(
        self, rows: torch.Tensor, source_logits: torch.Tensor, temperature: float, draws: torch.Generator
    ) -> torch.Tensor:
        """Loss of the disentanglement task; images without an interpolated one do not count."""
        positions, has = self.interpolated.choose(rows, draws)
        between = view(self.interpolated.images.batch(positions), self.recipes[0])
        partner = view(self.images.batch(self.interpolated.partner[positions].clamp(min=0)), self.recipes[0])
        with self._autocast():
            with torch.no_grad():
                partner_logits = self.teacher(self._normalised([partner])).float()
            student_logits = self.parallel_student(self._normalised([between]))
        alpha = self.interpolated.alpha[positions].to(self.device)
        targets = disentangle_targets(source_logits, partner_logits, alpha, self.centre, temperature)
        share = has.float().to(self.device).unsqueeze(1)
        return cross_entropy(targets * share, student_logits, self.settings.student_temperature)

    def _update(self, loss: torch.Tensor, step: int, rates: dict[str, float]) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss.backward()
        if step < self.settings.freeze_last_layer * self.total_steps:
            self.student.head.prototypes.grad = None
        norm = clip_each(list(self.student.parameters()), self.settings.clip_gradient or float("inf"))
        set_rates(self.optimizer, rates["learning_rate"], rates["weight_decay"])
        self.optimizer.step()
        update_teacher(self.teacher, self.student, rates["teacher_momentum"])
        return norm

    def _normalised(self, views: list[torch.Tensor]) -> torch.Tensor:
        mean, std = self._scale
        return (torch.cat(views) - mean) / std

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")

    def _check_view_sizes(self) -> None:
        """Refuse local views that the backbone cannot take before the first step, not in the middle of it."""
        if not self.settings.views.local_crops:
            return
        small = torch.zeros(2, 3, self.resolved.local_px, self.resolved.local_px, device=self.device)
        try:
            with torch.no_grad():
                self.teacher.backbone.eval()(small)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UserError(
                f"backbone {self.settings.backbone} does not take local views of {self.resolved.local_px} px "
                f"({error}): set views.local_crops: 0 or another views.local_px"
            ) from error
        finally:
            self.teacher.train()


def settings_of_bank(settings: Pretraining, key: str) -> float:
    """A key of `Retraining`, or 0 in plain pre-training."""
    return getattr(settings, key) if isinstance(settings, Retraining) else 0.0


def _patch_px(backbone: nn.Module) -> int:
    """Side of a transformer's patch in pixels; 1 for a convnet."""
    embedding = getattr(backbone, "patch_embed", None)
    patch = getattr(embedding, "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple) else patch)
