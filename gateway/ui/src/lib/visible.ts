// Characters that show text as something else than it is: C1 controls, bidirectional controls, tag
// characters. quorate/runtime/visible.py has the same rule for terminals.

const DECEPTIVE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

/** The text with a replacement character for each of them. */
export const visible = (text: string): string => text.replace(DECEPTIVE, "\ufffd");

/** A JSON text with an escape for each of them: its value is the same. */
export const escaped = (json: string): string =>
  json.replace(DECEPTIVE, (found) =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );

/** The value of a JSON text as it may be shown. The gateway escapes none of these characters. */
export const parseVisible = (text: string): unknown => JSON.parse(visible(text));
