// Labels and rates, in small portions so that the worker can listen in between: uapkit.evaluate.
import { argmax, plus, scaled, wilson } from "./numbers.js";
import { randomSigns as signs } from "./random.js";

export const OTHERS = 200, NULLS = 5, PORTION = 20;

export class Score {
  constructor(digits) { Object.assign(this, { test: digits.test, clean: new Map(), nulls: new Map() }); }
  others(n = OTHERS) { return this.test.images(this.test.draw(n, 0)); }

  *labels(net, images, v = null) {
    const found = [];
    for (const x of images) {
      found.push(argmax(net.logits(v ? plus(x, v) : x)));
      if (found.length % PORTION === 0) yield;
    }
    return found;
  }

  *cleanLabels(net) {
    if (!this.clean.has(net.name)) this.clean.set(net.name, yield* this.labels(net, this.others()));
    return this.clean.get(net.name);
  }

  // share of the 200 others whose label changes under v, with Wilson's interval
  *rate(net, v) {
    const clean = yield* this.cleanLabels(net), moved = yield* this.labels(net, this.others(), v);
    return wilson(moved.filter((label, i) => label !== clean[i]).length, moved.length);
  }

  // what random signs of this root mean square do: all draws together, and the largest of them
  *random(net, strength, size) {
    const key = `${net.name} ${strength}`;
    if (!this.nulls.has(key)) {
      const rates = [];
      for (let seed = 0; seed < NULLS; seed++) rates.push(yield* this.rate(net, scaled(signs(size, seed), strength)));
      const hits = rates.reduce((sum, r) => sum + r.hits, 0), n = rates.reduce((sum, r) => sum + r.n, 0);
      this.nulls.set(key, { ...wilson(hits, n), largest: Math.max(...rates.map((r) => r.value)) });
    }
    return this.nulls.get(key);
  }
}
