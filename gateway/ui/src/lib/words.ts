// What people type into forms: command lines, key=value lines, durations. Pure.

import { durationMs, span } from "@ui/lib/format";

/** What cannot be read. `field`: the label of its field, where the message begins with one. */
export class Unreadable extends Error {
  readonly field: string;

  constructor(message: string, field = "") {
    super(field ? `${field}: ${message}` : message);
    this.field = field;
  }
}

/** A command line as a shell would split it (quotes and backslashes; no expansion). Throws Unreadable. */
export function splitWords(line: string, what = "Command line"): string[] {
  const words: string[] = [];
  let word = "";
  let begun = false;
  let quote = "";
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at]!;
    if (quote === "'") {
      if (char === "'") quote = "";
      else word += char;
    } else if (char === "\\" && (quote === "" || '"\\$`'.includes(line[at + 1] ?? ""))) {
      at += 1;
      if (at >= line.length) throw new Unreadable("it ends with a backslash.", what);
      word += line[at];
      begun = true;
    } else if (quote === '"') {
      if (char === '"') quote = "";
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      begun = true;
    } else if (/\s/.test(char)) {
      if (begun) words.push(word);
      word = "";
      begun = false;
    } else {
      word += char;
      begun = true;
    }
  }
  if (quote) throw new Unreadable(`it has a ${quote} that is not closed.`, what);
  if (begun) words.push(word);
  return words;
}

/** argv as a line that `splitWords` reads back. */
export function joinWords(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

/** Lines of key=value. */
export function pairs(text: string, what: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    if (!line.trim()) continue;
    const at = line.indexOf("=");
    if (at < 1) throw new Unreadable(`“${line.trim()}” is not key=value.`, what);
    found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return found;
}

const SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

export interface Bounds {
  least?: number;
  most?: number;
}

export const DAY = 86_400;

/**
 * "90", "90s", "1.5 h", "1h 30m" -> a protobuf Duration ("5400s"); undefined when empty.
 * Bounds are in seconds. Throws Unreadable.
 */
export function duration(text: string, what: string, { least = 0, most }: Bounds = {}): string | undefined {
  const trimmed = text.trim().toLowerCase();
  if (!trimmed) return undefined;
  let total = 0;
  const rest = trimmed.replace(/(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d)?\s*/g, (_, number, unit) => {
    total += Number(number) * SECONDS[unit ?? "s"]!;
    return "";
  });
  if (rest || !(total > 0)) {
    throw new Unreadable(`“${text.trim()}” is not a duration such as 30s, 5m or 1h 30m.`, what);
  }
  if (total < least) throw new Unreadable(`“${text.trim()}” is less than ${span(least * 1000)}.`, what);
  if (most && total > most) throw new Unreadable(`“${text.trim()}” is more than ${span(most * 1000)}.`, what);
  return `${Number(total.toFixed(6))}s`;
}

/** A protobuf Duration as it is typed: rounded only where that is the same. */
export function durationText(value: string | undefined): string {
  if (!value) return "";
  const text = span(durationMs(value));
  return duration(text, "") === duration(value, "") ? text : value;
}

/** A whole number within bounds; undefined when empty. Throws Unreadable. */
export function whole(text: string, what: string, least: number, most: number): number | undefined {
  const typed = text.trim();
  if (!typed) return undefined;
  const value = Number(typed);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Unreadable(`“${typed}” is not a whole number from ${least} to ${most}.`, what);
  }
  return value;
}

const UNITS: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** "1048576", "512M", "2 GiB" -> bytes; binary multiples, as the command line has them. */
export function sizeInBytes(text: string, what: string): number {
  const found = /^(\d{1,15})\s*([kmgt]?)(?:i?b)?$/.exec(text.trim().toLowerCase());
  const bytes = found ? Number(found[1]) * UNITS[found[2]!]! : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new Unreadable(`“${text.trim()}” is not a size such as 512M or 2G.`, what);
  }
  return bytes;
}

/** Text as base64 of its UTF-8, as protobuf's JSON has bytes. */
export function base64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** The text in base64; undefined where the bytes are no UTF-8, or none that a form keeps as they are. */
export function textOf(encoded: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return /[\0\r]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Bytes in a base64 string. */
export function base64Size(text: string): number {
  return Math.floor((text.replace(/=+$/, "").length * 3) / 4);
}
