// Creates a task, follows it and reads its logs, knowing nothing of Quorate but its proto files.
//
//   node client.mjs ADDRESS PROTO_DIR...
//
// Prints one JSON object: the task's id, the states that WatchTasks delivered in their order, the
// final state and both outputs. Exits 1 with the gRPC status on standard error when a call fails.

import { readFileSync } from "node:fs";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [address, ...includeDirs] = process.argv.slice(2);
const DEADLINE_MS = 30_000;

const definition = protoLoader.loadSync("quorate/v1/scheduler.proto", {
  includeDirs,
  enums: String,
  longs: String,
});
const { Scheduler } = grpc.loadPackageDefinition(definition).quorate.v1;
const [ca, cert, key] = ["CA", "CERT", "KEY"].map((name) => {
  const file = process.env[`QUORATE_TLS_${name}_FILE`];
  return file ? readFileSync(file) : null;
});
const tokenFile = process.env.QUORATE_TOKEN_FILE;
const bearer = grpc.credentials.createFromMetadataGenerator((_, callback) => {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${readFileSync(tokenFile, "utf8").trim()}`);
  callback(null, metadata);
});
const secure = () => {
  const tls = grpc.credentials.createSsl(ca, key, cert);
  return tokenFile ? grpc.credentials.combineChannelCredentials(tls, bearer) : tls;
};
const credentials = ca ? secure() : grpc.credentials.createInsecure();
const client = new Scheduler(address, credentials);
const options = () => ({ deadline: Date.now() + DEADLINE_MS });

function unary(method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, options(), (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

async function run() {
  const watch = client.WatchTasks({ queue: "default" }, options());
  const answers = watch[Symbol.asyncIterator]();
  await answers.next(); // Says where the watch begins: what is created now is seen.

  const { task } = await unary("CreateTask", {
    queue: "default",
    requestId: `grpc-js-${process.pid}-${Date.now()}`,
    spec: {
      name: "from-node-js",
      command: { argv: ["sh", "-c", "echo out of $NAME; echo no error >&2"], env: { NAME: "js" } },
    },
  });

  const states = [];
  const finished = new Set(["TASK_STATE_SUCCEEDED", "TASK_STATE_FAILED", "TASK_STATE_CANCELLED"]);
  while (!finished.has(states.at(-1))) {
    const { value, done } = await answers.next();
    if (done) throw new Error("the watch ended before the task did");
    for (const event of value.events ?? []) {
      if (event.task.id === task.id) states.push(event.task.state);
    }
  }
  watch.on("error", () => {}); // Our own cancel.
  watch.cancel();

  const final = (await unary("GetTask", { id: task.id })).task;
  const output = { LOG_STREAM_STDOUT: "", LOG_STREAM_STDERR: "" };
  for await (const { chunk } of client.StreamTaskLogs({ id: task.id }, options())) {
    if (chunk) output[chunk.stream] += chunk.data.toString();
  }
  console.log(
    JSON.stringify({
      id: task.id,
      states,
      final: final.state,
      exitCode: final.result?.exitCode,
      stdout: output.LOG_STREAM_STDOUT,
      stderr: output.LOG_STREAM_STDERR,
    }),
  );
}

try {
  await run();
} catch (error) {
  console.error(`${error.code ?? ""} ${error.details ?? error.stack}`);
  process.exitCode = 1;
} finally {
  client.close();
}
