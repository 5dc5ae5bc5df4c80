"""Batch augmentation: each face its own draw, deterministic by generator, identity when every range is zero."""

import torch

from train.augment import Augmentation

NOTHING = Augmentation(flip=False, rotate=0, scale=0, shift=0, contrast=0, brightness=0, erase=0)


def faces(n: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (n, 1, 48, 48), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def augmented(augmentation: Augmentation, seed: int = 0, size: int = 48, images=None) -> torch.Tensor:
    return augmentation(faces() if images is None else images, size, torch.Generator().manual_seed(seed))


def test_zero_ranges_change_nothing():
    assert torch.allclose(augmented(NOTHING), faces().float(), atol=0.01)


def test_deterministic_by_generator():
    assert torch.equal(augmented(Augmentation(), 3), augmented(Augmentation(), 3))
    assert not torch.equal(augmented(Augmentation(), 3), augmented(Augmentation(), 4))


def test_each_face_has_its_own_draw():
    same = faces(1).repeat(6, 1, 1, 1)
    out = augmented(Augmentation(), images=same)
    assert all(not torch.equal(out[0], other) for other in out[1:])


def test_shape_and_range():
    out = augmented(Augmentation(brightness=200), size=64)
    assert out.shape == (4, 1, 64, 64)
    assert out.min() >= 0 and out.max() <= 255


def test_flip_mirrors():
    images = faces(64)
    out = Augmentation(**{**vars(NOTHING), "flip": True})(images, 48, torch.Generator().manual_seed(0))
    mirrored = [torch.allclose(o, i.flip(-1).float(), atol=0.01) for o, i in zip(out, images, strict=True)]
    assert 16 < sum(mirrored) < 48


def test_erase_replaces_one_rectangle():
    out = augmented(
        Augmentation(**{**vars(NOTHING), "erase": 1.0}), images=torch.full((8, 1, 48, 48), 100, dtype=torch.uint8)
    )
    share = (out != 100).float().mean((1, 2, 3))
    assert (share > 0.005).all() and (share < 0.2).all()
