import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from gensis.settings.pretraining import Pretraining
from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.preprocessing import Preprocessing

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
NARROW = {"channels": (8, 8, 16, 16)}


def python(code: str, *arguments: object) -> None:
    """Run code in a new interpreter; fail with its stderr."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def small_stem_resnet(images: torch.Tensor, weights: dict[str, torch.Tensor], depth: tuple[int, ...]) -> torch.Tensor:
    """ResNet of basic blocks with the CIFAR stem (He et al. 2016, section 4.2 and figure 2), in evaluation mode."""

    def convolve(x: torch.Tensor, convolution: str, norm: str, stride: int, padding: int) -> torch.Tensor:
        x = torch.conv2d(x, weights[f"{convolution}.weight"], stride=stride, padding=padding)
        figures = [weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return torch.nn.functional.batch_norm(x, *figures)

    x = convolve(images, "conv1", "bn1", 1, 1).relu()
    for stage, blocks in enumerate(depth, start=1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inner = convolve(x, f"{name}.conv1", f"{name}.bn1", stride, 1).relu()
            inner = convolve(inner, f"{name}.conv2", f"{name}.bn2", 1, 1)
            shortcut = f"{name}.downsample"
            has = f"{shortcut}.0.weight" in weights
            x = (inner + (convolve(x, f"{shortcut}.0", f"{shortcut}.1", stride, 0) if has else x)).relu()
    return x.mean((2, 3))


@pytest.mark.parametrize(("name", "depth"), [("resnet18_cifar", (2, 2, 2, 2)), ("resnet34_cifar", (3, 4, 6, 3))])
def test_small_resnets_equal_the_reference_with_the_cifar_stem(name, depth):
    torch.manual_seed(0)
    backbone, _ = create_backbone(name, 32, NARROW)
    for module in backbone.modules():  # the last norm of each block is initialised with 0, which would hide the block
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    backbone(torch.randn(8, 3, 32, 32))  # so that the statistics of the norms are not 0 and 1
    backbone.eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(backbone(images), small_stem_resnet(images, backbone.state_dict(), depth))


def test_the_small_resnets_have_the_published_sizes():
    # Without classifier. ImageNet's ResNets have 7,680 more for their 7x7 stem (torchvision's ResNet-18: 11,176,512).
    expected = {"resnet18_cifar": 11_168_832, "resnet34_cifar": 21_276_992, "resnet50_cifar": 23_500_352}
    for name, parameters in expected.items():
        model = timm.create_model(name, num_classes=0)
        assert sum(parameter.numel() for parameter in model.parameters()) == parameters
        assert timm.create_model(name, features_only=True).feature_info.reduction() == [1, 1, 2, 4, 8]


def test_import_gensis_registers_models_without_importing_timm_or_torch(tmp_path):
    backbone, made_with = create_backbone("resnet18_cifar", 16, NARROW)
    save_encoder(
        backbone,
        tmp_path,
        name="resnet18_cifar",
        arguments=made_with,
        preprocessing=Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3),
    )
    python(
        "import sys, importlib.util, gensis, gensis.settings\n"
        "assert importlib.util.find_spec('timm') and not {'torch', 'timm'} & set(sys.modules)\n"
        "import timm, torch\n"
        "model = timm.create_model(f'local-dir:{sys.argv[1]}', pretrained=True, num_classes=0)\n"
        "assert torch.equal(model.conv1.weight, gensis.load_encoder(sys.argv[1]).backbone.conv1.weight)\n"
        "assert model.conv1.weight.shape == (64, 3, 3, 3)",
        tmp_path,
    )


def test_import_gensis_after_timm_registers_models():
    python("import timm, gensis; assert timm.is_model('resnet18_cifar')")


def test_a_small_resnet_trains_with_batch_norm_in_the_head_by_default(make_pretrainer):
    assert Pretraining(dataset="d").dino.head_batch_norm == "auto"
    views = {"local_crops": 0, "global_scale": (0.2, 1.0)}
    pretrainer = make_pretrainer(backbone="resnet18_cifar", backbone_args=NARROW, drop_path=0.0, views=views)
    assert any(isinstance(module, torch.nn.BatchNorm1d) for module in pretrainer.method.student.head.modules())
    before = pretrainer.method.teacher.backbone.conv1.weight.clone()
    for step in range(2):
        assert torch.isfinite(pretrainer.step(step)["loss"])
    assert not torch.equal(pretrainer.method.teacher.backbone.conv1.weight, before)
