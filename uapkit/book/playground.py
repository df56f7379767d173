"""What the playground page runs in the browser: a digit network as ONNX, universal perturbations, digits, rates.

Made while the book is built, deterministic by seed, what takes time kept by :func:`uapkit.lab.keep`; ONNX Runtime Web
comes from the locked npm package. Everything is written as scripts with base64 inside, for pages opened from a disk
may fetch no file.
"""

from __future__ import annotations

import base64
import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from uapkit import attacks, data, lab
from uapkit.data import Images
from uapkit.evaluate import fooling_rate, labels, random_perturbation
from uapkit.files import cache_folder, write_whole
from uapkit.intervals import Rate
from uapkit.models import training
from uapkit.models.card import state_sha256
from uapkit.models.model import Model
from uapkit.models.nets.digits import SmallVGG
from uapkit.seeds import child_seed

EPOCHS = 30
LAYERS = ("block1_pool", "block2_pool", "block3_pool")
N_FIT, N_SELECT, SEED, EPS = 64, 128, 0, 0.2
STRENGTHS = tuple(round(0.025 * k, 3) for k in range(13))  # root mean square of a pixel's change
RUNTIME = "onnxruntime-web"


def distorted(x: Tensor, draws: torch.Generator) -> Tensor:
    """Images (n, c, h, w) turned, slanted, stretched, moved and with thinner or thicker strokes, as people draw."""

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(x), generator=draws)

    angle, width, height, slant = between(-0.25, 0.25), between(0.85, 1.25), between(0.8, 1.3), between(-0.2, 0.2)
    first = torch.stack([width * angle.cos(), -height * (angle.sin() + slant), between(-0.15, 0.15)], 1)
    second = torch.stack([width * angle.sin(), height * angle.cos(), between(-0.15, 0.15)], 1)
    grid = affine_grid(torch.stack([first, second], 1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False).clamp(0, 1) ** between(0.5, 1.8).view(-1, 1, 1, 1)


def network(images: Images) -> Model:
    """The playground's network: ``vgg_digits``' plan, trained on distorted ``images`` so that it reads drawings, too."""
    model = _untrained(SEED)
    model.net.load_state_dict(lab.keep(weights, images, epochs=EPOCHS, seed=SEED))
    return model.eval()


def weights(images: Images, *, epochs: int, seed: int) -> dict[str, Tensor]:
    """The state of :func:`network`'s net, trained now."""
    model = _untrained(seed)
    training.fit(model, images, epochs=epochs, lr=3e-3, batch_size=32, optimizer="adam", seed=seed, augment=distorted)
    return {k: v.detach().contiguous().clone() for k, v in model.net.state_dict().items()}


def _untrained(seed: int) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "initial_weights"))
        net = SmallVGG()
    return Model(net, mean=0.5, std=0.5, input_size=(1, 28, 28), name="playground")


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


def export(model: Model) -> bytes:
    """The network from pixels (n, c, h, w) in [0, 1] to logits (n, classes) as ONNX, n free; no paths of this machine."""
    example = torch.zeros(2, 1, 28, 28)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            output_names=["logits"],
            dynamic_shapes={"x": {0: torch.export.Dim("n")}},
        )
    assert program is not None
    proto = program.model_proto
    graph = proto.graph
    for part in [proto, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output]:
        del part.metadata_props[:]  # stack traces
        part.doc_string = ""
    return proto.SerializeToString(deterministic=True)


def contents(seed: int = SEED) -> dict[str, Any]:
    """Everything the page needs, as plain JSON; arrays as base64 of float32."""
    train, test = data.load("digits", split="train"), data.load("digits")
    model = network(train)
    assert test.y is not None
    clean = labels(model, test)
    picked = [int(i) for digit in range(10) for i in (test.y == digit).nonzero()[:2, 0]]
    vectors = []
    for name, (about, v) in lab.keep(perturbations, model, train, seed=seed).items():
        rates = [fooling_rate(model, test, s * v, clean=clean) for s in STRENGTHS]
        rows = [[round(r.value, 4), round(r.low, 4), round(r.high, 4)] for r in rates]
        vectors.append({"name": name, "about": about, "v": _floats(v), "largest": float(v.abs().max()), "rates": rows})
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
        # digits of 8 x 8 blocks become 28 x 28 images by this matrix from both sides, as those of the training set did
        "resize": _floats(interpolate(torch.eye(8)[None, None], size=(28, 8), mode="bicubic", align_corners=False)),
        "digits": [{"label": int(test.y[i]), "x": _floats(test.x[i])} for i in picked],
        "model": base64.b64encode(export(model)).decode(),
    }


def stage(staging: Path, node_modules: Path) -> None:
    """Write the scripts and the table of rates of the playground page into the staging tree of the book."""
    with lab.keeping(cache_folder("kept")):
        made = contents()
    place = staging / "book" / "assets" / "vendor" / "playground"
    write_whole(place / "data.js", f"window.uapkitPlaygroundData = {json.dumps(made)};\n".encode())
    package = node_modules / RUNTIME
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    dist = package / "dist"
    binary = gzip.compress((dist / "ort-wasm-simd-threaded.wasm").read_bytes(), 9, mtime=0)
    loader = (dist / "ort-wasm-simd-threaded.mjs").read_text(encoding="utf-8")
    parts = {"wasm": base64.b64encode(binary).decode(), "loader": loader}
    notice = (
        f"/* ONNX Runtime Web {about['version']}, {about['license']} licence, Copyright (c) Microsoft Corporation */\n"
    )
    write_whole(place / "runtime.js", f"{notice}window.uapkitRuntime = {json.dumps(parts)};\n".encode())
    write_whole(place / "ort.wasm.min.js", (dist / "ort.wasm.min.js").read_bytes())
    write_whole(staging / "book" / "_generated" / "playground.md", summary(made).encode())


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


def _floats(x: Tensor) -> str:
    return base64.b64encode(x.detach().float().contiguous().numpy().astype("<f4").tobytes()).decode()
