// Looks at canvases of the page as a person would: at each turn of the screen.
"use strict";

(() => {
  const test = globalThis.conclaveTest;
  const eyes = new Map();

  const lookOnce = (eye, now) => {
    const canvas = eye.find();
    if (!canvas?.width || !canvas.height) return;
    if (eye.kind === "barcode") {
      const seen = test.read(eye.context, canvas);
      if (seen.number === undefined || seen.clock === undefined) {
        eye.unreadable += 1;
      } else if (seen.clock !== eye.last) {
        eye.last = seen.clock;
        eye.seen.push([now, seen.number, test.since(seen.clock, Date.now()), seen.who, seen.clock]);
      }
    } else {
      eye.context.drawImage(canvas, 0, 0, 32, 18);
      const pixels = eye.context.getImageData(0, 0, 32, 18).data;
      let sum = 0;
      for (let at = 0; at < pixels.length; at += 1) sum = (sum * 31 + pixels[at]) | 0;
      if (sum !== eye.last) {
        eye.last = sum;
        eye.seen.push([now]);
      }
    }
  };

  const turn = (now) => {
    for (const eye of eyes.values()) lookOnce(eye, now);
    if (eyes.size > 0) requestAnimationFrame(turn);
  };

  // Begins to look at the canvas of this selector; `kind` is `barcode`, or `change` for pictures that are not ours.
  test.watch = (name, selector, kind) => {
    const isFirst = eyes.size === 0;
    const find = () => document.querySelector(selector);
    eyes.set(name, { find, kind, context: test.reader(), seen: [], unreadable: 0, last: undefined });
    if (isFirst) requestAnimationFrame(turn);
  };

  // What was seen so far: for a barcode [when, number, age, who, burnt-in clock], for a change [when]; in ms.
  test.seen = (name) => {
    const { seen, unreadable } = eyes.get(name) ?? { seen: [], unreadable: 0 };
    return { seen, unreadable };
  };

  test.blink = (name) => eyes.delete(name);
})();
