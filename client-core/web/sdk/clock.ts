/** From a device's own time line to the clock that everybody shares. */

/** How long a least delay counts, in milliseconds: devices drift by less than a millisecond in that time. */
const WINDOW_MS = 10_000;

/**
 * Captured frames carry microseconds of a line of their own. How far it is from unix time is seen at arrival: the frame
 * that waited least shows it best, so the smallest difference of the last ten to twenty seconds is taken.
 */
export class CaptureClock {
  #least = Infinity;
  #younger = Infinity;
  #turned = 0;

  /** A frame with `timestamp` (µs) is seen at `now` (ms); answers when it was captured, in unix microseconds. */
  seen(timestamp: number, now = performance.now()): number {
    const difference = (performance.timeOrigin + now) * 1000 - timestamp;
    if (now - this.#turned > WINDOW_MS) {
      this.#turned = now;
      this.#least = this.#younger;
      this.#younger = Infinity;
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
