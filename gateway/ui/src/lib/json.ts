// JSON for reading, token by token: numbers stay as they were written (5.0, 2^63), which a parse
// would not keep. Pure.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
// Where a value fits on one line.
const SHORT = 60;

/** Indented, or on one line where that is short; what is not JSON comes back as it is. */
export function pretty(json: string): string {
  try {
    JSON.parse(json);
  } catch {
    return json;
  }
  const tokens = json.match(TOKEN) ?? [];
  const line = spaced(tokens);
  return line.length <= SHORT ? line : indented(tokens);
}

function spaced(tokens: readonly string[]): string {
  return tokens.map((token) => (token === "," || token === ":" ? `${token} ` : token)).join("");
}

function indented(tokens: readonly string[]): string {
  let text = "";
  let depth = 0;
  const newLine = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, at) => {
    const empty = "}]".includes(tokens[at + 1] ?? "x");
    if (token === "{" || token === "[") {
      depth += 1;
      text += empty ? token : token + newLine();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      text += "{[".includes(tokens[at - 1]!) ? token : newLine() + token;
    } else if (token === ",") text += token + newLine();
    else if (token === ":") text += ": ";
    else text += token;
  });
  return text;
}
