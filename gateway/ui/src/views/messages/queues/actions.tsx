// What can be done with a message queue: purge it, move its messages, delete it.

import { useState } from "preact/hooks";
import type { May } from "@ui/api/caller";
import { deleteMessageQueue, moveMessages, purgeMessageQueue, type MessageQueue } from "@ui/api/messages";
import { count, num, plural } from "@ui/lib/format";
import { whole } from "@ui/lib/words";
import { Button } from "@ui/parts/basics";
import { confirm, Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { isStream, kindOf } from "@ui/views/messages/names";

/** What one call moves at most. */
const MOST_MOVED = 10_000;

interface Props {
  queue: MessageQueue;
  host: string;
  may: May;
  /** Icons only. */
  small?: boolean;
  onDone: () => void;
  onDeleted: () => void;
}

export function QueueActions({ queue, host, may, small, onDone, onDeleted }: Props) {
  const [moving, setMoving] = useState(false);
  const { name } = queue;
  if (!may("message_queues.write")) return null;
  const ready = num(queue.ready);
  const purge = () =>
    confirm({
      title: `Purge ${name}?`,
      text: `${plural(ready, "ready message")} will be deleted.${
        num(queue.unacknowledged)
          ? ` ${plural(num(queue.unacknowledged), "message")} that consumers have will stay.`
          : ""
      } Messages that arrive in the meantime are deleted, too.`,
      submit: `Purge ${plural(ready, "message")}`,
      act: async () => {
        const { messages } = await purgeMessageQueue(host, name);
        tell(`${plural(num(messages), "message")} of ${name} ${num(messages) === 1 ? "was" : "were"} deleted.`);
        onDone();
      },
    });
  const remove = () =>
    confirm({
      title: `Delete the ${isStream(queue) ? "stream" : "message queue"} ${name}?`,
      text: `Its bindings and ${plural(ready + num(queue.unacknowledged) + num(queue.delayed), "message")} will be deleted. ${
        queue.consumers ? `${plural(queue.consumers, "consumer")} will end.` : "It has no consumers."
      }`,
      submit: `Delete ${kindOf(queue)}`,
      act: async () => {
        await deleteMessageQueue(host, name);
        tell(`The ${isStream(queue) ? "stream" : "message queue"} ${name} was deleted.`);
        onDeleted();
      },
    });
  const words = (text: string) => (small ? undefined : text);
  return (
    <>
      {!isStream(queue) && (
        <>
          <Button
            kind={small ? "quiet" : undefined}
            icon="move"
            title={`Move messages of ${name}`}
            disabled={!ready}
            onClick={() => setMoving(true)}
          >
            {words("Move")}
          </Button>
          <Button
            kind={small ? "quiet" : undefined}
            icon="purge"
            title={`Purge ${name}`}
            disabled={!ready}
            onClick={purge}
          >
            {words("Purge")}
          </Button>
        </>
      )}
      <Button kind={small ? "quiet" : undefined} icon="trash" title={`Delete ${name}`} onClick={remove}>
        {words("Delete")}
      </Button>
      {moving && (
        <MoveDialog queue={queue} host={host} onClose={() => setMoving(false)} onDone={onDone} />
      )}
    </>
  );
}

interface MoveProps {
  queue: MessageQueue;
  host: string;
  onClose: () => void;
  onDone: () => void;
}

function MoveDialog({ queue, host, onClose, onDone }: MoveProps) {
  const { name } = queue;
  const submit = async (data: FormData) => {
    const destination = String(data.get("destination") ?? "").trim();
    const most = whole(String(data.get("most") ?? ""), "Number of messages", 1, MOST_MOVED);
    const { moved, ready } = await moveMessages(host, name, destination, most ?? MOST_MOVED);
    const left = num(ready) ? ` ${count(ready)} ${num(ready) === 1 ? "is" : "are"} left in ${name}.` : "";
    tell(`${plural(num(moved), "message")} ${num(moved) === 1 ? "was" : "were"} moved to ${destination}.${left}`);
    onDone();
  };
  return (
    <FormDialog title={`Move messages of ${name}`} submit="Move messages" onClose={onClose} onSubmit={submit}>
      <p class="muted">
        {`${plural(num(queue.ready), "message")} ${num(queue.ready) === 1 ? "is" : "are"} ready. The oldest go first.`}
      </p>
      <Field
        label="To message queue"
        of={["destination", "MESSAGE_QUEUE_NOT_FOUND"]}
        hint="In the same virtual host. It has to exist."
      >
        <input name="destination" required autofocus maxLength={255} autocapitalize="none" autocomplete="off" />
      </Field>
      <Field label="Number of messages" of="max_messages" hint={`At most ${count(MOST_MOVED)} at a time.`}>
        <input name="most" inputMode="numeric" defaultValue={String(Math.min(num(queue.ready), MOST_MOVED) || "")} autocomplete="off" />
      </Field>
    </FormDialog>
  );
}
