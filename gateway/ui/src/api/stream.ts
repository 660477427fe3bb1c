// Answers that come bit by bit: one JSON value a line, over one request. A stream that breaks is
// asked for again with the same key: the cluster goes on where it was, and counts from the beginning.

import { address, BASE, newKey, problemOf, Problem, type ProblemDetails, type Query } from "@ui/api/rest";
import { refused, token } from "@ui/api/token";
import { parseVisible } from "@ui/lib/visible";

const TRIES = 6;
const PAUSE_MS = 250;
/** Characters of one line. The gateway sends no longer ones. */
const LONGEST = 1 << 20;

/** The lines of one request that changes something, until it is done or stopped. Ends without an
 * error when stopped. */
export async function* stream<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<Awaited<T>> {
  const change = { body, key: newKey() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      yield* lines<T>(new URL(path, BASE), signal, change);
      return;
    } catch (error) {
      if (signal.aborted) return;
      const again = !(error instanceof Problem) || error.details.code === "UNAVAILABLE";
      if (!again || attempt === TRIES) throw error instanceof Problem ? error : unreachable();
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** (attempt - 1)));
  }
}

const unreachable = () => new Problem({ detail: "the gateway cannot be reached; try again in a moment" });

/** The lines of one request that reads: not asked for again. Raises Problem. */
export function read<T>(path: string, query: Query, signal: AbortSignal): AsyncGenerator<Awaited<T>> {
  return lines<T>(address(path, query), signal);
}

async function* lines<T>(
  url: URL,
  signal: AbortSignal,
  change?: { body: unknown; key: string },
): AsyncGenerator<Awaited<T>> {
  const used = token.value;
  const headers: Record<string, string> = { Accept: "application/x-ndjson" };
  if (used) headers.Authorization = `Bearer ${used}`;
  if (change) {
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = change.key;
  }
  const answer = await fetch(url, {
    method: change ? "POST" : "GET",
    headers,
    body: change && JSON.stringify(change.body),
    signal,
  });
  if (answer.status === 401) refused(used);
  if (!answer.ok) throw await problemOf(answer);
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop()!;
    if (rest.length > LONGEST) throw new Problem({ detail: "the gateway's answer is too long" });
    for (const part of parts) {
      if (!part) continue;
      const found = parseVisible(part) as { error?: ProblemDetails };
      if (found.error) throw new Problem(found.error);
      yield found as Awaited<T>;
    }
  }
}
