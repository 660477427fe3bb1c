// The form that creates a message queue or a stream. Pure.

import type { MessageQueue, MessageQueueSpec } from "@ui/api/messages";
import { duration, sizeInBytes, Unreadable, whole } from "@ui/lib/words";

export const QUEUE = "MESSAGE_QUEUE_TYPE_QUEUE";
export const STREAM = "MESSAGE_QUEUE_TYPE_STREAM";
export const OVERFLOWS = [
  { value: "OVERFLOW_DROP_HEAD", label: "The oldest messages go" },
  { value: "OVERFLOW_REJECT_PUBLISH", label: "New messages are refused" },
  { value: "OVERFLOW_REJECT_PUBLISH_DEAD_LETTER", label: "New messages are refused and dead lettered" },
] as const;
/** What a choice of the dead letter exchange says that has no name. */
export const NOWHERE = "";
export const DEFAULT_EXCHANGE = "default";
export const OTHER_EXCHANGE = "other";
export const MOST_PRIORITY = 31;
const MOST = Number.MAX_SAFE_INTEGER;

/** The form as a message queue. Throws Unreadable. */
export function queueOf(host: string, read: (field: string) => string): MessageQueue {
  const stream = read("type") === STREAM;
  const size = read("maxLengthBytes");
  const common: MessageQueueSpec = {
    type: stream ? STREAM : QUEUE,
    maxLengthBytes: size ? String(sizeInBytes(size, "Bytes")) : undefined,
  };
  if (stream) {
    return {
      virtualHost: host,
      name: read("name"),
      spec: defined({ ...common, maxAge: duration(read("maxAge"), "Messages are kept for") }),
    };
  }
  const choice = read("deadLetters");
  const exchange = choice === OTHER_EXCHANGE ? read("deadLetterExchange") : "";
  if (choice === OTHER_EXCHANGE && !exchange) {
    throw new Unreadable("it has no name.", "Dead letter exchange");
  }
  const maxLength = whole(read("maxLength"), "Ready messages", 1, MOST);
  const spec: MessageQueueSpec = {
    ...common,
    messageTtl: duration(read("messageTtl"), "Messages expire after"),
    maxLength: maxLength === undefined ? undefined : String(maxLength),
    overflow: maxLength !== undefined || size ? read("overflow") : undefined,
    deadLetterExchange: choice === NOWHERE ? undefined : exchange,
    deadLetterRoutingKey: (choice !== NOWHERE && read("deadLetterRoutingKey")) || undefined,
    deliveryLimit: whole(read("deliveryLimit"), "Delivery limit", 0, 2 ** 31 - 1),
    maxPriority: whole(read("maxPriority"), "Highest priority", 0, MOST_PRIORITY) || undefined,
    singleActiveConsumer: read("single") === "on" || undefined,
  };
  return { virtualHost: host, name: read("name"), spec: defined(spec) };
}

const defined = (spec: MessageQueueSpec): MessageQueueSpec =>
  Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
