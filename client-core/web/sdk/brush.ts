/**
 * Canvases that another worker draws on. Where no graphics card helps, each drawing waits for the page's main thread, and so
 * does whoever draws: here it would hold up the transport, the core and the sound of a call while the page is busy.
 */

/** What the worker that draws is told. */
export type BrushOrder =
  | { readonly canvas: number; readonly surface: OffscreenCanvas }
  | { readonly canvas: number; readonly frame: VideoFrame }
  | { readonly canvas: number; readonly clear: true }
  | { readonly canvas: number; readonly discard: true }
  | { readonly end: true };

/** What it answers: a picture is on its canvas. */
export interface Drawn {
  readonly drawn: number;
}

/** Pictures under way to a canvas: one is being drawn, one is there. More would only be older, and decoders lend few. */
const UNDER_WAY = 2;

/** The worker that draws, and what is on its way there. */
export class Brush {
  readonly #worker: Worker;
  readonly #underWay = new Map<number, number>();

  constructor() {
    this.#worker = new Worker(new URL("./brush.worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<Drawn>) => {
      const { drawn } = event.data;
      const left = this.#underWay.get(drawn);
      if (left !== undefined) {
        this.#underWay.set(drawn, Math.max(0, left - 1));
      }
    };
  }

  add(canvas: number, surface: OffscreenCanvas): void {
    this.#underWay.set(canvas, 0);
    this.#order({ canvas, surface }, [surface]);
  }

  /** Draws a copy of `frame`, which stays the caller's. False: this canvas is behind, and the picture is not drawn. */
  draw(canvas: number, frame: VideoFrame): boolean {
    const underWay = this.#underWay.get(canvas);
    if (underWay === undefined || underWay >= UNDER_WAY) {
      return false;
    }
    this.#underWay.set(canvas, underWay + 1);
    const copy = frame.clone();
    this.#order({ canvas, frame: copy }, [copy]);
    return true;
  }

  /** Makes it black. */
  clear(canvas: number): void {
    this.#order({ canvas, clear: true }, []);
  }

  /** Forgets it for good. */
  discard(canvas: number): void {
    this.#underWay.delete(canvas);
    this.#order({ canvas, discard: true }, []);
  }

  /** Ends the worker when it has closed the pictures that are on their way: nobody else could. */
  close(): void {
    this.#underWay.clear();
    this.#order({ end: true }, []);
  }

  #order(order: BrushOrder, transfer: Transferable[]): void {
    this.#worker.postMessage(order, transfer);
  }
}

/** A canvas of a brush. */
export class Surface {
  readonly #brush: Brush;
  readonly #canvas: number;

  constructor(brush: Brush, canvas: number) {
    this.#brush = brush;
    this.#canvas = canvas;
  }

  draw(frame: VideoFrame): boolean {
    return this.#brush.draw(this.#canvas, frame);
  }

  clear(): void {
    this.#brush.clear(this.#canvas);
  }
}
