// Which field of a form an error is about. Pure.

import { Problem, sentence } from "@ui/api/rest";
import { Unreadable } from "@ui/lib/words";

/** A field of a form, as errors know it. */
export interface Named {
  label: string;
  /** Paths of the API, such as `spec.unique.key`, which means what is in them too; or reasons of errors. */
  of: readonly string[];
}

export interface Fault {
  /** Undefined: it is about the form as a whole. */
  field?: string;
  message: string;
}

/** The error with the key of its field, the one with the longest path. */
export function faultOf(error: Error, fields: ReadonlyMap<string, Named>): Fault {
  let best = 0;
  let fault: Fault = { message: error.message };
  for (const [field, { label, of }] of fields) {
    if (error instanceof Unreadable && error.field === label) {
      return { field, message: capital(error.message.slice(label.length + 2)) };
    }
    if (!(error instanceof Problem)) continue;
    for (const path of of) {
      const message = about(path, error);
      if (message && path.length > best) [best, fault] = [path.length, { field, message }];
    }
  }
  return fault;
}

/** What the error says, if it is about this path or has this reason. */
function about(path: string, { details }: Problem): string | undefined {
  if (path === details.reason) return sentence(details);
  const named = details.violations?.[0]?.field || details.metadata?.field || "";
  const rest = named.slice(path.length);
  if (!named.startsWith(path) || (rest && !/^[.[]/.test(rest))) return undefined;
  const text = (details.violations?.[0]?.description || details.detail || "").trim();
  const plain = text.startsWith(`${named}: `) ? text.slice(named.length + 2) : text;
  // A field with many values has one on each line.
  const line = /^\[(\d+)\]/.exec(rest);
  return sentence({ ...details, detail: line ? `line ${Number(line[1]) + 1}: ${plain}` : plain });
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
