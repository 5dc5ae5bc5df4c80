"""Views of the training faces: the same whenever they are drawn, judged by the LDG once."""

import pytest
import torch

from edgefer.spec import FERPLUS_LABELS
from train import ldg, views
from train.augment import Augmentation
from train.learner import normalised


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (views.CHUNK + 3, 1, 48, 48), dtype=torch.uint8, generator=generator)


def test_a_view_is_the_same_whenever_it_is_drawn_and_views_differ(images):
    first, again, other = (views.drawn(images, Augmentation(), 32, 0, view) for view in (0, 0, 1))
    assert first.shape == (len(images), 1, 32, 32)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, views.drawn(images, Augmentation(), 32, 1, 0))


def test_the_ldg_is_asked_once_and_its_answers_are_kept(images, checkpoint_folder, tmp_path):
    teacher = ldg.load([checkpoint_folder], FERPLUS_LABELS, 1, bf16=False)
    crops = views.drawn(images, Augmentation(), 64, 0, 0)[-4:]
    said = views.Judged(tmp_path, teacher).judge(0, crops, normalised)
    assert torch.allclose(said, teacher(normalised(crops.float())), atol=1e-6)
    assert torch.equal(views.Judged(tmp_path, None).judge(0, crops, normalised), said)


def test_damaged_answers_are_asked_for_again(images, checkpoint_folder, tmp_path):
    teacher = ldg.load([checkpoint_folder], FERPLUS_LABELS, 1, bf16=False)
    judged = views.Judged(tmp_path, teacher)
    said = judged.judge(2, images[:2], normalised)
    judged.file(2).write_bytes(b"half")
    assert judged.read(2) is None
    assert torch.equal(judged.judge(2, images[:2], normalised), said)


def test_the_key_tells_apart_what_the_answers_depend_on(images):
    base = views.key(images, Augmentation(), 48, 0, ["a"])
    assert base == views.key(images, Augmentation(), 48, 0, ["a"])
    others = [
        views.key(images, Augmentation(erase=0.1), 48, 0, ["a"]),
        views.key(images, Augmentation(), 64, 0, ["a"]),
        views.key(images, Augmentation(), 48, 1, ["a"]),
        views.key(images, Augmentation(), 48, 0, ["b"]),
        views.key(images[1:], Augmentation(), 48, 0, ["a"]),
    ]
    assert base not in others
    assert len(set(others)) == len(others)
