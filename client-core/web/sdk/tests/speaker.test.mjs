// The buffer of one speaker, played by arithmetic: no browser, no clock. `cargo xtask web` first, then `node --test`.
import assert from "node:assert/strict";
import test from "node:test";

import { Speaker } from "../../../../target/web/sdk/speaker.js";

const RATE = 48_000;
const BLOCK = 960;
const QUANTUM = 128;

/** A tone of 400 Hz, block after block. */
function tone() {
  let at = 0;
  return () => Float32Array.from({ length: BLOCK }, () => 0.5 * Math.sin((2 * Math.PI * 400 * at++) / RATE));
}

/** Pulls `ms` of sound out. */
function pull(speaker, ms) {
  const out = [];
  for (let left = Math.round((ms * RATE) / 1000); left > 0; left -= QUANTUM) {
    const plane = new Float32Array(Math.min(QUANTUM, left));
    speaker.pull(plane, new Float32Array(plane.length), 1);
    out.push(...plane);
  }
  return out;
}

function steepest(samples) {
  return samples.slice(1).reduce((most, sample, at) => Math.max(most, Math.abs(sample - samples[at])), 0);
}

/** The steepest that a tone of 400 Hz is, and what a bridge of 2.5 ms adds to it. */
const SMOOTH = 0.5 * ((2 * Math.PI * 400) / RATE) + 1 / 120 + 0.001;

test("nothing is heard before the target is reached, and everything after it", () => {
  const speaker = new Speaker(RATE, 60);
  const next = tone();
  speaker.push([next()], 0, 60);
  speaker.push([next()], 0, 60);
  assert.equal(Math.max(...pull(speaker, 20).map(Math.abs)), 0);
  speaker.push([next()], 0, 60);
  assert.ok(Math.max(...pull(speaker, 20).map(Math.abs)) > 0.4);
  assert.equal(speaker.underruns, 0);
});

test("sound that comes as it is played stays where it is, without a click", () => {
  const speaker = new Speaker(RATE, 40);
  const next = tone();
  speaker.push([next()], 0, 40);
  const heard = [];
  for (let at = 0; at < 500; at += 1) {
    speaker.push([next()], 0, 40);
    heard.push(...pull(speaker, 20));
  }
  assert.equal(speaker.underruns, 0);
  assert.ok(speaker.bufferedMs > 10 && speaker.bufferedMs < 60, `${speaker.bufferedMs} ms`);
  assert.ok(steepest(heard) < SMOOTH, `${steepest(heard)}`);
});

test("running dry in speech is an underrun, once, and fades instead of clicking", () => {
  const speaker = new Speaker(RATE, 60);
  const next = tone();
  const heard = [];
  for (let at = 0; at < 10; at += 1) {
    speaker.push([next()], 0, 60);
    heard.push(...pull(speaker, 20));
  }
  heard.push(...pull(speaker, 200));
  for (let at = 0; at < 10; at += 1) {
    speaker.push([next()], 0, 60);
    heard.push(...pull(speaker, 20));
  }
  assert.equal(speaker.underruns, 1);
  assert.ok(steepest(heard) < SMOOTH, `${steepest(heard)}`);
});

test("after an underrun the buffer aims higher, and forgets that in a minute or two", () => {
  const speaker = new Speaker(RATE, 60);
  const next = tone();
  for (let at = 0; at < 10; at += 1) {
    speaker.push([next()], 0, 60);
    pull(speaker, 20);
  }
  pull(speaker, 200);
  speaker.push([next()], 0, 60);
  assert.equal(Math.round(speaker.targetMs), 80);
  for (let at = 0; at < 50 * 60; at += 1) {
    speaker.push([next()], 0, 60);
    pull(speaker, 20);
  }
  assert.equal(Math.round(speaker.targetMs), 60);
  assert.equal(speaker.underruns, 1);
});

test("a pause is no underrun", () => {
  const speaker = new Speaker(RATE, 40);
  const next = tone();
  for (let at = 0; at < 4; at += 1) {
    speaker.push([next()], 0, 40);
  }
  pull(speaker, 3_000);
  speaker.push([next()], 0, 40);
  assert.equal(speaker.underruns, 0);
});

test("what piled up is dropped, oldest first, down to the target", () => {
  const speaker = new Speaker(RATE, 40);
  const next = tone();
  speaker.push([next()], 0, 40);
  speaker.push([next()], 0, 40);
  pull(speaker, 10);
  for (let at = 0; at < 10; at += 1) {
    speaker.push([next()], 0, 40);
    assert.ok(speaker.bufferedMs <= 40 + 80 + 1, `${speaker.bufferedMs} ms`);
  }
});

test("nothing grows while nobody plays", () => {
  const speaker = new Speaker(RATE, 40);
  const next = tone();
  for (let at = 0; at < 1_000; at += 1) {
    speaker.push([next()], 0, 40);
  }
  assert.ok(speaker.bufferedMs < 400, `${speaker.bufferedMs} ms`);
});

test("a lost block is filled with what was before it, and takes its time", () => {
  const speaker = new Speaker(RATE, 40);
  const next = tone();
  for (let at = 0; at < 3; at += 1) {
    speaker.push([next()], 0, 40);
  }
  const before = speaker.bufferedMs;
  next();
  speaker.push([next()], 1, 40);
  assert.equal(Math.round(speaker.bufferedMs - before), 40);
  const heard = pull(speaker, 95);
  const filled = heard.slice(Math.round(0.062 * RATE), Math.round(0.072 * RATE));
  assert.ok(Math.max(...filled.map(Math.abs)) > 0.2);
  assert.ok(steepest(heard) < SMOOTH, `${steepest(heard)}`);
});

test("a larger target is reached by playing slower, not by a hole", () => {
  const speaker = new Speaker(RATE, 40);
  const next = tone();
  speaker.push([next()], 0, 40);
  let due = 0;
  // A loudspeaker that wants exactly as much as is spoken: only a slower speed can make the buffer grow.
  for (let at = 0; at < 1_000; at += 1) {
    speaker.push([next()], 0, 120);
    due += pull(speaker, 20).length;
  }
  assert.equal(due, 1_000 * BLOCK);
  assert.equal(speaker.underruns, 0);
  assert.ok(speaker.bufferedMs > 80, `${speaker.bufferedMs} ms`);
});

test("sound of two planes stays on its sides", () => {
  const speaker = new Speaker(RATE, 20);
  const loud = new Float32Array(BLOCK).fill(0.5);
  const quiet = new Float32Array(BLOCK);
  speaker.push([loud, quiet], 0, 20);
  speaker.push([loud, quiet], 0, 20);
  const left = new Float32Array(QUANTUM * 4);
  const right = new Float32Array(QUANTUM * 4);
  speaker.pull(left, right, 1);
  assert.ok(Math.max(...left) > 0.4);
  assert.equal(Math.max(...right), 0);
});

test("blocks that are none do nothing", () => {
  const speaker = new Speaker(RATE, 40);
  speaker.push([], 0, 40);
  speaker.push([new Float32Array(0)], 5, 40);
  speaker.push([new Float32Array(1_000_000)], 0, 40);
  assert.equal(speaker.bufferedMs, 0);
});
