/** Everything that is received: a decoder for each track, and the canvases they are shown on. */

import { Brush, Surface } from "./brush.js";
import type { PictureItem, SoundItem } from "./core.js";
import { Received } from "./counters.js";
import { SoundDecoder } from "./decode-sound.js";
import { PictureDecoder } from "./decode.js";
import { Painter } from "./paint.js";
import type { Track, TrackStats } from "./types.js";

/** What this part tells. */
export interface Receiver {
  askKey(participant: number, track: bigint): void;
  shown(participant: number, track: bigint, width: number, height: number): void;
}

interface Incoming {
  readonly received: Received;
  readonly sound?: SoundDecoder;
  readonly picture?: PictureDecoder;
}

/** All tracks of the others. */
export class Incomings {
  readonly #player: MessagePort;
  readonly #receiver: Receiver;
  readonly #tracks = new Map<string, Incoming>();
  readonly #painters = new Map<string, Painter>();
  readonly #surfaces = new Map<number, Surface>();
  /** Made with the first canvas. */
  #brush: Brush | undefined;

  constructor(player: MessagePort, receiver: Receiver) {
    this.#player = player;
    this.#receiver = receiver;
  }

  add(track: Track): void {
    const key = name(track);
    if (this.#tracks.has(key)) {
      return;
    }
    const received = new Received(track.participant, track.track, track.kind);
    if (track.kind === "microphone" || track.kind === "screen-audio") {
      const channels = track.kind === "microphone" ? 1 : 2;
      this.#tracks.set(key, { received, sound: new SoundDecoder(channels, this.#player, received) });
      return;
    }
    const painter = this.#painter(track.participant, track.track);
    const picture = new PictureDecoder(track.codec, painter, received, () => {
      this.#receiver.askKey(track.participant, track.track);
    });
    this.#tracks.set(key, { received, picture });
    if (painter.watched) {
      picture.watched();
    }
  }

  /** Forgets a track. Its canvases go black and may show another. */
  remove(participant: number, track: bigint): void {
    const key = name({ participant, track });
    const incoming = this.#tracks.get(key);
    this.#tracks.delete(key);
    incoming?.sound?.close();
    incoming?.picture?.close();
    this.#painters.get(key)?.close();
    this.#painters.delete(key);
  }

  /** Only the tracks that `stay` names go on. */
  keep(stay: readonly Track[]): void {
    const names = new Set(stay.map(name));
    for (const [key, { received }] of [...this.#tracks]) {
      if (!names.has(key)) {
        this.remove(received.participant, received.track);
      }
    }
    for (const track of stay) {
      this.add(track);
    }
  }

  removeAllOf(participant: number): void {
    for (const { received } of [...this.#tracks.values()]) {
      if (received.participant === participant) {
        this.remove(participant, received.track);
      }
    }
  }

  sound(item: SoundItem): void {
    this.#tracks.get(name(item))?.sound?.decode(item);
  }

  picture(item: PictureItem): void {
    this.#tracks.get(name(item))?.picture?.decode(item);
  }

  lost(participant: number, track: bigint, count: number): void {
    const incoming = this.#tracks.get(name({ participant, track }));
    if (incoming !== undefined) {
      incoming.received.lost += count;
    }
  }

  /** Shows a track on a canvas, which may come before the track itself is known. */
  show(participant: number, track: bigint, canvas: number, surface: OffscreenCanvas | undefined): void {
    if (surface !== undefined) {
      this.#brush ??= new Brush();
      this.#brush.add(canvas, surface);
      this.#surfaces.set(canvas, new Surface(this.#brush, canvas));
    }
    const known = this.#surfaces.get(canvas);
    if (known === undefined) {
      return;
    }
    const key = name({ participant, track });
    for (const [other, painter] of this.#painters) {
      if (other !== key) {
        this.#leave(other, painter, canvas);
      }
    }
    this.#painter(participant, track).add(canvas, known);
    this.#tracks.get(key)?.picture?.watched();
  }

  hide(participant: number, track: bigint): void {
    const key = name({ participant, track });
    this.#painters.get(key)?.close();
    this.#tracks.get(key)?.picture?.unwatched();
  }

  /** The page has dropped a canvas for good. */
  discard(canvas: number): void {
    for (const [key, painter] of this.#painters) {
      this.#leave(key, painter, canvas);
    }
    this.#surfaces.delete(canvas);
    this.#brush?.discard(canvas);
  }

  stats(): TrackStats[] {
    return [...this.#tracks.values()].map(({ received }) => received.read());
  }

  close(): void {
    this.keep([]);
    this.#brush?.close();
    this.#brush = undefined;
    this.#surfaces.clear();
  }

  #leave(key: string, painter: Painter, canvas: number): void {
    const watched = painter.watched;
    painter.remove(canvas);
    if (watched && !painter.watched) {
      this.#tracks.get(key)?.picture?.unwatched();
      if (!this.#tracks.has(key)) {
        this.#painters.delete(key);
      }
    }
  }

  #painter(participant: number, track: bigint): Painter {
    const key = name({ participant, track });
    const known = this.#painters.get(key);
    if (known !== undefined) {
      return known;
    }
    const painter = new Painter({
      shown: (picture, sized) => {
        this.#tracks.get(key)?.received.show(picture.capturedUs);
        if (sized) {
          this.#receiver.shown(participant, track, picture.frame.displayWidth, picture.frame.displayHeight);
        }
      },
      overtaken: () => {
        const incoming = this.#tracks.get(key);
        if (incoming !== undefined) {
          incoming.received.droppedLate += 1;
        }
      },
    });
    this.#painters.set(key, painter);
    return painter;
  }
}

function name(of: { readonly participant: number; readonly track: bigint }): string {
  return `${String(of.participant)} ${String(of.track)}`;
}
