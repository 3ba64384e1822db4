/** When each sample that went into an encoder was captured: encoders count samples, and know nothing of gaps and bursts. */

/** Blocks that are remembered: ten times what an encoder may hold. More are forgotten, oldest first. */
const BLOCKS = 1_024;

interface Block {
  /** Position of the first sample since the encoder began. */
  readonly start: number;
  readonly length: number;
  readonly capturedUs: number;
}

/** The time line of one encoder. */
export class Positions {
  readonly #rate: number;
  readonly #base: number;
  #blocks: Block[] = [];
  #written = 0;

  /** `rate` in Hz; `base`: the timestamp of the first block, in microseconds, from which the encoder counts. */
  constructor(rate: number, base: number) {
    this.#rate = rate;
    this.#base = base;
  }

  /** A block of samples goes in, whose first one was captured at `capturedUs`. */
  add(length: number, capturedUs: number): void {
    this.#blocks.push({ start: this.#written, length, capturedUs });
    this.#written += length;
    if (this.#blocks.length > BLOCKS) {
      this.#blocks.shift();
    }
  }

  /** When the sample was captured that came out with `timestamp`; asked in order. Microseconds, as they were given. */
  captured(timestamp: number): number {
    const position = ((timestamp - this.#base) * this.#rate) / 1_000_000;
    while (this.#blocks.length > 1 && position >= (this.#blocks[0]?.start ?? 0) + (this.#blocks[0]?.length ?? 0)) {
      this.#blocks.shift();
    }
    const block = this.#blocks[0];
    return block === undefined
      ? timestamp
      : Math.round(block.capturedUs + ((position - block.start) * 1_000_000) / this.#rate);
  }
}
