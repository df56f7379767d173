"""J's bench agrees with the package whatever the weights: copies of other seeds and trainings, run outside a browser."""

import base64
import json
import subprocess

import numpy as np
import pytest
import torch

from uapkit import data, models
from uapkit.book import laboratory
from uapkit.book.laboratory_answers import curved
from uapkit.book.laboratory_chain import chain
from uapkit.models import training
from uapkit.models.model import Model
from uapkit.models.nets.digits import SmallVGG
from uapkit.runner.catalogue import project_root

PACKAGES = project_root() / "node_modules"
pytestmark = pytest.mark.skipif(
    not (PACKAGES / "assemblyscript").is_dir(), reason="node's packages are not installed; `make book` installs them"
)
ENTRY = """
import fs from "fs";
import * as benches from "SOURCE/benches.js";
import { Digits } from "SOURCE/digits.js";
import { start } from "SOURCE/kernel.js";
import { Network } from "SOURCE/network.js";

const [, , input, output] = process.argv, { digits, runs } = JSON.parse(fs.readFileSync(input));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64")), floats = (text) => new Float32Array(bytes(text).buffer);
const doubles = (text) => new Float64Array(bytes(text).buffer);
const set = (s) => new Digits({ ...s, blocks: bytes(s.blocks), angles: doubles(s.angles) }, floats(digits.resize));
await start();
const train = set(digits.train), test = set(digits.test);
const made = runs.map(({ chain, settings }) => {
  const frames = benches.J({ net: new Network(chain, floats(chain.weights)), train, test }, settings);
  let f;
  do f = frames.next().value; while (!f?.done);
  const { points, top, bottom } = f;
  return { points, values: [top.value, bottom.value], v: [[...top.v], [...bottom.v]] };
});
fs.writeFileSync(output, JSON.stringify(made));
"""


def copy_of(epochs, seed):
    """A small VGG of another start and another training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SmallVGG()
    model = Model(net, mean=0.31, std=0.35, input_size=(1, 28, 28), name="vgg_digits")
    images = data.load("digits", split="train", n=500)
    training.fit(model, images, epochs=epochs, lr=3e-3, batch_size=32, optimizer="adam", seed=seed)
    return model.eval()


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The bench with its kernel as one file for node."""
    folder, source = tmp_path_factory.mktemp("laboratory"), project_root() / laboratory.SCRIPTS
    entry, kernel, made = (folder / name for name in ("entry.js", "kernel.wasm", "run.mjs"))
    entry.write_text(ENTRY.replace("SOURCE", source.as_posix()))
    laboratory.compile_kernel(PACKAGES, source, kernel)
    laboratory.join(
        PACKAGES, entry, made, "--platform=node", "--format=esm", "--target=es2022", kernel=kernel, worker=kernel
    )
    return made


def test_curvatures_agree_for_any_weights(script, tmp_path):
    nets = [copy_of(epochs, seed) for epochs, seed in ((2, 1), (4, 2), (8, 3))]
    nets += [models.load(name) for name in ("mlp_digits", "stdcnn_digits", "lenet_digits")]
    given = [
        (net, {"n": 10, "seed": k, "target": 3, "most": 10, "beta": (1.0, 2.0, 5.0)[k % 3]})
        for k, net in enumerate(nets)
    ]
    given.append((models.load("gcnn_digits"), {"n": 4, "seed": 0, "target": 3, "most": 4, "beta": 2.0}))
    runs = [{"chain": chain(net), "settings": settings} for net, settings in given]
    asked, told = tmp_path / "in.json", tmp_path / "out.json"
    asked.write_text(json.dumps({"digits": laboratory.digits(), "runs": runs}))
    subprocess.run([laboratory.node(), script, asked, told], check=True)
    for (net, settings), made in zip(given, json.loads(told.read_text()), strict=True):
        wanted = curved(net, **settings)
        assert made["points"] == wanted["points"]
        assert made["values"] == pytest.approx(wanted["values"], rel=1e-3), net.name
        for v, w in zip(made["v"], wanted["v"], strict=True):
            assert abs(np.array(v) @ np.frombuffer(base64.b64decode(w), "<f4")) > 0.999, net.name
