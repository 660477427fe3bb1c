// What the caller, whose token the page has, may do.

import { useEffect, useState } from "preact/hooks";
import { getCaller } from "@ui/api/actions";
import { token } from "@ui/api/token";
import type { Caller } from "@ui/api/types";

export type May = (permission: string) => boolean;

/** Until the cluster has answered nothing is left out: what may not be done is refused with a sentence. */
export function useMay(): May {
  const [caller, setCaller] = useState<Caller>();
  useEffect(() => {
    const abort = new AbortController();
    getCaller({ signal: abort.signal }).then(({ caller: found }) => setCaller(found), () => {});
    return () => abort.abort();
  }, [token.value]);
  return (permission) => caller?.permissions?.includes(permission) ?? true;
}
