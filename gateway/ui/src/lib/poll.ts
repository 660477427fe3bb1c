// What is read again and again while a view is open, since live updates do not bring it.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "@ui/api/rest";

export interface Polled<T> {
  /** Undefined until the first answer; what it was before stays when a later one does not come. */
  value: T | undefined;
  /** Why the last answer did not come; empty when it did. */
  failure: string;
  /** There is no such thing. */
  gone: boolean;
  /** Read now. */
  refresh: () => void;
}

const GONE = ["NOT_FOUND", "INVALID_ARGUMENT"];

/**
 * Reads when the view is opened, and then `everyMs` after each answer while the page is in sight and
 * `over` does not say that nothing changes any more. When `of` changes, it begins anew.
 */
export function usePolled<T>(
  read: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  of: unknown,
  over: (value: T) => boolean = () => false,
): Polled<T> {
  const [value, setValue] = useState<T>();
  const [failure, setFailure] = useState("");
  const [gone, setGone] = useState(false);
  const [asked, setAsked] = useState(0);
  const shown = useRef(of);
  useEffect(() => {
    if (shown.current !== of) {
      shown.current = of;
      setValue(undefined);
      setGone(false);
    }
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = () => {
      timer = setTimeout(() => void next(), everyMs);
    };
    const next = async () => {
      if (document.hidden) return again();
      try {
        const found = await read(control.signal);
        if (control.signal.aborted) return undefined;
        setValue(() => found);
        setFailure("");
        if (over(found)) return undefined;
      } catch (error) {
        if (control.signal.aborted) return undefined;
        const problem = error as Problem;
        if (GONE.includes(problem.details?.code ?? "")) {
          setGone(true);
          return undefined;
        }
        setFailure(problem.message);
      }
      return again();
    };
    void next();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [of, asked]);
  return { value, failure, gone, refresh: () => setAsked((times) => times + 1) };
}
