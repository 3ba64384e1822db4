/**
 * How much of a picture track is sent. When the encoder or the uplink does not keep up, fewer and cheaper pictures; when
 * it does for a while, slowly more again. Sound is never touched: a voice costs a twentieth of a picture.
 */

/** One step: parts of the full frame rate, of the full bitrate and of the full width and height. */
interface Step {
  readonly rate: number;
  readonly bits: number;
  readonly scale: number;
}

/**
 * Best first. Fewer bits before fewer pictures, since movement is what a face is read by; smaller pictures soon, since
 * they are what helps a slow machine, and with few bits they look better than large ones.
 */
const STEPS: readonly [Step, ...Step[]] = [
  { rate: 1, bits: 1, scale: 1 },
  { rate: 1, bits: 0.7, scale: 1 },
  { rate: 1, bits: 0.5, scale: 0.75 },
  { rate: 2 / 3, bits: 0.35, scale: 0.5 },
  { rate: 0.5, bits: 0.2, scale: 0.5 },
  { rate: 1 / 3, bits: 0.12, scale: 0.5 },
];

/** Time between two steps down, in milliseconds: what the last one changed must be seen first. */
const DOWN_MS = 700;

/** Time without trouble before a step up, in milliseconds; doubled, up to the most, when it was too early. */
const UP_MS = 4_000;
const UP_MOST_MS = 60_000;

/** A step up is called too early when trouble comes within this time after it, in milliseconds. */
const EARLY_MS = 5_000;

/** Where one encoder stands. Pure: time comes in, in milliseconds. */
export class Adapt {
  #step = 0;
  #trouble = -Infinity;
  #moved = -Infinity;
  #raised = -Infinity;
  #patience = UP_MS;

  /** The encoder starves, or the uplink is full. True when there is a new step to apply. */
  suffer(now: number): boolean {
    this.#trouble = now;
    if (now - this.#moved < DOWN_MS || this.#step === STEPS.length - 1) {
      return false;
    }
    if (now - this.#raised < EARLY_MS) {
      this.#patience = Math.min(this.#patience * 2, UP_MOST_MS);
      this.#raised = -Infinity;
    }
    this.#step += 1;
    this.#moved = now;
    return true;
  }

  /** Nothing is wrong at `now`. True when there is a new step to apply. */
  thrive(now: number): boolean {
    if (this.#step === 0 || now - Math.max(this.#trouble, this.#moved) < this.#patience) {
      return false;
    }
    this.#step -= 1;
    this.#moved = now;
    this.#raised = now;
    if (this.#step === 0) {
      this.#patience = UP_MS;
    }
    return true;
  }

  /** Part of the full frame rate, 0 to 1. */
  get rate(): number {
    return (STEPS[this.#step] ?? STEPS[0]).rate;
  }

  /** Part of the full width and height, 0 to 1. */
  get scale(): number {
    return (STEPS[this.#step] ?? STEPS[0]).scale;
  }

  /** Part of the full bitrate, 0 to 1. */
  get bits(): number {
    return (STEPS[this.#step] ?? STEPS[0]).bits;
  }
}
