// Elements from plain data. Text becomes text nodes, never markup, so nothing that a program or a model wrote can be run.

/** Return an element: attributes by name ("on..." are listeners, booleans switch), then children: nodes or text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : visible(String(child)));
  }
  return element;
}

// Terminal escapes, other controls, and what turns the direction of text round: shown for what they are.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Return text in which what could not be seen, or would deceive, is a visible mark. */
export function visible(text) {
  return text.replace(/\r\n/g, "\n").replace(CONTROLS, (mark) => {
    const code = mark.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/** Put children in the place of an element's own. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}

/** Have a screen reader say something. */
export function say(text) {
  document.getElementById("said").textContent = visible(text);
}

/** Show what went wrong, until it is closed or something else does. */
export function complain(error) {
  const notice = document.getElementById("notice");
  const text = error.remedy ? `${error.message} (${error.remedy})` : error.message || String(error);
  fill(notice, h("span", {}, text), h("button", { type: "button", class: "quiet", onclick: quiet }, "Close"));
  notice.hidden = false;
}

/** Take the notice away. */
export function quiet() {
  document.getElementById("notice").hidden = true;
}

const WORDS = new Set(
  ("and as assert async await break class continue def del elif else except finally for from global if import in is " +
    "lambda nonlocal not or pass raise return try while with yield True False None").split(" "),
);
const TOKENS = /(#[^\n]*)|((?:[rbfu]{0,2})(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))|(\b\d[\w.]*)|([A-Za-z_]\w*)/g;
const LONG_CODE = 30000;

/** Return Python as nodes, with comments, strings, numbers and keywords marked. */
export function python(code) {
  const text = visible(code);
  if (text.length > LONG_CODE) return [document.createTextNode(text)];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    const kind = match[1] ? "comment" : match[2] ? "string" : match[3] ? "number" : WORDS.has(match[4]) ? "word" : "";
    if (!kind) continue;
    nodes.push(text.slice(end, match.index), h("span", { class: `py-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

const LONG = 4000;
const PREVIEW = 1500;

/** Return text in a box of its own; of long text the beginning, and all of it when asked for. */
export function block(text, kind = "") {
  const whole = String(text);
  if (whole.length <= LONG) return h("pre", { class: kind, tabindex: "0" }, whole);
  const pre = h("pre", { class: kind, tabindex: "0" }, whole.slice(0, PREVIEW));
  const more = h("button", { type: "button", class: "quiet", onclick: () => {
    pre.replaceChildren(visible(whole));
    more.remove();
  } }, `Show all ${whole.length.toLocaleString("en")} characters`);
  return h("div", {}, pre, more);
}

/** Return a number as people read it. */
export function count(number) {
  if (number === null || number === undefined) return "–";
  const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]];
  for (const [size, unit] of steps) {
    if (number >= size) return `${(number / (unit === "k" ? 1e3 : size)).toFixed(1)} ${unit}`;
  }
  return Number(number).toLocaleString("en", { maximumFractionDigits: 2 });
}

/** Return bytes as people read them. */
export function bytes(number) {
  if (number === null || number === undefined) return "–";
  let size = number;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 1000 || unit === "GB") return `${size < 10 && unit !== "B" ? size.toFixed(1) : Math.round(size)} ${unit}`;
    size /= 1000;
  }
  return "";
}

/** Return seconds as people read them. */
export function seconds(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1) return `${Math.round(number * 1000)} ms`;
  return number < 100 ? `${number.toFixed(1)} s` : `${Math.floor(number / 60)} min ${Math.round(number % 60)} s`;
}

/** Return a moment, given in seconds, as people read it. */
export function moment(time) {
  return time ? new Date(time * 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" }) : "–";
}

/** Return a value as a short text. */
export function brief(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text === undefined ? "" : text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** Return a file's bytes in base64. */
export async function base64(file) {
  return encoded(new Uint8Array(await file.arrayBuffer()));
}

function encoded(data) {
  let text = "";
  for (let start = 0; start < data.length; start += 32768) {
    text += String.fromCharCode(...data.subarray(start, start + 32768));
  }
  return btoa(text);
}

/** Have the browser save bytes as a file. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"]);

/** Return an image, table or text that a program has shown. An image runs no script, of whatever kind it is. */
export function display(form) {
  const name = form.name || "Shown by the program";
  if (IMAGES.has(form.media_type)) {
    const image = h("img", { src: `data:${form.media_type};base64,${form.data}`, alt: name });
    return h("figure", {}, image, h("figcaption", {}, name));
  }
  if (form.media_type === "text/html") {
    const found = table(decoded(form.data));
    if (found) return h("figure", { class: "scroll" }, found, h("figcaption", {}, name));
  }
  return h("figure", {}, block(decoded(form.data)));
}

function decoded(data) {
  return new TextDecoder().decode(Uint8Array.from(atob(data), (each) => each.charCodeAt(0)));
}

const ORDER = ["image/png", "image/jpeg", "image/svg+xml", "text/html", "text/markdown", "text/plain"];

/** Return one thing that a result of a session shows, from its formats by type. */
export function bundle(data) {
  const type = ORDER.find((each) => data[each]);
  if (!type) return null;
  const content = data[type];
  if (content.$bytes) return display({ media_type: type, data: content.$bytes });
  if (typeof content !== "string") return null;
  return display({ media_type: type, data: encoded(new TextEncoder().encode(content)) });
}

const MAX_ROWS = 200;
const MAX_HTML = 1000000;
const TAGS = /<(\/?(?:table|thead|tbody|tfoot|tr|td|th)\b)[^<>]*>|<[^<>]*>|</gi;
// The one place where text is read as markup, and it is never put into the page. Only bare tags of tables are left of it:
// even in a document that is shown nowhere others would make elements, whose handlers the page's policy has to block.
const POLICY = { createHTML: (html) => html.replace(TAGS, (found, tag) => (tag ? `<${tag}>` : found === "<" ? "&lt;" : "")) };
const TABLES = window.trustedTypes?.createPolicy("cloche-tables", POLICY) || POLICY;

/** Return the first table of some HTML, made anew from the text of its cells; null if there is none. */
function table(html) {
  const source = new DOMParser().parseFromString(TABLES.createHTML(html.slice(0, MAX_HTML)), "text/html").querySelector("table");
  if (!source) return null;
  const rows = [...source.rows].slice(0, MAX_ROWS);
  return h("table", {}, rows.map((row) =>
    h("tr", {}, [...row.cells].map((cell) => h(cell.tagName === "TH" ? "th" : "td", {}, cell.textContent.slice(0, 500))))));
}
