"""Classes that are rare: seeing them more often, or weighing them more.

The papers oversample on AffectNet (Imponderous Net, "4.2 Implementation details"; EfficientFace, footnote 1, with
github.com/ufoym/imbalanced-dataset-sampler, which draws as many rows as there are, each with a probability of 1 / count of its
class). Here every row is seen, and equally often within its class, but an epoch is longer: classes · largest class. AffectNet's
authors weigh the loss instead, by smallest count / count of the class; ``class_weights`` has the same ratios.
"""

import numpy as np

from train.data import FaceSet


def oversampled(faces: FaceSet, seed: int) -> np.ndarray:
    """Rows (int64, ascending, with repeats) among which every class of ``faces`` is as frequent as the largest.

    Within a class rows differ by one repeat at most; ``seed`` decides which get the additional one. Rows without a label (−1)
    are there once.
    """
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(faces.labels == label) for label in range(len(faces.classes))]
    largest = max((len(same) for same in rows), default=0)
    repeated = [np.resize(rng.permutation(same), largest) for same in rows if len(same)]
    return np.sort(np.concatenate([np.flatnonzero(faces.labels < 0), *repeated]))


def class_weights(faces: FaceSet) -> np.ndarray:
    """float32 (classes,): weight of each class in a loss, N / (K · count), with N labelled rows and K classes that have any.

    Inverse frequency; the mean over the labelled rows is 1, so that the learning rate keeps its meaning. 0 for a class that has
    no rows.
    """
    counts = np.bincount(faces.labels[faces.labels >= 0], minlength=len(faces.classes))
    shares = counts * np.count_nonzero(counts) / max(1, counts.sum())
    return np.divide(1, shares, out=np.zeros(len(counts)), where=counts > 0).astype(np.float32)
