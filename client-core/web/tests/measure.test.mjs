import assert from "node:assert/strict";
import test from "node:test";

import { beeps, bestRate, loud, median, order, pictures, quantile } from "./measure.mjs";

test("the middle and the tail of nothing are nothing", () => {
  assert.equal(median([]), undefined);
  assert.equal(quantile([], 0.95), undefined);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(quantile([4, 1, 3, 2], 0.95), 4);
});

test("the rate is that of the best stretch", () => {
  const slow = Array.from({ length: 10 }, (_, at) => at * 500);
  const quick = Array.from({ length: 151 }, (_, at) => 5000 + (at * 1000) / 30);
  assert.equal(Math.round(bestRate([...slow, ...quick], 5000)), 30);
  assert.equal(bestRate(slow, 1000), 2);
  assert.equal(bestRate([], 5000), 0);
});

test("pictures that stand still or go back are told from those that were skipped", () => {
  assert.deepEqual(order([254, 255, 0, 1]), { one: 3, skipped: 0, same: 0, back: 0 });
  assert.deepEqual(order([1, 3, 2]), { one: 0, skipped: 1, same: 0, back: 1 });
  assert.deepEqual(order([7, 7]), { one: 0, skipped: 0, same: 1, back: 0 });
  assert.deepEqual(order([990, 10, 5], 1000), { one: 0, skipped: 1, same: 0, back: 1 });
});

test("a beep is a tone of 1 kHz that lasts, and neither speech nor a click", () => {
  const silence = (from, count) => Array.from({ length: count }, (_, at) => [from + at * 10, 0, 0]);
  const tone = (from, count) => Array.from({ length: count }, (_, at) => [from + at * 10, 0.2, 19 + (at % 2)]);
  const speech = (from, count) => Array.from({ length: count }, (_, at) => [from + at * 10, 0.2, at % 2 ? 5 : 40]);
  const heard = [...silence(0, 50), ...tone(500, 10), ...silence(600, 90), ...tone(1500, 10), ...speech(1600, 40), ...tone(2000, 2)];
  assert.deepEqual(beeps(heard), [{ at: 500, length: 100 }, { at: 1500, length: 100 }]);
  assert.equal(loud(silence(0, 10)), 0);
  assert.equal(loud(speech(0, 10)), 1);
});

test("what an eye saw is summed up", () => {
  const seen = Array.from({ length: 301 }, (_, at) => [(at * 1000) / 30, at % 256, 40 + (at % 3), 1, 262_000 + at * 33 - (at * 33 > 143 ? 262_144 : 0)]);
  const sum = pictures({ seen, unreadable: 0 });
  assert.equal(Math.round(sum.best_fps), 30);
  assert.equal(sum.latency_p50_ms, 41);
  assert.deepEqual(sum.order, { one: 300, skipped: 0, same: 0, back: 0 });
  assert.equal(sum.back, 0);
  assert.deepEqual(sum.who, [1]);
});
