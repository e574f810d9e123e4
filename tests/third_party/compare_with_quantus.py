"""Run where Quantus is installed: prints, for each metric, the greatest difference between its scores and xaitool's."""

import json
import warnings

import numpy as np
import quantus
import torch
from torch import nn

from xaitool import Given, Subject, build

COUNT, SIZE = 6, 12
generator = np.random.default_rng(0)
maps = generator.random((COUNT, 1, SIZE, SIZE), dtype=np.float32)
mask = np.zeros((COUNT, 1, SIZE, SIZE), bool)
mask[:, :, 3:8, 2:9] = True
images, labels = np.zeros((COUNT, 3, SIZE, SIZE), np.float32), np.zeros(COUNT, int)
model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2)).eval()

# Ours -> theirs, and what turns theirs into ours (their entropy is not normalised).
PEERS = {
    "gini": (quantus.Sparseness, 1),
    "entropy": (quantus.Complexity, 1 / np.log(SIZE * SIZE)),
    "mass_in_mask": (quantus.RelevanceMassAccuracy, 1),
    "top_k_overlap": (quantus.RelevanceRankAccuracy, 1),
    "pointing_game": (quantus.PointingGame, 1),
}

warnings.filterwarnings("ignore")
differences = {}
for name, (peer, factor) in PEERS.items():
    given = Given([str(number) for number in range(COUNT)], mask=torch.tensor(mask[:, 0]))
    ours = build("metric", name).score(
        Subject(model), torch.tensor(images), torch.tensor(labels), torch.tensor(maps[:, 0]), given
    )
    theirs = peer(disable_warnings=True, normalise=False, abs=False)(
        model=model, x_batch=images, y_batch=labels, a_batch=maps, s_batch=mask
    )
    differences[name] = float(np.abs(np.asarray(theirs, float) * factor - np.asarray(ours.values)).max())
print(json.dumps(differences))
