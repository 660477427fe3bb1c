// What messages become in a task queue, and the exchanges of a virtual host that it is bound to. The
// address says which queue and virtual host: `#/queues?messages=photos&vhost=shop`.

import { getMessageTemplate } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { listBindings, type Binding } from "@ui/api/messages";
import { token } from "@ui/api/token";
import type { TaskSpec } from "@ui/api/types";
import { usePolled } from "@ui/lib/poll";
import { href, replace, route } from "@ui/lib/router";
import { Button, Failure, Loading } from "@ui/parts/basics";
import { Dialog } from "@ui/parts/dialog";
import { EVERY_MS, HostChoice } from "@ui/views/messages/frame";
import { DEFAULT_HOST } from "@ui/views/messages/names";
import { BindingTable } from "@ui/views/messages/exchanges/bindings";

const MOST_BINDINGS = 200;

/** Opens the dialog. */
export function MessagesButton({ queue }: { queue: string }) {
  return (
    <Button
      kind="quiet"
      icon="messages"
      title={`Messages of ${queue}`}
      onClick={() => replace(addressOf(queue, DEFAULT_HOST))}
    />
  );
}

const addressOf = (queue: string, host: string): string =>
  href("queues", "", { messages: queue, vhost: host === DEFAULT_HOST ? undefined : host });

/** What the address asks for. */
export function OpenMessages() {
  const { query } = route.value;
  const queue = query.get("messages");
  const host = query.get("vhost") || DEFAULT_HOST;
  if (!queue) return null;
  return <MessagesDialog queue={queue} host={host} key={`${queue} ${host}`} onClose={() => replace(href("queues"))} />;
}

interface Found {
  template?: TaskSpec;
  bindings: Binding[];
  more: boolean;
}

function MessagesDialog({ queue, host, onClose }: { queue: string; host: string; onClose: () => void }) {
  const may = useMay();
  const { value, failure, gone, refresh } = usePolled<Found>(
    async (signal) => {
      const { template } = await getMessageTemplate(queue, { signal });
      const { bindings = [], nextPageToken } = await listBindings(
        host,
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
      <HostChoice host={host} onChoose={(chosen) => replace(addressOf(queue, chosen))} />
      {gone && <Failure message={`There is no virtual host “${host}”, or no queue “${queue}”.`} />}
      {!value && !failure && !gone && <Loading />}
      {value && (
        <>
          <p>
            Each message becomes a task: <code>{wordsOf(value.template)}</code>
          </p>
          {value.bindings.length ? (
            <BindingTable host={host} bindings={value.bindings} may={may} of="queue" onDone={refresh} />
          ) : (
            <p class="muted">
              No exchange leads here. Bind one: <code>{`quorate binding create EXCHANGE ${queue} --to-task-queue${host === DEFAULT_HOST ? "" : ` --vhost ${host}`}`}</code>
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
