// Short messages in a corner: what was done, or a sentence about what failed.

import { signal } from "@preact/signals";
import { Icon } from "@ui/parts/icons";
import { Button } from "@ui/parts/basics";

interface Toast {
  id: number;
  text: string;
  failed: boolean;
  link?: { href: string; text: string };
}

const MOST = 4;
const SHOWN_MS = 4_500;
const FAILED_MS = 9_000;
const toasts = signal<Toast[]>([]);
let last = 0;

export function tell(text: string, options: Partial<Pick<Toast, "failed" | "link">> = {}): void {
  const id = (last += 1);
  const failed = options.failed ?? false;
  toasts.value = [...toasts.value, { id, text, failed, link: options.link }].slice(-MOST);
  setTimeout(() => dismiss(id), failed ? FAILED_MS : SHOWN_MS);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/** Runs an action: tells `done`, or the sentence that it failed with. */
export async function attempt(act: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await act();
    tell(done);
    return true;
  } catch (error) {
    tell((error as Error).message, { failed: true });
    return false;
  }
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={toast.failed ? "toast failed" : "toast"}>
          <Icon name={toast.failed ? "warning" : "check"} />
          <span>{toast.text}</span>
          {toast.link && (
            <a href={toast.link.href} onClick={() => dismiss(toast.id)}>
              {toast.link.text}
            </a>
          )}
          <Button kind="quiet" icon="close" title="Dismiss" onClick={() => dismiss(toast.id)} />
        </div>
      ))}
    </div>
  );
}
