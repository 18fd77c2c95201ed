// Sessions: cells that are run in one, its variables and files, its snapshots and forks as a tree, its limits and usage.

import { ask, follow, send } from "./api.js";
import { block, brief, bundle, bytes, complain, count, download, fill, h, moment, python, quiet, say, seconds } from "./dom.js";

const FINAL = new Set(["done", "suspended", "paused", "problem"]);

/** Show the tenant's sessions, and what it has used. */
export async function sessions(main, { signal }) {
  const list = h("div", {});
  const usage = h("div", { class: "card" });
  const make = h("button", { type: "button", class: "primary", onclick: async () => {
    try {
      const made = await ask("POST", "/v1/sessions", { labels: { by: "page" } });
      location.hash = `#/sessions/${made.id}`;
    } catch (error) {
      complain(error);
    }
  } }, "New session");
  fill(main, h("div", { class: "page" }, h("div", { class: "row" }, h("h1", {}, "Sessions"), h("span", { class: "grow" }), make), list, usage));
  const { sessions: found } = await ask("GET", "/v1/sessions?limit=200", undefined, { signal });
  const { snapshots } = await ask("GET", "/v1/snapshots?limit=200", undefined, { signal });
  fill(list, found.length || snapshots.length ? tree(found, snapshots) : h("p", { class: "dim" }, "There are no sessions yet."));
  const used = await ask("GET", "/v1/usage", undefined, { signal });
  const today = used.days[0] || {};
  const rows = [["Live sessions", used.now.live_sessions, used.quotas.live_sessions], ["Sessions", used.now.sessions, used.quotas.sessions],
    ["Stored", bytes(used.now.stored_bytes), bytes(used.quotas.stored_bytes)], ["Runs in progress", used.now.concurrent_runs, used.quotas.concurrent_runs],
    ["Fuel today", count(today.fuel || 0), used.quotas.fuel_per_day === null ? "no limit" : count(used.quotas.fuel_per_day)], ["Runs today", today.runs || 0, ""], ["Calls today", today.calls || 0, used.quotas.calls_per_day ?? "no limit"]];
  fill(usage, h("h2", {}, `Usage of ${used.tenant}`), h("div", { class: "scroll" }, h("table", {}, h("tr", {}, ["", "Now", "Quota"].map((each) => h("th", { scope: "col" }, each))),
    rows.map(([name, now, quota]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, String(now)), h("td", {}, String(quota)))))));
}

/** Return sessions and snapshots as a tree: each below what it was made of. */
function tree(found, snapshots, current) {
  const nodes = new Map();
  for (const each of found) nodes.set(each.id, { ...each, kind: "session", below: [] });
  for (const each of snapshots) nodes.set(each.id, { ...each, kind: "snapshot", below: [] });
  const tops = [];
  for (const node of nodes.values()) (nodes.get(node.parent)?.below || tops).push(node);
  const shown = (node) => {
    const link = node.kind === "session" ? h("a", { href: `#/sessions/${node.id}`, "aria-current": node.id === current ? "page" : null }, node.id)
      : h("span", {}, node.id, " ", h("button", { type: "button", class: "quiet", onclick: () => restore(node.id) }, "Restore as a new session"));
    const about = node.kind === "session" ? `session, ${moment(node.created)}` : `snapshot, ${moment(node.created)}, ${bytes(node.bytes)}`;
    const below = node.below.sort((a, b) => a.created - b.created).map(shown);
    return h("li", {}, link, " ", h("span", { class: "dim" }, about), below.length ? h("ul", {}, below) : null);
  };
  return h("ul", { class: "tree" }, tops.sort((a, b) => b.created - a.created).map(shown));
}

async function restore(snapshot) {
  try {
    const made = await ask("POST", "/v1/sessions", { snapshot, labels: { by: "page" } });
    location.hash = `#/sessions/${made.id}`;
  } catch (error) {
    complain(error);
  }
}

/** Show one session. */
export async function session(main, { id, signal }) {
  await new Explorer(main, id, signal).open();
}

class Explorer {
  constructor(main, id, signal) {
    Object.assign(this, { id, signal, path: `/v1/sessions/${encodeURIComponent(id)}`, number: 0 });
    this.cells = h("div", { role: "log", "aria-label": "Cells" });
    this.code = h("textarea", { class: "cell", id: "code", rows: "5", spellcheck: "false", placeholder: "Python", onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) {
        event.preventDefault();
        this.form.requestSubmit();
      }
    } });
    this.stop = h("button", { type: "button", class: "danger", hidden: true, onclick: () => this.#stop() }, "Stop");
    this.runButton = h("button", { type: "submit", class: "primary" }, "Run");
    this.form = h("form", { "aria-label": "Cell", onsubmit: (event) => this.#run(event) }, h("label", { class: "unseen", for: "code" }, "Program"), this.code,
      h("div", { class: "row" }, this.runButton, this.stop, h("span", { class: "dim" }, "Shift and Enter run it")));
    this.facts = h("div", { class: "card" });
    this.variables = h("div", { class: "card" });
    this.files = h("div", { class: "card" });
    this.family = h("div", { class: "card" });
    fill(main, h("div", { class: "page" }, h("h1", {}, "Session"), h("div", { class: "session" }, h("div", {}, this.cells, this.form), h("div", {}, this.facts, this.variables, this.files, this.family))));
  }

  async open() {
    this.program = await (await send("GET", "/ui/programs/variables.py", { key: "" })).text();
    await this.#list();
    this.code.focus({ preventScroll: true });
  }

  /** Do something once all before it is done: a session does one thing at a time. */
  async #alone(work) {
    const before = this.turn;
    let done;
    this.turn = new Promise((resolve) => (done = resolve));
    await before;
    try {
      return await work();
    } catch (error) {
      if (!this.signal.aborted) complain(error);
      return undefined;
    } finally {
      done();
    }
  }

  #list() {
    return this.#alone(async () => {
      await this.#look();
      if (!this.shown.suspended) {
        await this.#listVariables();
        await this.#listFiles();
      }
      await this.#tree();
    });
  }

  async #look() {
    const shown = (this.shown = await ask("GET", this.path, undefined, { signal: this.signal }));
    const limits = Object.entries(shown.limits).map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name),
      h("td", {}, value === null ? "no limit" : /memory|output|argument|result|bytes/.test(name) ? bytes(value) : count(value))));
    const button = (name, act, kind = "") => h("button", { type: "button", class: kind, onclick: act }, name);
    fill(this.facts, h("h2", {}, shown.id), h("p", {}, `${shown.status}, kept until ${moment(shown.expires)}, durable: ${shown.durable}`),
      h("div", { class: "row" }, button("Snapshot", () => this.#snapshot()), button("Fork", () => this.#fork()), button("End", () => this.#end(), "danger")),
      h("details", {}, h("summary", {}, "Limits of a run"), h("table", {}, limits)));
  }

  async #run(event) {
    event.preventDefault();
    quiet();
    const code = this.code.value;
    if (!code.trim()) return;
    const run = `ui-${crypto.randomUUID()}`;
    const output = h("div", {});
    this.number += 1;
    this.cells.append(h("section", { class: "cell-box", "aria-label": `Cell ${this.number}` }, h("pre", { class: "program", tabindex: "0" }, python(code)), output));
    this.code.value = "";
    this.running = run;
    this.stop.hidden = false;
    this.runButton.disabled = true;
    const pres = {};
    const body = JSON.stringify({ code, id: run, events: true });
    await this.turn;
    try {
      await follow(`${this.path}/runs/${run}/events`, {
        signal: this.signal,
        isLast: (name) => FINAL.has(name),
        first: (headers) => send("POST", `${this.path}/runs`, { raw: body, headers: { ...headers, "content-type": "application/json" }, signal: this.signal }),
        onEvent: (name, form) => this.#happened(name, form, output, pres),
      });
    } catch (error) {
      if (!this.signal.aborted) output.append(h("p", { class: "bad" }, error.message));
    }
    this.running = null;
    this.stop.hidden = true;
    await this.#list();
    this.runButton.disabled = false;
  }

  #happened(name, form, output, pres) {
    if (name === "output") {
      if (!pres[form.stream]) output.append((pres[form.stream] = h("pre", { class: `output ${form.stream}`, tabindex: "0", "aria-label": form.stream })));
      pres[form.stream].append(document.createTextNode(form.text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "\u2423")));
    } else if (name === "tool_started") output.append(h("p", { class: "dim" }, `calls ${form.name}()`));
    else if (name === "problem") output.append(h("p", { class: "bad" }, form.message));
    else if (name === "suspended") output.append(h("p", { class: "dim" }, `waits for ${form.waits.map((each) => `${each.name}()`).join(", ")}`), this.#waits(form));
    else if (name === "done") this.#done(form, output);
  }

  #waits(form) {
    const answer = (id, given) => async () => {
      try {
        const result = await ask("POST", "/v1/resume", { token: form.token, answers: { [id]: given } });
        const output = h("div", {});
        this.cells.append(h("section", { class: "cell-box" }, output));
        this.#happened(result.status, result, output, {});
        await this.#list();
      } catch (error) {
        complain(error);
      }
    };
    return h("div", {}, form.waits.map((each) => h("div", { class: "approval" }, h("h4", {}, `Approve ${each.name}?`), block(brief(each.args) + brief(each.kwargs)),
      h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: answer(each.id, { approve: true }) }, "Approve"), h("button", { type: "button", class: "danger", onclick: answer(each.id, { deny: "" }) }, "Deny")))));
  }

  #done(form, output) {
    const shown = (form.displays || []).map((each) => bundle(each.data)).filter(Boolean);
    output.append(...shown);
    const value = "shown" in form ? form.shown : form.value;
    if (value !== null && value !== undefined) output.append(block(typeof value === "string" ? value : JSON.stringify(value), "value"));
    if (form.error) output.append(h("div", { class: "error" }, block(form.error.message)));
    const { fuel, wall, memory_peak: memory } = form.usage;
    output.append(h("p", { class: "sub" }, `${count(fuel)} fuel, ${seconds(wall)}, ${bytes(memory)}${form.rolled_back ? ", rolled back" : ""}`));
    say(form.error ? "The cell failed" : "The cell has run");
  }

  async #stop() {
    try {
      await ask("POST", `${this.path}/runs/${this.running}/cancel`);
    } catch (error) {
      complain(error);
    }
  }

  async #listVariables() {
    const result = await ask("POST", `${this.path}/runs`, { code: this.program }, { signal: this.signal });
    const rows = Array.isArray(result.value) ? result.value.map(([name, kind, text]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "dim" }, kind), h("td", {}, h("code", {}, text)))) : [];
    fill(this.variables, h("h2", {}, "Variables"), rows.length ? h("div", { class: "scroll" }, h("table", {}, rows)) : h("p", { class: "dim" }, "There are none."));
  }

  async #listFiles() {
    const { files } = await ask("GET", `${this.path}/files`, undefined, { signal: this.signal });
    const upload = h("input", { type: "file", id: "upload", multiple: true, onchange: () => this.#alone(async () => {
      for (const file of upload.files) await send("PUT", this.#address(`/work/${file.name}`), { raw: file });
      await this.#listFiles();
    }) });
    fill(this.files, h("h2", {}, "Files"), files.length ? h("ul", { class: "tree" }, files.map((path) => h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => this.#download(path) }, path)))) : h("p", { class: "dim" }, "There are none."),
      upload, h("label", { class: "button", for: "upload" }, "Upload files"));
  }

  /** Return where a file is to be had. */
  #address(path) {
    return `${this.path}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  #download(path) {
    return this.#alone(async () => {
      const answer = await send("GET", this.#address(path));
      download(await answer.blob(), path.split("/").at(-1));
    });
  }

  async #tree() {
    const { sessions: found } = await ask("GET", "/v1/sessions?limit=200", undefined, { signal: this.signal });
    const { snapshots } = await ask("GET", "/v1/snapshots?limit=200", undefined, { signal: this.signal });
    fill(this.family, h("h2", {}, "Snapshots and forks"), tree(found, snapshots, this.id));
  }

  #snapshot() {
    return this.#alone(async () => {
      await ask("POST", `${this.path}/snapshots`);
      await this.#tree();
      say("Snapshot made");
    });
  }

  #fork() {
    return this.#alone(async () => {
      const made = await ask("POST", `${this.path}/forks`, { count: 1 });
      await this.#tree();
      say(`Forked as ${made.sessions[0].id}`);
    });
  }

  async #end() {
    try {
      await ask("DELETE", this.path);
      location.hash = "#/sessions";
    } catch (error) {
      complain(error);
    }
  }
}
