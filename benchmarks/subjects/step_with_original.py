"""Training steps as in the original DINO code: Pillow views in many workers, half precision, a plain loop.

Reimplemented from the publication (Caron et al. 2021, arXiv 2104.14294), with the same sizes and probabilities.
"""

from contextlib import nullcontext
from itertools import groupby, islice
from pathlib import Path

import timm
import torch
from packed import decoded_images
from pil_views import MultiCrop
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler, default_collate
from worker import Work, restart_clock, serve, stop_clock

BATCH = 64
"""Images of a step on one GPU, the default of the original code, whose speed its workers decide."""
IMAGES = 1024
"""Images of a repeat, at most."""


class Views(Dataset):
    """Views of Pillow images in memory."""

    def __init__(self, index: str, views_of: MultiCrop):
        self.images = decoded_images(index)
        self.views_of = views_of

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> list[torch.Tensor]:
        return self.views_of(self.images[number])


class Head(nn.Module):
    """Three layers, L2 norm, and a weight-normed layer whose gain is fixed."""

    def __init__(self, inputs: int, hidden: int, bottleneck: int, prototypes: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        for layer in self.layers[::2]:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(bottleneck, prototypes, bias=False))
        gain = self.last.parametrizations.weight.original0
        gain.data.fill_(1)
        gain.requires_grad = False

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of (B, D)."""
        return self.last(F.normalize(self.layers(features), dim=-1))


class Network(nn.Module):
    """Backbone and head: one backbone pass for consecutive views of one size, one head pass for all views."""

    def __init__(self, settings: dict, drop_path: float):
        super().__init__()
        self.backbone = timm.create_model(
            settings["backbone"],
            num_classes=0,
            img_size=settings["image_px"],
            dynamic_img_size=True,
            drop_path_rate=drop_path,
            **settings["backbone_args"],
        )
        sizes = (settings[name] for name in ("head_hidden_dim", "head_bottleneck_dim", "prototypes"))
        self.head = Head(self.backbone.num_features, *sizes)

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        """Logits (V * B, K) of V views (B, 3, S, S)."""
        return self.head(
            torch.cat([self.backbone(torch.cat(list(same))) for _, same in groupby(views, lambda view: view.shape)])
        )


class Loss(nn.Module):
    """Cross-entropy over all pairs of a teacher's view and a different view of the student; updates the centre."""

    def __init__(self, settings: dict, views: int):
        super().__init__()
        self.settings, self.views = settings, views
        self.register_buffer("centre", torch.zeros(1, settings["prototypes"]))

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Loss of logits (V * B, K) and (2 * B, K)."""
        students = (student / self.settings["student_temperature"]).chunk(self.views)
        targets = F.softmax((teacher - self.centre) / self.settings["teacher_temperature"], dim=-1).detach().chunk(2)
        terms = [
            (-target * F.log_softmax(logits, dim=-1)).sum(-1).mean()
            for first, target in enumerate(targets)
            for second, logits in enumerate(students)
            if first != second
        ]
        momentum = self.settings["centre_momentum"]
        self.centre = momentum * self.centre + (1 - momentum) * teacher.mean(0, keepdim=True)
        return sum(terms) / len(terms)


def clip_each(model: nn.Module, largest: float) -> None:
    """Clip the gradient norm of each parameter separately."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            scale = largest / (parameter.grad.norm() + 1e-6)
            if scale < 1:
                parameter.grad.mul_(scale)


def prepare(order: dict) -> Work:
    """Create the networks; a few steps on one batch are the warm-up."""
    settings, device = order["settings"] | order["settings"]["dino"], torch.device(order["device"])
    batch, workers = min(settings["batch_size"], BATCH), order["workers"]
    # All workers begin a batch at the same time and end it at the same time: whole rounds of them are timed.
    steps = workers * max(1, min(order["steps"], IMAGES // batch) // workers)
    dataset = Views(order["index"], MultiCrop(order["recipes"], order["mean"], order["std"]))
    loader = DataLoader(
        dataset,
        batch,
        # More than are timed, so that the workers never run out of work before the clock stops.
        sampler=RandomSampler(dataset, num_samples=(3 * workers + steps) * batch),
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )
    student = Network(settings, settings["drop_path"]).to(device)
    teacher = Network(settings, 0.0).to(device).requires_grad_(False)
    teacher.load_state_dict(student.state_dict())
    loss_of = Loss(settings, len(order["recipes"])).to(device)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": 0.04},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, settings["learning_rate"] * batch / 256)
    half = settings["precision"] != "float32"
    scaler = torch.amp.GradScaler(device.type, enabled=half and device.type == "cuda")

    def step(views: list[torch.Tensor]) -> None:
        views = [view.to(device, non_blocking=True) for view in views]
        with torch.autocast(device.type, torch.float16) if scaler.is_enabled() else nullcontext():
            with torch.no_grad():
                targets = teacher(views[:2])
            loss = loss_of(student(views), targets)
        if not torch.isfinite(torch.tensor(loss.item())):
            raise RuntimeError("the loss is not finite")
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        clip_each(student, settings["gradient_clip_norm"])
        scaler.step(optimizer)
        scaler.update()
        momentum = settings["teacher_momentum"]
        with torch.no_grad():
            for mine, averaged in zip(student.parameters(), teacher.parameters(), strict=True):
                averaged.mul_(momentum).add_((1 - momentum) * mine)

    def synchronize() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    first = default_collate([dataset[number % len(dataset)] for number in range(batch)])
    for _ in range(3):
        step(first)

    def work(folder: Path) -> int:
        # The workers start and end with each repeat, so that they take no time of other subjects. The clock runs
        # from the last batch of one of their rounds to that of a later one, as in the middle of a training.
        batches = iter(loader)
        for views in islice(batches, workers):
            step(views)
        synchronize()
        restart_clock()
        for views in islice(batches, steps):
            step(views)
        synchronize()
        stop_clock()
        return steps * batch

    return work


if __name__ == "__main__":
    serve(prepare)
