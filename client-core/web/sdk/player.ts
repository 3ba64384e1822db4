/** The page's side of the loudspeaker: one audio context, one worklet that mixes every speaker. */

import { RoomError, words } from "./errors.js";
import type { PlayerOrder, Speaking } from "./messages.js";

/** Opus decodes to this rate; a context of another would resample once more. */
const RATE = 48_000;

/**
 * Plays to the context's destination, the one place where the browser's echo canceller looks: sound played in any
 * other way could come back to the speakers through this microphone.
 */
export class Player {
  /** Resolves when the worklet is there; rejects with a `RoomError`. */
  readonly loaded: Promise<void>;
  /** Resolves when sound really plays. */
  readonly playing: Promise<void>;
  /** Told whose voice is heard, whenever that changes. */
  speaking: (participants: readonly number[]) => void = () => undefined;
  readonly #context: AudioContext;
  #node: AudioWorkletNode | undefined;
  readonly #early: { order: PlayerOrder; transfer: Transferable[] }[] = [];

  constructor(playerUrl: string | URL | undefined) {
    this.#context = context();
    this.playing = new Promise((resolve) => {
      const look = (): void => {
        if (this.#context.state === "running") {
          this.#context.removeEventListener("statechange", look);
          resolve();
        }
      };
      this.#context.addEventListener("statechange", look);
      look();
    });
    this.loaded = this.#load(playerUrl);
  }

  /** A port on which the worker sends sound; to be transferred to it. */
  connect(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#order({ order: "listen", port: port1 }, [port1]);
    return port2;
  }

  setVolume(participant: number, volume: number): void {
    this.#order({ order: "volume", participant, volume }, []);
  }

  /** Starts the sound; works in a handler of a click. */
  async resume(): Promise<void> {
    if (this.#context.state !== "closed") {
      await this.#context.resume();
    }
  }

  close(): void {
    this.#node?.disconnect();
    if (this.#context.state !== "closed") {
      void this.#context.close();
    }
  }

  async #load(playerUrl: string | URL | undefined): Promise<void> {
    try {
      await this.#context.audioWorklet.addModule(playerUrl ?? new URL("./player.worklet.js", import.meta.url));
      const node = new AudioWorkletNode(this.#context, "conclave-player", {
        numberOfInputs: 0,
        outputChannelCount: [2],
      });
      node.connect(this.#context.destination);
      node.port.onmessage = (event: MessageEvent<Speaking>) => this.speaking(event.data.speaking);
      this.#node = node;
    } catch (thrown) {
      throw new RoomError("browser", `This browser cannot play the sound of a call: ${words(thrown)}`);
    }
    for (const { order, transfer } of this.#early.splice(0)) {
      this.#node.port.postMessage(order, transfer);
    }
  }

  #order(order: PlayerOrder, transfer: Transferable[]): void {
    if (this.#node === undefined) {
      this.#early.push({ order, transfer });
    } else {
      this.#node.port.postMessage(order, transfer);
    }
  }
}

function context(): AudioContext {
  if (typeof AudioContext === "undefined" || typeof AudioWorkletNode === "undefined") {
    throw new RoomError("browser", "This browser cannot play the sound of a call. Use a current one, over https.");
  }
  return new AudioContext({ latencyHint: "interactive", sampleRate: RATE });
}
