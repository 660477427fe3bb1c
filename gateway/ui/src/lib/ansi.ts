// Terminal colours in logs, as runs of text with class names. Pure; other sequences are dropped.

export interface Run {
  text: string;
  /** Space-separated class names; empty for plain text. */
  style: string;
}

// CSI sequences, OSC sequences, and other control characters that a terminal would not show.
const SEQUENCE =
  // eslint-disable-next-line no-control-regex
  /\x1b\[([0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;
const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

export function ansi(line: string): Run[] {
  if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) return line ? [{ text: line, style: "" }] : [];
  // A progress bar writes its line anew: the last version counts.
  const shown = line.replace(/\r+$/, "");
  const text = shown.slice(shown.lastIndexOf("\r") + 1);
  const runs: Run[] = [];
  const active = new Map<string, string>();
  let from = 0;
  const push = (until: number) => {
    if (until > from) {
      runs.push({ text: text.slice(from, until), style: [...active.values()].join(" ") });
    }
  };
  for (const match of text.matchAll(SEQUENCE)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === "m") applySgr(match[1] ?? "", active);
  }
  push(text.length);
  return runs;
}

function applySgr(codes: string, active: Map<string, string>): void {
  const list = codes.split(";").map(Number);
  for (let at = 0; at < list.length; at += 1) {
    const code = list[at]!;
    if (code === 0) active.clear();
    else if (code === 1) active.set("bold", "a-bold");
    else if (code === 2) active.set("dim", "a-dim");
    else if (code === 3) active.set("italic", "a-italic");
    else if (code === 4) active.set("underline", "a-underline");
    else if (code === 22) {
      active.delete("bold");
      active.delete("dim");
    } else if (code === 23) active.delete("italic");
    else if (code === 24) active.delete("underline");
    else if (code >= 30 && code <= 37) active.set("colour", `a-${COLOURS[code - 30]}`);
    else if (code >= 90 && code <= 97) active.set("colour", `a-${COLOURS[code - 90]}`);
    else if (code === 39) active.delete("colour");
    // 256 colours and true colour: their arguments are not codes.
    else if (code === 38 || code === 48) at += list[at + 1] === 5 ? 2 : 4;
  }
}
