// Exchanges, bindings and message queues in words. Pure.

import type { Binding, Exchange, MessageQueue, MessageQueueSpec } from "@ui/api/messages";
import { bytes, count, durationMs, num, plain, span } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { tableText, valueText } from "@ui/views/messages/values";

export const DEFAULT_HOST = "/";

/** The address of a list, or with a name of one of them. The default virtual host is left out. */
export function addressOf(host: string, kind: "queues" | "exchanges", name = ""): string {
  const vhost = host === DEFAULT_HOST ? undefined : host;
  if (name) return href("messages", `${kind}/${name}`, { vhost });
  return href("messages", "", { show: kind === "exchanges" ? kind : undefined, vhost });
}

export const isStream = ({ spec }: Pick<MessageQueue, "spec">): boolean =>
  spec?.type === "MESSAGE_QUEUE_TYPE_STREAM";

/** "queue", "stream" */
export const kindOf = (queue: Pick<MessageQueue, "spec">): string => (isStream(queue) ? "stream" : "queue");

export const EXCHANGE_TYPES = [
  { value: "EXCHANGE_TYPE_DIRECT", label: "direct", hint: "Messages go where a binding has exactly their routing key." },
  { value: "EXCHANGE_TYPE_FANOUT", label: "fanout", hint: "Messages go to all bound queues." },
  { value: "EXCHANGE_TYPE_TOPIC", label: "topic", hint: "Bindings are patterns of words: * is one word, # any number." },
  { value: "EXCHANGE_TYPE_HEADERS", label: "headers", hint: "Bindings compare headers." },
  { value: "EXCHANGE_TYPE_CONSISTENT_HASH", label: "consistent hash", hint: "Routing keys are spread over the bound queues." },
] as const;

/** "topic", "consistent hash" */
export const typeOf = ({ type }: Exchange): string => plain(type, "EXCHANGE_TYPE_");

/** It was there from the beginning, and cannot be deleted. */
export const isPredeclared = ({ name }: Exchange): boolean => name.startsWith("amq.");

/** What an exchange has beside the defaults: "auto-delete; internal". */
export const optionsOf = (exchange: Exchange): string =>
  [
    exchange.autoDelete && "auto-delete",
    exchange.internal && "internal",
    tableText(exchange.arguments),
  ]
    .filter(Boolean)
    .join("; ");

/** The exchange that gets what no binding matches; undefined: none. */
export const alternateOf = ({ arguments: given }: Exchange): string | undefined =>
  given?.["alternate-exchange"]?.text;

export const keyOf = (binding: Binding): string =>
  JSON.stringify([
    binding.source,
    binding.messageQueue ?? "",
    binding.exchange ?? "",
    binding.taskQueue ?? "",
    binding.routingKey ?? "",
    tableText(binding.arguments),
  ]);

/** "orders" -> "the default exchange" for the one without a name. */
export const exchangeText = (name: string | undefined): string => name || "the default exchange";

const OVERFLOWS: Record<string, string> = {
  OVERFLOW_REJECT_PUBLISH: "new messages are refused",
  OVERFLOW_REJECT_PUBLISH_DEAD_LETTER: "new messages are refused and dead lettered",
};

/** The settings of a queue, as label and value: those that are not the defaults. */
export function settingsOf(spec: MessageQueueSpec): [string, string][] {
  const time = (value: string | undefined) => value && span(durationMs(value));
  const stream = spec.type === "MESSAGE_QUEUE_TYPE_STREAM";
  const limited = spec.noBacklog || num(spec.maxLength) > 0 || num(spec.maxLengthBytes) > 0;
  const rows: [string, string | false | undefined][] = [
    ["Messages expire", time(spec.messageTtl) && `after ${time(spec.messageTtl)}`],
    ["Messages are kept", time(spec.maxAge) && `for ${time(spec.maxAge)}`],
    ["At most", num(spec.maxLength) > 0 && `${count(spec.maxLength)} ready messages`],
    ["At most", spec.noBacklog && "what consumers take at once"],
    [stream ? "At most" : "At most, in bytes", num(spec.maxLengthBytes) > 0 && bytes(spec.maxLengthBytes)],
    ["When it is full", limited && !stream && (OVERFLOWS[spec.overflow ?? ""] ?? "the oldest messages go")],
    ["Dead letters go to", spec.deadLetterExchange !== undefined && exchangeText(spec.deadLetterExchange)],
    ["with routing key", spec.deadLetterRoutingKey],
    ["Delivery limit", !stream && spec.deliveryLimit !== undefined && (spec.deliveryLimit ? count(spec.deliveryLimit) : "none")],
    ["Highest priority", num(spec.maxPriority) > 0 && count(spec.maxPriority)],
    ["Consumers", spec.singleActiveConsumer && "one is active at a time"],
    ["Consumer timeout", time(spec.consumerTimeout)],
    ["Deleted", time(spec.expires) && `when it was not used for ${time(spec.expires)}`],
    ["Deleted", spec.autoDelete && "when its last consumer goes"],
    ["Private", spec.exclusive && "it belongs to one session, and goes with it"],
    ...Object.entries(spec.arguments ?? {}).map(([name, value]): [string, string] => [name, valueText(value)]),
  ];
  return rows.filter((row): row is [string, string] => Boolean(row[1]));
}

/** What counts since the leader began, of one queue at one time (milliseconds). */
export interface Totals {
  at: number;
  uid: string;
  published: number;
  delivered: number;
  acknowledged: number;
}

export interface Rates {
  published: number;
  delivered: number;
  acknowledged: number;
}

export const totalsOf = (queue: MessageQueue, at: number): Totals => ({
  at,
  uid: queue.uid ?? "",
  published: num(queue.publishedTotal),
  delivered: num(queue.deliveredTotal),
  acknowledged: num(queue.acknowledgedTotal),
});

/** Messages per second between two readings; undefined: another queue, another leader, or no time between. */
export function ratesOf(before: Totals | undefined, after: Totals): Rates | undefined {
  if (!before || before.uid !== after.uid || after.at - before.at < 1) return undefined;
  const seconds = (after.at - before.at) / 1000;
  const rates = {
    published: (after.published - before.published) / seconds,
    delivered: (after.delivered - before.delivered) / seconds,
    acknowledged: (after.acknowledged - before.acknowledged) / seconds,
  };
  // A new leader counts from 0.
  return Object.values(rates).some((rate) => rate < 0) ? undefined : rates;
}
