"""Augmentation of a whole batch at once, each face with its own draw, on whatever device the batch is."""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from edgefer.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; every draw is uniform in its range."""

    flip: bool = True
    """Mirror half of the faces."""
    rotate: float = 15.0
    """± degrees."""
    scale: float = 0.12
    """Scale from 1 − scale to 1 + scale."""
    shift: float = 0.08
    """± fraction of the side, horizontally and vertically."""
    shear: float = 0.0
    """± shear, as the tangent of its angle."""
    contrast: float = 0.25
    """Contrast about the face's own mean, from 1 − contrast to 1 + contrast."""
    brightness: float = 32.0
    """± grey levels."""
    erase: float = 0.5
    """Probability of replacing one rectangle by noise."""
    erase_area: float = 0.15
    """Largest area of that rectangle, as a fraction of the crop."""
    mixup: float = 0.0
    """α of the Beta(α, α) by which a face and its distribution are mixed with another of the batch; 0: never."""

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < math.inf:
                raise UsageError(f"recipe: 'augmentation.{field.name}' must be at least 0, not {value}")
        if self.scale >= 1 or self.erase > 1 or self.erase_area > 1:
            raise UsageError("recipe: 'augmentation.scale' must be below 1, 'erase' and 'erase_area' at most 1")

    def __call__(self, images: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """uint8 (B, C, h, w) → float32 (B, C, size, size), grey levels 0…255; geometry and resizing are one resampling."""
        draw = _Uniform(images.shape[0], generator, images.device)
        x = F.grid_sample(
            images.float(),
            F.affine_grid(self._matrices(draw), [images.shape[0], images.shape[1], size, size], align_corners=False),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) * draw(1 - self.contrast, 1 + self.contrast) + mean + draw(-self.brightness, self.brightness)
        return self._erased(x.clamp(0, 255), draw, generator)

    def mixed(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Tensors (B, …) of one batch – crops, distributions – each row mixed with the one before it, alike in all (mixup)."""
        if not self.mixup:
            return parts
        rows = parts[0].shape[0]
        share = torch.distributions.Beta(self.mixup, self.mixup).sample((rows,)).to(parts[0].device)
        share = torch.maximum(share, 1 - share)  # the larger part stays with the face itself
        shares = [share.view(-1, *[1] * (part.ndim - 1)) for part in parts]
        return tuple(m * part + (1 - m) * part.roll(1, 0) for m, part in zip(shares, parts, strict=True))

    def _matrices(self, draw: "_Uniform") -> Tensor:
        angle = torch.deg2rad(draw(-self.rotate, self.rotate)).flatten()
        zoom = draw(1 - self.scale, 1 + self.scale).flatten()
        mirror = torch.where(draw(0, 1).flatten() < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(zoom)
        shear = draw(-self.shear, self.shear).flatten()
        cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        # affine_grid's coordinates span [−1, 1], so a shift by a fraction of the side counts twice.
        dx, dy = (2 * draw(-self.shift, self.shift).flatten() for _ in range(2))
        rows = [torch.stack([cosine * mirror, -sine + shear, dx], 1), torch.stack([sine * mirror, cosine, dy], 1)]
        return torch.stack(rows, 1)

    def _erased(self, x: Tensor, draw: "_Uniform", generator: torch.Generator) -> Tensor:
        if not self.erase:
            return x
        height, width = x.shape[2:]
        area, aspect = draw(0.02, self.erase_area), torch.exp(draw(-1.2, 1.2))
        h, w = (area * aspect).sqrt().clamp(max=1) * height, (area / aspect).sqrt().clamp(max=1) * width
        top, left = draw(0, 1) * (height - h), draw(0, 1) * (width - w)
        rows = torch.arange(height, device=x.device).view(1, 1, -1, 1)
        columns = torch.arange(width, device=x.device).view(1, 1, 1, -1)
        hit = (rows >= top) & (rows < top + h) & (columns >= left) & (columns < left + w) & (draw(0, 1) < self.erase)
        noise = torch.rand(x.shape, generator=generator, device=x.device) * 255
        return torch.where(hit, noise, x)


class _Uniform:
    """One uniform draw for each face of a batch, shape (B, 1, 1, 1)."""

    def __init__(self, batch: int, generator: torch.Generator, device: torch.device):
        self.batch, self.generator, self.device = batch, generator, device

    def __call__(self, low: float, high: float) -> Tensor:
        return torch.rand((self.batch, 1, 1, 1), generator=self.generator, device=self.device) * (high - low) + low
