// A page of the API's own description: every operation, its parameters, and a way to try it.

const api = await (await fetch("../openapi.json")).json();

let fields = 0;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function resolve(schema) {
  if (!schema?.$ref) return schema ?? {};
  return schema.$ref.split("/").slice(1).reduce((at, key) => at[key], api);
}

function kind(schema) {
  const found = resolve(schema);
  if (found.enum) return found.enum.join(" | ");
  if (found.const !== undefined) return String(found.const);
  if (found.anyOf) return found.anyOf.map(kind).join(" | ");
  if (found.type === "array") return `${kind(found.items)}, several`;
  if (found.type === "object" || found.properties) return "object";
  return found.type ?? "any";
}

function range(schema) {
  const found = resolve(schema);
  const plain = (found.anyOf ?? [found]).map(resolve).find((each) => each.type !== "null") ?? {};
  const parts = [];
  if (plain.minimum !== undefined) parts.push(`from ${plain.minimum}`);
  if (plain.maximum < 1e15) parts.push(`to ${plain.maximum.toLocaleString("en")}`);
  if (found.default !== undefined && found.default !== null) {
    parts.push(`default ${JSON.stringify(found.default)}`);
  }
  return parts.join(", ");
}

// Text whose `words` between backticks are code.
function rich(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

// What a parameter is typed into.
function field(parameter) {
  const schema = resolve(parameter.schema);
  const attributes = { name: parameter.name, "data-in": parameter.in, id: `field-${++fields}` };
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (choices) {
    const options = ["", ...choices].map((each) => element("option", {}, each));
    return element("select", attributes, ...options);
  }
  if (schema.type === "array") Object.assign(attributes, { "data-several": "true", placeholder: "a; b" });
  return element("input", parameter.required ? { ...attributes, required: "" } : attributes);
}

// An example of a request's body, from its schema.
function example(schema, depth = 0) {
  const found = resolve(schema);
  if (found.default !== undefined) return found.default;
  if (found.anyOf) return example(found.anyOf[0], depth);
  if (found.type === "array") return depth > 4 ? [] : [example(found.items, depth + 1)];
  if (found.properties) {
    const wanted = Object.entries(found.properties).filter(([name]) =>
      found.required?.includes(name) ?? false);
    return Object.fromEntries(wanted.map(([name, each]) => [name, example(each, depth + 1)]));
  }
  return { string: "…", integer: 1, number: 0.5, boolean: false }[found.type] ?? null;
}

function token() {
  return sessionStorage.getItem("twinear-token");
}

async function send(path, method, form, output) {
  let address = path;
  const query = new URLSearchParams();
  let body;
  const headers = {};
  for (const input of form.elements) {
    if (!input.name || !input.value) continue;
    const place = input.dataset.in;
    if (place === "path") address = address.replace(`{${input.name}}`, encodeURIComponent(input.value));
    if (place === "query") {
      const values = input.dataset.several ? input.value.split(";") : [input.value];
      for (const value of values) query.append(input.name, value.trim());
    }
    if (place === "body") {
      body = input.value;
      headers["Content-Type"] = "application/json";
    }
    if (place === "file") {
      body ??= new FormData();
      for (const file of input.files) body.append(input.name, file);
    }
  }
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const where = query.size ? `${address}?${query}` : address;
  output.textContent = `${method} ${where}\n…`;
  const answer = await fetch(where, { method, headers, body });
  if (answer.status === 401) document.getElementById("token").hidden = false;
  const type = answer.headers.get("Content-Type") ?? "";
  let shown = `(${type})`;
  if (type.includes("json")) shown = JSON.stringify(await answer.json(), null, 2);
  else if (type.includes("mpegurl") || type.startsWith("text/")) shown = await answer.text();
  output.textContent = `${method} ${where}\n${answer.status}\n\n${shown.slice(0, 20000)}`;
}

function describe(path, method, operation) {
  const form = element("form");
  const parameters = (operation.parameters ?? []).filter((each) => each.in !== "header");
  if (parameters.length) {
    const rows = parameters.flatMap((each) => {
      const input = field(each);
      const about = each.description ?? resolve(each.schema).description ?? "";
      const facts = [kind(each.schema), range(each.schema), about].filter(Boolean).join("; ");
      return [
        element("label", { for: input.id }, element("code", {}, each.name), each.required ? " *" : ""),
        input,
        element("small", {}, ...rich(facts)),
      ];
    });
    form.append(element("div", { class: "parameters" }, ...rows));
  }
  const content = operation.requestBody?.content ?? {};
  if (content["application/json"]) {
    const area = element("textarea", { name: "body", "data-in": "body", "aria-label": "body" });
    area.value = JSON.stringify(example(content["application/json"].schema), null, 2);
    form.append(area);
  }
  if (content["multipart/form-data"]) {
    form.append(element("input", {
      type: "file", name: "clip", multiple: "", "data-in": "file", "aria-label": "clip", required: "",
    }));
  }
  const output = element("pre", { hidden: "" });
  form.append(element("p", {}, element("button", {}, "Send")), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.hidden = false;
    try {
      await send(path, method.toUpperCase(), form, output);
    } catch (error) {
      output.textContent = `No answer: ${error.message}`;
    }
  });
  const [first, ...more] = (operation.description ?? "").split("\n\n");
  return element("details", { id: operation.operationId },
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), " ",
      element("code", {}, path), " ", element("span", { class: "about" }, ...rich(first))),
    ...more.map((text) => element("p", {}, ...rich(text))), form);
}

// Errors that every operation may answer stand once above.
function describeErrors(responses) {
  return Object.entries(responses).filter(([status]) => status >= "400").flatMap(([status, each]) => [
    element("dt", {}, status), element("dd", {}, ...rich(each.description))]);
}

const groups = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const tag = operation.tags?.[0] ?? "other";
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(describe(path, method, operation));
  }
}
document.getElementById("summary").textContent = `${api.info.summary} Version ${api.info.version}.`;
document.getElementById("operations").replaceChildren(
  ...[...groups].flatMap(([tag, operations]) => [
    element("h2", {}, tag.charAt(0).toUpperCase() + tag.slice(1)), ...operations]));
document.getElementById("errors").append(
  ...describeErrors(api.paths["/api/v1/similar/clips"].post.responses));
document.getElementById("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("twinear-token", event.target.elements.token.value);
  event.target.hidden = true;
});
