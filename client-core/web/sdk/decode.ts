/** Pictures of one track that is received: encoded frames in, pictures to paint out. Late ones are dropped, never waited for. */

import type { PictureItem } from "./core.js";
import type { Received } from "./counters.js";
import type { Painter } from "./paint.js";
import type { Codec } from "./types.js";

/** Frames waiting in the decoder at which those of upper layers, which no other frame needs, are dropped. */
const FULL = 4;

/** Frames waiting at which everything is dropped up to the next key frame: a third of a second. */
const FLOODED = 10;

/** Frames that were given to a decoder and have not come out. More are forgotten: a decoder may swallow some. */
const INSIDE = 64;

/** At most one request for a key frame in this time, in milliseconds: relays pass no more of them on. */
const ASK_MS = 500;

/**
 * When nothing has come for so long, in milliseconds, a key frame is asked for: right after somebody began to watch, since
 * the one that everybody sends when somebody comes may have passed before there was a way to here; and later, since
 * after a new way to the relay nothing comes that could be shown without one. Doubled each time, up to the most: a
 * screen on which nothing moves, or a muted camera, sends nothing either.
 */
const NOTHING_MS = 300;
const STALLED_MS = 1_500;
const STALLED_MOST_MS = 30_000;

/** Decoders that fail without having shown anything are made anew no sooner than this, in milliseconds. */
const REST_MS = 1_000;

interface Inside {
  readonly due: number;
  readonly late: boolean;
  readonly capturedUs: number;
}

/** Decodes one track of pictures for a painter. */
export class PictureDecoder {
  readonly #codec: Codec;
  readonly #painter: Painter;
  readonly #received: Received;
  readonly #askKey: () => void;
  readonly #inside = new Map<number, Inside>();
  #decoder: VideoDecoder | undefined;
  #needsKey = true;
  #askedAt = -Infinity;
  #failedAt = -Infinity;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #patience = NOTHING_MS;
  #heardAt = 0;

  constructor(codec: Codec, painter: Painter, received: Received, askKey: () => void) {
    this.#codec = codec;
    this.#painter = painter;
    this.#received = received;
    this.#askKey = askKey;
  }

  /** Someone begins to watch: a picture that stands alone is needed. */
  watched(): void {
    if (this.#needsKey && this.#received.received > 0) {
      this.#ask(performance.now());
    }
    this.#patience = NOTHING_MS;
    this.#heardAt = performance.now();
    this.#watch();
  }

  /** Nobody watches: what is missed from here on makes the next key frame the first one of use. */
  unwatched(): void {
    clearTimeout(this.#watchdog);
    this.#drop();
  }

  /** Takes a frame that arrived. */
  decode(item: PictureItem): void {
    this.#received.received += 1;
    if (!this.#painter.watched) {
      this.#needsKey = true;
      return;
    }
    const now = performance.now();
    this.#heardAt = now;
    this.#patience = STALLED_MS;
    if (this.#needsKey && !item.key) {
      this.#received.droppedLate += 1;
      this.#ask(now);
      return;
    }
    const queued = this.#decoder?.decodeQueueSize ?? 0;
    if (queued > FULL && !item.key && (item.layer > 0 || queued > FLOODED)) {
      this.#received.droppedLate += 1;
      if (item.layer === 0) {
        this.#needsKey = true;
        this.#ask(now);
      }
      return;
    }
    this.#feed(item, now);
  }

  close(): void {
    clearTimeout(this.#watchdog);
    this.#drop();
  }

  #feed(item: PictureItem, now: number): void {
    try {
      const decoder = this.#ready(now);
      if (decoder === undefined) {
        this.#received.droppedLate += 1;
        return;
      }
      if (this.#inside.size >= INSIDE) {
        this.#inside.delete(this.#inside.keys().next().value ?? 0);
      }
      this.#inside.set(item.capturedUs, { due: item.due, late: item.late, capturedUs: item.capturedUs });
      decoder.decode(
        new EncodedVideoChunk({
          type: item.key ? "key" : "delta",
          timestamp: item.capturedUs,
          data: item.bytes as Uint8Array<ArrayBuffer>,
        }),
      );
      this.#needsKey = false;
    } catch {
      this.#broken();
    }
  }

  /** A decoder that takes frames; none for a moment after one failed. */
  #ready(now: number): VideoDecoder | undefined {
    if (this.#decoder?.state === "configured") {
      return this.#decoder;
    }
    if (now - this.#failedAt < REST_MS) {
      this.#needsKey = true;
      return undefined;
    }
    const decoder = new VideoDecoder({
      output: (frame) => {
        if (this.#decoder === decoder) {
          this.#decoded(frame);
        } else {
          frame.close();
        }
      },
      error: () => {
        if (this.#decoder === decoder) {
          this.#broken();
        }
      },
    });
    this.#decoder = decoder;
    decoder.configure({ codec: NAMES[this.#codec], optimizeForLatency: true });
    return decoder;
  }

  #decoded(frame: VideoFrame): void {
    const inside = this.#inside.get(frame.timestamp);
    this.#inside.delete(frame.timestamp);
    if (inside === undefined || inside.late || !this.#painter.watched) {
      frame.close();
      this.#received.droppedLate += 1;
      return;
    }
    this.#painter.show({ frame, due: inside.due, capturedUs: inside.capturedUs });
  }

  #broken(): void {
    this.#received.decodeErrors += 1;
    this.#drop();
    const now = performance.now();
    this.#failedAt = now;
    this.#ask(now);
  }

  /** Looks whether pictures come, as long as somebody watches. */
  #watch(): void {
    clearTimeout(this.#watchdog);
    const left = this.#heardAt + this.#patience - performance.now();
    this.#watchdog = setTimeout(() => {
      if (!this.#painter.watched) {
        return;
      }
      const now = performance.now();
      if (now - this.#heardAt >= this.#patience) {
        this.#ask(now);
        this.#heardAt = now;
        this.#patience = Math.min(Math.max(this.#patience * 2, STALLED_MS / 2), STALLED_MOST_MS);
      }
      this.#watch();
    }, Math.max(left, 1));
  }

  #drop(): void {
    if (this.#decoder !== undefined && this.#decoder.state !== "closed") {
      this.#decoder.close();
    }
    this.#decoder = undefined;
    this.#needsKey = true;
    this.#inside.clear();
  }

  #ask(now: number): void {
    if (now - this.#askedAt >= ASK_MS) {
      this.#askedAt = now;
      this.#received.keyFrameRequests += 1;
      this.#askKey();
    }
  }
}

/** What WebCodecs calls them; H.264 comes with its parameter sets inside (Annex B). */
const NAMES: Record<Codec, string> = {
  opus: "opus",
  vp8: "vp8",
  vp9: "vp09.00.10.08",
  av1: "av01.0.04M.08",
  h264: "avc1.42E01F",
};
