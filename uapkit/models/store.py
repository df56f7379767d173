"""Weights on disk: where a file is looked for, how it is verified, fetched and read."""

from __future__ import annotations

import hashlib
import http.client
import os
import pickle  # noqa: TID251 - only to name the error that refuses a pickle
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from uapkit.checks import NotHere
from uapkit.files import cache_folder, refuse_bomb, sha256
from uapkit.models.catalogue import Entry
from uapkit.progress import Bar

TIMEOUT = 20  # seconds without an answer after which a download is given up
RELEASE = "UAPKIT_RELEASE_URL"
PACKAGED = Path(__file__).parent / "weights"  # small files that come with uapkit


class WeightsMissing(NotHere):
    """Weights that are neither here nor could be fetched; the message says which file to put where."""


def places(entry: Entry, root: str | os.PathLike[str] | None = None) -> dict[str, Path]:
    """Where the file of ``entry`` may lie, in the order of search: {place in words: path}; ValueError for no folder."""
    found: dict[str, Path] = {}
    for value, what in ((root, "root"), (os.environ.get("UAPKIT_DATA"), "$UAPKIT_DATA")):
        if value:
            folder = Path(value).expanduser()
            if not folder.is_dir():
                raise ValueError(f"{what} must be an existing folder, got {str(value)!r}")
            found[f"{what}/weights"] = folder / "weights"
    found["the package"] = PACKAGED
    if entry.url:
        found["torch's hub cache"] = Path(torch.hub.get_dir()) / "checkpoints"
    else:
        found["the user's cache"] = cache_folder("weights")
    return {place: folder / entry.file for place, folder in found.items()}


def where(entry: Entry, root: str | os.PathLike[str] | None = None) -> str | None:
    """The first place that holds the file, unverified; None if it is nowhere."""
    return next((place for place, path in places(entry, root).items() if path.is_file()), None)


def find_file(entry: Entry, root: str | os.PathLike[str] | None = None) -> tuple[Path, str]:
    """(verified file of ``entry``, its sha256), fetched if it is nowhere.

    Raises ValueError for a file with another checksum, and :class:`WeightsMissing` if it cannot be had.
    """
    if (place := where(entry, root)) is None:
        place, path = _fetched(entry, root)
    else:
        path = places(entry, root)[place]
    found = sha256(path)
    if not found.startswith(entry.sha256):
        raise ValueError(
            f"{entry.file} in {place} is truncated or changed: sha256 expected {entry.sha256}, found {found}; "
            "remove it and put the original there"
        )
    return path, found


def _fetched(entry: Entry, root: str | os.PathLike[str] | None) -> tuple[str, Path]:
    """(place, path) after a download from torchvision's or the release address."""
    release = os.environ.get(RELEASE, "").strip().rstrip("/")
    unset = "" if os.environ.get("UAPKIT_DATA") or root else " (UAPKIT_DATA is not set)"
    put = f"{entry} is not here: put {entry.file} into $UAPKIT_DATA/weights/{unset}"
    if not entry.url and not release:
        raise WeightsMissing(
            f"{put}, or set {RELEASE} to the address of a release that holds it; source: {entry.source}"
        )
    if release and not release.startswith(("http://", "https://")):
        raise ValueError(f"{RELEASE} must be an address that starts with http:// or https://, got {release!r}")
    place, path = list(places(entry, root).items())[-1]
    try:
        _download(entry.url or f"{release}/{entry.file}", path, entry.sha256)
    except ConnectionError as error:
        tried = "torchvision's address" if entry.url else f"the release address in {RELEASE}"
        raise WeightsMissing(
            f"{put} or into {place}; a download from {tried} was tried and failed ({error})"
        ) from error
    return place, path


def _download(url: str, target: Path, expected: str) -> None:
    """Fetch ``url`` to ``target``, verified, whole or not at all."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        answer = urllib.request.urlopen(url, timeout=TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        said = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
        raise ConnectionError(str(said)) from error
    with answer:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as file:
                for chunk in _chunks(answer, target.name):
                    digest.update(chunk)
                    file.write(chunk)
            if not digest.hexdigest().startswith(expected):
                raise ValueError(
                    f"the downloaded {target.name} is truncated or another file: sha256 expected {expected}, "
                    f"found {digest.hexdigest()}; try again, or put the original into $UAPKIT_DATA/weights/"
                )
            os.replace(part, target)
        except ConnectionError:
            raise
        except OSError as error:
            reason = (
                f"{target.name} could not be written ({error.strerror or error}); free space or permission is needed"
            )
            raise OSError(error.errno, f"{reason} in {target.parent}") from error
        finally:
            if os.path.lexists(part):
                part.unlink()


def _chunks(answer: http.client.HTTPResponse, name: str) -> Iterator[bytes]:
    total = int(answer.headers.get("Content-Length") or 0) or None
    with Bar(total=total, unit="B", unit_scale=True, desc=name) as bar:
        try:
            while chunk := answer.read(1 << 20):
                bar.update(len(chunk))
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(f"the transfer broke off: {error}") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors, .pth or .pt file; tensors only, nothing is ever unpickled beyond them.

    A state dict inside a checkpoint (under ``state_dict``, ``model_state_dict`` or ``model``) is found, and the prefix
    ``module.`` of parallel training dropped. Raises ValueError for a file that is damaged or holds other objects.
    """
    refuse_bomb(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path.name} holds Python objects besides tensors and is not opened, for they could run code; "
            "save the state dict alone with safetensors.torch.save_file"
        ) from error
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # torch's readers of damaged files raise whatever their last step did
        reason = (str(error) or "it ends too early").splitlines()[0]
        raise ValueError(f"{path.name} is truncated or no file of weights ({reason})") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    plain = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not plain or not state:
        raise ValueError(f"{path.name} holds no state dict; save module.state_dict() with safetensors.torch.save_file")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def put_state(net: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load ``state`` into ``net`` completely; ValueError that names the first keys that do not fit."""
    # densenet's published files name their parts "norm.1" as no module can be named any more
    state_ = {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)", r"\1", key): v for key, v in state.items()}
    if hasattr(state, "_metadata"):
        state_ = type(state)(state_)
        state_._metadata = state._metadata  # type: ignore[attr-defined]
    try:
        result = net.load_state_dict(state_, strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise ValueError(f"{what} does not fit {type(net).__name__}: {' '.join(lines)}") from None
    lacking = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    for keys, said in ((lacking, "lacks"), (result.unexpected_keys, "has the unknown")):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise ValueError(f"{what} does not fit {type(net).__name__}: it {said} {', '.join(keys[:3])}{more}")
