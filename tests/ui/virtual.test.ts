import { reveal, slice, TALLEST } from "@ui/lib/virtual";

const view = { rowHeight: 36, height: 720, overscan: 0 };

test("a short list is drawn as it is", () => {
  expect(slice({ ...view, rows: 10, scrollTop: 0 })).toEqual({
    start: 0, end: 10, offset: 0, total: 360, top: 0,
  });
  expect(slice({ ...view, rows: 0, scrollTop: 0 })).toMatchObject({ start: 0, end: 0, total: 0 });
});

test("the rows drawn cover the viewport, wherever it is", () => {
  for (const rows of [1_000, 100_000, 1_000_000]) {
    const total = slice({ ...view, rows, scrollTop: 0 }).total;
    expect(total).toBeLessThanOrEqual(TALLEST);
    for (let step = 0; step <= 20; step += 1) {
      const scrollTop = ((total - view.height) * step) / 20;
      const { start, end, offset } = slice({ ...view, rows, scrollTop });
      expect(offset).toBeLessThanOrEqual(scrollTop + 1e-6);
      expect(offset + (end - start) * 36).toBeGreaterThanOrEqual(scrollTop + view.height - 1e-6);
      expect(end - start).toBeLessThanOrEqual(22);
    }
  }
});

test("the last of a million rows can be reached", () => {
  const rows = 1_000_000;
  const { total } = slice({ ...view, rows, scrollTop: 0 });
  expect(slice({ ...view, rows, scrollTop: total - view.height }).end).toBe(rows);
});

test("a row that is revealed is in sight, and one in sight moves nothing", () => {
  for (const rows of [500, 1_000_000]) {
    for (const row of [0, 1, 250, rows - 1]) {
      const scrollTop = reveal({ ...view, rows, scrollTop: 5_000 }, row);
      const { start, end } = slice({ ...view, rows, scrollTop });
      expect(row).toBeGreaterThanOrEqual(start);
      expect(row).toBeLessThan(end);
    }
  }
  expect(reveal({ ...view, rows: 500, scrollTop: 720 }, 25)).toBe(720);
});
