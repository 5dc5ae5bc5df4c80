"""Label distribution generators: frozen, averaged, at their own input size."""

import pytest
import torch

from edgefer.errors import InputRejected
from edgefer.spec import FERPLUS_LABELS
from train import ldg
from train.augment import Augmentation


@pytest.fixture(scope="module")
def teacher(checkpoint_folder):
    return ldg.load([checkpoint_folder], FERPLUS_LABELS, 1, bf16=False)


def test_distributions_are_the_networks_softmax(teacher, shipped):
    network, spec = shipped
    x = torch.randn(3, 1, spec.input_size, spec.input_size)
    assert torch.allclose(teacher(x), network(x).softmax(1), atol=1e-6)


def test_several_are_averaged(checkpoint_folder, teacher):
    both = ldg.load([checkpoint_folder] * 2, FERPLUS_LABELS, 1, bf16=False)
    x = torch.randn(2, 1, 64, 64)
    assert torch.allclose(both(x), teacher(x), atol=1e-6)


def test_crops_of_another_side_are_resampled(teacher):
    assert torch.allclose(teacher(torch.randn(2, 1, 96, 96)).sum(1), torch.ones(2), atol=1e-5)


def test_it_is_frozen(teacher):
    teacher.train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    x = torch.randn(2, 1, 64, 64, requires_grad=True)
    assert not teacher(x).requires_grad
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_bf16_is_close(checkpoint_folder, teacher):
    x = torch.randn(4, 1, 64, 64)
    assert torch.allclose(ldg.load([checkpoint_folder], FERPLUS_LABELS, 1, bf16=True)(x), teacher(x), atol=0.1)


def test_other_labels_or_channels_are_refused(checkpoint_folder):
    with pytest.raises(InputRejected, match="cannot teach a network of 7 on 1"):
        ldg.load([checkpoint_folder], FERPLUS_LABELS[:7], 1, bf16=False)
    with pytest.raises(InputRejected, match="of 8 on 3"):
        ldg.load([checkpoint_folder], FERPLUS_LABELS, 3, bf16=False)


def test_mixup_mixes_faces_and_distributions_alike():
    torch.manual_seed(0)
    targets = torch.eye(8)
    crops = targets.view(8, 1, 1, 8) * 255.0
    mixed, distributions = Augmentation(mixup=0.4).mixed(crops, targets)
    assert torch.allclose(mixed[:, 0, 0] / 255, distributions, atol=1e-6)
    assert torch.allclose(distributions.sum(1), torch.ones(8))
    assert (distributions.diagonal() >= 0.5).all()
    assert (distributions.diagonal() < 1).any()
    same = Augmentation(mixup=0.0).mixed(crops, targets)
    assert same[0] is crops
