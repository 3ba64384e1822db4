// The cells that stand in the test camera's pictures, and how to write and read them. Runs inside a page, before the page's own
// scripts; the picture's number is drawn by `deploy/xtask/src/browser/fakes.rs`, the rest here.
//
//   row at the top, 20 cells:     8 bits of the picture's number, 2 of parity, 2 free, 4 bits who stamped it, 4 free
//   row at y = 160, 20 cells:     18 bits of the clock in milliseconds, 2 of parity
//
// White is 1. Parity is of the bits at even places, turned round, and of those at odd places: neither black nor white is a number.
"use strict";

globalThis.conclaveTest = (() => {
  const CELL = 16;
  const WIDTH = 320;
  const HEIGHT = 180;
  const CLOCK_ROW = 160;
  const CLOCK_BITS = 18;
  const NUMBER_BITS = 8;
  const WHO_CELL = 12;
  const WHO_BITS = 4;

  const bitsOf = (value, count) => Array.from({ length: count }, (_, place) => (value >> (count - 1 - place)) & 1);

  const parity = (bits) => {
    const sums = [1, 0];
    bits.forEach((bit, place) => { sums[place % 2] ^= bit; });
    return sums;
  };

  const numberIn = (bits) => bits.reduce((value, bit) => value * 2 + bit, 0);

  // Writes the clock and who we are into a picture of 320 x 180.
  const stamp = (context, who, clock) => {
    const cell = (x, y, bit) => {
      context.fillStyle = bit ? "#fff" : "#000";
      context.fillRect(x * CELL, y, CELL, CELL);
    };
    bitsOf(who, WHO_BITS).forEach((bit, place) => cell(WHO_CELL + place, 0, bit));
    const bits = bitsOf(clock % (1 << CLOCK_BITS), CLOCK_BITS);
    [...bits, ...parity(bits)].forEach((bit, place) => cell(place, CLOCK_ROW, bit));
  };

  // Reads a row of 20 cells out of 320 x 16 pixels; the middle of each cell is asked.
  const row = (pixels) => Array.from({ length: WIDTH / CELL }, (_, cell) => {
    let sum = 0;
    for (let y = 5; y < 11; y += 1) {
      for (let x = 5; x < 11; x += 1) sum += pixels[(y * WIDTH + cell * CELL + x) * 4 + 1];
    }
    return sum / 36 > 128 ? 1 : 0;
  });

  // `undefined` when the parity does not fit.
  const checked = (bits, count) => {
    const value = bits.slice(0, count);
    const [even, odd] = parity(value);
    return bits[count] === even && bits[count + 1] === odd ? numberIn(value) : undefined;
  };

  // What stands in the two rows: the number, the clock and who stamped them; each may be missing.
  const read = (context, picture) => {
    // Sources of any size: a tile may show the picture larger than it was captured.
    const [width, height] = [picture.width ?? picture.displayWidth, picture.height ?? picture.displayHeight];
    const [fromX, fromY] = [width / WIDTH, height / HEIGHT];
    context.drawImage(picture, 0, 0, width, CELL * fromY, 0, 0, WIDTH, CELL);
    context.drawImage(picture, 0, CLOCK_ROW * fromY, width, CELL * fromY, 0, CELL, WIDTH, CELL);
    const pixels = context.getImageData(0, 0, WIDTH, 2 * CELL).data;
    const top = row(pixels.subarray(0, WIDTH * CELL * 4));
    const bottom = row(pixels.subarray(WIDTH * CELL * 4));
    return {
      number: checked(top, NUMBER_BITS),
      clock: checked(bottom, CLOCK_BITS),
      who: numberIn(top.slice(WHO_CELL, WHO_CELL + WHO_BITS)),
    };
  };

  // How long ago a clock of a few bits was read; up to four minutes.
  const since = (clock, now) => (((now - clock) % (1 << CLOCK_BITS)) + (1 << CLOCK_BITS)) % (1 << CLOCK_BITS);

  const reader = () => {
    const canvas = new OffscreenCanvas(WIDTH, 2 * CELL);
    return canvas.getContext("2d", { willReadFrequently: true });
  };

  return { WIDTH, HEIGHT, stamp, read, since, reader };
})();
