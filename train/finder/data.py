"""Batches of composed frames, made by worker processes while the network learns."""

import cv2
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from train.data import finder
from train.finder import cutouts, duplicates
from train.finder.compose import compose
from train.finder.recipe import Recipe

MOST_FACES = 8
"""Rows of a frame's targets."""
TUNE_FRAMES = 200
"""Composed frames, always the same, on which a run is watched; made from the photographs and scenes for tuning."""


class Frames(Dataset):
    """Frame i of a seed: always the same. Items: image uint8 (S, S), boxes (8, 4), landmarks (8, 5, 2), there bool (8,)."""

    def __init__(self, faces: list[cutouts.Cutout], scenes: list[np.ndarray], size: int, count: int, seed: tuple):
        self.faces, self.scenes, self.size, self.count, self.seed = faces, scenes, size, count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        rng = np.random.default_rng((*self.seed, index))
        image, boxes, landmarks = compose(rng, self.faces, self.scenes, self.size)
        n = min(len(boxes), MOST_FACES)
        padded = np.zeros((MOST_FACES, 4), np.float32), np.zeros((MOST_FACES, 5, 2), np.float32)
        padded[0][:n], padded[1][:n] = boxes[:n], landmarks[:n]
        return image, *padded, np.arange(MOST_FACES) < n


class FinderData(L.LightningDataModule):
    """Everything a run learns from and is watched on, in memory."""

    def __init__(self, recipe: Recipe, data: str | None, seed: int):
        super().__init__()
        cv2.setNumThreads(1)  # the workers are forks, and OpenCV in a fork waits for threads that stayed behind
        self.recipe, self.seed = recipe, seed
        photos = finder.load("photos", ("train",), data, gray=True)[: recipe.photos or None]
        known = cutouts.of_photos(duplicates.without(photos, duplicates.kept_apart(data)))
        self.counts = {"photographs": len(known), "synthetic": recipe.synthetic, "duplicates": len(photos) - len(known)}
        self.faces = known + cutouts.drawn(recipe.synthetic, known)
        self.scenes = [scene.image for scene in finder.load("scenes", ("train",), data, gray=True)]
        self.counts["scenes"] = len(self.scenes)
        self.tune_faces = cutouts.of_photos(finder.load("photos", ("tune",), data, gray=True))
        self.tune_scenes = [scene.image for scene in finder.load("scenes", ("tune",), data, gray=True)]

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch
        size, seed = self.recipe.size_at(epoch), (self.seed, 1 + epoch)
        frames = Frames(self.faces, self.scenes, size, self.recipe.frames, seed)
        return self._loader(frames, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(Frames(self.tune_faces, self.tune_scenes, self.recipe.input_size, TUNE_FRAMES, (0, 0)))

    def _loader(self, frames: Frames, drop_last: bool = False) -> DataLoader:
        workers = self.recipe.workers
        return DataLoader(
            frames, self.recipe.batch_size, drop_last=drop_last, num_workers=workers, worker_init_fn=_alone,
            prefetch_factor=4 if workers else None,
        )  # fmt: skip


def _alone(_worker: int) -> None:
    torch.set_num_threads(1)
