/** Pictures of one published track: captures in, encoded frames out. VP8 in two temporal layers. */

import { Adapt } from "./adapt.js";
import { CaptureClock } from "./clock.js";
import type { Sent } from "./counters.js";
import { words } from "./errors.js";
import { within } from "./size.js";

/** Where encoded frames of a track go. */
export interface Encoded {
  /** `capturedUs`: unix microseconds. */
  write(bytes: Uint8Array, capturedUs: number, key: boolean, layer: number): void;
  /** The track cannot be encoded any more; `text` is a sentence. */
  fail(text: string): void;
}

/** What is wanted of the encoder at its best. */
export interface PictureLimits {
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
  readonly bitrate: number;
}

/** Captures that may wait in the encoder: a third means that it does not keep up, and the newest capture is dropped. */
const QUEUE = 2;

/** Dropped captures of the last 30 that mean starvation: one now and then is a hiccup. */
const STARVED = 4;

/** How much the latest encoding counts in the mean of how long it takes. */
const TAKES_STEP = 0.1;

/** Pictures after each configuration that do not count: the encoder gets ready, and a key frame takes longer. */
const WARMING = 5;

/** Pictures inside of the encoder whose beginning is remembered: more than it holds. */
const INSIDE = 16;

/** Bytes that waited so long for the network, in milliseconds, mean that the uplink is full. */
const FULL_MS = 150;

/** How often an encoder that failed is made anew before the track is given up. */
const RETRIES = 3;

/** How long after a failure another one counts as the same trouble, in milliseconds. */
const RETRY_MS = 10_000;

/** Encodes one track of pictures. */
export class PictureEncoder {
  readonly #limits: PictureLimits;
  readonly #out: Encoded;
  readonly #sent: Sent;
  readonly #adapt = new Adapt();
  readonly #clock = new CaptureClock();
  #encoder: VideoEncoder | undefined;
  /** What the encoder is configured for, empty when it has to be again; and of what size its pictures are. */
  #size = "";
  #coded = "";
  #key = true;
  #muted = false;
  /** Browsers that refuse temporal layers get none: everything is the lowest layer then. */
  #layered = true;
  #nextAt = -Infinity;
  #failures = 0;
  #failedAt = -Infinity;
  /** The last 30 captures, a bit each: 1 is a dropped one. */
  #drops = 0;
  /** When pictures went into the encoder, by timestamp; and how long one takes there, in milliseconds, on average. */
  readonly #inside = new Map<number, number>();
  #takesMs = 0;
  #warming = WARMING;
  #closed = false;

  constructor(limits: PictureLimits, out: Encoded, sent: Sent) {
    this.#limits = limits;
    this.#out = out;
    this.#sent = sent;
  }

  /** Someone needs a picture that stands alone. */
  keyFrame(): void {
    this.#key = true;
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#key = true;
  }

  /** Takes a capture, which is closed here. `fullMs`: how long bytes wait for the network now, in milliseconds. */
  capture(frame: VideoFrame, fullMs: number): void {
    try {
      const now = performance.now();
      this.#clock.seen(frame.timestamp, now);
      if (this.#muted || this.#closed || this.#early(frame.timestamp)) {
        return;
      }
      const starved = (this.#encoder?.encodeQueueSize ?? 0) > QUEUE;
      this.#drops = ((this.#drops << 1) | (starved ? 1 : 0)) & 0x3fff_ffff;
      this.#judge(now, fullMs);
      if (starved) {
        this.#sent.dropped += 1;
        return;
      }
      const encoder = this.#ready(frame);
      if (this.#inside.size >= INSIDE) {
        this.#inside.clear();
      }
      this.#inside.set(frame.timestamp, now);
      encoder.encode(frame, { keyFrame: this.#key });
      this.#key = false;
    } catch (thrown) {
      this.#broken(thrown);
    } finally {
      frame.close();
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#encoder !== undefined && this.#encoder.state !== "closed") {
      this.#encoder.close();
    }
    this.#encoder = undefined;
  }

  /** Whether this capture comes before its turn at the frame rate of now. */
  #early(timestamp: number): boolean {
    const gap = 1_000_000 / (this.#limits.frameRate * this.#adapt.rate);
    // Half a gap of tolerance: a device's pictures are never quite regular, and every second one would be refused.
    if (timestamp < this.#nextAt - gap / 2 && timestamp > this.#nextAt - 4 * gap) {
      return true;
    }
    this.#nextAt = Math.max(this.#nextAt + gap, timestamp + gap / 2);
    return false;
  }

  #judge(now: number, fullMs: number): void {
    const gapMs = 1_000 / (this.#limits.frameRate * this.#adapt.rate);
    const starving = bits(this.#drops) >= STARVED || this.#takesMs > gapMs;
    const changed = starving || fullMs > FULL_MS ? this.#adapt.suffer(now) : this.#adapt.thrive(now);
    if (changed) {
      this.#drops = 0;
      this.#takesMs = 0;
      this.#size = ""; // the next capture configures
    }
  }

  #ready(frame: VideoFrame): VideoEncoder {
    const { width, height } = this.#limits;
    const { scale } = this.#adapt;
    const full = within(frame.displayWidth, frame.displayHeight, this.#limits);
    const size = scale === 1 ? full : within(full.width, full.height, { width: width * scale, height: height * scale });
    const name = `${String(size.width)}x${String(size.height)}`;
    if (this.#encoder?.state === "configured" && name === this.#size) {
      return this.#encoder;
    }
    // A new size begins with a picture that stands alone; a new bitrate does not need one.
    this.#key ||= name !== this.#coded;
    this.#size = name;
    this.#coded = name;
    const encoder = this.#encoder?.state === "configured" ? this.#encoder : this.#make();
    this.#encoder = encoder;
    this.#configure(encoder);
    return encoder;
  }

  #make(): VideoEncoder {
    const encoder = new VideoEncoder({
      output: (chunk, metadata) => {
        if (this.#encoder === encoder) {
          this.#encoded(chunk, metadata);
        }
      },
      error: (thrown) => {
        if (this.#encoder === encoder) {
          this.#broken(thrown);
        }
      },
    });
    return encoder;
  }

  #configure(encoder: VideoEncoder): void {
    const [width, height] = this.#size.split("x").map(Number);
    this.#warming = WARMING;
    this.#sent.bitrate = Math.round(this.#limits.bitrate * this.#adapt.bits);
    this.#sent.frameRate = Math.round(this.#limits.frameRate * this.#adapt.rate);
    encoder.configure({
      codec: "vp8",
      width: width ?? 0,
      height: height ?? 0,
      bitrate: this.#sent.bitrate,
      framerate: this.#sent.frameRate,
      latencyMode: "realtime",
      bitrateMode: "constant",
      ...(this.#layered ? { scalabilityMode: "L1T2" } : {}),
    });
  }

  #encoded(chunk: EncodedVideoChunk, metadata: EncodedVideoChunkMetadata | undefined): void {
    const bytes = new Uint8Array(chunk.byteLength);
    chunk.copyTo(bytes);
    const began = this.#inside.get(chunk.timestamp);
    this.#inside.delete(chunk.timestamp);
    if (this.#warming > 0) {
      this.#warming -= 1;
    } else if (began !== undefined) {
      this.#takesMs += (performance.now() - began - this.#takesMs) * TAKES_STEP;
    }
    const key = chunk.type === "key";
    const layer = (metadata as { svc?: { temporalLayerId?: number } } | undefined)?.svc?.temporalLayerId ?? 0;
    this.#sent.frames += 1;
    this.#sent.bytes += bytes.length;
    this.#sent.keyFrames += key ? 1 : 0;
    this.#out.write(bytes, this.#clock.map(chunk.timestamp), key, layer);
  }

  #broken(thrown: unknown): void {
    const now = performance.now();
    this.#failures = now - this.#failedAt < RETRY_MS ? this.#failures + 1 : 1;
    this.#failedAt = now;
    this.#sent.encodeErrors += 1;
    if (this.#encoder !== undefined && this.#encoder.state !== "closed") {
      this.#encoder.close();
    }
    this.#encoder = undefined;
    this.#inside.clear();
    this.#key = true;
    this.#layered &&= this.#sent.frames > 0;
    if (this.#failures > RETRIES && !this.#closed) {
      this.#closed = true;
      this.#out.fail(`This browser cannot encode the pictures: ${words(thrown)}`);
    }
  }
}

function bits(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) {
    count += 1;
  }
  return count;
}
