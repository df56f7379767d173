"""Networks by name, with the weights that were asked for and no others."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from uapkit import checks, provenance
from uapkit.files import sha256
from uapkit.models import catalogue, store
from uapkit.models.card import Card, state_sha256
from uapkit.models.catalogue import Entry
from uapkit.models.model import Model
from uapkit.models.trained import cached_path, trained

SUFFIXES = (".safetensors", ".pth", ".pt")


@torch.inference_mode(False)  # so that whatever the caller switched off, gradients can go through the network later
def load(
    name: str,
    *,
    weights: str | os.PathLike[str] = "default",
    device: torch.device | str | None = None,
    root: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> Model:
    """A network by name, frozen and in eval mode, from pixels in [0, 1] to logits.

    name: one of :func:`names` (``models.list()``). weights: ``"default"`` (torchvision's own default for its networks,
    otherwise the one set that the catalogue has), another tag (``"IMAGENET1K_V1"``, ``"gluon"``, ...), ``"random"``
    (untrained, from ``seed``), or the path of a state dict of yours (.safetensors, .pth; tensors only), with
    the default's normalisation. Files are looked for in ``root/weights``, ``$UAPKIT_DATA/weights``, the package
    and the user's cache, then downloaded, and their sha256 is verified. The digits networks are trained at first use.

    Raises ValueError for unknown names (the nearest are offered), damaged files and weights that do not fit;
    :class:`WeightsMissing` with the file to put where.
    """
    if not isinstance(weights, str | os.PathLike):
        raise TypeError(f"weights must be a tag such as 'default' or the path of a file, got {weights!r}")
    where = None if device is None else checks.device(device)
    entry = catalogue.find(name, "default" if weights == "random" or _is_path(weights) else str(weights))
    if weights == "random":
        net = entry.net(seed)
        card = _card(entry, "random", f"untrained, seed {seed}", state_sha256(net.state_dict()))
    else:
        if _is_path(weights):
            path = Path(weights).expanduser()
            if not path.is_file():
                raise store.WeightsMissing(f"there is no file {str(weights)!r} to read weights from")
            state, card = store.read_state(path), _card(entry, path.name, "a file of the user's", sha256(path))
        elif entry.recipe:
            state, card = trained(entry)
        else:
            path, found = store.find_file(entry, root)
            state, card = store.read_state(path), replace(entry.card(), sha256=found)
        net = entry.net()
        store.put_state(net, state, entry.file or str(weights))
    if entry.build in ("torchvision:googlenet", "torchvision:inception_v3") and weights != "random":
        setattr(net, "transform_input", True)  # noqa: B010 - torchvision's way back to the normalisation of their training
    provenance.note_input(f"{name}[{card.weights}]", card.sha256)
    mean, std = entry.normalisation()
    model = Model(
        net,
        mean=mean,
        std=std,
        classes=entry.class_names(),
        input_size=entry.input_size,
        name=name,
        card=card,
    )
    model.channels_last = True  # none of the known architectures minds the layout; a user's `view` might
    return model if where is None else model.to(where)


def _card(entry: Entry, weights: str, source: str, sha256: str) -> Card:
    """The card of other numbers in the same network."""
    return Card(entry.name, entry.card().architecture, weights, source, sha256=sha256)


def _is_path(weights: str | os.PathLike[str]) -> bool:
    return isinstance(weights, os.PathLike) or os.sep in weights or weights.endswith(SUFFIXES)


def names() -> list[str]:
    """Every network that :func:`load` knows, sorted."""
    return catalogue.names()


def status(root: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """What is here: one row per network and weights, with state ("here", "missing", "trainable") and what to do.

    Files are looked for, not verified; that happens when they are loaded. ``where`` names the place, not the path.
    """
    rows = []
    for name in names():
        for entry in catalogue.entries_of(name):
            state, place, todo = _state(entry, root)
            architecture = entry.card().architecture
            rows.append((name, entry.weights, architecture, state, place, entry.file, todo))
    return pd.DataFrame(rows, columns=["name", "weights", "architecture", "state", "where", "file", "what_to_do"])


def _state(entry: Entry, root: str | os.PathLike[str] | None) -> tuple[str, str, str]:
    if entry.recipe:
        if (path := cached_path(entry)) and path.is_file():
            return "here", "the user's cache", ""
        return "trainable", "", "nothing: trained at first use"
    if place := store.where(entry, root):
        return "here", place, ""
    put = f"put {entry.file} into $UAPKIT_DATA/weights/"
    return "missing", "", f"{put}, or be online" if entry.url else f"{put}, or set {store.RELEASE}"
