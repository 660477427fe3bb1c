// What messages become in a task queue, and the exchanges that it is bound to.

import { useState } from "preact/hooks";
import { getMessageTemplate } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { listBindings, type Binding } from "@ui/api/messages";
import { token } from "@ui/api/token";
import type { TaskSpec } from "@ui/api/types";
import { usePolled } from "@ui/lib/poll";
import { Button, Failure, Loading } from "@ui/parts/basics";
import { Dialog } from "@ui/parts/dialog";
import { EVERY_MS } from "@ui/views/messages/frame";
import { DEFAULT_HOST } from "@ui/views/messages/names";
import { BindingTable } from "@ui/views/messages/exchanges/bindings";

const MOST_BINDINGS = 200;

/** Opens the dialog. */
export function MessagesButton({ queue }: { queue: string }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button kind="quiet" icon="messages" title={`Messages of ${queue}`} onClick={() => setOpen(true)} />
      {open && <MessagesDialog queue={queue} onClose={() => setOpen(false)} />}
    </>
  );
}

interface Found {
  template?: TaskSpec;
  bindings: Binding[];
  more: boolean;
}

function MessagesDialog({ queue, onClose }: { queue: string; onClose: () => void }) {
  const may = useMay();
  const { value, failure, refresh } = usePolled<Found>(
    async (signal) => {
      const { template } = await getMessageTemplate(queue, { signal });
      const { bindings = [], nextPageToken } = await listBindings(
        DEFAULT_HOST,
        { taskQueue: queue },
        { pageSize: MOST_BINDINGS },
        { signal },
      );
      return { template, bindings, more: Boolean(nextPageToken) };
    },
    EVERY_MS,
    token.value,
  );
  return (
    <Dialog title={`Messages of ${queue}`} wide onClose={onClose}>
      {failure && <Failure message={failure} />}
      {!value && !failure && <Loading />}
      {value && (
        <>
          <p>
            Each message becomes a task: <code>{wordsOf(value.template)}</code>
          </p>
          {value.bindings.length ? (
            <BindingTable host={DEFAULT_HOST} bindings={value.bindings} may={may} of="queue" onDone={refresh} />
          ) : (
            <p class="muted">
              No exchange leads here. Bind one: <code>{`quorate binding create EXCHANGE ${queue} --to-task-queue`}</code>
            </p>
          )}
          {value.more && <p class="note">{`The first ${MOST_BINDINGS} bindings are shown.`}</p>}
        </>
      )}
    </Dialog>
  );
}

/** "sha256sum -", "jobs:resize(body)" */
function wordsOf(template: TaskSpec | undefined): string {
  if (template?.command) return (template.command.argv ?? []).join(" ");
  return template?.python ? `${template.python.entrypoint}(body)` : "none";
}
