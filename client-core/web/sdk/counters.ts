/** What is counted of tracks, and how it is read. */

import type { Kind, SendStats, TrackStats } from "./types.js";

/** How many frames a median is taken of: about four seconds of pictures. */
const SAMPLES = 128;

/** How far back pictures count for the rate, in milliseconds. */
const RATE_MS = 1_000;

/** Counters of one track that is received. */
export class Received {
  received = 0;
  shown = 0;
  lost = 0;
  droppedLate = 0;
  decodeErrors = 0;
  keyFrameRequests = 0;
  readonly #latencies: number[] = [];
  readonly #times: number[] = [];
  #next = 0;

  constructor(
    readonly participant: number,
    readonly track: bigint,
    readonly kind: Kind,
  ) {}

  /** One more is shown or played now; `capturedUs` by the sender's clock. */
  show(capturedUs: number): void {
    this.shown += 1;
    this.#latencies[this.#next] = Date.now() - capturedUs / 1000;
    this.#times[this.#next] = performance.now();
    this.#next = (this.#next + 1) % SAMPLES;
  }

  read(): TrackStats {
    const since = performance.now() - RATE_MS;
    const { participant, track, kind, received, shown, lost, droppedLate, decodeErrors, keyFrameRequests } = this;
    const fps = this.#times.filter((time) => time > since).length;
    const base = { participant, track, kind, received, shown, lost, droppedLate, decodeErrors, keyFrameRequests, fps };
    const latencyMs = median(this.#latencies);
    return latencyMs === undefined ? base : { ...base, latencyMs };
  }
}

/** Counters of one track that is sent. */
export class Sent {
  frames = 0;
  bytes = 0;
  dropped = 0;
  keyFrames = 0;
  encodeErrors = 0;
  bitrate = 0;
  frameRate = 0;

  constructor(
    readonly local: number,
    readonly kind: Kind,
  ) {}

  read(): SendStats {
    return { ...this };
  }
}

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}
