// The page at /docs: reads openapi.json, lists the operations by tag, and lets them be tried.
import { Schemas, el, prose } from "./schema.js";

const main = document.getElementById("operations");
const contents = document.getElementById("contents");
const filter = document.getElementById("filter");
const count = document.getElementById("count");
const METHODS = ["get", "post", "put", "patch", "delete"];

// The page is at <root>/docs, and so is what it calls.
const root = new URL(".", document.baseURI).pathname.replace(/\/$/, "");

const answer = await fetch(`${root}/openapi.json`).catch(() => null);
if (answer?.ok) show(await answer.json());
else main.append(el("p", { class: "fault" }, "openapi.json could not be loaded. Reload the page."));

function show(api) {
  const schemas = new Schemas(api);
  document.getElementById("version").textContent = api.info.version;
  const entries = [];
  for (const tag of api.tags) {
    const links = el("ul");
    const section = el("section", {}, el("h2", {}, tag.name), tag.description ? prose(tag.description) : null);
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((one) => item[one]?.tags.includes(tag.name))) {
        const operation = item[method];
        const box = operationBox(schemas, method, path, operation);
        const link = el("a", { href: `#${operation.operationId}` }, operation.operationId);
        link.addEventListener("click", () => (box.open = true));
        const entry = el("li", {}, link);
        links.append(entry);
        section.append(box);
        const text = `${method} ${path} ${operation.operationId} ${operation.description}`;
        entries.push({ box, entry, text: text.toLowerCase() });
      }
    }
    contents.append(el("h2", {}, tag.name), links);
    main.append(section);
  }
  const narrow = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    let left = 0;
    for (const { box, entry, text } of entries) {
      box.hidden = entry.hidden = !words.every((word) => text.includes(word));
      left += box.hidden ? 0 : 1;
    }
    count.textContent = `${left} of ${entries.length} operations`;
  };
  filter.addEventListener("input", narrow);
  narrow();
  const named = document.getElementById(location.hash.slice(1));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}

function operationBox(schemas, method, path, operation) {
  const inside = el("div", { class: "inside" });
  const box = el(
    "details", { class: "operation", id: operation.operationId },
    el("summary", {},
      el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("span", { class: "path" }, path),
      el("span", { class: "summary" }, operation.summary)),
    inside,
  );
  box.addEventListener("toggle", () => {
    if (box.open && !inside.children.length) fillBox(inside, schemas, method, path, operation);
  });
  return box;
}

function fillBox(inside, schemas, method, path, operation) {
  if (operation.description) inside.append(prose(operation.description));
  if (operation.parameters.length) {
    const list = el("dl", { class: "fields" });
    for (const one of operation.parameters) {
      list.append(
        el("dt", {}, el("code", {}, one.name), " ",
          el("span", { class: "type" }, `${schemas.type(one.schema)}, ${one.in}`), " ",
          one.required ? el("span", { class: "needed" }, "required") : null),
        el("dd", {}, one.description ? prose(one.description) : null, schemas.model(one.schema, 0)),
      );
    }
    inside.append(el("h3", {}, "Parameters"), list);
  }
  const body = operation.requestBody?.content["application/json"].schema;
  if (body) inside.append(el("h3", {}, "Body (application/json)"), schemas.fields(body));
  inside.append(el("h3", {}, "Answers"));
  for (const [status, reference] of Object.entries(operation.responses)) {
    const response = schemas.resolve(reference);
    const line = el("div", {}, el("strong", {}, status), " ", response.description);
    for (const [type, content] of Object.entries(response.content ?? {})) {
      // Every failure has the same form: it is shown once.
      const shown = status.startsWith("2") || status === "default";
      line.append(" ", el("span", { class: "type" }, type));
      if (shown) line.append(schemas.model(content.schema, 0) ?? "");
    }
    inside.append(line);
  }
  inside.append(tryForm(schemas, method, path, operation, body));
}

function tryForm(schemas, method, path, operation, body) {
  const inputs = new Map();
  const form = el("form", {}, el("h3", {}, "Try it"));
  for (const one of operation.parameters) {
    const options = schemas.resolve(one.schema).enum?.filter((value) => typeof value === "string");
    const input = options
      ? el("select", {}, el("option", { value: "" }, ""), ...options.map((value) => el("option", {}, value)))
      : el("input", { required: one.required, autocomplete: "off" });
    inputs.set(one, input);
    const many = one.schema.type === "array" ? " (several: commas)" : "";
    form.append(el("label", {}, el("span", {}, one.name + many), input));
  }
  let text = null;
  if (body) {
    text = el("textarea", { "aria-label": "Body", spellcheck: "false" });
    text.value = JSON.stringify(schemas.example(body), null, 2);
    form.append(text);
  }
  const send = el("button", { type: "submit" }, "Send");
  const stop = el("button", { type: "button", disabled: true }, "Stop");
  const status = el("p", { class: "status", role: "status" });
  const output = el("pre", { class: "answer", tabindex: "0", hidden: true });
  form.append(el("p", {}, send, " ", stop), status, output);
  let abort = null;
  stop.addEventListener("click", () => abort?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    abort = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    try {
      await run(method, request(path, inputs), text, abort.signal, status, output);
    } catch (error) {
      status.textContent = error.name === "AbortError" ? "Stopped." : `No answer: ${error.message}`;
    } finally {
      send.disabled = false;
      stop.disabled = true;
    }
  });
  return form;
}

function request(path, inputs) {
  const query = new URLSearchParams();
  const headers = {};
  for (const [one, input] of inputs) {
    const value = input.value.trim();
    if (one.in === "path") path = path.replace(`{${one.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (one.in === "header") headers[one.name] = value;
    else if (one.schema.type === "array") {
      for (const part of value.split(",")) query.append(one.name, part.trim());
    } else query.append(one.name, value);
  }
  const tail = query.toString();
  return { url: root + path + (tail ? `?${tail}` : ""), headers };
}

// Shows what comes as it comes; at most so much of a stream is kept on the page.
const MOST = 200_000;

async function run(method, { url, headers }, text, signal, status, output) {
  const begin = performance.now();
  const options = { method: method.toUpperCase(), headers, signal, cache: "no-store" };
  if (text) {
    options.body = text.value;
    headers["Content-Type"] = "application/json";
  }
  status.textContent = "Waiting…";
  output.hidden = false;
  output.textContent = "";
  const response = await fetch(url, options);
  const tell = (more) => {
    const time = Math.round(performance.now() - begin);
    status.textContent = `${response.status} ${response.statusText}, ${time} ms${more}`;
    status.classList.toggle("fault", !response.ok);
  };
  tell(", receiving");
  const type = response.headers.get("Content-Type") ?? "";
  if (type.includes("json") && !type.includes("ndjson")) {
    const value = await response.json();
    output.textContent = JSON.stringify(value, null, 2);
  } else if (response.body) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      output.textContent = (output.textContent + part.value).slice(-MOST);
    }
  }
  tell("");
}
