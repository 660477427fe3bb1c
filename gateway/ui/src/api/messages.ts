// Exchanges, message queues and streams: the messages that the views read, and one function for each
// RPC they use.

import { get, post, remove, segment, type Options } from "@ui/api/rest";
import type { Int64 } from "@ui/api/types";

/** Of the types of AMQP 0-9-1. */
export interface HeaderValue {
  boolean?: boolean;
  integer?: Int64;
  number?: number | string;
  text?: string;
  /** In base64. */
  binary?: string;
  timestamp?: string;
  list?: { values?: HeaderValue[] };
  table?: { entries?: HeaderTable };
  decimal?: { scale?: number; value?: number };
  void?: boolean;
  smallNumber?: number | string;
}
export type HeaderTable = Record<string, HeaderValue>;

export interface Exchange {
  virtualHost?: string;
  name: string;
  type?: string;
  autoDelete?: boolean;
  internal?: boolean;
  arguments?: HeaderTable;
  /** Unset: it is predeclared. */
  createTime?: string;
  bindings?: Int64;
}

/** Leads to a message queue, to an exchange or to a task queue. */
export interface Binding {
  virtualHost?: string;
  source?: string;
  messageQueue?: string;
  exchange?: string;
  taskQueue?: string;
  routingKey?: string;
  arguments?: HeaderTable;
}

export interface MessageQueueSpec {
  type?: string;
  exclusive?: boolean;
  autoDelete?: boolean;
  messageTtl?: string;
  expires?: string;
  maxLength?: Int64;
  maxLengthBytes?: Int64;
  noBacklog?: boolean;
  overflow?: string;
  /** Empty: the default exchange. Undefined: there is none. */
  deadLetterExchange?: string;
  deadLetterRoutingKey?: string;
  maxPriority?: number;
  deliveryLimit?: number;
  singleActiveConsumer?: boolean;
  maxAge?: string;
  consumerTimeout?: string;
  arguments?: HeaderTable;
}

export interface MessageQueue {
  virtualHost?: string;
  name: string;
  spec?: MessageQueueSpec;
  uid?: string;
  createTime?: string;
  ready?: Int64;
  unacknowledged?: Int64;
  delayed?: Int64;
  consumers?: number;
  bytes?: Int64;
  firstOffset?: Int64;
  nextOffset?: Int64;
  oldestTime?: string;
  publishedTotal?: Int64;
  deliveredTotal?: Int64;
  acknowledgedTotal?: Int64;
  deadLetteredTotal?: Int64;
  droppedTotal?: Int64;
  redeliveredTotal?: Int64;
  activeConsumer?: string;
  /** What is in force, if policies change `spec`. */
  effectiveSpec?: MessageQueueSpec;
  policy?: string;
  operatorPolicy?: string;
}

export interface StreamOffset {
  name: string;
  offset?: Int64;
  updateTime?: string;
}

export interface Consumer {
  consumer?: number;
  name?: string;
  prefetch?: number;
  automaticAck?: boolean;
  exclusive?: boolean;
  priority?: number;
  active?: boolean;
  unacknowledged?: Int64;
}

export interface MessageProperties {
  contentType?: string;
  contentEncoding?: string;
  headers?: HeaderTable;
  persistent?: boolean;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  timestamp?: string;
  type?: string;
  userId?: string;
  appId?: string;
  deliverAfter?: string;
  orderingKey?: string;
}

export interface Message {
  exchange?: string;
  routingKey?: string;
  properties?: MessageProperties;
  /** In base64. */
  body?: string;
}

export interface Delivery {
  /** Of a stream: its offset. */
  id?: Int64;
  redelivered?: boolean;
  failedDeliveries?: number;
  message?: Message;
  publishTime?: string;
}

interface PublishAnswer {
  results?: { kind?: string; failure?: { reason?: string; message?: string } }[];
  /** Where it was routed to. */
  queues?: string[];
  queueCount?: Int64;
  /** Task queues in which it became a task. */
  taskQueues?: string[];
}

interface Page {
  pageSize: number;
  pageToken?: string;
}

export const listVirtualHosts = (page: Page, options?: Options) =>
  get<{ virtualHosts?: { name: string }[]; nextPageToken?: string }>("v1/virtualHosts", {
    ...options,
    query: { ...page },
  });

export const listExchanges = (virtualHost: string, page: Page, options?: Options) =>
  get<{ exchanges?: Exchange[]; nextPageToken?: string }>("v1/exchanges", {
    ...options,
    query: { virtualHost, ...page },
  });
export const getExchange = (virtualHost: string, name: string, options?: Options) =>
  get<{ exchange: Exchange }>(`v1/exchanges/${segment(name)}`, { ...options, query: { virtualHost } });
export const createExchange = (exchange: Exchange) => post("v1/exchanges", { exchange });
export const deleteExchange = (virtualHost: string, name: string) =>
  remove(`v1/exchanges/${segment(name)}`, { query: { virtualHost } });

/** Of a source, or to a message queue, task queue or exchange. */
export const listBindings = (
  virtualHost: string,
  of: { source?: string; messageQueue?: string; taskQueue?: string; exchange?: string },
  page: Page,
  options?: Options,
) =>
  get<{ bindings?: Binding[]; nextPageToken?: string }>("v1/bindings", {
    ...options,
    query: { virtualHost, ...of, ...page },
  });
export const createBinding = (binding: Binding) => post("v1/bindings", { binding });
export const deleteBinding = (binding: Binding) => post("v1/bindings:delete", { binding });

export const listMessageQueues = (virtualHost: string, page: Page, options?: Options) =>
  get<{ messageQueues?: MessageQueue[]; nextPageToken?: string }>("v1/messageQueues", {
    ...options,
    query: { virtualHost, ...page },
  });
export const getMessageQueue = (virtualHost: string, name: string, options?: Options) =>
  get<{ messageQueue: MessageQueue; consumers?: Consumer[] }>(`v1/messageQueues/${segment(name)}`, {
    ...options,
    query: { virtualHost },
  });
export const createMessageQueue = (messageQueue: MessageQueue) =>
  post<{ messageQueue: MessageQueue }>("v1/messageQueues", { messageQueue });
export const deleteMessageQueue = (virtualHost: string, name: string) =>
  remove<{ messages?: Int64 }>(`v1/messageQueues/${segment(name)}`, { query: { virtualHost } });
export const purgeMessageQueue = (virtualHost: string, name: string) =>
  post<{ messages?: Int64 }>(`v1/messageQueues/${segment(name)}:purge`, { virtualHost });
export const listStreamOffsets = (virtualHost: string, name: string, options?: Options) =>
  get<{ streamOffsets?: StreamOffset[] }>(`v1/messageQueues/${segment(name)}/offsets`, {
    ...options,
    query: { virtualHost },
  });
/** `offset`: of a stream, the first message. */
export const peekMessages = (
  virtualHost: string,
  name: string,
  page: { maxMessages: number; offset?: string },
  options?: Options,
) =>
  get<{ messages?: Delivery[] }>(`v1/messageQueues/${segment(name)}:peek`, {
    ...options,
    query: { virtualHost, ...page },
  });
export const moveMessages = (
  virtualHost: string,
  name: string,
  destination: string,
  maxMessages: number,
) =>
  post<{ moved?: Int64; ready?: Int64 }>(`v1/messageQueues/${segment(name)}:move`, {
    virtualHost,
    destination,
    maxMessages,
  });

/** One message. An answer without results: it is durable in all queues that it was routed to. */
export const publish = (virtualHost: string, message: Message) =>
  post<PublishAnswer>("v1/messages:publish", {
    virtualHost,
    publications: [{ message, mandatory: true }],
    reportQueues: true,
  });
