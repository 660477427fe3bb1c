import type { Delivery, HeaderTable } from "@ui/api/messages";
import { base64 } from "@ui/lib/words";
import { drawnRoutes } from "@ui/views/messages/exchanges/routes";
import { addressOf, ratesOf, settingsOf, totalsOf } from "@ui/views/messages/names";
import { queueOf } from "@ui/views/messages/queues/spec";
import { bodyOf, deathsOf, headersOf, propertiesOf, shownHeaders, valueText } from "@ui/views/messages/values";

const hex = (...bytes: number[]): string => btoa(String.fromCharCode(...bytes));

test("a body is text where it can be read, else hexadecimal digits, and bounded", () => {
  expect(bodyOf(undefined)).toEqual({ kind: "empty", text: "", size: 0, cut: false });
  expect(bodyOf(base64("grüße\n"))).toMatchObject({ kind: "text", text: "grüße\n", size: 8, cut: false });
  expect(bodyOf(base64('{"a":1}'))).toMatchObject({ kind: "text", text: '{"a": 1}' });
  // What would show it as something else is replaced.
  expect(bodyOf(base64("a\u202eb")).text).toBe("a\ufffdb");
  expect(bodyOf(hex(0, 0x41, 0xff)).text).toMatch(/^00000000 {2}00 41 ff +\.A\.$/);
  expect(bodyOf(hex(0xff, 0xfe)).kind).toBe("hex");
  expect(bodyOf(hex(...Array.from({ length: 17 }, () => 0))).text.split("\n")).toHaveLength(2);
  const long = bodyOf(base64("x".repeat(100)), 10);
  expect([long.text, long.size, long.cut]).toEqual(["x".repeat(10), 100, true]);
  // A character that the end cuts in two does not make bytes of a text.
  expect(bodyOf(base64("ü".repeat(100)), 11)).toMatchObject({ kind: "text", text: "ü".repeat(5), cut: true });
});

test("headers of every type are one line each", () => {
  const table: HeaderTable = {
    text: { text: "a" },
    flag: { boolean: false },
    count: { integer: "0" },
    share: { number: 0.5 },
    bytes: { binary: hex(1, 255) },
    price: { decimal: { scale: 2, value: -5 } },
    none: { void: true },
    many: { list: { values: [{ integer: "1" }, { text: "b" }] } },
    nested: { table: { entries: { z: { integer: "1" }, a: { list: {} } } } },
  };
  expect(Object.values(table).map(valueText)).toEqual([
    "a",
    "false",
    "0",
    "0.5",
    "0x01ff",
    "-0.05",
    "void",
    "[1, b]",
    "{a=[], z=1}",
  ]);
});

test("headers are typed as lines, with the type that they look like", () => {
  expect(headersOf('a=1\n\nb = -2.5\nc=true\nd=x=y\ne="1"\nf=007\ng=', "Headers")).toEqual({
    a: { integer: "1" },
    b: { number: -2.5 },
    c: { boolean: true },
    d: { text: "x=y" },
    e: { text: "1" },
    f: { text: "007" },
    g: { text: "" },
  });
  expect(headersOf(" \n", "Headers")).toBeUndefined();
  expect(() => headersOf("=1", "Headers")).toThrow("“=1” is not name=value.");
});

test("the dead letter history is a table, whatever producers wrote there", () => {
  const entries = {
    queue: { text: "mail" },
    reason: { text: "expired" },
    count: { integer: "2" },
    time: { timestamp: "2026-01-01T00:00:00Z" },
    exchange: { text: "" },
    "routing-keys": { list: { values: [{ text: "a" }, { text: "b" }] } },
  };
  const delivery: Delivery = {
    message: {
      properties: {
        contentType: "text/plain",
        headers: {
          "x-death": { list: { values: [{ table: { entries } }, { text: "nonsense" }, { table: {} }] } },
          "x-first-death-queue": { text: "mail" },
          tenant: { text: "acme" },
        },
      },
    },
  };
  expect(deathsOf(delivery)).toEqual([
    { queue: "mail", reason: "expired", count: 2, time: "2026-01-01T00:00:00Z", exchange: "", routingKeys: "a, b" },
  ]);
  expect(shownHeaders(delivery)).toEqual([["tenant", "acme"]]);
  expect(propertiesOf(delivery)).toEqual([["Content type", "text/plain"]]);
  // Without a history they are headers as others.
  const plain = { message: { properties: { headers: { "x-death": { text: "mine" } } } } };
  expect(shownHeaders(plain)).toEqual([["x-death", "mine"]]);
});

test("rates are between two readings of the same queue under the same leader", () => {
  const first = totalsOf({ name: "a", uid: "1", publishedTotal: "10" }, 0);
  const second = totalsOf({ name: "a", uid: "1", publishedTotal: "30", deliveredTotal: "4" }, 2_000);
  expect(ratesOf(first, second)).toEqual({ published: 10, delivered: 2, acknowledged: 0 });
  expect(ratesOf(second, first)).toBeUndefined();
  expect(ratesOf(undefined, first)).toBeUndefined();
  expect(ratesOf({ ...first, uid: "2" }, second)).toBeUndefined();
  // A new leader counts from 0.
  expect(ratesOf(second, totalsOf({ name: "a", uid: "1", publishedTotal: "3" }, 4_000))).toBeUndefined();
});

test("settings are those that are not the defaults", () => {
  expect(settingsOf({ type: "MESSAGE_QUEUE_TYPE_STREAM", maxAge: "3600s" })).toEqual([["Messages are kept", "for 1 h"]]);
  const spec = { messageTtl: "60s", maxLength: "1000", deadLetterExchange: "", deliveryLimit: 0, autoDelete: true };
  expect(settingsOf(spec)).toEqual([
    ["Messages expire", "after 1 min"],
    ["At most", "1,000 ready messages"],
    ["When it is full", "the oldest messages go"],
    ["Dead letters go to", "the default exchange"],
    ["Delivery limit", "none"],
    ["Deleted", "when its last consumer goes"],
  ]);
});

test("the form of a message queue is read, and what cannot be read names its field", () => {
  const form = (fields: Record<string, string>) => queueOf("/", (name) => fields[name] ?? "");
  expect(form({ name: "mail" })).toEqual({
    virtualHost: "/",
    name: "mail",
    spec: { type: "MESSAGE_QUEUE_TYPE_QUEUE" },
  });
  expect(
    form({
      name: "mail",
      messageTtl: "1h",
      maxLength: "10",
      overflow: "OVERFLOW_REJECT_PUBLISH",
      deadLetters: "default",
      deadLetterRoutingKey: "dead",
      deliveryLimit: "0",
      maxPriority: "31",
      single: "on",
    }).spec,
  ).toEqual({
    type: "MESSAGE_QUEUE_TYPE_QUEUE",
    messageTtl: "3600s",
    maxLength: "10",
    overflow: "OVERFLOW_REJECT_PUBLISH",
    deadLetterExchange: "",
    deadLetterRoutingKey: "dead",
    deliveryLimit: 0,
    maxPriority: 31,
    singleActiveConsumer: true,
  });
  const stream = { name: "log", type: "MESSAGE_QUEUE_TYPE_STREAM", maxAge: "7d", maxLengthBytes: "1G", single: "on" };
  expect(form(stream).spec).toEqual({ type: stream.type, maxAge: "604800s", maxLengthBytes: "1073741824" });
  expect(() => form({ maxPriority: "32" })).toThrow("Highest priority: “32” is not a whole number from 0 to 31.");
  expect(() => form({ deadLetters: "other" })).toThrow("Dead letter exchange: it has no name.");
  expect(() => form({ maxLengthBytes: "many" })).toThrow("Bytes: “many” is not a size");
});

test("routes are drawn once for each destination, the alternate exchange too, and not when there are many", () => {
  const exchange = { name: "orders", arguments: { "alternate-exchange": { text: "rest" } } };
  const own = [
    { source: "orders", messageQueue: "a", routingKey: "x" },
    { source: "orders", messageQueue: "a", routingKey: "y" },
    { source: "orders", exchange: "more" },
  ];
  const further = [
    { source: "more", exchange: "orders", routingKey: "back" },
    { source: "more", messageQueue: "a", arguments: { "x-match": { text: "all" } } },
  ];
  const found = drawnRoutes(exchange, { own, more: false, further });
  expect(found?.spots.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    "exchange orders",
    "queue a",
    "exchange more",
    "exchange rest",
  ]);
  expect(found?.spots[1]?.after).toEqual(["from orders: x, y", "from more: x-match=all"]);
  expect(found?.drawing.lines.map(({ label }) => label)).toEqual(["x, y", "", "back", "x-match=all", "no binding matches"]);
  expect(found?.dashed).toEqual([false, false, false, false, true]);
  expect(drawnRoutes({ name: "orders" }, { own: [], more: false, further: [] })).toBeUndefined();
  const many = Array.from({ length: 61 }, (_, at) => ({ source: "orders", messageQueue: `q${at}` }));
  expect(drawnRoutes(exchange, { own: many, more: false, further: [] })).toBeUndefined();
  expect(drawnRoutes(exchange, { own, more: true, further: [] })).toBeUndefined();
});

test("a task queue is drawn apart from a message queue of the same name", () => {
  const own = [
    { source: "x", messageQueue: "work", routingKey: "a" },
    { source: "x", taskQueue: "work", routingKey: "b" },
  ];
  const found = drawnRoutes({ name: "x" }, { own, more: false, further: [] });
  expect(found?.spots.map(({ kind, name }) => `${kind} ${name}`)).toEqual(["exchange x", "queue work", "task queue work"]);
  expect(found?.spots[2]?.after).toEqual(["from x: b"]);
});

test("addresses keep names with slashes, and leave the default virtual host out", () => {
  expect(addressOf("/", "queues", "a/b")).toBe("#/messages/queues%2Fa%2Fb");
  expect(addressOf("shop", "exchanges", "x")).toBe("#/messages/exchanges%2Fx?vhost=shop");
  expect(addressOf("/", "queues")).toBe("#/messages");
  expect(addressOf("shop", "exchanges")).toBe("#/messages?show=exchanges&vhost=shop");
});
