import tokens from "@ui/styles/tokens.css?raw";

/** The palette of a block: the names of its variables and their #rrggbb. */
function palette(block: string): Map<string, string> {
  return new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map((found) => [found[1]!, found[2]!]));
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

function contrast(one: string, other: string): number {
  const [dim, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright! + 0.05) / (dim! + 0.05);
}

const [, light = "", dark = "", system = ""] = tokens.split(/\{\n\s+--font|data-theme="dark"\] \{|:not\(\[data-theme="light"\]\) \{/);

test.each([["light", light], ["dark", dark]])("texts can be read: %s", (_, block) => {
  const colours = palette(block);
  for (const [name, colour] of colours) {
    if (!/^(text|muted|faint|accent|danger|s-.*)$/.test(name)) continue;
    for (const ground of ["bg", "surface", "raised"]) {
      expect(contrast(colour, colours.get(ground)!), `${name} on ${ground}`).toBeGreaterThan(4.5);
    }
  }
  expect(contrast(colours.get("accent-text")!, colours.get("accent")!)).toBeGreaterThan(4.5);
});

test("the dark palette of the system is the one of the toggle", () => {
  expect(palette(dark).size).toBeGreaterThan(30);
  expect(palette(system)).toEqual(palette(dark));
});
