"""MicroExpNet: two strided convolutions and two linear layers, the smallest network of paper 000's Table 5.

Source: "MicroExpNet: An Extremely Small and Fast Model for Expression Recognition from Face Images" (IPTA 2019), with
max-pooling; this layout has exactly the 65,000 parameters that paper 000 gives, with 8 classes.

Shapes for batch B:
    x         B, channels, S, S      normalised to about [−1, 1]
    resized   B, channels, 84, 84    bilinearly, where S is not 84: the first linear layer fixes the size
    conv1     B, 16, 23, 23          8×8 stride 2, ReLU, 2×2 max-pool
    conv2     B, 32, 6, 6            4×4 stride 2, ReLU, 2×2 max-pool
    hidden    B, 48
    logits    B, num_classes
"""

import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 84


class MicroExpNet(nn.Module):
    """The small baseline of paper 000.

    Args:
        num_classes: number of expressions.
        channels: 1 for gray as published, 3 for RGB.
        dropout: probability of dropping a hidden feature, in training.
    """

    PAPER = "000"
    INPUT_SIZE = SIDE
    CHANNELS = 1

    def __init__(self, num_classes: int = 7, channels: int = 1, dropout: float = 0.0):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 8, stride=2, padding=6),
            nn.ReLU(),
            nn.MaxPool2d(2, padding=1),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, padding=1),
        )
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(32 * 6 * 6, 48), nn.ReLU(), nn.Dropout(dropout))
        self.fc = nn.Linear(48, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) float, normalised → (B, num_classes) logits."""
        if x.shape[2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
        return self.fc(self.hidden(self.features(x)))
