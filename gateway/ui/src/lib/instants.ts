// Dates and times as people type them, in this browser's time zone. Pure.

import { clock, instant, minute } from "@ui/lib/format";
import { Unreadable } from "@ui/lib/words";

const TYPED = /^(\d{4})-(\d{2})-(\d{2})(?:[T ]+(\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?$/;

/** "2026-12-24", "2026-12-24 18:00", also with seconds or a zone ("Z", "+01:00") -> RFC 3339. Throws Unreadable. */
export function readInstant(text: string, what: string): string {
  const typed = text.trim();
  const found = TYPED.exec(typed);
  if (found) {
    const [year, month, day, hour = 0, minute = 0, second = 0] = found.slice(1).map((part) => Number(part ?? 0));
    const date = new Date(year!, month! - 1, day, hour, minute, second);
    // The 31st of February is in March for a Date.
    if (date.getMonth() === month! - 1 && date.getDate() === day && hour < 24 && minute < 60 && second < 60) {
      return date.toISOString();
    }
  } else if (/^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/.test(typed) && !Number.isNaN(Date.parse(typed))) {
    return new Date(typed).toISOString();
  }
  throw new Unreadable(`“${typed}” is not a date such as 2026-12-24 or 2026-12-24 18:00.`, what);
}

/** An instant as `readInstant` reads it, to the second; what is zero at its end is left out. */
export function instantText(time: string | undefined): string {
  if (Number.isNaN(instant(time))) return "";
  return minute(time).replace(/ 00:00$/, "");
}

/** As the value of a field for date and time: to the minute, rounded down. */
export const fieldTime = (ms: number): string => clock(new Date(ms).toISOString()).slice(0, 16).replace(" ", "T");
