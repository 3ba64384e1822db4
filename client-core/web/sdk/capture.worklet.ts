/** Captures sound where a page cannot read frames from a track itself: blocks of 10 ms, one channel. */

import type { CapturedSound } from "./messages.js";

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(Math.round(sampleRate / 100));
  #filled = 0;

  override process(inputs: Float32Array[][]): boolean {
    const input = inputs[0]?.[0];
    for (const sample of input ?? []) {
      this.#block[this.#filled] = sample;
      this.#filled += 1;
      if (this.#filled === this.#block.length) {
        const position = currentFrame + (input?.length ?? 0) - this.#filled;
        const sound: CapturedSound = {
          samples: this.#block,
          rate: sampleRate,
          timestamp: Math.round((position * 1_000_000) / sampleRate),
        };
        this.port.postMessage(sound, [sound.samples.buffer]);
        this.#block = new Float32Array(this.#filled);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("conclave-capture", Capture);
