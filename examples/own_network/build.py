"""python build.py: the bundle's accuracy on the test images, then its hardware, checked on four of them."""

from pathlib import Path

import numpy as np

import psconv

HERE = Path(__file__).parent

test = np.load(HERE / "test.npz")
bundle = psconv.load(HERE / "bundle.yaml")
print(f"accuracy: {bundle.evaluate(test['images'], test['labels']):.1%} of {len(test['labels'])} images")
result = psconv.build(bundle, HERE / "out", images=test["images"][:4], labels=test["labels"][:4])
print(result)
