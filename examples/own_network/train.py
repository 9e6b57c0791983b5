"""python train.py: trains the network on scikit-learn's digits; writes w.pt, data.npz, test.npz beside this file."""

from pathlib import Path

import numpy as np
import torch
from my_model import make_model
from sklearn.datasets import load_digits
from torch.nn import functional

HERE = Path(__file__).parent

torch.manual_seed(0)
torch.set_num_threads(1)  # the same weights whatever the number of cores
digits = load_digits()
images = (digits.images[:, None] / 16).astype(np.float32)  # [1797, 1, 8, 8], 0 to 1
labels = digits.target.astype(np.int64)
x, y = torch.from_numpy(images[:1437]), torch.from_numpy(labels[:1437])

model = make_model()
optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, total_steps=30 * 12)
for _ in range(30):
    for batch in torch.randperm(len(x)).split(120)[:12]:
        loss = functional.cross_entropy(model(x[batch]), y[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

torch.save(model.state_dict(), HERE / "w.pt")
np.savez(HERE / "data.npz", images=images[:256], labels=labels[:256])
np.savez(HERE / "test.npz", images=images[1437:], labels=labels[1437:])
print(f"trained: loss {loss.item():.3f}")
