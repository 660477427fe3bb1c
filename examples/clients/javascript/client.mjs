// Submits tasks, follows them and reads their logs, through failovers.
//
//   node client.mjs [--tasks N] ADDRESS...
//
// ADDRESS is ip:port of any scheduler; give all of them. A single one may be any gRPC target, such
// as dns:///schedulers:7480. Prints one line for each task created, finished and read.
//
// Who repeats what when a scheduler dies:
//   a single call   gRPC itself, on another address, as the service config says; then `repeat`,
//                   always with the same request_id, so that nothing is done twice
//   the watch       `follow`: opened again behind the last resume_token: nothing is missed or told twice
//   a log           `readLog`: read again from its beginning

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTOS = fileURLToPath(new URL("../../../protos", import.meta.url));
// google/api/annotations.proto comes with protobufjs.
const GOOGLE_API = dirname(createRequire(import.meta.url).resolve("protobufjs/package.json"));

const QUEUE = "default";
const CALL_MS = 5_000; // One try of one call.
const PATIENCE_MS = 60_000; // All tries together.
const MOST_PAUSE_MS = 1_000;
const WATCH_PAUSE_MS = 100;
const { UNAVAILABLE, DEADLINE_EXCEEDED, OUT_OF_RANGE } = grpc.status;
const FINISHED = ["TASK_STATE_SUCCEEDED", "TASK_STATE_FAILED", "TASK_STATE_CANCELLED"];

/** TLS where QUORATE_TLS_CA_FILE, _CERT_FILE and _KEY_FILE say so, as the command `quorate` has it. */
function credentials() {
  const [ca, certificate, key] = ["CA", "CERT", "KEY"].map((name) => {
    const path = process.env[`QUORATE_TLS_${name}_FILE`];
    return path ? readFileSync(path) : null;
  });
  if (ca === null) return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(ca, key, certificate);
}

function connect(addresses) {
  const definition = protoLoader.loadSync("quorate/v1/scheduler.proto", {
    includeDirs: [PROTOS, GOOGLE_API],
    enums: String,
    longs: String,
  });
  const { Scheduler } = grpc.loadPackageDefinition(definition).quorate.v1;
  const target = addresses.length === 1 ? addresses[0] : `ipv4:${addresses.join(",")}`;
  return new Scheduler(target, credentials(), {
    // grpc-js can hedge: a read that takes long is sent to a second scheduler as well.
    "grpc.service_config": readFileSync(`${PROTOS}/quorate/v1/service_config_hedging.json`, "utf8"),
    "grpc.max_receive_message_length": 64 << 20,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    "grpc.keepalive_time_ms": 20_000, // Finds out that a scheduler is frozen or cut off.
  });
}

/** Whether another try may do better: the outcome of this one is unknown. */
const isUnknown = (error) => error.code === UNAVAILABLE || error.code === DEADLINE_EXCEEDED;

/** Runs `attempt` until its outcome is known. */
async function repeat(attempt) {
  const begin = Date.now();
  for (let most = 20; ; most = Math.min(2 * most, MOST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isUnknown(error) || Date.now() - begin > PATIENCE_MS) throw error;
    }
    await sleep(most * Math.random()); // At random, so that a crowd does not come back in step.
  }
}

/** One unary call, repeated with the same request. */
function call(client, method, request) {
  return repeat(
    () =>
      new Promise((resolve, reject) => {
        client[method](request, { deadline: Date.now() + CALL_MS }, (error, answer) =>
          error ? reject(error) : resolve(answer),
        );
      }),
  );
}

async function createTask(client, number) {
  const { task } = await call(client, "CreateTask", {
    queue: QUEUE,
    requestId: randomUUID(), // Made once, outside the loop that repeats.
    spec: {
      name: "hello-from-javascript",
      labels: { client: "javascript" },
      command: { argv: ["sh", "-c", `sleep 0.05; echo hello ${number} from javascript`] },
    },
  });
  return task.id;
}

/** Where a watch of the queue begins now: what happens from here on is behind this token. */
function watchFromNow(client) {
  return repeat(async () => {
    for await (const { resumeToken } of watch(client, "", CALL_MS)) return resumeToken;
  });
}

/** Opens the watch once. Whoever leaves the loop over it ends the call. */
async function* watch(client, resumeToken, timeout = Infinity) {
  const request = { queue: QUEUE, states: FINISHED, resumeToken };
  const stream = client.WatchTasks(request, { deadline: Date.now() + timeout });
  try {
    yield* stream;
  } finally {
    stream.on("error", () => {}); // That we cancelled it.
    stream.cancel();
  }
}

/** Follows the queue from `token` on until all tasks are finished; tells each one once. */
async function follow(client, token, ids, tell) {
  const waiting = new Set(ids);
  const settle = ({ id, state }) => waiting.delete(id) && tell(id, state);
  let heard = Date.now();
  while (waiting.size > 0) {
    try {
      for await (const { events, resumeToken } of watch(client, token)) {
        heard = Date.now();
        // Only now: what finishes after these looks is in the stream.
        if (token === "") await look(client, waiting, settle);
        for (const { task } of events ?? []) settle(task);
        token = resumeToken || token;
        if (waiting.size === 0) return;
      }
    } catch (error) {
      if (error.code === OUT_OF_RANGE) token = ""; // Too old to resume from: from now on, and look.
      else if (!isUnknown(error) || Date.now() - heard > PATIENCE_MS) throw error;
      console.error(`the watch is resumed: ${error.details}`);
    }
    await sleep(WATCH_PAUSE_MS * Math.random());
  }
}

async function look(client, ids, settle) {
  for (const id of [...ids]) {
    const { task } = await call(client, "GetTask", { id });
    if (FINISHED.includes(task.state)) settle(task);
  }
}

/** What a task wrote to standard output. */
function readLog(client, id) {
  return repeat(async () => {
    const pieces = [];
    const stream = client.StreamTaskLogs({ id }, { deadline: Date.now() + CALL_MS });
    for await (const { chunk } of stream) {
      if (chunk?.stream === "LOG_STREAM_STDOUT") pieces.push(chunk.data);
    }
    return Buffer.concat(pieces).toString();
  });
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { tasks: { type: "string", default: "10" } },
    allowPositionals: true,
  });
  const count = Number(values.tasks);
  if (positionals.length === 0 || !Number.isInteger(count) || count < 1) {
    throw new Error("usage: node client.mjs [--tasks N] ADDRESS...");
  }
  const client = connect(positionals);
  const token = await watchFromNow(client); // Before the first task, so that nothing is missed.

  const ids = [];
  for (let number = 0; number < count; number++) {
    ids.push(await createTask(client, number));
    console.log(`created ${ids.at(-1)}`);
  }
  const failed = [];
  await follow(client, token, ids, (id, state) => {
    console.log(`${state} ${id}`);
    if (state !== "TASK_STATE_SUCCEEDED") failed.push(id);
  });
  for (const id of ids) console.log(`log ${id} ${(await readLog(client, id)).trimEnd()}`);

  client.close();
  if (failed.length > 0) throw new Error(`failed: ${failed.join(", ")}`);
}

main().catch((error) => {
  console.error(error.details ? `${grpc.status[error.code]}: ${error.details}` : error.message);
  process.exit(1);
});
