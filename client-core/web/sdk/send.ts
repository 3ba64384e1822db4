/** Everything that is published: a source and an encoder for each track. */

import { Sent } from "./counters.js";
import { PictureEncoder, type Encoded } from "./encode.js";
import { SoundEncoder } from "./encode-sound.js";
import type { PublishOrder } from "./messages.js";
import { readSource } from "./sources.js";
import type { SendStats } from "./types.js";

/** What this part tells. */
export interface Sender {
  write(local: number, bytes: Uint8Array, capturedUs: number, key: boolean, layer: number): void;
  /** How long bytes wait for the network now, in milliseconds. */
  fullMs(): number;
  /** A track is over by itself; `text` is a sentence. */
  over(local: number, text: string): void;
}

interface Outgoing {
  readonly sent: Sent;
  readonly sound?: SoundEncoder;
  readonly picture?: PictureEncoder;
  readonly stop: () => void;
}

/** All tracks of this participant. */
export class Outgoings {
  readonly #sender: Sender;
  readonly #tracks = new Map<number, Outgoing>();

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  add(order: PublishOrder): void {
    const { local, kind } = order;
    const sent = new Sent(local, kind);
    const out: Encoded = {
      write: (bytes, capturedUs, key, layer) => this.#sender.write(local, bytes, capturedUs, key, layer),
      fail: (text) => this.#sender.over(local, text),
    };
    const sounds = kind === "microphone" || kind === "screen-audio";
    const sound = sounds ? new SoundEncoder(kind === "microphone" ? 1 : 2, order.bitrate, out, sent) : undefined;
    const picture = sounds ? undefined : new PictureEncoder(order, out, sent);
    const stop = readSource(order.source, {
      picture: (frame) => (picture === undefined ? frame.close() : picture.capture(frame, this.#sender.fullMs())),
      sound: (data) => (sound === undefined ? data.close() : sound.capture(data)),
      samples: (samples, rate, timestamp) => sound?.captureSamples(samples, rate, timestamp),
      ended: (text) => this.#sender.over(local, text),
    });
    this.#tracks.set(local, { sent, stop, ...(sound && { sound }), ...(picture && { picture }) });
  }

  /** Ends a track; false when there is none of that number. */
  remove(local: number): boolean {
    const outgoing = this.#tracks.get(local);
    outgoing?.stop();
    outgoing?.sound?.close();
    outgoing?.picture?.close();
    return this.#tracks.delete(local);
  }

  mute(local: number, muted: boolean): void {
    this.#tracks.get(local)?.sound?.mute(muted);
    this.#tracks.get(local)?.picture?.mute(muted);
  }

  keyFrame(local: number): void {
    this.#tracks.get(local)?.picture?.keyFrame();
  }

  stats(): SendStats[] {
    return [...this.#tracks.values()].map(({ sent }) => sent.read());
  }

  close(): void {
    for (const local of [...this.#tracks.keys()]) {
      this.remove(local);
    }
  }
}
