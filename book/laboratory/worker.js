// Computes beside the page: networks, digits and the benches' generators live here; the page sends settings, gets frames.
import * as benches from "./benches.js";
import { deepfool } from "./deepfool.js";
import { Digits } from "./digits.js";
import { device, forget, start } from "./kernel.js";
import { Network } from "./network.js";
import { lpNorm, plus } from "./numbers.js";
import { randomSigns } from "./random.js";
import { Score } from "./score.js";

const networks = new Map(), runs = new Map();
let train, test, score, ready, looping = false;

const calls = {
  // rows of n images, one after the other, plus a vector -> logits
  logits({ network, pixels, v }) {
    const net = networks.get(network), d = 784, out = [];
    for (let i = 0; i < pixels.length; i += d) out.push(...net.logits(v ? plus(pixels.subarray(i, i + d), v) : pixels.subarray(i, i + d)));
    return Float32Array.from(out);
  },
  *rate({ network, v }) { return yield* score.rate(networks.get(network), v); },
  *random({ network, strength }) { return yield* score.random(networks.get(network), strength, 784); },
  // lengths of DeepFool's steps on digits drawn by seed
  *deepfool({ network, n, seed }) {
    const found = [];
    for (const x of train.images(train.draw(n, seed))) {
      const { r, adversarial } = deepfool(networks.get(network), x, {});
      found.push([lpNorm(r, 2), adversarial]);
      yield;
    }
    return found;
  },
  image({ split, index }) { return (split === "train" ? train : test).image(index); },
  signs({ seed }) { return randomSigns(784, seed); },
  draw({ split, n, seed }) { return (split === "train" ? train : test).draw(n, seed); },
};

async function all(generator) {
  let step = generator.next();
  while (!step.done) {
    await breath();
    step = generator.next();
  }
  return step.value;
}

// lets waiting messages in
const channel = new MessageChannel(), waiting = [];
channel.port1.onmessage = () => waiting.shift()();
const breath = () => new Promise((resolve) => { waiting.push(resolve); channel.port2.postMessage(0); });

async function loop() {
  if (looping) return;
  looping = true;
  for (;;) {
    const active = [...runs].filter(([, run]) => run.state !== "stopped");
    if (!active.length) break;
    for (const [key, run] of active) {
      await breath();
      if (runs.get(key) !== run || run.state === "stopped") continue;
      advance(key, run);
    }
  }
  looping = false;
}

function advance(key, run) {
  try {
    const begun = performance.now(), { value, done } = run.frames.next();
    if (done) {
      runs.delete(key);
      postMessage({ type: "end", key });
    } else if (value) {
      if (run.state === "step" && value.kind !== "null") run.state = "stopped";
      postMessage({ type: "frame", key, frame: { ...value, ms: performance.now() - begun } });
      if (run.state === "stopped") postMessage({ type: "stopped", key });
    }
  } catch (error) {
    runs.delete(key);
    postMessage({ type: "failed", key, message: error.message });
  }
}

onmessage = async ({ data: m }) => {
  if (m.type === "init") {
    ready = start(m.engine).then(() => {
      forget();
      [train, test] = ["train", "test"].map((split) => new Digits(m.digits[split], m.digits.resize));
      score = new Score({ test });
      postMessage({ type: "ready", device: device() });
    });
    return;
  }
  await ready;
  if (m.type === "network") {
    if (!networks.has(m.spec.name)) networks.set(m.spec.name, new Network(m.spec, m.weights));
  } else if (m.type === "call") {
    try {
      const found = calls[m.name](m.given);
      postMessage({ type: "answer", id: m.id, value: found && found.next ? await all(found) : found });
    } catch (error) {
      postMessage({ type: "answer", id: m.id, error: error.message });
    }
  } else if (m.type === "start") {
    const context = { net: networks.get(m.settings.network), train, test, score };
    runs.set(m.key, { frames: benches[m.bench](context, m.settings), state: m.state });
    loop();
  } else if (m.type === "state") {
    const run = runs.get(m.key);
    if (!run) return;
    if (m.state === "reset") runs.delete(m.key);
    else run.state = m.state;
    if (m.state === "stopped") postMessage({ type: "stopped", key: m.key });
    loop();
  }
};
