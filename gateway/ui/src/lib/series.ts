// Samples over time in columns, as uPlot wants them, for the last `KEEP` seconds. Pure.

export const KEEP = 900;

export type Row = Readonly<Record<string, number | null>>;

/** Columns of equal length; a column that a sample lacks has null there. */
export class Series {
  times: number[] = [];
  private columns = new Map<string, (number | null)[]>();

  /** Adds a sample at `time` (seconds); one that is not newer than the last replaces it. */
  add(time: number, row: Row): void {
    const last = this.times.length - 1;
    if (last >= 0 && time <= this.times[last]!) {
      for (const [name, value] of Object.entries(row)) this.column(name)[last] = value;
      return;
    }
    this.times.push(time);
    for (const name of Object.keys(row)) this.column(name);
    for (const [name, values] of this.columns) values[this.times.length - 1] = row[name] ?? null;
    const first = this.times.findIndex((at) => at >= time - KEEP);
    if (first > 0) {
      this.times.splice(0, first);
      for (const values of this.columns.values()) values.splice(0, first);
    }
  }

  /** The samples of a column, one for each of `times`. */
  column(name: string): (number | null)[] {
    let values = this.columns.get(name);
    if (!values) {
      values = this.times.map(() => null);
      this.columns.set(name, values);
    }
    return values;
  }

  /** Columns whose names begin so. */
  names(prefix: string): string[] {
    return [...this.columns.keys()].filter((name) => name.startsWith(prefix));
  }

  toJSON(): unknown {
    return { times: this.times, columns: [...this.columns] };
  }

  /** What `toJSON` wrote; empty when it is older than `KEEP` at `now`, or not ours. */
  static from(text: string | null, now: number): Series {
    const series = new Series();
    if (!text) return series;
    try {
      const { times, columns } = JSON.parse(text);
      if (times.at(-1) > now - KEEP) {
        series.times = times;
        series.columns = new Map(columns);
        // A line must not be drawn across the time that nobody looked.
        series.add(times.at(-1) + 0.001, {});
      }
    } catch {
      return new Series();
    }
    return series;
  }
}

/** Change per second of a counter over the last `seconds`. */
export class Meter {
  private seen: { at: number; value: number }[] = [];

  constructor(private readonly seconds = 5) {}

  /** Tells the counter's value at `at` (seconds); returns the rate. A counter that fell began anew. */
  add(at: number, value: number): number {
    const last = this.seen.at(-1);
    if (last && value < last.value) this.seen = [];
    if (!last || at > last.at) this.seen.push({ at, value });
    while (this.seen.length > 2 && this.seen[1]!.at <= at - this.seconds) this.seen.shift();
    return this.rate(at);
  }

  /** Change per second until `at`. */
  rate(at: number): number {
    const first = this.seen[0];
    const last = this.seen.at(-1);
    if (!first || !last || last.at <= first.at) return 0;
    return (last.value - first.value) / Math.max(at - first.at, 1e-3);
  }
}
