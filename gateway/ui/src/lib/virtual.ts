// Which rows of a long list are on screen. Pure.
//
// Browsers do not lay out elements taller than some 17 to 33 million pixels: beyond `TALLEST` the
// scroll bar's way is shorter than the list, and positions are scaled.

export const TALLEST = 8_000_000;

export interface Viewport {
  /** Rows in the list, and the height of each in pixels. */
  rows: number;
  rowHeight: number;
  /** Of the scrolling element. */
  scrollTop: number;
  height: number;
  /** Rows drawn beyond each edge. */
  overscan?: number;
}

export interface Slice {
  /** First row drawn, and the one behind the last. */
  start: number;
  end: number;
  /** Pixels from the top of the content to the first row drawn. */
  offset: number;
  /** Height of the content in pixels. */
  total: number;
  /** First row in sight. */
  top: number;
}

export function slice({ rows, rowHeight, scrollTop, height, overscan = 8 }: Viewport): Slice {
  const full = rows * rowHeight;
  const total = Math.min(full, TALLEST);
  const way = Math.max(0, total - height);
  const at = Math.min(Math.max(0, scrollTop), way);
  // Where the viewport's top is in the unscaled list.
  const real = full > total && way > 0 ? (at / way) * (full - height) : at;
  const top = Math.min(Math.floor(real / rowHeight), Math.max(0, rows - 1));
  const start = Math.max(0, top - overscan);
  const end = Math.min(rows, Math.ceil((real + height) / rowHeight) + overscan);
  return { start, end, offset: at - (real - start * rowHeight), total, top };
}

/** The scrollTop at which `row` is just in sight, changed as little as possible. */
export function reveal(view: Viewport, row: number): number {
  const full = view.rows * view.rowHeight;
  const total = Math.min(full, TALLEST);
  const way = Math.max(0, total - view.height);
  const scale = full > total && way > 0 ? (full - view.height) / way : 1;
  const real = Math.min(view.scrollTop, way) * scale;
  const from = row * view.rowHeight;
  const to = from + view.rowHeight;
  if (from < real) return from / scale;
  if (to > real + view.height) return (to - view.height) / scale;
  return view.scrollTop;
}
