// Headers, arguments and bodies of messages: for reading, and as forms have them. Pure.

import type { Delivery, HeaderTable, HeaderValue } from "@ui/api/messages";
import { count, num } from "@ui/lib/format";
import { pretty } from "@ui/lib/json";
import { visible } from "@ui/lib/visible";
import { base64Size, Unreadable } from "@ui/lib/words";

/** Of a body, bytes that are shown. */
export const MOST_SHOWN = 4_096;
const BYTES_A_LINE = 16;

/** A header or argument on one line: `"text"`, `3`, `[1, 2]`, `{a: 1}`. Bytes as hexadecimal digits. */
export function valueText(value: HeaderValue): string {
  if (value.text !== undefined) return value.text;
  if (value.boolean !== undefined) return String(value.boolean);
  if (value.integer !== undefined) return String(value.integer);
  if (value.number !== undefined) return String(value.number);
  if (value.smallNumber !== undefined) return String(value.smallNumber);
  if (value.timestamp !== undefined) return value.timestamp;
  if (value.binary !== undefined) return `0x${hexOf(bytesOf(value.binary))}`;
  if (value.list) return `[${(value.list.values ?? []).map(valueText).join(", ")}]`;
  if (value.table) return `{${tableText(value.table.entries)}}`;
  if (value.decimal) return decimalText(value.decimal.value ?? 0, value.decimal.scale ?? 0);
  return "void";
}

/** "a=1, b=text", by name. */
export const tableText = (table: HeaderTable | undefined): string =>
  Object.keys(table ?? {})
    .sort()
    .map((name) => `${name}=${valueText(table![name]!)}`)
    .join(", ");

function decimalText(value: number, scale: number): string {
  if (!scale) return String(value);
  const digits = String(Math.abs(value)).padStart(scale + 1, "0");
  const sign = value < 0 ? "-" : "";
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Lines of name=value: the value is a JSON number, true, false, or else text. Throws Unreadable. */
export function headersOf(text: string, what: string): HeaderTable | undefined {
  const found: HeaderTable = {};
  for (const line of text.split(/\r?\n/)) {
    if (!line.trim()) continue;
    const at = line.indexOf("=");
    if (at < 1) throw new Unreadable(`“${line.trim()}” is not name=value.`, what);
    found[line.slice(0, at).trim()] = valueOf(line.slice(at + 1).trim());
  }
  return Object.keys(found).length ? found : undefined;
}

function valueOf(text: string): HeaderValue {
  if (text === "true" || text === "false") return { boolean: text === "true" };
  if (/^-?(0|[1-9]\d{0,17})$/.test(text)) return { integer: text };
  if (/^-?\d+\.\d+(e[+-]?\d+)?$/i.test(text)) return { number: Number(text) };
  // Quotes make a text of what would be something else.
  if (/^".*"$/.test(text)) {
    try {
      return { text: String(JSON.parse(text)) };
    } catch {
      return { text };
    }
  }
  return { text };
}

export interface Body {
  kind: "empty" | "text" | "hex";
  text: string;
  /** Of the whole body. */
  size: number;
  /** There is more than is shown. */
  cut: boolean;
}

/** A body for reading: as text where it is UTF-8 without control characters, else as hexadecimal digits. */
export function bodyOf(encoded: string | undefined, most = MOST_SHOWN): Body {
  const size = base64Size(encoded ?? "");
  if (!encoded) return { kind: "empty", text: "", size: 0, cut: false };
  const cut = size > most;
  // Four digits are three bytes.
  const shown = bytesOf(cut ? encoded.slice(0, Math.ceil(most / 3) * 4) : encoded).slice(0, most);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(shown, { stream: cut });
    // eslint-disable-next-line no-control-regex
    if (!/[\0-\x08\x0b\x0c\x0e-\x1f]/.test(text)) {
      return { kind: "text", text: visible(cut ? text : pretty(text)), size, cut };
    }
  } catch {
    // It is no text.
  }
  return { kind: "hex", text: hexLines(shown), size, cut };
}

const bytesOf = (encoded: string): Uint8Array =>
  Uint8Array.from(atob(encoded.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** "00000010  68 65 6c 6c 6f ...  hello" */
function hexLines(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_A_LINE) {
    const part = bytes.slice(at, at + BYTES_A_LINE);
    const digits = Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = Array.from(part, (byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : "."));
    lines.push(`${at.toString(16).padStart(8, "0")}  ${digits.padEnd(3 * BYTES_A_LINE - 1)}  ${letters.join("")}`);
  }
  return lines.join("\n");
}

/** One entry of the header x-death: a queue that dead lettered the message for one reason. */
export interface Death {
  queue: string;
  reason: string;
  count: number;
  time: string;
  exchange: string;
  routingKeys: string;
}

const DEATHS = "x-death";
/** What they say is in the history, too. */
const OF_DEATHS = /^x-(first|last)-death-(queue|reason|exchange)$/;

/** The dead letter history of a message, the latest first. */
export function deathsOf({ message }: Delivery): Death[] {
  const values = message?.properties?.headers?.[DEATHS]?.list?.values ?? [];
  return values.flatMap(({ table }): Death[] => {
    const entries = table?.entries;
    if (!entries) return [];
    return [
      {
        queue: entries.queue?.text ?? "",
        reason: entries.reason?.text ?? "",
        count: num(entries.count?.integer),
        time: entries.time?.timestamp ?? "",
        exchange: entries.exchange?.text ?? "",
        routingKeys: (entries["routing-keys"]?.list?.values ?? []).map(valueText).join(", "),
      },
    ];
  });
}

/** Headers by name, without the dead letter history. */
export const shownHeaders = (delivery: Delivery): [string, string][] =>
  Object.entries(delivery.message?.properties?.headers ?? {})
    .filter(([name]) => !deathsOf(delivery).length || !(name === DEATHS || OF_DEATHS.test(name)))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => [name, valueText(value)]);

/** The other properties, as label and value; those that are set. */
export function propertiesOf({ message }: Delivery): [string, string][] {
  const set = message?.properties ?? {};
  const rows: [string, string | undefined | false][] = [
    ["Content type", set.contentType],
    ["Content encoding", set.contentEncoding],
    ["Priority", set.priority ? count(set.priority) : undefined],
    ["Correlation id", set.correlationId],
    ["Reply to", set.replyTo],
    ["Expiration", set.expiration],
    ["Message id", set.messageId],
    ["Timestamp", set.timestamp],
    ["Type", set.type],
    ["User id", set.userId],
    ["App id", set.appId],
    ["Deliver after", set.deliverAfter],
    ["Ordering key", set.orderingKey],
  ];
  return rows.filter((row): row is [string, string] => Boolean(row[1]));
}
