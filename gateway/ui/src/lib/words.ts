// What people type into forms: command lines, key=value lines, durations. Pure.

export class Unreadable extends Error {}

/** A command line as a shell would split it (quotes and backslashes; no expansion). */
export function splitWords(line: string): string[] {
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
      if (at >= line.length) throw new Unreadable("The command line ends with a backslash.");
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
  if (quote) throw new Unreadable(`The command line has a ${quote} that is not closed.`);
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
    if (at < 1) throw new Unreadable(`${what}: “${line.trim()}” is not key=value.`);
    found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return found;
}

const SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** "90", "90s", "1.5 h", "1h 30m" -> a protobuf Duration ("5400s"); undefined when empty. */
export function duration(text: string, what: string): string | undefined {
  const trimmed = text.trim().toLowerCase();
  if (!trimmed) return undefined;
  let total = 0;
  const rest = trimmed.replace(/(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d)?\s*/g, (_, number, unit) => {
    total += Number(number) * SECONDS[unit ?? "s"]!;
    return "";
  });
  if (rest || !(total > 0)) {
    throw new Unreadable(`${what}: “${text.trim()}” is not a duration such as 30s, 5m or 1h 30m.`);
  }
  return `${Number(total.toFixed(6))}s`;
}

const UNITS: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** "1048576", "512M", "2 GiB" -> bytes; binary multiples, as the command line has them. */
export function sizeInBytes(text: string, what: string): number {
  const found = /^(\d{1,15})\s*([kmgt]?)(?:i?b)?$/.exec(text.trim().toLowerCase());
  const bytes = found ? Number(found[1]) * UNITS[found[2]!]! : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new Unreadable(`${what}: “${text.trim()}” is not a size such as 512M or 2G.`);
  }
  return bytes;
}

/** Text as base64 of its UTF-8, as protobuf's JSON has bytes. */
export function base64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Bytes in a base64 string. */
export function base64Size(text: string): number {
  return Math.floor((text.replace(/=+$/, "").length * 3) / 4);
}
