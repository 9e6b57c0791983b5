"""Random changes to a batch of images, vectorised, on whatever device the batch lies on."""

from __future__ import annotations

import math

import torch

# Of random erasing (Zhong et al., arXiv 1708.04896): share of the image, and height over width, log-uniform.
ERASED_AREA, ERASED_RATIO = (0.02, 0.33), (0.3, 1 / 0.3)


def augment(
    images: torch.Tensor, crop: int, flip: bool, padding_value: int, generator: torch.Generator
) -> torch.Tensor:
    """A random shift of up to `crop` pixels each way (padded with `padding_value`) and a random mirror image.

    images: [n, C, H, W], any dtype; the result has the same shape and dtype. The choices come from
    `generator` (on the CPU), so that they do not depend on the device.
    """
    count, _, height, width = images.shape
    rows = torch.arange(height).expand(count, height)
    columns = torch.arange(width).expand(count, width)
    if crop:
        shift = torch.randint(0, 2 * crop + 1, (2, count, 1), generator=generator)
        rows, columns = rows + shift[0], columns + shift[1]
        images = torch.nn.functional.pad(images, (crop, crop, crop, crop), value=padding_value)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    if not crop and not flip:
        return images
    batch = torch.arange(count).view(-1, 1, 1)
    device = images.device
    # Advanced indices around a slice put the channels last: move them back.
    picked = images[batch.to(device), :, rows[:, :, None].to(device), columns[:, None, :].to(device)]
    return picked.permute(0, 3, 1, 2).contiguous()


def blank_squares(images: torch.Tensor, side: int, value: int, generator: torch.Generator) -> torch.Tensor:
    """Cutout (DeVries and Taylor, arXiv 1708.04552): a square of `side` pixels around a random pixel of each image is
    set to `value`; what of it lies outside is lost. images: [n, C, H, W]; the result has the same shape and dtype."""
    count, _, height, width = images.shape
    spans = []
    for size in (height, width):
        start = torch.randint(0, size, (count, 1), generator=generator) - side // 2
        at = torch.arange(size)
        spans.append((start <= at) & (at < start + side))
    return _blanked(images, spans[0], spans[1], value)


def blank_rectangles(images: torch.Tensor, share: float, value: int, generator: torch.Generator) -> torch.Tensor:
    """Random erasing: of `share` of the images a rectangle of random area, shape and place is set to `value`.

    Area and shape are as ERASED_AREA and ERASED_RATIO say, sides rounded, at most those of the image.
    """
    count, _, height, width = images.shape
    chosen = torch.rand(count, 1, generator=generator) < share
    area = torch.empty(count, 1).uniform_(*ERASED_AREA, generator=generator) * height * width
    low, high = (math.log(ratio) for ratio in ERASED_RATIO)
    ratio = torch.empty(count, 1).uniform_(low, high, generator=generator).exp()
    spans = []
    for size, side in ((height, (area * ratio).sqrt()), (width, (area / ratio).sqrt())):
        length = side.round().clamp(1, size)
        start = (torch.rand(count, 1, generator=generator) * (size - length + 1)).floor()
        at = torch.arange(size)
        spans.append((start <= at) & (at < start + length))
    return _blanked(images, spans[0] & chosen, spans[1], value)


def _blanked(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, value: int) -> torch.Tensor:
    """rows: bool [n, H]; columns: bool [n, W]."""
    blank = (rows[:, :, None] & columns[:, None, :])[:, None].to(images.device)
    return images.masked_fill(blank, value)
