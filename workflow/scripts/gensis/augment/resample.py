"""Crop, flip and resize of a whole batch as two matrix products, antialiased as Pillow and torchvision do it."""

import torch

BICUBIC_A = -0.5  # Pillow's and torchvision's coefficient with antialiasing


def cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' cubic kernel, support 2 (Keys 1981)."""
    x = x.abs()
    near = ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1
    far = BICUBIC_A * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def weights(start: torch.Tensor, length: torch.Tensor, flip: torch.Tensor, inputs: int, outputs: int) -> torch.Tensor:
    """Resampling matrices along one axis.

    Args:
        start: (B,) first pixel of the crop.
        length: (B,) pixels of the crop.
        flip: (B,) bool, whether to mirror the axis.
        inputs: pixels of the whole axis.
        outputs: pixels wished for.

    Returns:
        float32 (B, outputs, inputs); each row sums to 1 and is zero outside the crop.
    """
    scale = (length / outputs).view(-1, 1, 1)
    widening = scale.clamp(min=1)  # downscaling widens the kernel: that is the antialiasing
    position = torch.arange(outputs, device=start.device).expand(len(start), -1)
    position = torch.where(flip.view(-1, 1), outputs - 1 - position, position).unsqueeze(2)
    centre = start.view(-1, 1, 1) + (position + 0.5) * scale
    pixel = torch.arange(inputs, device=start.device).view(1, 1, -1)
    kernel = cubic((pixel + 0.5 - centre) / widening)
    inside = (pixel >= start.view(-1, 1, 1)) & (pixel < (start + length).view(-1, 1, 1))
    kernel = kernel * inside
    return kernel / kernel.sum(2, keepdim=True)


def crop_resize(images: torch.Tensor, boxes: torch.Tensor, flip: torch.Tensor, size_px: int) -> torch.Tensor:
    """Cut a box out of each image, mirror it horizontally where wished, and resize it.

    Args:
        images: uint8 or float (B, 3, H, W).
        boxes: int64 (B, 4): top, left, height, width in pixels.
        flip: bool (B,).
        size_px: side of the result.

    Returns:
        float32 (B, 3, size_px, size_px) in the range of the input, clipped to [0, 255] as an 8-bit resize would.
    """
    height, width = images.shape[2:]
    never = torch.zeros_like(flip)
    rows = weights(boxes[:, 0], boxes[:, 2], never, height, size_px)
    columns = weights(boxes[:, 1], boxes[:, 3], flip, width, size_px)
    half = torch.matmul(rows.unsqueeze(1), images.float())
    return torch.matmul(half, columns.transpose(1, 2).unsqueeze(1)).clamp(0, 255)


def resize(images: torch.Tensor, size_px: int) -> torch.Tensor:
    """Resize whole images: (B, 3, H, W) to float32 (B, 3, size_px, size_px), [0, 255]."""
    if images.shape[2] == images.shape[3] == size_px:
        return images.float()
    count, _, height, width = images.shape
    boxes = torch.tensor([0, 0, height, width], device=images.device).expand(count, 4)
    return crop_resize(images, boxes, torch.zeros(count, dtype=torch.bool, device=images.device), size_px)
