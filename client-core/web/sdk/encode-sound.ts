/** Sound of one published track: captures in, frames of Opus out, 20 ms each. Nothing here waits for pictures. */

import { CaptureClock } from "./clock.js";
import type { Sent } from "./counters.js";
import type { Encoded } from "./encode.js";
import { words } from "./errors.js";
import { Positions } from "./positions.js";

/** A frame of Opus, in microseconds. */
const FRAME_US = 20_000;

/** Captures that may wait in the encoder, in blocks of about 10 ms: a second of it. Later ones are dropped. */
const QUEUE = 100;

/** How often an encoder that failed is made anew before the track is given up, and how soon that counts as the same. */
const RETRIES = 3;
const RETRY_MS = 10_000;

/** Encodes one track of sound. */
export class SoundEncoder {
  readonly #channels: number;
  readonly #bitrate: number;
  readonly #out: Encoded;
  readonly #sent: Sent;
  readonly #clock = new CaptureClock();
  #encoder: AudioEncoder | undefined;
  #positions: Positions | undefined;
  #rate = 0;
  #muted = false;
  #failures = 0;
  #failedAt = -Infinity;
  #closed = false;

  /** `channels`: 1 for a voice, 2 for the sound of a screen; `bitrate` in bit/s. */
  constructor(channels: 1 | 2, bitrate: number, out: Encoded, sent: Sent) {
    this.#channels = channels;
    this.#bitrate = bitrate;
    this.#out = out;
    this.#sent = sent;
    this.#sent.bitrate = bitrate;
    this.#sent.frameRate = 1_000_000 / FRAME_US;
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    if (muted) {
      // A new one begins after the pause: this one's time line would squeeze the pause together.
      this.#drop();
    }
  }

  /** Takes a capture, which is closed here. */
  capture(data: AudioData): void {
    const { timestamp, sampleRate } = data;
    try {
      const capturedUs = this.#clock.seen(timestamp);
      if (!this.#muted && !this.#closed) {
        this.#encode(mixed(data, this.#channels), sampleRate, timestamp, capturedUs);
      }
    } catch (thrown) {
      this.#broken(thrown);
    } finally {
      data.close();
    }
  }

  /** Takes a block of one channel that was captured by other means. */
  captureSamples(samples: Float32Array<ArrayBuffer>, rate: number, timestamp: number): void {
    try {
      const capturedUs = this.#clock.seen(timestamp);
      if (!this.#muted && !this.#closed) {
        const planes = this.#channels === 1 ? samples : joined([samples, samples]);
        this.#encode(planes, rate, timestamp, capturedUs);
      }
    } catch (thrown) {
      this.#broken(thrown);
    }
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #encode(planes: Float32Array<ArrayBuffer>, sampleRate: number, timestamp: number, capturedUs: number): void {
    const encoder = this.#ready(sampleRate);
    if (encoder.encodeQueueSize > QUEUE) {
      this.#sent.dropped += 1;
      return;
    }
    const data = new AudioData({
      format: "f32-planar",
      sampleRate,
      numberOfChannels: this.#channels,
      numberOfFrames: planes.length / this.#channels,
      timestamp,
      data: planes,
    });
    this.#positions ??= new Positions(sampleRate, timestamp);
    this.#positions.add(data.numberOfFrames, capturedUs);
    encoder.encode(data);
    data.close();
  }

  #ready(sampleRate: number): AudioEncoder {
    if (this.#encoder?.state === "configured" && this.#rate === sampleRate) {
      return this.#encoder;
    }
    this.#drop();
    const encoder = new AudioEncoder({
      output: (chunk) => {
        if (this.#encoder === encoder) {
          this.#encoded(chunk);
        }
      },
      error: (thrown) => {
        if (this.#encoder === encoder) {
          this.#broken(thrown);
        }
      },
    });
    this.#encoder = encoder;
    this.#rate = sampleRate;
    encoder.configure({
      codec: "opus",
      sampleRate,
      numberOfChannels: this.#channels,
      bitrate: this.#bitrate,
      // Every frame as long as the others: lengths of a variable rate tell phrases.
      bitrateMode: "constant",
      opus: {
        frameDuration: FRAME_US,
        // What is lost of a voice is inside of the next frame again, coarsely, for decoders that look there.
        useinbandfec: true,
        packetlossperc: 5,
        usedtx: false,
        complexity: 5,
        application: this.#channels === 1 ? "voip" : "audio",
        signal: this.#channels === 1 ? "voice" : "music",
      } as OpusEncoderConfig,
    });
    return encoder;
  }

  #encoded(chunk: EncodedAudioChunk): void {
    const bytes = new Uint8Array(chunk.byteLength);
    chunk.copyTo(bytes);
    this.#sent.frames += 1;
    this.#sent.bytes += bytes.length;
    this.#out.write(bytes, this.#positions?.captured(chunk.timestamp) ?? this.#clock.map(chunk.timestamp), true, 0);
  }

  #drop(): void {
    if (this.#encoder !== undefined && this.#encoder.state !== "closed") {
      this.#encoder.close();
    }
    this.#encoder = undefined;
    this.#positions = undefined;
  }

  #broken(thrown: unknown): void {
    const now = performance.now();
    this.#failures = now - this.#failedAt < RETRY_MS ? this.#failures + 1 : 1;
    this.#failedAt = now;
    this.#sent.encodeErrors += 1;
    this.#drop();
    if (this.#failures > RETRIES && !this.#closed) {
      this.#closed = true;
      this.#out.fail(`This browser cannot encode the sound: ${words(thrown)}`);
    }
  }
}

/** The samples of `data` as so many planes, one after the other: the mean of all of them for one. */
function mixed(data: AudioData, channels: number): Float32Array<ArrayBuffer> {
  const planes = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
    const plane = new Float32Array(data.numberOfFrames);
    data.copyTo(plane, { planeIndex, format: "f32-planar" });
    return plane;
  });
  const first = planes[0] ?? new Float32Array(0);
  if (channels === 2) {
    return joined([first, planes[1] ?? first]);
  }
  if (planes.length < 2) {
    return first;
  }
  const mono = new Float32Array(first.length);
  for (const plane of planes) {
    for (let at = 0; at < mono.length; at += 1) {
      mono[at] = (mono[at] ?? 0) + (plane[at] ?? 0) / planes.length;
    }
  }
  return mono;
}

function joined(planes: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(planes.reduce((sum, plane) => sum + plane.length, 0));
  let at = 0;
  for (const plane of planes) {
    all.set(plane, at);
    at += plane.length;
  }
  return all;
}
