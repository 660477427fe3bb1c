// Pieces of two streams as lines in the order of arrival, the newest `MOST` of them. No DOM.

export interface LogLine {
  number: number;
  stream: string;
  text: string;
  /** When its beginning was written; empty where nobody knows. */
  time: string;
}

const MOST = 3_000;
// A line without an end is cut here.
const LONGEST = 10_000;

export class LogLines {
  all: LogLine[] = [];
  /** Lines that were there and are not kept. */
  dropped = 0;
  /** Later lines were left out for earlier ones. */
  cut = false;
  /** Grows with each change. */
  version = 0;
  private last = 0;
  private open = new Map<string, LogLine>();
  private ends = new Map<string, number>();

  /** `offset`: where the piece begins in its stream, in bytes; a piece already seen is left out. */
  add(stream: string, text: string, offset: number, time = ""): void {
    const size = new TextEncoder().encode(text).length;
    const end = this.ends.get(stream) ?? 0;
    if (size && offset + size <= end) return;
    this.ends.set(stream, offset + size);
    let from = 0;
    while (from < text.length) {
      const at = text.indexOf("\n", from);
      const piece = at < 0 ? text.slice(from) : text.slice(from, at);
      this.append(stream, piece, time);
      if (at < 0) break;
      this.open.delete(stream);
      from = at + 1;
    }
    if (this.all.length > MOST) {
      this.dropped += this.all.length - MOST;
      this.all = this.all.slice(-MOST);
    }
    this.version += 1;
  }

  /** Lines that are before all that is here. Where they are too many, the last ones are left out. */
  prepend({ all }: LogLines): void {
    const lines = all.map((line) => ({ ...line, number: line.number - all.length }));
    const shift = (this.all[0]?.number ?? 1) - 1;
    this.all = [...lines.map((line) => ({ ...line, number: line.number + shift })), ...this.all];
    if (this.all.length > MOST) {
      this.cut = true;
      this.all = this.all.slice(0, MOST);
    }
    this.version += 1;
  }

  /** No more comes: what has no line end is a line too. */
  flush(): void {
    this.open.clear();
    this.version += 1;
  }

  private append(stream: string, piece: string, time: string): void {
    let line = this.open.get(stream);
    if (line) line.text = (line.text + piece).slice(0, LONGEST);
    else {
      line = { number: (this.last += 1), stream, text: piece.slice(0, LONGEST), time };
      this.open.set(stream, line);
      this.all.push(line);
    }
  }
}
