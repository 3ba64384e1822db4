/** Sound of one track that is received: frames of Opus in, samples to the player out. Never drops for pictures' sake. */

import type { SoundItem } from "./core.js";
import type { Received } from "./counters.js";
import type { ToPlayer } from "./messages.js";

/** The player's rate. */
const RATE = 48_000;

/** Frames that may wait in the decoder: two seconds. It decodes a hundred times faster than they come. */
const FLOODED = 100;

interface Inside {
  readonly lost: number;
  readonly target: number;
  readonly capturedUs: number;
}

/** Decodes one track of sound for the player. */
export class SoundDecoder {
  readonly #speaker: string;
  readonly #channels: number;
  readonly #player: MessagePort;
  readonly #received: Received;
  /** One for each frame inside of the decoder, in order: it gives one block for each. */
  readonly #inside: Inside[] = [];
  #decoder: AudioDecoder | undefined;

  /** `channels`: 1 for a voice, 2 for the sound of a screen. */
  constructor(channels: 1 | 2, player: MessagePort, received: Received) {
    this.#speaker = `${String(received.participant)} ${String(received.track)}`;
    this.#channels = channels;
    this.#player = player;
    this.#received = received;
  }

  /** Takes a frame that arrived. */
  decode(item: SoundItem): void {
    this.#received.received += 1;
    try {
      const decoder = this.#ready();
      if (decoder.decodeQueueSize > FLOODED) {
        this.#received.droppedLate += 1;
        return;
      }
      this.#inside.push({ lost: item.lost, target: item.target, capturedUs: item.capturedUs });
      decoder.decode(
        new EncodedAudioChunk({
          type: "key",
          timestamp: item.capturedUs,
          data: item.bytes as Uint8Array<ArrayBuffer>,
        }),
      );
    } catch {
      this.#broken();
    }
  }

  close(): void {
    this.#drop();
    this.#post({ to: "forget", speaker: this.#speaker });
  }

  #ready(): AudioDecoder {
    if (this.#decoder?.state === "configured") {
      return this.#decoder;
    }
    const decoder = new AudioDecoder({
      output: (data) => {
        if (this.#decoder === decoder) {
          this.#decoded(data);
        }
        data.close();
      },
      error: () => {
        if (this.#decoder === decoder) {
          this.#broken();
        }
      },
    });
    this.#decoder = decoder;
    decoder.configure({ codec: "opus", sampleRate: RATE, numberOfChannels: this.#channels });
    return decoder;
  }

  #decoded(data: AudioData): void {
    const inside = this.#inside.shift();
    if (inside === undefined || data.numberOfFrames === 0) {
      return;
    }
    const planes = Array.from({ length: Math.min(data.numberOfChannels, 2) }, (_, planeIndex) => {
      const plane = new Float32Array(data.numberOfFrames);
      data.copyTo(plane, { planeIndex, format: "f32-planar" });
      return plane;
    });
    this.#received.show(inside.capturedUs);
    const { participant } = this.#received;
    this.#post(
      { to: "play", speaker: this.#speaker, participant, planes, lost: inside.lost, target: inside.target },
      planes.map((plane) => plane.buffer),
    );
  }

  #post(order: ToPlayer, transfer: Transferable[] = []): void {
    this.#player.postMessage(order, transfer);
  }

  #broken(): void {
    this.#received.decodeErrors += 1;
    this.#drop();
  }

  #drop(): void {
    if (this.#decoder !== undefined && this.#decoder.state !== "closed") {
      this.#decoder.close();
    }
    this.#decoder = undefined;
    this.#inside.length = 0;
  }
}
