import { base64, base64Size, duration, joinWords, pairs, splitWords } from "@ui/lib/words";

test.each<[string, string[]]>([
  ["echo hello", ["echo", "hello"]],
  ["  a   b  ", ["a", "b"]],
  ["sh -c 'echo $HOME; exit 3'", ["sh", "-c", "echo $HOME; exit 3"]],
  ['say "a \\"b\\" c" \'d\'e', ["say", 'a "b" c', "de"]],
  ["a\\ b ''", ["a b", ""]],
  ['"\\n"', ["\\n"]],
  ["", []],
])("%s is split like a shell does", (line, words) => {
  expect(splitWords(line)).toEqual(words);
});

test("what is not closed is a sentence", () => {
  expect(() => splitWords("echo 'oops")).toThrow("not closed");
  expect(() => splitWords("echo \\")).toThrow("backslash");
});

test("joined words are split again into the same", () => {
  const argv = ["sh", "-c", "it's $1 \\ \"x\"", "", "a b", "plain-1.2"];
  expect(splitWords(joinWords(argv))).toEqual(argv);
});

test("pairs are one on each line", () => {
  expect(pairs("a=1\n\n b = x=y \n", "Labels")).toEqual({ a: "1", b: "x=y" });
  expect(() => pairs("nonsense", "Labels")).toThrow("Labels: “nonsense” is not key=value.");
  expect(() => pairs("=x", "Labels")).toThrow();
});

test.each([
  ["90", "90s"],
  ["1h 30m", "5400s"],
  ["1.5s", "1.5s"],
  ["250ms", "0.25s"],
  ["2 d", "172800s"],
])("the duration %s", (text, json) => {
  expect(duration(text, "Timeout")).toBe(json);
});

test("what is no duration is refused, nothing is nothing", () => {
  expect(duration("  ", "Timeout")).toBeUndefined();
  for (const text of ["soon", "5 apples", "-3", "0"]) {
    expect(() => duration(text, "Timeout")).toThrow("Timeout:");
  }
});

test("base64 is that of UTF-8", () => {
  expect(base64("grüße\n")).toBe("Z3LDvMOfZQo=");
  for (const size of [0, 1, 2, 3, 100]) {
    expect(base64Size(btoa("x".repeat(size)))).toBe(size);
  }
});
