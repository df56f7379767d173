"""ImageNet in its usual layouts: class k is the k-th of the 1000 sorted WordNet ids."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from uapkit.data.folder import categories, from_files, open_folder
from uapkit.data.source import Source, locate, missing

SAMPLE_FOLDERS = ("imagenet-sample", "imagenet-sample-images")
SAMPLE_ADVICE = (
    "git clone https://github.com/EliSchwartz/imagenet-sample-images imagenet-sample below $UAPKIT_DATA, "
    "or put one folder a WordNet id there"
)
FOLDERS = ("imagenet", "ImageNet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC")
ADVICE = (
    "it may not be downloaded without an account: from https://image-net.org put ILSVRC2012's val (and train) into "
    "imagenet/ below $UAPKIT_DATA, in one folder a WordNet id, or val flat with val.txt (file name, class index) or "
    "ILSVRC2012_devkit_t12 beside it"
)
SUBFOLDERS = {"test": ("val", "ILSVRC2012_img_val"), "train": ("train", "ILSVRC2012_img_train")}


def _with_names(source: Source, folder: Path) -> Source:
    """Class names instead of WordNet ids; ValueError unless all 1000 classes are there."""
    names = categories()
    if len(source.classes) != len(names):
        raise ValueError(
            f"{folder} holds {len(source.classes)} classes; a class index needs all 1000 WordNet ids: "
            "read a part of ImageNet as a folder, by its path"
        )
    return Source(source.name, source.count, source.labels, names, source.fetch)


def open_sample(split: str, root: str | os.PathLike[str] | None, size: int | None, mode: str) -> Source:
    """One photograph a class; ImageFolder layout or the flat files of the public repository."""
    folder = locate(SAMPLE_FOLDERS, root)
    if folder is None:
        raise missing("imagenet-sample", SAMPLE_FOLDERS, root, SAMPLE_ADVICE)
    return _with_names(open_folder(folder, f"imagenet-sample/{split}", size, mode, known=False), folder)


def find(split: str, root: str | os.PathLike[str] | None) -> Path | None:
    """The folder of a split of ILSVRC2012."""
    return locate([f"{folder}/{sub}" for folder in FOLDERS for sub in SUBFOLDERS[split]], root)


def open_imagenet(split: str, root: str | os.PathLike[str] | None, size: int | None, mode: str) -> Source:
    """ILSVRC2012: ``split="test"`` is its validation set, the only labelled one beside "train"."""
    folder = find(split, root)
    if folder is None:
        raise missing("imagenet", FOLDERS, root, ADVICE)
    name = f"imagenet/{split}"
    files = sorted(folder.glob("ILSVRC2012_val_*"))
    if not files:
        return _with_names(open_folder(folder, name, size, mode, known=False), folder)
    labels = _truth(folder)
    unknown = [file.name for file in files if file.name not in labels]
    if unknown:
        raise ValueError(f"the ground truth beside {folder} has no label for {unknown[0]} ({len(unknown)} such files)")
    names = categories()
    return from_files(name, files, [labels[file.name] for file in files], names, size, mode, upright=False)


def _truth(folder: Path) -> dict[str, int]:
    """File name -> class index, from val.txt or the development kit; FileNotFoundError without either."""
    for base in (folder, folder.parent):
        if (base / "val.txt").exists():
            pairs = [line.split() for line in (base / "val.txt").read_text().splitlines() if line.strip()]
            if any(len(p) != 2 or not re.fullmatch(r"\d{1,3}", p[1]) for p in pairs):
                raise ValueError(f"{base / 'val.txt'} must have lines of a file name and a class index in [0, 999]")
            return {Path(file).name: int(label) for file, label in pairs}
        kit = base / "ILSVRC2012_devkit_t12" / "data"
        if (kit / "ILSVRC2012_validation_ground_truth.txt").exists() and (kit / "meta.mat").exists():
            synsets = np.atleast_1d(loadmat(kit / "meta.mat", squeeze_me=True)["synsets"])
            leaves = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if int(s["num_children"]) == 0}
            index = {wnid: k for k, wnid in enumerate(sorted(leaves.values()))}
            ids = np.loadtxt(kit / "ILSVRC2012_validation_ground_truth.txt", dtype=int, ndmin=1)
            return {f"ILSVRC2012_val_{i:08d}.JPEG": index[leaves[int(k)]] for i, k in enumerate(ids, 1)}
    raise FileNotFoundError(f"{folder} is flat and has no labels; {ADVICE}")
