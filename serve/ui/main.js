// Where the page begins: the key, and which view is shown for which address.

import { Problem, access, ask } from "./api.js";
import { chat, compare, runs, shared } from "./chat.js";
import { admin } from "./admin.js";
import { complain, fill, h, quiet } from "./dom.js";
import { session, sessions } from "./sessions.js";

const ROUTES = [
  [/^#\/chat$/, (main, context) => chat(main, context)],
  [/^#\/runs\/([\w.~-]+)$/, (main, context, id) => chat(main, { ...context, id })],
  [/^#\/runs$/, (main, context) => runs(main, context)],
  [/^#\/compare\/([\w.~-]+)\/([\w.~-]+)$/, (main, context, ...ids) => compare(main, { ...context, ids })],
  [/^#\/sessions$/, (main, context) => sessions(main, context)],
  [/^#\/sessions\/([\w.~-]+)$/, (main, context, id) => session(main, { ...context, id })],
  [/^#\/admin$/, (main, context) => admin(main, context)],
];

const main = document.getElementById("main");
const views = document.getElementById("views");
let leaving = new AbortController();

function takeKey() {
  // Behind the # it was sent to no server; from here on it is not in the address either.
  const given = /^#(?:key=([\w-]+))?(?:&admin=([\w-]+))?$/.exec(location.hash);
  if (!given || !(given[1] || given[2])) return;
  if (given[1]) access.set(given[1], false);
  if (given[2]) access.setAdmin(given[2]);
  history.replaceState(null, "", "#/chat");
}

function askForKey() {
  const field = h("input", { id: "key", type: "password", autocomplete: "current-password", required: true });
  const lasting = h("input", { id: "lasting", type: "checkbox" });
  const form = h("form", { class: "page narrow", "aria-label": "Key", onsubmit: async (event) => {
    event.preventDefault();
    access.set(field.value.trim(), lasting.checked);
    if (await who()) show();
    else complain(new Error("No tenant of this server has this key."));
  } }, h("h1", {}, "Cloche"), h("p", {}, "This server's tenants have keys. With yours you see your agents, runs and sessions."),
    h("div", { class: "field" }, h("label", { for: "key" }, "Key"), field),
    h("div", { class: "check" }, lasting, h("label", { for: "lasting" }, "Keep it in this browser")),
    h("button", { type: "submit", class: "primary" }, "Enter"));
  fill(main, form);
  field.focus();
}

async function who() {
  if (!access.key) return false;
  try {
    const { tenant } = await ask("GET", "/v1/usage");
    document.getElementById("who").textContent = tenant;
    document.getElementById("leave").hidden = false;
    return true;
  } catch (error) {
    if (error instanceof Problem && error.status === 401) {
      access.forget();
      return false;
    }
    throw error;
  }
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  quiet();
  const link = /^#\/shared\/([\w.~-]+)$/.exec(location.hash);
  const hash = location.hash || "#/chat";
  const top = `#/${hash.split("/")[1]}`;
  for (const each of views.children) {
    const current = each.getAttribute("href") === (/^#\/runs\//.test(hash) ? "#/chat" : top.replace("compare", "runs"));
    if (current) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  try {
    if (link) return await shared(main, { token: link[1], signal });
    if (top !== "#/admin" && !access.key) return askForKey();
    for (const [pattern, view] of ROUTES) {
      const found = pattern.exec(hash);
      if (found) return await view(main, { signal }, ...found.slice(1));
    }
    location.hash = "#/chat";
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Problem && error.status === 401) {
      access.forget();
      return askForKey();
    }
    complain(error);
  }
}

document.getElementById("leave").addEventListener("click", () => {
  access.forget();
  location.hash = "#/chat";
  location.reload();
});
window.addEventListener("hashchange", () => {
  takeKey();
  show();
});
// A key that moves the eye to the field for the task, as in many programs.
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    document.getElementById("task")?.focus();
  }
});
takeKey();
who().catch(complain).finally(show);
