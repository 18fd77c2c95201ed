// For those who run the server: tenants and quotas, sessions, workers and their drain, the audit log.

import { Problem, access, ask } from "./api.js";
import { bytes, complain, count, fill, h, moment, quiet, say } from "./dom.js";

const LOOK = 4000;

/** Show the view; it has a key of its own. */
export async function admin(main, { signal }) {
  if (!access.admin) {
    askForKey(main, signal);
    return;
  }
  const box = h("div", {});
  fill(main, h("div", { class: "page" }, h("h1", {}, "Admin"), box));
  const call = (method, path) => ask(method, path, undefined, { signal, key: access.admin });
  const look = async () => {
    try {
      const [server, sessions, audit] = await Promise.all([call("GET", "/v1/admin"), call("GET", "/v1/admin/sessions?limit=50"), call("GET", "/v1/admin/audit?limit=50")]);
      const open = new Set([...box.querySelectorAll("details[open]")].map((each) => each.id));
      fill(box, head(server, call, look), tenants(server), workers(server, call, look), sessionTable(sessions), auditTable(audit));
      for (const each of box.querySelectorAll("details")) each.open = open.has(each.id);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status === 401) {
        access.setAdmin("");
        askForKey(main, signal);
      }
      complain(error);
    }
  };
  await look();
  const timer = setInterval(() => document.hidden || box.contains(document.activeElement) || look(), LOOK);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function askForKey(main, signal) {
  const field = h("input", { id: "admin-key", type: "password", required: true, autocomplete: "off" });
  fill(main, h("form", { class: "page narrow", "aria-label": "Admin key", onsubmit: (event) => {
    event.preventDefault();
    quiet();
    access.setAdmin(field.value.trim());
    admin(main, { signal });
  } }, h("h1", {}, "Admin"), h("p", {}, "The server itself has a key: the configuration's admin_key."),
  h("div", { class: "field" }, h("label", { for: "admin-key" }, "Admin key"), field), h("button", { type: "submit", class: "primary" }, "Enter")));
}

function head(server, call, look) {
  const drain = h("button", { type: "button", class: "danger", onclick: async () => {
    if (!confirm("Drain the server? It takes no more requests, stores every session, and ends.")) return;
    try {
      await call("POST", "/v1/admin/drain");
      say("Draining");
    } catch (error) {
      complain(error);
    }
  } }, "Drain the server");
  return h("p", { class: "row" }, `Cloche ${server.version}, ${server.draining ? "draining" : "serving"}, up since ${moment(server.started)}`, h("span", { class: "grow" }), drain);
}

function table(caption, columns, rows) {
  return h("section", { class: "card" }, h("h2", {}, caption), rows.length
    ? h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, columns.map((each) => h("th", { scope: "col" }, each)))), h("tbody", {}, rows)))
    : h("p", { class: "dim" }, "There is nothing here."));
}

function cells(...values) {
  return h("tr", {}, values.map((each) => h("td", {}, each instanceof Node ? each : String(each ?? "–"))));
}

function tenants(server) {
  return table("Tenants", ["Tenant", "Class", "Keys", "Live sessions", "Sessions", "Stored", "Runs now", "Fuel today", "Agents", "Quotas"], server.tenants.map((each) => {
    const of = (now, quota) => `${count(now)} / ${quota === null ? "∞" : count(quota)}`;
    const quotas = h("details", { id: `quotas-${each.name}` }, h("summary", {}, "all"), h("table", {}, Object.entries(each.quotas).map(([name, value]) => cells(name, value === null ? "no limit" : count(value)))));
    return cells(each.name, each.label, each.keys, of(each.live_sessions, each.quotas.live_sessions), of(each.sessions, each.quotas.sessions), `${bytes(each.stored_bytes)} / ${bytes(each.quotas.stored_bytes)}`,
      of(each.running, each.quotas.concurrent_runs), of(each.fuel_today, each.quotas.fuel_per_day), each.agents.join(", "), quotas);
  }));
}

function workers(server, call, look) {
  return table("Workers", ["Worker", "Process", "State", "Sessions", "Memory", ""], server.workers.map((each) => {
    const drain = h("button", { type: "button", onclick: async () => {
      try {
        await call("POST", `/v1/admin/workers/${each.name}/drain`);
        say(`${each.name} is drained`);
        await look();
      } catch (error) {
        complain(error);
      }
    } }, "Drain");
    return cells(each.name, each.pid, each.alive ? (each.full ? "full" : "ready") : "gone", each.sessions, bytes(each.memory), each.drains ? drain : "");
  }));
}

function sessionTable({ sessions }) {
  return table("Sessions", ["Session", "Tenant", "Created", "Expires", "Where"], sessions.map((each) => cells(each.id, each.tenant, moment(each.created), moment(each.expires), each.where)));
}

function auditTable({ lines, kept }) {
  if (!kept) return h("section", { class: "card" }, h("h2", {}, "Audit log"), h("p", { class: "dim" }, "None is written: the configuration's audit names a file for it."));
  return table("Audit log", ["Time", "Tenant", "Action", "Session", "Run", "Status", "Client"], lines.map((each) => cells(moment(each.time), each.tenant, each.action, each.session, each.run, each.status, each.client)));
}
