// Does what is played come back to the others as echo?
//
// A page joins a call in which somebody speaks, on a machine whose microphone hears its loudspeaker. What the page would send is
// measured twice: as the page is, and with the browser's echo canceller taken away, so that the test can fail.
//
//   node echo.mjs '{"chromium": .., "link": ".."}'   prints one line of JSON

import { chromium } from "playwright-core";

import { acoustics } from "./acoustics.mjs";
import { median } from "./measure.mjs";

/// The canceller learns the room while it hears it; then it is measured.
const [LEARN_MS, MEASURE_MS] = [8000, 10_000];

/// Louder than this, somebody speaks.
const SPOKEN = 0.01;

const ARGUMENTS = ["--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"];

// Runs in the page before its scripts: remembers what is played and what microphones give, and may take the canceller away.
function spy({ isCancelled }) {
  const loudness = (analyser) => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    return samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  };
  const taps = { played: [], microphone: [] };
  const connect = AudioNode.prototype.connect;
  const tap = (kind, node) => {
    const analyser = node.context.createAnalyser();
    analyser.fftSize = 2048;
    connect.call(node, analyser);
    taps[kind].push(analyser);
  };
  AudioNode.prototype.connect = function connected(to, ...rest) {
    if (to instanceof AudioDestinationNode) tap("played", this);
    return connect.call(this, to, ...rest);
  };
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  globalThis.echoTest = { asked: [], settings: [] };
  devices.getUserMedia = async (constraints) => {
    globalThis.echoTest.asked.push(constraints);
    const audio = constraints.audio && !isCancelled ? { ...constraints.audio, echoCancellation: false } : constraints.audio;
    const stream = await open({ ...constraints, audio });
    for (const track of stream.getAudioTracks()) {
      globalThis.echoTest.settings.push(track.getSettings().echoCancellation);
      tap("microphone", new AudioContext().createMediaStreamSource(new MediaStream([track])));
    }
    return stream;
  };
  // Pieces of some 40 ms, [played, microphone], in root mean square.
  globalThis.echoTest.measure = async (ms) => {
    const pieces = [];
    for (const end = performance.now() + ms; performance.now() < end; ) {
      await new Promise((done) => setTimeout(done, 40));
      pieces.push([taps.played, taps.microphone].map((analysers) => Math.sqrt(Math.max(0, ...analysers.map(loudness)))));
    }
    return pieces;
  };
}

async function listen({ chromium: executablePath, link, env, isCancelled }) {
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    chromiumSandbox: false,
    env,
    args: ARGUMENTS,
    // Silence is what this library wants of a browser that cannot be seen.
    ignoreDefaultArgs: ["--mute-audio"],
  });
  try {
    const page = await browser.newPage();
    await page.addInitScript(spy, { isCancelled });
    await page.goto(`${link.replace("#", "?debug#")}`);
    await page.fill("#name", isCancelled ? "Quiet" : "Echo");
    await page.click("#join");
    await page.waitForSelector("#call[data-connection=connected]", { timeout: 30_000 });
    await page.evaluate((ms) => globalThis.echoTest.measure(ms), LEARN_MS);
    const pieces = await page.evaluate((ms) => globalThis.echoTest.measure(ms), MEASURE_MS);
    // Where somebody speaks; the microphone hears it one or two pieces later, so the medians are compared, not the pieces.
    const spoken = pieces.filter(([played]) => played > SPOKEN);
    const [played, microphone] = [0, 1].map((side) => median(spoken.map((piece) => piece[side])) ?? 0);
    const { asked, settings } = await page.evaluate(() => ({ asked: globalThis.echoTest.asked, settings: globalThis.echoTest.settings }));
    const muted = await page.getAttribute("#mute", "data-state");
    await page.click("#leave");
    await page.waitForSelector("#over[data-kind=left]");
    return { played, microphone, pieces: spoken.length, muted, asked: asked.filter(({ audio }) => audio).map(({ audio }) => audio.echoCancellation), settings };
  } finally {
    await browser.close();
  }
}

const options = JSON.parse(process.argv[2]);
const room = await acoustics();
try {
  const without = await listen({ ...options, env: room.env, isCancelled: false });
  const cancelled = await listen({ ...options, env: room.env, isCancelled: true });
  const decibels = 20 * Math.log10(without.microphone / Math.max(cancelled.microphone, 1e-7));
  console.log(JSON.stringify({ without, cancelled, decibels }));
} finally {
  await room.close();
}
