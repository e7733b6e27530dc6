"""Training steps of lightly's building blocks, combined as in its guide: transform, head, loss, moving average."""

from pathlib import Path

import timm
import torch
from lightly.loss import DINOLoss
from lightly.models.modules import DINOProjectionHead
from lightly.models.utils import update_momentum
from lightly.transforms import DINOTransform
from packed import decoded_images
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler
from worker import Work, serve

WORKERS = 2
LARGEST_NORM = 3.0


class Views(Dataset):
    """Views of Pillow images in memory."""

    def __init__(self, index: str, transform: DINOTransform):
        self.images = decoded_images(index)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> list[torch.Tensor]:
        return self.transform(self.images[number])


class Network(nn.Module):
    """Backbone and head."""

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
        self.head = DINOProjectionHead(
            self.backbone.num_features,
            settings["head_hidden_dim"],
            settings["head_bottleneck_dim"],
            settings["prototypes"],
            batch_norm=settings["head_batch_norm"],
        )

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of (B, 3, S, S)."""
        return self.head(self.backbone(views))


def transform(recipes: list[dict], mean: list[float], std: list[float]) -> DINOTransform:
    """The case's views; for all other parameters, the case uses the defaults of DINOTransform."""
    globals_, locals_ = recipes[:2], recipes[2:]
    return DINOTransform(
        global_crop_size=globals_[0]["size_px"],
        global_crop_scale=tuple(globals_[0]["scale"]),
        local_crop_size=locals_[0]["size_px"] if locals_ else 1,
        local_crop_scale=tuple(locals_[0]["scale"]) if locals_ else (0.5, 1.0),
        n_local_views=len(locals_),
        gaussian_blur=(globals_[0]["blur"], globals_[1]["blur"], locals_[0]["blur"] if locals_ else 0.0),
        solarization_prob=globals_[1]["solarize"],
        normalize={"mean": mean, "std": std},
    )


def prepare(order: dict) -> Work:
    """Start the workers, create the networks; a few batches are the warm-up."""
    settings = order["settings"] | order["settings"]["dino"]
    views_of = transform(order["recipes"], order["mean"], order["std"])
    dataset = Views(order["index"], views_of)
    batch = settings["batch_size"]
    loader = DataLoader(
        dataset,
        batch,
        sampler=RandomSampler(dataset, num_samples=order["steps"] * batch),
        num_workers=WORKERS,
        persistent_workers=WORKERS > 0,
    )
    student = Network(settings, settings["drop_path"])
    teacher = Network(settings, drop_path=0.0).requires_grad_(False)
    teacher.load_state_dict(student.state_dict())
    loss_of = DINOLoss(settings["prototypes"], warmup_teacher_temp_epochs=1)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, settings["learning_rate"], weight_decay=settings["weight_decay"][0])

    def step(views: list[torch.Tensor]) -> None:
        update_momentum(student, teacher, settings["teacher_momentum"])
        loss = loss_of([teacher(view) for view in views[:2]], [student(view) for view in views])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, LARGEST_NORM)
        optimizer.step()

    def work(folder: Path) -> int:
        for views in loader:
            step(views)
        return order["steps"] * batch

    for number, views in enumerate(loader):
        if number < 2:
            step(views)
    return work


if __name__ == "__main__":
    serve(prepare)
