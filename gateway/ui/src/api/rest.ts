// REST calls below the page's own address. A change carries an Idempotency-Key, so that it can be
// repeated when the answer was lost; failures are `Problem`s whose message is a sentence.

import { refused, token } from "@ui/api/token";
import { parseVisible } from "@ui/lib/visible";

/** The gateway's address: the page's own folder. */
export const BASE = typeof document === "undefined" ? "http://x/" : new URL(".", document.baseURI);

const TRIES = 4;
const PAUSE_MS = 250;

export interface ProblemDetails {
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  reason?: string;
  metadata?: Record<string, string>;
  violations?: { field: string; description: string }[];
}

export class Problem extends Error {
  constructor(readonly details: ProblemDetails) {
    super(sentence(details));
  }

  get reason(): string {
    return this.details.reason ?? "";
  }
}

/** problem+json as one sentence, its first letter large and a full stop at its end. */
export function sentence(details: ProblemDetails): string {
  const faults = (details.violations ?? []).map(({ field, description }) =>
    field && !description.includes(field) ? `${field}: ${description}` : description,
  );
  const text = (details.detail || faults.join("; ") || details.title || "").trim();
  if (!text) return `The gateway answered ${details.status ?? "nothing"}.`;
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export interface Options {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Also repeats a call that changes something: the key makes it safe. */
  key?: string;
  /** The answer as it is, for what is sent back: not with what may be shown alone. */
  raw?: boolean;
}

/** A path with what is asked for. */
export function address(path: string, query: Query): URL {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== "") url.searchParams.append(name, String(one));
    }
  }
  return url;
}

/** A key for a change. Not `crypto.randomUUID`, which pages on plain http do not have. */
export function newKey(): string {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const url = address(path, options.query ?? {});
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  const used = token.value;
  if (used) headers.Authorization = `Bearer ${used}`;
  if (method !== "GET") headers["Idempotency-Key"] = options.key ?? newKey();
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  for (let attempt = 1; ; attempt += 1) {
    const last = attempt === TRIES;
    try {
      const answer = await fetch(url, {
        method,
        headers,
        body: options.body === undefined ? undefined : JSON.stringify(options.body),
        signal: options.signal,
      });
      if (answer.ok) {
        const text = await answer.text();
        return (options.raw ? JSON.parse(text) : parseVisible(text)) as T;
      }
      if (answer.status === 401) refused(used);
      if (answer.status !== 503 || last) throw await problemOf(answer);
    } catch (error) {
      if (error instanceof Problem || options.signal?.aborted) throw error;
      if (last) {
        throw new Problem({ detail: "the gateway cannot be reached; try again in a moment" });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** (attempt - 1)));
  }
}

/** What an answer says that is no success. */
export const problemOf = async (answer: Response): Promise<Problem> => new Problem(await details(answer));

async function details(answer: Response): Promise<ProblemDetails> {
  try {
    const found = parseVisible(await answer.text()) as ProblemDetails;
    return { ...found, status: answer.status };
  } catch {
    return { status: answer.status, detail: `the gateway answered ${answer.status}` };
  }
}

export const get = <T>(path: string, options?: Options) => call<T>("GET", path, options);
export const post = <T>(path: string, body: unknown = {}, options?: Options) =>
  call<T>("POST", path, { ...options, body });
export const remove = <T>(path: string, options?: Options) => call<T>("DELETE", path, options);

/** A name or id as one segment of a path. */
export const segment = encodeURIComponent;
