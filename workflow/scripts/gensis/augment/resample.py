"""Crop, mirror and resize a batch, antialiased as in Pillow and torchvision."""

import torch
from torch.nn import functional as F

BICUBIC_A = -0.5  # Pillow's and torchvision's coefficient with antialiasing


def prepared(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) in the format that `crop_resize` reads fastest; convert once if several views are cropped."""
    if images.device.type == "cpu":
        return images.contiguous(memory_format=torch.channels_last)
    return images.to(torch.float32, memory_format=torch.contiguous_format)


def crop_resize(images: torch.Tensor, boxes: torch.Tensor, turns: torch.Tensor, size_px: int) -> torch.Tensor:
    """Crop a box from each image, resize it, and mirror or rotate it.

    Args:
        images: (B, 3, H, W), `prepared`: uint8 is cropped as suits CPUs, float as suits GPUs.
        boxes: int64 (B, 4): top, left, height, width in pixels.
        turns: bool (B, 3): whether to mirror the rows, to mirror the columns, and then to swap the two axes.
        size_px: side of the result.

    Returns:
        (B, 3, size_px, size_px) in the type of the input, [0, 255].
    """
    resample = products if images.is_floating_point() else slices
    return resample(images, boxes, turns, size_px)


def slices(images: torch.Tensor, boxes: torch.Tensor, turns: torch.Tensor, size_px: int) -> torch.Tensor:
    """`crop_resize` image by image, with torch's vectorised 8-bit resize, which reads only the box."""
    crops = []
    for image, (top, left, height, width), (rows, columns, axes) in zip(images, boxes.tolist(), turns.tolist()):
        box = image[None, :, top : top + height, left : left + width]
        crop = F.interpolate(box, size=(size_px, size_px), mode="bicubic", antialias=True)
        if rows or columns:
            crop = crop.flip([2] * rows + [3] * columns)
        crops.append(crop.transpose(2, 3) if axes else crop)
    return torch.cat(crops)


def products(images: torch.Tensor, boxes: torch.Tensor, turns: torch.Tensor, size_px: int) -> torch.Tensor:
    """`crop_resize` as products rows x image x columns: no shape depends on a box, so nothing waits for the device.

    Values are clipped after each axis, as in an 8-bit resize. The channels are stacked along an axis of the image, so
    that each image takes one product per axis, and no matrix is copied for each channel.
    """
    count, channels, height, width = images.shape
    rows = weights(boxes[:, 0], boxes[:, 2], turns[:, 0], inputs=height, outputs=size_px)
    columns = weights(boxes[:, 1], boxes[:, 3], turns[:, 1], inputs=width, outputs=size_px)
    narrow = torch.bmm(columns, images.reshape(count, channels * height, width).mT).clamp_(0, 255)
    crops = torch.bmm(narrow.view(count, size_px * channels, height), rows.mT).clamp_(0, 255)
    swapped = crops.view(count, size_px, channels, size_px).transpose(1, 2)  # (B, channel, column, row)
    return torch.where(turns[:, 2].view(-1, 1, 1, 1), swapped, swapped.transpose(2, 3))


def weights(
    start: torch.Tensor, length: torch.Tensor, mirror: torch.Tensor, *, inputs: int, outputs: int
) -> torch.Tensor:
    """Resampling matrices along one axis.

    Args:
        start: (B,) first pixel of the crop.
        length: (B,) pixels of the crop.
        mirror: (B,) bool, whether to mirror the axis.
        inputs: pixels of the whole axis.
        outputs: pixels of the result.

    Returns:
        float32 (B, outputs, inputs); each row sums to 1 and is zero outside the crop.
    """
    scale = (length / outputs).view(-1, 1, 1)
    widening = scale.clamp(min=1)  # antialiasing: downscaling widens the kernel
    position = torch.arange(outputs, device=start.device).expand(len(start), -1)
    position = torch.where(mirror.view(-1, 1), outputs - 1 - position, position).unsqueeze(2)
    centre = start.view(-1, 1, 1) + (position + 0.5) * scale
    pixel = torch.arange(inputs, device=start.device).view(1, 1, -1)
    kernel = cubic((pixel + 0.5 - centre) / widening)
    inside = (pixel >= start.view(-1, 1, 1)) & (pixel < (start + length).view(-1, 1, 1))
    kernel = kernel * inside
    return kernel / kernel.sum(2, keepdim=True)


def cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' cubic kernel, support 2 (Keys 1981)."""
    x = x.abs()
    near = ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1
    far = BICUBIC_A * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def resize(images: torch.Tensor, size_px: int) -> torch.Tensor:
    """Resize whole images: uint8 (B, 3, H, W) to float32 (B, 3, size_px, size_px), [0, 255]."""
    if images.shape[2] == images.shape[3] == size_px:
        return images.float()
    pixels = images if images.device.type == "cpu" else images.float()  # only the CPU has an 8-bit resize
    return F.interpolate(pixels, size=(size_px, size_px), mode="bicubic", antialias=True).float().clamp(0, 255)
