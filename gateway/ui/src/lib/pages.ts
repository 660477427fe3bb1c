// Lists that come in pages: the first is read when the view is opened, further ones on top of it.

import { useEffect, useRef, useState } from "preact/hooks";

export interface Pages<T> {
  /** Undefined until the first page is here. */
  items: T[] | undefined;
  /** There are more pages. */
  more: boolean;
  /** Why the last page did not come; empty when it did. */
  failure: string;
  busy: boolean;
  /** Read the first page anew. */
  refresh: () => Promise<void>;
  /** Read the page behind those that are here. */
  next: () => Promise<void>;
}

interface Page<T> {
  items: T[] | undefined;
  token: string | undefined;
}

interface Shown<T> {
  items: T[];
  /** Of the next page; empty when there is none. */
  token: string;
}

/** `read` reads one page; when `of` changes, another list is wanted, and it begins anew. */
export function usePages<T>(
  read: (token: string | undefined, signal: AbortSignal) => Promise<Page<T>>,
  of: unknown,
): Pages<T> {
  const [shown, setShown] = useState<Shown<T>>();
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const reading = useRef<AbortController | undefined>(undefined);

  const load = async (before?: Shown<T>) => {
    // What is under way is of no use any more.
    reading.current?.abort();
    const abort = new AbortController();
    reading.current = abort;
    setBusy(true);
    try {
      const page = await read(before?.token, abort.signal);
      setShown({ items: [...(before?.items ?? []), ...(page.items ?? [])], token: page.token ?? "" });
      setFailure("");
    } catch (error) {
      if (abort.signal.aborted) return;
      setFailure((error as Error).message);
    }
    setBusy(false);
  };

  useEffect(() => {
    setShown(undefined);
    void load();
    return () => reading.current?.abort();
  }, [of]);

  return {
    items: shown?.items,
    more: Boolean(shown?.token),
    failure,
    busy,
    refresh: () => load(),
    next: () => load(shown),
  };
}
