// The /v1/live WebSocket: one connection for the page, many subscriptions.
//
// It connects again by itself, forever, with growing pauses; each subscription then goes on behind
// its last resume token. Nothing is cleared meanwhile: views show the last state.

import { signal } from "@preact/signals";
import { BASE, Problem, type ProblemDetails } from "@ui/api/rest";
import { refused, token } from "@ui/api/token";
import type { LogExtent } from "@ui/api/types";
import { parseVisible } from "@ui/lib/visible";

export type Topic = "tasks" | "jobs" | "queues" | "nodes" | "cluster" | "services" | "logs";

export interface Handlers {
  snapshot?(items: unknown[]): void;
  delta?(changed: unknown[], removed: string[]): void;
  progress?(items: unknown[]): void;
  /** `time`: when it was written; empty where nobody knows. */
  lines?(stream: string, text: string, offset: number, time: string): void;
  /** How much of a log there is: the stream of its lines begins, or goes on. */
  extent?(extent: LogExtent): void;
  /** Why nothing comes at the moment. */
  away?(problem: Problem): void;
  end?(): void;
  /** The subscription is over. Without it, it is asked for again after a while. */
  error?(problem: Problem): void;
}

interface Subscription {
  id: string;
  topic: Topic;
  filter: unknown;
  handlers: Handlers;
  resume: string;
}

interface Frame {
  id?: string;
  kind?: string;
  items?: unknown[];
  changed?: unknown[];
  removed?: string[];
  resume?: string;
  stream?: string;
  text?: string;
  offset?: string;
  time?: string;
  leader?: boolean;
  message?: string;
  problem?: ProblemDetails;
  extent?: LogExtent;
}

export type SocketLike = Pick<
  WebSocket,
  "send" | "close" | "onopen" | "onclose" | "onmessage" | "readyState"
>;

const OPEN = 1;
// How the gateway closes when the cluster does not take the token.
const UNAUTHENTICATED = 4401;
const PING_MS = 8_000;
// Nothing received for so long, in spite of pings: the connection is half open.
const SILENCE_MS = 20_000;
const PAUSE_MS = [150, 5_000] as const;
const ASK_AGAIN_MS = 1_000;

export class Live {
  /** The socket is up. Undefined before the first attempt has ended. */
  readonly up = signal<boolean | undefined>(undefined);
  /** The gateway sees a leader. */
  readonly leader = signal(true);

  private readonly subscriptions = new Map<string, Subscription>();
  private socket: SocketLike | undefined;
  private pause: number = PAUSE_MS[0];
  private heard = 0;
  private last = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly open: () => SocketLike) {}

  start(): void {
    this.connect();
    setInterval(() => this.tick(), PING_MS);
  }

  /** Subscribes until the returned function is called. */
  subscribe(topic: Topic, filter: unknown, handlers: Handlers): () => void {
    this.last += 1;
    const id = `${topic}-${this.last}`;
    const subscription = { id, topic, filter, handlers, resume: "" };
    this.subscriptions.set(id, subscription);
    this.ask(subscription);
    return () => {
      if (this.subscriptions.delete(id)) this.send({ op: "unsubscribe", id });
    };
  }

  /** Try now instead of after the pause: the page is shown again, or the network came back. */
  wake(): void {
    if (this.socket) return;
    this.pause = PAUSE_MS[0];
    this.connect();
  }

  private connect(): void {
    clearTimeout(this.timer);
    const used = token.value;
    const socket = this.open();
    this.socket = socket;
    this.heard = Date.now();
    socket.onopen = () => {
      this.up.value = true;
      this.heard = Date.now();
      for (const subscription of this.subscriptions.values()) this.ask(subscription);
    };
    socket.onmessage = (message) => {
      this.heard = Date.now();
      this.pause = PAUSE_MS[0];
      this.receive(parseVisible(message.data as string) as Frame);
    };
    socket.onclose = ({ code }) => {
      if (code === UNAUTHENTICATED) refused(used);
      if (this.socket === socket) this.lost();
    };
  }

  private lost(): void {
    this.socket = undefined;
    this.up.value = false;
    this.timer = setTimeout(() => this.connect(), this.pause * (0.75 + Math.random() / 2));
    this.pause = Math.min(PAUSE_MS[1], this.pause * 2);
  }

  private tick(): void {
    if (!this.socket) return;
    if (Date.now() - this.heard > SILENCE_MS) {
      const silent = this.socket;
      this.lost();
      silent.close();
      return;
    }
    this.send({ op: "ping" });
  }

  private ask({ id, topic, filter, resume }: Subscription): void {
    this.send({ op: "subscribe", id, topic, filter, ...(resume ? { resume } : {}) });
  }

  private send(frame: unknown): void {
    if (this.socket?.readyState === OPEN) this.socket.send(JSON.stringify(frame));
  }

  private receive(frame: Frame): void {
    if (frame.kind === "status" || frame.kind === "hello") {
      if (frame.leader !== undefined) this.leader.value = frame.leader;
      return;
    }
    const subscription = this.subscriptions.get(frame.id ?? "");
    if (!subscription) return;
    const { handlers } = subscription;
    if (frame.resume) subscription.resume = frame.resume;
    if (frame.kind === "snapshot") handlers.snapshot?.(frame.items ?? []);
    else if (frame.kind === "delta") handlers.delta?.(frame.changed ?? [], frame.removed ?? []);
    else if (frame.kind === "progress") handlers.progress?.(frame.items ?? []);
    else if (frame.kind === "lines") {
      const { stream = "stdout", text = "", offset = "0", time = "" } = frame;
      handlers.lines?.(stream, text, Number(offset), time);
    } else if (frame.kind === "extent") handlers.extent?.(frame.extent ?? {});
    else if (frame.kind === "away") handlers.away?.(new Problem(frame.problem ?? {}));
    else if (frame.kind === "end") handlers.end?.();
    else if (frame.kind === "error") this.refused(subscription, new Problem(frame.problem ?? {}));
  }

  private refused(subscription: Subscription, problem: Problem): void {
    if (subscription.handlers.error) {
      this.subscriptions.delete(subscription.id);
      subscription.handlers.error(problem);
      return;
    }
    // A token that was compacted away, or a moment without a leader: begin anew.
    subscription.resume = "";
    setTimeout(() => {
      if (this.subscriptions.has(subscription.id)) this.ask(subscription);
    }, ASK_AGAIN_MS);
  }
}

function socketAddress(): string {
  const url = new URL("v1/live", BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** A page cannot set headers of a WebSocket: the token goes among the subprotocols. */
function subprotocols(): string[] {
  return token.value ? ["quorate.v1", `quorate.bearer.${token.value}`] : [];
}

export const live = new Live(() => new WebSocket(socketAddress(), subprotocols()));
