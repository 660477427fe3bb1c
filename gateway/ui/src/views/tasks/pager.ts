// The list of tasks behind a virtual scroll: any number of them, few in memory. No DOM here.
//
// The API lists newest first with opaque page tokens, so pages are read one behind the other; each
// page's token is kept (some 100 bytes), its rows only while they were used lately, and are read
// again when they are scrolled back to. A page of what matches a text may be short, or empty.
// New tasks come from the live subscription and go on top, or are only counted while the reader is
// further down. What it tells while a page is being read may be newer than the page: it is kept
// until the page is there, and then told again.

import type { ProgressItem, Task } from "@ui/api/types";
import { withProgress } from "@ui/lib/progress";
import { workName } from "@ui/views/task/names";

export interface Page {
  tasks?: Task[];
  nextPageToken?: string;
}
export type Fetch = (token: string, size: number, signal: AbortSignal) => Promise<Page>;

interface Loaded {
  token: string;
  size: number;
  /** Undefined: dropped, to be read again. */
  rows: Task[] | undefined;
  length: number;
  used: number;
}

const FIRST_PAGE = 100;
const PAGE = 500;
// So many are read in one go: the API looks at 100,000 tasks for one.
const PAGES_AT_ONCE = 100;
// Pages whose rows stay in memory: 20,000 tasks.
const KEPT = 40;
// New tasks on top of the first page; beyond it the list is read again.
const FRESH = 2_000;
// New tasks that are only counted; the count ends here.
const UNSEEN = 10_000;
// The API's bound of a page.
const LARGEST_PAGE = 1_000;
// Changes kept while a page is read: the newest ones.
const MEANWHILE = 5_000;
// Shorter words are not looked for in ids, as in the API.
const OF_ID = 6;

export class Pager {
  /** Rows known so far. */
  length = 0;
  /** There are no more behind the last row. */
  done = false;
  loading = false;
  failure = "";
  private fresh: Task[] = [];
  private unseen = new Set<string>();
  private pages: Loaded[] = [];
  private next = "";
  private clock = 0;
  private ids = new Map<string, Task>();
  /** Told while a page is being read; undefined: removed. */
  private meanwhile = new Map<string, { task: Task | undefined; atTop: boolean }>();
  private reading = false;
  private readonly abort = new AbortController();

  constructor(
    private readonly fetch: Fetch,
    private readonly matches: ((task: Task) => boolean) | undefined,
    private readonly changed: () => void,
  ) {}

  /** New tasks that are not shown yet. */
  get waiting(): number {
    return this.unseen.size;
  }

  close(): void {
    this.abort.abort();
  }

  /** The task at `row`; undefined while its page is read. */
  at(row: number): Task | undefined {
    if (row < this.fresh.length) return this.ids.get(this.fresh[row]!.id);
    let left = row - this.fresh.length;
    for (const page of this.pages) {
      if (left < page.length) {
        page.used = this.clock += 1;
        const task = page.rows?.[left];
        return task && (this.ids.get(task.id) ?? task);
      }
      left -= page.length;
    }
    return undefined;
  }

  /** Sees to it that rows up to `end` are read, if there are so many. */
  async want(start: number, end: number): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    this.changed();
    try {
      await this.reread(start, end);
      for (let read = 0; !this.done && this.length < end && read < PAGES_AT_ONCE; read += 1) {
        await this.readNext();
        this.changed();
      }
      this.failure = "";
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.failure = (error as Error).message;
    }
    this.loading = false;
    this.drop();
    this.changed();
  }

  /** A task's newer version, or a new task. `atTop`: show new ones at once. */
  upsert(task: Task, atTop: boolean): void {
    this.note(task.id, task, atTop);
    const known = this.ids.get(task.id);
    if (known) {
      this.ids.set(task.id, withProgress(task.spec ? task : { ...task, spec: known.spec }, known));
      return;
    }
    if (this.matches && !this.matches(task)) return;
    const top = this.fresh[0] ?? this.pages.find((page) => page.length)?.rows?.[0];
    if (top ? task.id <= top.id : !this.done) {
      this.insert(task);
      return;
    }
    if (!atTop || this.fresh.length >= FRESH) {
      if (this.unseen.size < UNSEEN) this.unseen.add(task.id);
      return;
    }
    this.fresh.unshift(task);
    this.ids.set(task.id, task);
    this.length += 1;
  }

  /** What a running task says; nothing when it is not in memory, or is at another attempt. */
  report({ id, attempt, progress }: ProgressItem): void {
    const known = this.ids.get(id);
    if (known?.attempt === attempt) this.ids.set(id, { ...known, progress });
  }

  /** A task that was deleted, or does not belong to the list any more. */
  remove(id: string): void {
    this.note(id, undefined, false);
    this.unseen.delete(id);
    if (!this.ids.delete(id)) return;
    const at = this.fresh.findIndex((one) => one.id === id);
    if (at >= 0) {
      this.fresh.splice(at, 1);
      this.length -= 1;
      return;
    }
    for (const page of this.pages) {
      const row = page.rows?.findIndex((one) => one.id === id) ?? -1;
      if (row < 0) continue;
      page.rows!.splice(row, 1);
      page.length -= 1;
      this.length -= 1;
      return;
    }
  }

  /** The task of an id, if it is in memory. */
  find(id: string): Task | undefined {
    return this.ids.get(id);
  }

  /** The row of an id, looked for around the rows given; -1 when it is not there. */
  rowOf(id: string, start: number, end: number): number {
    const to = Math.min(this.length, end + 1);
    for (let row = Math.max(0, start - 1); row < to; row += 1) {
      if (this.at(row)?.id === id) return row;
    }
    return -1;
  }

  /** Ids of everything in memory. */
  known(): string[] {
    return [...this.ids.keys()];
  }

  /** Puts a task that came to match the list among the rows that are read, if it belongs there. */
  private insert(task: Task): void {
    const last = this.fresh.at(-1);
    if (last && task.id > last.id) {
      this.fresh.splice(this.fresh.findIndex((one) => one.id < task.id), 0, task);
    } else {
      const page =
        this.pages.find((one) => one.rows?.length && one.rows.at(-1)!.id < task.id) ??
        (this.done ? this.pages.at(-1) : undefined);
      // It may belong to the dropped page before, whose rows are read again when they are wanted.
      const before = page && this.pages[this.pages.indexOf(page) - 1];
      if (!page?.rows || (before && !before.rows)) return;
      const row = page.rows.findIndex((one) => one.id < task.id);
      page.rows.splice(row < 0 ? page.rows.length : row, 0, task);
      page.length += 1;
      // Read again, it holds this one more.
      page.size = Math.min(LARGEST_PAGE, page.size + 1);
    }
    this.ids.set(task.id, task);
    this.length += 1;
  }

  private note(id: string, task: Task | undefined, atTop: boolean): void {
    if (!this.reading) return;
    this.meanwhile.delete(id);
    this.meanwhile.set(id, { task, atTop });
    if (this.meanwhile.size <= MEANWHILE) return;
    const [oldest] = this.meanwhile.keys();
    this.meanwhile.delete(oldest!);
  }

  /** Reads a page and hands it to `take`; then tells again what was told meanwhile. */
  private async read(
    token: string,
    size: number,
    take: (page: Page) => void,
  ): Promise<void> {
    this.reading = true;
    try {
      take(await this.fetch(token, size, this.abort.signal));
    } finally {
      this.reading = false;
      const told = [...this.meanwhile];
      this.meanwhile.clear();
      for (const [id, { task, atTop }] of told) {
        if (task) this.upsert(task, atTop);
        else this.remove(id);
      }
    }
  }

  private async readNext(): Promise<void> {
    const size = this.pages.length ? PAGE : FIRST_PAGE;
    const token = this.next;
    await this.read(token, size, (page) => {
      const rows = this.take(page.tasks ?? []);
      this.pages.push({ token, size, rows, length: rows.length, used: (this.clock += 1) });
      this.length += rows.length;
      this.next = page.nextPageToken ?? "";
      this.done = !this.next;
    });
  }

  /** Reads dropped pages that reach into the rows wanted. */
  private async reread(start: number, end: number): Promise<void> {
    let from = this.fresh.length;
    for (const page of this.pages) {
      const to = from + page.length;
      if (!page.rows && from < end && to > start) {
        await this.read(page.token, page.size, (again) => {
          page.rows = this.take(again.tasks ?? []);
          this.length += page.rows.length - page.length;
          page.length = page.rows.length;
          page.used = this.clock += 1;
        });
        this.changed();
      }
      from += page.length;
    }
  }

  private take(tasks: readonly Task[]): Task[] {
    const fresh = new Set(this.fresh.map((task) => task.id));
    const rows = tasks.filter((task) => !fresh.has(task.id));
    for (const task of rows) this.ids.set(task.id, task);
    return rows;
  }

  private drop(): void {
    const held = this.pages.filter((page) => page.rows?.length);
    if (held.length <= KEPT) return;
    held.sort((a, b) => a.used - b.used);
    for (const page of held.slice(0, held.length - KEPT)) {
      for (const task of page.rows!) this.ids.delete(task.id);
      page.rows = undefined;
    }
  }
}

/** Whether the API would find a task by the text: new ones are told, not listed. */
export function matcher(text: string) {
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return undefined;
  return (task: Task): boolean => {
    const labels = Object.entries(task.spec?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
    const hay = [task.spec?.name, workName(task.spec), task.error?.type, task.error?.message]
      .concat(labels)
      .join("\n")
      .toLowerCase();
    return words.every(
      (word) => hay.includes(word) || (word.length >= OF_ID && task.id.includes(word)),
    );
  };
}
