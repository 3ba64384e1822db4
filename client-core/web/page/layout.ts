/** Owns how tiles are laid out: as large as they fit, always 16 to 9. Pure, so that it can be tested without a page. */

/** Columns, and the width and height of a tile in pixels. */
export interface Layout {
  readonly columns: number;
  readonly width: number;
  readonly height: number;
}

/** Narrower tiles show nobody any more: the field scrolls instead. */
const NARROWEST = 132;

const RATIO = 16 / 9;

/** The largest tiles of which `count` fit into `width` by `height` pixels with `gap` pixels between them. */
export function fit(count: number, width: number, height: number, gap: number): Layout {
  let best: Layout = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(count / columns);
    const widest = (width - gap * (columns - 1)) / columns;
    const highest = (height - gap * (rows - 1)) / rows;
    const tile = Math.floor(Math.min(widest, highest * RATIO));
    if (tile > best.width) best = { columns, width: tile, height: Math.floor(tile / RATIO) };
  }
  if (best.width >= NARROWEST || count === 0) return best;
  const columns = Math.max(1, Math.floor((width + gap) / (NARROWEST + gap)));
  const tile = Math.max(1, Math.floor((width - gap * (columns - 1)) / columns));
  return { columns, width: tile, height: Math.floor(tile / RATIO) };
}
