/** From a device's own time line to the clock that everybody shares. */

/** How long a least delay counts, in milliseconds: devices drift by less than a millisecond in that time. */
const WINDOW_MS = 10_000;

/**
 * So many frames in a row that seem this late, in milliseconds, are not late: the device's line has jumped. Some do so
 * when they begin, by seconds. A frame that was merely read late is followed by one that was less so.
 */
const JUMP_MS = 250;
const JUMP_FRAMES = 10;

/**
 * Captured frames carry microseconds of a line of their own. How far it is from unix time is seen at arrival: the frame
 * that waited least shows it best, so the smallest difference of the last ten to twenty seconds is taken.
 */
export class CaptureClock {
  #least = Infinity;
  #younger = Infinity;
  #turned = 0;
  #late = 0;
  #leastLate = Infinity;

  /** A frame with `timestamp` (µs) is seen at `now` (ms); answers when it was captured, in unix microseconds. */
  seen(timestamp: number, now = performance.now()): number {
    const difference = (performance.timeOrigin + now) * 1000 - timestamp;
    if (now - this.#turned > WINDOW_MS) {
      this.#turned = now;
      this.#least = this.#younger;
      this.#younger = Infinity;
    }
    if (difference < this.#least + JUMP_MS * 1000 || this.#least === Infinity) {
      this.#late = 0;
      this.#leastLate = Infinity;
    } else {
      this.#late += 1;
      this.#leastLate = Math.min(this.#leastLate, difference);
      if (this.#late === JUMP_FRAMES) {
        this.#least = this.#leastLate;
        this.#younger = this.#leastLate;
        this.#late = 0;
        this.#leastLate = Infinity;
      }
    }
    this.#younger = Math.min(this.#younger, difference);
    this.#least = Math.min(this.#least, this.#younger);
    return this.map(timestamp);
  }

  /** When something of the same line was captured, by what is known so far; in unix microseconds. */
  map(timestamp: number): number {
    return Math.round(timestamp + this.#least);
  }
}
