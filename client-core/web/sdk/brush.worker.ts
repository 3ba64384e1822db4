/** Draws pictures on canvases, and may have to wait for the page: nothing else is done here. */

import type { BrushOrder, Drawn } from "./brush.js";

interface Sheet {
  readonly canvas: OffscreenCanvas;
  readonly context: OffscreenCanvasRenderingContext2D | null;
}

const sheets = new Map<number, Sheet>();

function draw({ canvas, context }: Sheet, frame: VideoFrame): void {
  if (canvas.width !== frame.displayWidth || canvas.height !== frame.displayHeight) {
    canvas.width = frame.displayWidth;
    canvas.height = frame.displayHeight;
  }
  context?.drawImage(frame, 0, 0);
}

self.onmessage = (event: MessageEvent<BrushOrder>): void => {
  const order = event.data;
  if ("end" in order) {
    self.close();
    return;
  }
  const sheet = sheets.get(order.canvas);
  if ("surface" in order) {
    sheets.set(order.canvas, { canvas: order.surface, context: order.surface.getContext("2d", { alpha: false }) });
  } else if ("frame" in order) {
    if (sheet !== undefined) {
      draw(sheet, order.frame);
    }
    order.frame.close();
    const drawn: Drawn = { drawn: order.canvas };
    self.postMessage(drawn);
  } else if ("clear" in order) {
    sheet?.context?.fillRect(0, 0, sheet.canvas.width, sheet.canvas.height);
  } else {
    sheets.delete(order.canvas);
  }
};
