// Text that would show as something else than it is.
import { parseVisible, visible } from "@ui/lib/visible";

const DECEPTIVE = ["\u202e", "\u2066", "\u200f", "\u061c", "\u009b", "\u007f", "\ufeff", "\u{e0041}", "\u2028"];

test("characters that deceive are replaced", () => {
  for (const one of DECEPTIVE) {
    expect(visible(`a${one}b`)).toBe("a\ufffdb");
    expect(parseVisible(JSON.stringify({ name: `a${one}b` }))).toEqual({ name: "a\ufffdb" });
  }
});

test("other text stays as it is", () => {
  for (const text of ["Größe", "שלום", "日本語", "👩‍💻", "a\tb\nc", ""]) expect(visible(text)).toBe(text);
});
