// Parts of a log that were not sent live: earlier lines, the beginning, what is around a match. No DOM.

import { readLog, searchLog } from "@ui/api/actions";
import type { Query } from "@ui/api/rest";
import type { LogExtent, LogMatch } from "@ui/api/types";
import { LogLines } from "@ui/views/task/log-lines";

export const STREAMS = ["stdout", "stderr"] as const;
export type StreamName = (typeof STREAMS)[number];
/** Lines of each stream that are asked for at once. */
export const LINES = 1_000;
/** Lines before a match. */
const CONTEXT = 100;
/** Where no log reaches: nothing of that stream. */
const BEHIND = "4611686018427387904";
/** Matches that are listed. */
export const MOST_MATCHES = 200;

const NAMES: Record<string, StreamName> = {
  LOG_STREAM_STDOUT: "stdout",
  LOG_STREAM_STDERR: "stderr",
};

/** Where what is shown begins, by stream, and how many lines are before it; -1: nobody counted. */
export interface Begin {
  stdout: number;
  stderr: number;
  linesBefore: number;
  dropped: number;
}

/** Of these streams; of the others nothing is shown, nor before it. */
export function beginOf(extent: LogExtent, names: readonly StreamName[] = STREAMS): Begin {
  const of = (name: StreamName) => (names.includes(name) ? (extent[name] ?? {}) : {});
  const before = names.map((name) => Number(of(name).linesBefore ?? 0));
  return {
    stdout: Number(of("stdout").begin ?? 0),
    stderr: Number(of("stderr").begin ?? 0),
    linesBefore: before.includes(-1) ? -1 : before.reduce((sum, one) => sum + one, 0),
    dropped: names.reduce((sum, name) => sum + Number(of(name).dropped ?? 0), 0),
  };
}

export interface Part {
  lines: LogLines;
  begin: Begin;
}

async function part(
  id: string, query: Query, signal: AbortSignal, names: readonly StreamName[] = STREAMS,
): Promise<Part> {
  for (const name of STREAMS) if (!names.includes(name)) query[`${name}From`] = BEHIND;
  const lines = new LogLines();
  let begin: Begin = { stdout: 0, stderr: 0, linesBefore: 0, dropped: 0 };
  const decoders = new Map<string, TextDecoder>();
  for await (const { extent, chunk } of readLog(id, { ...query, withExtent: true }, signal)) {
    if (extent) begin = beginOf(extent, names);
    const name = NAMES[chunk?.stream ?? ""];
    if (!chunk || !name) continue;
    let decoder = decoders.get(name);
    if (!decoder) decoders.set(name, (decoder = new TextDecoder()));
    const text = decoder.decode(bytes(chunk.data ?? ""), { stream: true });
    lines.add(name, text, Number(chunk.offset ?? 0), chunk.time ?? "");
  }
  lines.flush();
  return { lines, begin };
}

/** The lines before what is shown. */
export async function earlier(
  id: string, attempt: number, shown: Begin, signal: AbortSignal,
): Promise<Part> {
  const query: Query = { attempt, tailLines: LINES };
  // Of a stream that is shown from its beginning nothing is earlier; an end of 0 would be no end.
  const names = STREAMS.filter((name) => shown[name] > 0);
  for (const name of names) query[`${name}Until`] = String(shown[name]);
  return part(id, query, signal, names);
}

/** The first lines. */
export const first = (id: string, attempt: number, signal: AbortSignal): Promise<Part> =>
  part(id, { attempt, headLines: LINES }, signal);

/** What is around a match, of its stream alone. */
export async function around(
  id: string, attempt: number, match: LogMatch, signal: AbortSignal,
): Promise<Part> {
  const name = NAMES[match.stream] ?? "stdout";
  const offset = Number(match.offset ?? 0);
  const query = { attempt, [`${name}From`]: String(offset), headLines: LINES };
  const found = await part(id, query, signal, [name]);
  if (offset > 0) {
    const until = { attempt, [`${name}Until`]: String(offset), tailLines: CONTEXT };
    const before = await part(id, until, signal, [name]);
    found.lines.prepend(before.lines);
    found.begin = before.begin;
  }
  return found;
}

export interface Found {
  matches: LogMatch[];
  /** Bytes that were looked at so far. */
  looked: number;
  complete: boolean;
}

/** Lines that have a text, as they are found: up to `MOST_MATCHES`. */
export async function* search(
  id: string, attempt: number, text: string, signal: AbortSignal,
): AsyncGenerator<Found> {
  const found: Found = { matches: [], looked: 0, complete: false };
  let stdoutFrom = "0";
  let stderrFrom = "0";
  while (!found.complete && found.matches.length < MOST_MATCHES) {
    const maxMatches = MOST_MATCHES - found.matches.length;
    const answer = await searchLog(id, { attempt, text, stdoutFrom, stderrFrom, maxMatches }, signal);
    stdoutFrom = String(answer.stdoutNext ?? 0);
    stderrFrom = String(answer.stderrNext ?? 0);
    found.matches.push(...(answer.matches ?? []));
    found.looked = Number(stdoutFrom) + Number(stderrFrom);
    found.complete = answer.complete ?? false;
    yield { ...found, matches: [...found.matches] };
  }
}

/** All of it, as a file: both streams as they were written. */
export async function whole(
  id: string, attempt: number, onProgress: (size: number) => void, signal: AbortSignal,
): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const { chunk } of readLog(id, { attempt }, signal)) {
    if (!chunk?.data) continue;
    const data = bytes(chunk.data);
    parts.push(data);
    size += data.length;
    onProgress(size);
  }
  return new Blob(parts, { type: "text/plain" });
}

export const matchText = ({ line }: LogMatch): string => new TextDecoder().decode(bytes(line ?? ""));

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) found[at] = text.charCodeAt(at);
  return found;
}
