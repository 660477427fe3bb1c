// Exchanges, message queues and streams: what consumers and producers of messages use. Message queues
// are another thing than the queues of tasks. Live updates do not bring them: they are read again and
// again while a view is open.

import { DEFAULT_HOST } from "@ui/views/messages/names";
import { ExchangeList } from "@ui/views/messages/exchanges/list";
import { ExchangePage } from "@ui/views/messages/exchanges/page";
import { QueueList } from "@ui/views/messages/queues/list";
import { QueuePage } from "@ui/views/messages/queues/page";

export function MessagesView({ rest, query }: { rest: string; query: URLSearchParams }) {
  const host = query.get("vhost") || DEFAULT_HOST;
  const at = rest.indexOf("/");
  const [kind, name] = at < 0 ? [rest, ""] : [rest.slice(0, at), rest.slice(at + 1)];
  if (kind === "queues" && name) return <QueuePage host={host} name={name} key={`${host} ${name}`} />;
  if (kind === "exchanges" && name) return <ExchangePage host={host} name={name} key={`${host} ${name}`} />;
  const exchanges = (kind || query.get("show")) === "exchanges";
  return exchanges ? <ExchangeList host={host} key={host} /> : <QueueList host={host} key={host} />;
}
