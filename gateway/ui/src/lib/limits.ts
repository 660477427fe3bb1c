// Limits as people write and read them: whole numbers, and rates such as 10/s or 100/15m. Pure.

import type { Int64, RateLimit } from "@ui/api/types";
import { count, num } from "@ui/lib/format";
import { Unreadable } from "@ui/lib/words";

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A field as a number of tasks; undefined: no limit. Throws Unreadable. */
export function readCount(text: string, label: string): string | undefined {
  const typed = text.trim().replaceAll(",", "");
  if (!typed) return undefined;
  if (!/^\d{1,10}$/.test(typed) || Number(typed) === 0) {
    throw new Unreadable(`“${text.trim()}” is not a whole number of at least 1.`, label);
  }
  return typed;
}

/** "10/s", "100/15m", "10/s burst 20" as a rate limit; undefined: no limit. Throws Unreadable. */
export function readRate(text: string, label: string): RateLimit | undefined {
  const typed = text.trim().toLowerCase();
  if (!typed) return undefined;
  const found = /^(\d{1,9})\s*\/\s*(\d{0,9})\s*([smhd])(?:[\s,]+burst\s+(\d{1,9}))?$/.exec(typed);
  const period = found ? Number(found[2] || 1) * SECONDS[found[3]!]! : 0;
  if (!found || !period) {
    throw new Unreadable(`“${text.trim()}” is not a rate such as 10/s or 100/15m.`, label);
  }
  const rate: RateLimit = { count: found[1]!, period: `${period}s` };
  return found[4] ? { ...rate, burst: found[4] } : rate;
}

/** A rate limit as `readRate` reads it. */
export function rateText(rate: RateLimit | undefined): string {
  if (!rate) return "";
  const seconds = Number.parseFloat(rate.period ?? "1s");
  const burst = num(rate.burst) > 1 ? ` burst ${num(rate.burst)}` : "";
  for (const [unit, size] of Object.entries(SECONDS).reverse()) {
    if (seconds >= size && seconds % size === 0) {
      const many = seconds / size;
      return `${num(rate.count)}/${many === 1 ? "" : many}${unit}${burst}`;
    }
  }
  return `${num(rate.count)}/${seconds}s${burst}`;
}

/** A number in a field of a form. */
export const countText = (value: Int64 | undefined): string =>
  value === undefined ? "" : String(num(value));

/** "3 of 5", or "3" where there is no limit. */
export function useText(used: Int64 | undefined, most: Int64 | undefined): string {
  return most === undefined ? count(used) : `${count(used)} of ${count(most)}`;
}
