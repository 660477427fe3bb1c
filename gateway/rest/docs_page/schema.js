// Schemas as people read them: a type in a few words, a tree of fields, an example to start from.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export class Schemas {
  constructor(document) {
    this.document = document;
  }

  resolve(thing) {
    if (!thing || !thing.$ref) return thing ?? {};
    return thing.$ref.slice(2).split("/").reduce((at, key) => at[key], this.document);
  }

  // Without the null that every optional field allows.
  plain(schema) {
    const choices = (schema.anyOf ?? []).filter((one) => one.type !== "null");
    return choices.length === 1 ? { ...choices[0], description: schema.description } : schema;
  }

  name(schema) {
    return schema.$ref ? schema.$ref.split("/").pop() : "";
  }

  type(outer) {
    const schema = this.plain(outer);
    if (schema.$ref) return this.name(schema);
    if (schema.anyOf) return schema.anyOf.map((one) => this.type(one)).join(" or ");
    const types = [schema.type ?? "any"].flat().filter((one) => one !== "null");
    if (types[0] === "array") return `${this.type(schema.items ?? {})}[]`;
    if (types[0] === "object" && typeof schema.additionalProperties === "object") {
      return `map of ${this.type(schema.additionalProperties)}`;
    }
    const form = schema.format ?? schema.contentEncoding;
    return types[0] + (form && form !== types[0] ? ` (${form})` : "");
  }

  // What is behind a type: the component that its items or values have.
  inner(outer) {
    const schema = this.plain(outer);
    if (schema.$ref) return schema;
    if (schema.items) return this.inner(schema.items);
    if (typeof schema.additionalProperties === "object") {
      return this.inner(schema.additionalProperties);
    }
    return schema;
  }

  // A description list of an object's fields; nested ones open on demand.
  fields(outer, depth = 0) {
    const schema = this.resolve(this.plain(outer));
    const choices = schema.anyOf;
    if (choices) return el("div", {}, ...choices.map((one) => this.model(one, depth)));
    if (schema.enum) return el("p", {}, prose(schema.description ?? schema.enum.join(", ")));
    const list = el("dl", { class: "fields" });
    for (const [key, value] of Object.entries(schema.properties ?? {})) {
      list.append(
        el("dt", {}, el("code", {}, key), " ", el("span", { class: "type" }, this.type(value))),
        el("dd", {}, value.description ? prose(value.description) : null, this.model(value, depth)),
      );
    }
    return list.children.length ? list : el("p", { class: "type" }, "No fields.");
  }

  model(outer, depth) {
    const inner = this.inner(outer);
    const target = this.resolve(inner);
    if (!inner.$ref || depth > 8) return null;
    const body = el("div", { class: "inner" });
    const box = el("details", { class: "model" }, el("summary", {}, this.name(inner)), body);
    box.addEventListener("toggle", () => {
      if (!box.open || body.children.length) return;
      if (target.description && !target.enum) body.append(prose(target.description));
      body.append(this.fields(inner, depth + 1));
    });
    return box;
  }

  // Where to start from: the first field of each object, which is what it is about.
  example(outer, depth = 0) {
    const schema = this.resolve(this.plain(outer));
    if (schema.examples) return schema.examples[0];
    if (schema.enum) return schema.enum[0];
    const type = [schema.type ?? "object"].flat()[0];
    if (type === "array") return [this.example(schema.items ?? {}, depth + 1)];
    if (type === "object") {
      const [first] = Object.entries(schema.properties ?? {}).filter(([key]) => key !== "requestId");
      return first && depth < 6 ? { [first[0]]: this.example(first[1], depth + 1) } : {};
    }
    const wide = ["int64", "uint64"].includes(schema.format);
    return wide ? "0" : ({ integer: 0, number: 0, boolean: false }[type] ?? "");
  }
}

export function prose(text) {
  const paragraph = el("p");
  text.split("`").forEach((part, place) => paragraph.append(place % 2 ? el("code", {}, part) : part));
  return paragraph;
}
