"""ResNets for small images, with a stem that keeps the resolution, registered with timm.

The stem of He et al. 2016 (arXiv 1512.03385), a 7x7 convolution of stride 2 and max-pooling of stride 2, reduces 32 px
to 8 px. SimCLR (Chen et al. 2020, arXiv 2002.05709, appendix B.9) and published CIFAR results of self-supervised
ResNets use one 3x3 convolution of stride 1 and no pooling instead.

`import gensis` registers these names with `timm.create_model` (see `gensis.timm_hook`).
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn


class SmallImageResNet(ResNet):
    """timm's ResNet with a 3x3 stem of stride 1 and no pooling. Its last feature map has 1/8 of the image's side."""

    def __init__(self, block: type[nn.Module], layers: tuple[int, ...], **arguments: Any):
        super().__init__(block, layers, stem_type="", replace_stem_pool=False, **arguments)
        stem = self.conv1
        tensors = {"device": stem.weight.device, "dtype": stem.weight.dtype}
        self.conv1 = nn.Conv2d(stem.in_channels, stem.out_channels, 3, padding=1, bias=False, **tensors)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.maxpool = nn.Identity()
        for level in self.feature_info:
            level["reduction"] = max(level["reduction"] // 4, 1)


# These names have no pretrained weights. Mean and standard deviation are those of CIFAR-10's training images.
UNTRAINED = {
    "num_classes": 10,
    "input_size": (3, 32, 32),
    "pool_size": (4, 4),
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.2470, 0.2435, 0.2616),
    "first_conv": "conv1",
    "classifier": "fc",
}
default_cfgs = generate_default_cfgs({f"resnet{depth}_cifar": UNTRAINED for depth in (18, 34, 50)})


def _make(name: str, pretrained: bool, **arguments: Any) -> ResNet:
    return build_model_with_cfg(SmallImageResNet, name, pretrained, **arguments)


@register_model
def resnet18_cifar(pretrained: bool = False, **arguments: Any) -> ResNet:
    """ResNet-18 for images of about 32 px, 512 features."""
    return _make("resnet18_cifar", pretrained, block=BasicBlock, layers=(2, 2, 2, 2), **arguments)


@register_model
def resnet34_cifar(pretrained: bool = False, **arguments: Any) -> ResNet:
    """ResNet-34 for images of about 32 px, 512 features."""
    return _make("resnet34_cifar", pretrained, block=BasicBlock, layers=(3, 4, 6, 3), **arguments)


@register_model
def resnet50_cifar(pretrained: bool = False, **arguments: Any) -> ResNet:
    """ResNet-50 for images of about 32 px, 2048 features."""
    return _make("resnet50_cifar", pretrained, block=Bottleneck, layers=(3, 4, 6, 3), **arguments)
