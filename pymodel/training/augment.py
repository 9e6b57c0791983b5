"""Crop and flip of a batch of images, vectorised, on whatever device the batch lies on."""

from __future__ import annotations

import torch


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
