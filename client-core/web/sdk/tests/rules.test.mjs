// The parts of the SDK that only decide: sizes, adaptation, clocks, state, events. `cargo xtask web` first, then `node --test`.
import assert from "node:assert/strict";
import test from "node:test";

import { Adapt } from "../../../../target/web/sdk/adapt.js";
import { CaptureClock } from "../../../../target/web/sdk/clock.js";
import { Events } from "../../../../target/web/sdk/events.js";
import { Positions } from "../../../../target/web/sdk/positions.js";
import { announcedSize, within } from "../../../../target/web/sdk/size.js";
import { EMPTY, reduce } from "../../../../target/web/sdk/state.js";

const LIMIT = { width: 640, height: 360 };

test("pictures keep their shape inside of the limit, in even pixels, and are never made larger", () => {
  assert.deepEqual(within(1280, 720, LIMIT), { width: 640, height: 360 });
  assert.deepEqual(within(320, 180, LIMIT), { width: 320, height: 180 });
  assert.deepEqual(within(640, 480, LIMIT), { width: 480, height: 360 });
  assert.deepEqual(within(720, 1280, LIMIT), { width: 360, height: 640 });
  assert.deepEqual(within(1, 3000, LIMIT), { width: 2, height: 640 });
});

test("what is announced follows the device within what the kind allows", () => {
  const track = { getSettings: () => ({ width: 1920, height: 1080, frameRate: 60 }) };
  assert.deepEqual(announcedSize(track, "camera", {}), { width: 640, height: 360, frameRate: 30, bitrate: 700_000 });
  assert.equal(announcedSize(track, "screen", {}).width, 1280);
  assert.equal(announcedSize(track, "camera", { width: 320, height: 180, bitrate: 9 }).bitrate, 9);
  assert.deepEqual(announcedSize(track, "microphone", {}), { width: 0, height: 0, frameRate: 0, bitrate: 32_000 });
});

test("trouble goes down step by step, and not in one moment to the bottom", () => {
  const adapt = new Adapt();
  assert.equal(adapt.suffer(0), true);
  assert.equal(adapt.suffer(100), false);
  assert.equal(adapt.bits, 0.7);
  assert.equal(adapt.rate, 1);
  for (let now = 1_000; now < 20_000; now += 1_000) {
    adapt.suffer(now);
  }
  assert.ok(adapt.rate > 0 && adapt.bits > 0);
  assert.equal(adapt.suffer(30_000), false);
});

test("it goes up slowly, and more slowly when that was too early", () => {
  const adapt = new Adapt();
  adapt.suffer(0);
  adapt.suffer(1_000);
  assert.equal(adapt.thrive(3_000), false);
  assert.equal(adapt.thrive(5_100), true);
  assert.equal(adapt.suffer(6_000), true);
  assert.equal(adapt.thrive(11_000), false);
  assert.equal(adapt.thrive(14_100), true);
});

test("a capture's time is that of the frame that waited least", () => {
  const clock = new CaptureClock();
  const origin = performance.timeOrigin * 1000;
  clock.seen(0, 30);
  assert.equal(clock.seen(33_000, 43), Math.round(origin + 43_000));
  assert.equal(clock.seen(66_000, 96), Math.round(origin + 76_000));
});

test("a device whose line jumps at its beginning is believed after ten frames", () => {
  const clock = new CaptureClock();
  const origin = performance.timeOrigin * 1000;
  for (let at = 0; at < 5; at += 1) {
    clock.seen(4_000_000 + at * 10_000, 100 + at * 10);
  }
  for (let at = 5; at < 15; at += 1) {
    clock.seen(at * 10_000, 100 + at * 10);
  }
  assert.equal(clock.seen(150_000, 250), Math.round(origin + 250_000));
});

test("frames that were read late were captured early all the same", () => {
  const clock = new CaptureClock();
  const origin = performance.timeOrigin * 1000;
  clock.seen(0, 100);
  for (let at = 1; at <= 50; at += 1) {
    clock.seen(at * 10_000, 600);
  }
  assert.equal(clock.seen(510_000, 610), Math.round(origin + 610_000));
});

test("a clock follows a device that drifts", () => {
  const clock = new CaptureClock();
  for (let at = 0; at < 60_000; at += 20) {
    clock.seen(at * 999, at);
  }
  const error = clock.map(60_000 * 999) / 1000 - performance.timeOrigin - 60_000;
  assert.ok(Math.abs(error) < 25, `${error} ms`);
});

test("sound keeps its time of capture through gaps and bursts that an encoder does not see", () => {
  const positions = new Positions(48_000, 5_000_000);
  positions.add(480, 1_000_000);
  positions.add(480, 1_010_000);
  positions.add(480, 5_010_000);
  positions.add(480, 5_010_000);
  assert.equal(positions.captured(5_000_000), 1_000_000);
  assert.equal(positions.captured(5_015_000), 1_015_000);
  assert.equal(positions.captured(5_020_000), 5_010_000);
  assert.equal(positions.captured(5_035_000), 5_015_000);
});

test("what an encoder swallows does not pile up", () => {
  const positions = new Positions(48_000, 0);
  for (let at = 0; at < 5_000; at += 1) {
    positions.add(480, at * 10_000);
  }
  assert.equal(positions.captured(4_999 * 10_000), 4_999 * 10_000);
});

const somebody = { id: 7, name: "Guest", isMe: false, host: false, present: true };
const picture = { participant: 7, track: 9n, kind: "camera", codec: "vp8", label: "", width: 2, height: 2, muted: false, layers: 2 };
const joined = { event: "joined", me: 1, title: "T", roster: [], tracks: [], epoch: 3, safetyCode: "1" };

test("events change the state, and never the state before", () => {
  const first = reduce(EMPTY, joined);
  const second = reduce(first, { event: "participantJoined", participant: somebody });
  const third = reduce(second, { event: "trackPublished", track: picture });
  const fourth = reduce(third, { event: "trackChanged", track: { ...picture, muted: true } });
  assert.equal(first.participants.length, 0);
  assert.equal(third.tracks[0].muted, false);
  assert.deepEqual(fourth.tracks.map((track) => track.muted), [true]);
  const left = reduce(fourth, { event: "participantLeft", id: 7, how: "left" });
  assert.deepEqual([left.participants, left.tracks], [[], []]);
});

test("tracks of two people with one number are two", () => {
  const one = reduce(EMPTY, { event: "trackPublished", track: picture });
  const two = reduce(one, { event: "trackPublished", track: { ...picture, participant: 8 } });
  assert.equal(two.tracks.length, 2);
  assert.equal(reduce(two, { event: "trackUnpublished", participant: 8, track: 9n }).tracks[0].participant, 7);
});

test("the transport is what the connection says, and unknown on the way back", () => {
  const on = reduce(EMPTY, { event: "connection", state: "connected", transport: "websocket" });
  assert.equal(on.transport, "websocket");
  assert.equal(reduce(on, { event: "connection", state: "controlLost" }).transport, "websocket");
  assert.equal("transport" in reduce(on, { event: "connection", state: "reconnecting" }), false);
});

test("events wait for whoever asks, the last one ends it, and only so many are kept", async () => {
  const events = new Events();
  const asked = events.next();
  events.tell({ event: "warning", text: "a", kind: "" });
  assert.equal((await asked).text, "a");
  for (let at = 0; at < 2_000; at += 1) {
    events.tell({ event: "warning", text: String(at), kind: "" });
  }
  assert.equal((await events.next()).text, String(2_000 - 1_024));
  const heard = [];
  const off = events.on("ended", (event) => heard.push(event.why));
  events.tell({ event: "ended", why: "left", text: "", kind: "" });
  off();
  assert.deepEqual(heard, ["left"]);
  while ((await events.next()).event !== "ended");
  assert.equal(await events.next(), undefined);
});
