/** Pictures on canvases, each at its time. When several are due, the newest wins. */

import type { Surface } from "./brush.js";

/** Pictures that wait for their time, per track: a third of a second. Decoders have few buffers to lend. */
const WAITING = 10;

/** A picture this close before its time is shown at once, in milliseconds: timers are not finer. */
const NEAR_MS = 2;

/** A decoded picture and when it is wanted. */
export interface Picture {
  readonly frame: VideoFrame;
  /** On the `performance.now()` line. */
  readonly due: number;
  readonly capturedUs: number;
}

/** What becomes of pictures. */
export interface Painted {
  /** A picture is on its way to a canvas. `sized` when it is the first, or its size differs from the one before. */
  shown(picture: Picture, sized: boolean): void;
  /** A picture was not drawn: a newer one was due as well, or the canvas is behind. */
  overtaken(): void;
}

/** Shows the pictures of one track on every canvas that is given for it. */
export class Painter {
  readonly #surfaces = new Map<number, Surface>();
  readonly #painted: Painted;
  #waiting: Picture[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #size = "";

  constructor(painted: Painted) {
    this.#painted = painted;
  }

  get watched(): boolean {
    return this.#surfaces.size > 0;
  }

  add(canvas: number, surface: Surface): void {
    this.#surfaces.set(canvas, surface);
    this.#size = "";
  }

  /** Takes a canvas away; it goes black. */
  remove(canvas: number): void {
    this.#surfaces.get(canvas)?.clear();
    this.#surfaces.delete(canvas);
    if (!this.watched) {
      this.#forget();
    }
  }

  /** Takes a picture, which is closed here in the end. */
  show(picture: Picture): void {
    this.#waiting.push(picture);
    if (this.#waiting.length > WAITING) {
      this.#waiting.shift()?.frame.close();
      this.#painted.overtaken();
    }
    this.#arm();
  }

  /** The numbers of all canvases, which are free again; nothing is shown any more. */
  close(): number[] {
    const all = [...this.#surfaces.keys()];
    for (const canvas of all) {
      this.remove(canvas);
    }
    this.#forget();
    return all;
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { frame } of this.#waiting.splice(0)) {
      frame.close();
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const next = this.#waiting[0];
    if (next === undefined) {
      return;
    }
    const left = next.due - performance.now();
    if (left <= NEAR_MS) {
      this.#draw();
    } else {
      this.#timer = setTimeout(() => this.#draw(), left);
    }
  }

  #draw(): void {
    const until = performance.now() + NEAR_MS;
    let newest: Picture | undefined;
    while (this.#waiting[0] !== undefined && this.#waiting[0].due <= until) {
      if (newest !== undefined) {
        newest.frame.close();
        this.#painted.overtaken();
      }
      newest = this.#waiting.shift();
    }
    if (newest !== undefined) {
      const { frame } = newest;
      const drawn = [...this.#surfaces.values()].filter((surface) => surface.draw(frame));
      if (drawn.length > 0) {
        const size = `${String(frame.displayWidth)}x${String(frame.displayHeight)}`;
        const sized = size !== this.#size;
        this.#size = size;
        this.#painted.shown(newest, sized);
      } else {
        this.#painted.overtaken();
      }
      frame.close();
    }
    this.#arm();
  }
}
