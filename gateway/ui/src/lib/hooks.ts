// What runs before and after attempts, as people write it. Pure.

import type { Hook } from "@ui/api/types";
import { joinWords, splitWords, Unreadable } from "@ui/lib/words";

/** "mkdir -p data", or "module:function". */
export const hookText = ({ argv = [], entrypoint }: Hook): string => entrypoint || joinWords(argv);

/** A function by its name, or a command line. */
export function hookOf(text: string, field: string): Hook | undefined {
  const line = text.trim();
  if (!line) return undefined;
  if (/^[\w.]+:[\w.]+$/.test(line)) return { entrypoint: line };
  const argv = splitWords(line, field);
  if (!argv.length) throw new Unreadable(`the command line is empty.`, field);
  return { argv };
}
