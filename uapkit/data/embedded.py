"""What comes with the installed packages: scikit-learn's handwritten digits, and free pictures."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import interpolate

from uapkit.data.folder import from_files
from uapkit.data.source import Source
from uapkit.seeds import generator

DIGITS_TEST = 500  # of 1797 images
DIGITS_ROTATION = 30.0  # degrees either way

# name, package, file, licence, author, source
PICTURES = (
    ("cat", "skimage", "data/chelsea.png", "CC0 1.0", "Stefan van der Walt", "scikit-image, data.chelsea"),
    ("coffee", "skimage", "data/coffee.png", "CC0 1.0", "Rachel Michetti", "scikit-image, data.coffee"),
    ("rocket", "skimage", "data/rocket.jpg", "public domain", "SpaceX", "scikit-image, data.rocket"),
    ("astronaut", "skimage", "data/astronaut.png", "public domain", "NASA", "scikit-image, data.astronaut"),
    (
        "china",
        "sklearn",
        "datasets/images/china.jpg",
        "CC BY 2.0",
        "danielbuechele (flickr)",
        "scikit-learn, china.jpg",
    ),
    ("flower", "sklearn", "datasets/images/flower.jpg", "CC BY 2.0", "vultilion (flickr)", "scikit-learn, flower.jpg"),
)


@cache
def _digits() -> tuple[torch.Tensor, np.ndarray]:
    from sklearn.datasets import load_digits  # a second to import, needed for this set only

    digits = load_digits()
    x = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32, device="cpu")
    return interpolate(x, size=(28, 28), mode="bicubic", align_corners=False).clamp(0, 1), digits.target


def open_digits(split: str) -> Source:
    """8 x 8 digits upsampled to 28 x 28 (bicubic, clipped), upright; fixed stratified split, 1297 train, 500 test."""
    x, y = _digits()
    shuffled = torch.randperm(len(y), generator=generator(0, "digits_split"), device="cpu").numpy()
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    test = np.zeros(len(y), bool)
    test[by_class[np.arange(DIGITS_TEST) * len(y) // DIGITS_TEST]] = True  # evenly through the classes
    place = np.flatnonzero(test if split == "test" else ~test)
    return Source(f"digits/{split}", len(place), y[place], tuple("0123456789"), lambda index: x[place[index]])


def pictures() -> pd.DataFrame:
    """The free pictures of ``load("pictures")`` in its order: name, licence, author, source; fit to be published."""
    rows = [(name, licence, author, where) for name, _, _, licence, author, where in PICTURES]
    return pd.DataFrame(rows, columns=["name", "licence", "author", "source"])


def picture_files() -> list[Path]:
    """The files of :data:`PICTURES`; FileNotFoundError where a package is not installed."""
    files = []
    for name, package, file, *_ in PICTURES:
        spec = find_spec(package)  # finds the files without importing the package
        path = Path(spec.origin).parent / file if spec and spec.origin else None
        if path is None or not path.exists():
            raise FileNotFoundError(
                f"the picture {name!r} comes with scikit-image (scikit-learn for china and flower); "
                "pip install 'uapkit[book]' (or scikit-image>=0.25) brings it"
            )
        files.append(path)
    return files


def open_pictures(split: str, size: int | None, mode: str) -> Source:
    """Natural photographs under free licences, unlabelled."""
    return from_files(f"pictures/{split}", picture_files(), None, (), size, mode)
