// Chat with an agent: the runs at the side, one conversation in the middle, what it uses above the field for the next task.

import { ask, follow, send } from "./api.js";
import { base64, bytes, complain, count, download, fill, h, moment, quiet, say, seconds } from "./dom.js";
import { Transcript, stateMark, stateText } from "./transcript.js";

const LOOK = 3000;
const MAX_CHAIN = 50;
const IDEAS = {
  analyst: "Which tea sold best? Draw the sales, and reorder the best one.",
  seeker: "Find an odd perfect number.",
  team: "Which of the numbers n! + 1 with n up to 7 are prime, which are squares, and what is known about the squares?",
};

/** Show the view. `id` is the run to show, none for a new one. */
export async function chat(main, { id, signal }) {
  const view = new Chat(main, signal);
  await view.open(id);
}

class Chat {
  constructor(main, signal) {
    this.signal = signal;
    this.run = null;
    this.agents = [];
    this.list = h("ul", { class: "runs" });
    this.scroll = h("div", { class: "talk", tabindex: "0", role: "log", "aria-label": "Conversation", "aria-live": "off" });
    this.stuck = true;
    this.at = 0;
    this.scroll.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.scroll;
      // Only a person moves it up: what grows below it does not.
      if (scrollTop < this.at - 2) this.stuck = false;
      else if (scrollHeight - scrollTop - clientHeight < 80) this.stuck = true;
      this.at = scrollTop;
    });
    // The end stays in view while the conversation grows, also by an image that was late, unless one reads further up.
    this.grown = new ResizeObserver(() => this.stuck && (this.scroll.scrollTop = this.scroll.scrollHeight));
    this.state = h("span", { class: "now" });
    this.stop = h("button", { type: "button", class: "danger", hidden: true, onclick: () => this.#stop() }, "Stop");
    this.share = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.#share() }, "Copy link");
    this.meters = h("dl", { class: "meters", "aria-label": "Used so far" });
    this.composer = this.#composer();
    const side = h("aside", { class: "side", "aria-label": "Runs" },
      h("a", { class: "button primary wide", href: "#/chat" }, "New task"), h("h2", {}, "Recent runs"), this.list);
    const bar = h("div", { class: "bar" }, this.state, this.stop, this.share, this.meters);
    fill(main, h("div", { class: "chat" }, side, h("div", { class: "middle" }, bar, this.scroll, this.composer)));
    signal.addEventListener("abort", () => {
      clearInterval(this.timer);
      this.grown.disconnect();
    });
    this.timer = setInterval(() => document.hidden || this.#look(), LOOK);
  }

  async open(id) {
    // Whoever is the first waits for the agents' process, some seconds.
    this.begin.disabled = true;
    fill(this.state, "The agents are being started…");
    this.agents = (await ask("GET", "/v1/agents", undefined, { signal: this.signal }).finally(() => fill(this.state))).agents;
    this.begin.disabled = false;
    this.#offer();
    this.#look();
    if (!id) {
      this.#welcome();
      return;
    }
    await this.#show(id);
  }

  // What there is to choose.

  #composer() {
    this.agent = h("select", { id: "agent", onchange: () => this.#describe() });
    this.task = h("textarea", { id: "task", rows: "2", placeholder: "What is to be done?", onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.composer.requestSubmit();
      }
    } });
    this.files = h("input", { type: "file", id: "files", multiple: true, onchange: () => this.#named() });
    this.chosen = h("span", { class: "dim", id: "chosen" });
    this.about = h("p", { class: "dim about" });
    const limits = [["max_steps", "Steps"], ["tokens", "Tokens"], ["cost", "Dollars"], ["seconds", "Seconds"], ["tool_calls", "Calls"]];
    this.budget = limits.map(([name, label]) => {
      const field = h("input", { id: `budget-${name}`, name, type: "number", min: "0", step: "any", placeholder: "no limit" });
      return h("div", { class: "field" }, h("label", { for: `budget-${name}` }, label), field);
    });
    const budget = h("details", { class: "budget" }, h("summary", {}, "Budget"), h("div", { class: "fields" }, this.budget));
    const attach = h("label", { class: "button quiet", for: "files" }, "Attach files");
    this.begin = h("button", { type: "submit", class: "primary" }, "Send");
    return h("form", { class: "composer", "aria-label": "Task", onsubmit: (event) => this.#send(event) },
      h("div", { class: "row" }, h("label", { for: "agent" }, "Agent"), this.agent, this.about),
      h("label", { class: "unseen", for: "task" }, "Task"), this.task,
      h("div", { class: "row" }, attach, this.files, this.chosen, budget, h("span", { class: "grow" }), this.begin));
  }

  #offer() {
    fill(this.agent, this.agents.map((agent) => h("option", { value: agent.name }, agent.name)));
    this.#describe();
  }

  #describe() {
    const agent = this.agents.find((each) => each.name === this.agent.value);
    if (!agent) {
      this.about.textContent = "This tenant has no agents: see the guide on serving for how to name some.";
      this.begin.disabled = true;
      return;
    }
    const tools = agent.tools.map((tool) => (tool.approval ? `${tool.name} (asks you)` : tool.name));
    const team = agent.agents.map((each) => each.name);
    const can = [...tools, ...team].join(", ");
    this.about.textContent = `${agent.description}${can ? ` Can use ${can}.` : ""}`;
    for (const row of this.budget) {
      const field = row.querySelector("input");
      field.placeholder = agent.budget[field.name] === null ? "no limit" : `at most ${agent.budget[field.name]}`;
    }
  }

  #named() {
    const files = [...this.files.files];
    this.chosen.textContent = files.map((file) => `${file.name} (${bytes(file.size)})`).join(", ");
  }

  #welcome() {
    const ideas = this.agents.filter((agent) => IDEAS[agent.name]).map((agent) =>
      h("button", { type: "button", class: "idea", onclick: () => {
        this.agent.value = agent.name;
        this.#describe();
        this.task.value = IDEAS[agent.name];
        this.composer.requestSubmit();
      } }, h("b", {}, agent.name), h("span", {}, IDEAS[agent.name])));
    fill(this.scroll, h("div", { class: "welcome" }, h("h1", {}, "Give an agent a task"),
      h("p", { class: "dim" }, "Its programs run in a sealed sandbox. Calls that need you wait for you, here or on another device."),
      ideas));
    fill(this.state, "New task");
    this.task.focus({ preventScroll: true });
  }

  async #look() {
    try {
      const { runs } = await ask("GET", "/v1/agent-runs?limit=40", undefined, { signal: this.signal });
      const text = JSON.stringify(runs.map((run) => [run.id, run.status, run.state]));
      if (text === this.listed) return;
      this.listed = text;
      fill(this.list, runs.map((run) => h("li", {}, h("a", { href: `#/runs/${run.id}`, "aria-current": run.id === this.run?.id ? "page" : null },
        h("span", { class: "title" }, run.task.split("\n")[0]), h("span", { class: "sub" }, `${run.agent} `, stateMark(run))))));
    } catch (error) {
      if (this.signal.aborted || error instanceof TypeError) return;
      complain(error);
    }
  }

  // One run, behind those that it continues.

  async #show(id) {
    const chain = [await ask("GET", `/v1/agent-runs/${encodeURIComponent(id)}`, undefined, { signal: this.signal })];
    while (chain[0].origin && chain.length < MAX_CHAIN) {
      const before = await ask("GET", `/v1/agent-runs/${chain[0].origin.run}`, undefined, { signal: this.signal }).catch(() => null);
      if (!before) break;
      chain.unshift(before);
    }
    const run = (this.run = chain.at(-1));
    this.agent.value = run.agent;
    this.#describe();
    fill(this.scroll);
    for (const [index, each] of chain.slice(0, -1).entries()) await this.#earlier(each, chain[index + 1].origin.step);
    const box = h("article", { class: "run", "aria-label": run.task.slice(0, 80) });
    this.scroll.append(box);
    this.grown.observe(box);
    this.transcript = new Transcript(box, {
      answer: (call, answer) => ask("POST", `/v1/agent-runs/${run.id}/calls/${call}`, answer),
      fork: (step) => this.#fork(step),
      file: (path) => this.#file(path),
    });
    this.transcript.live = false;
    setTimeout(() => (this.transcript.live = true), 1000);
    this.listed = "";
    this.#refresh();
    await follow(`/v1/agent-runs/${run.id}/events`, {
      signal: this.signal,
      isLast: (name) => name === "over",
      onState: (state) => this.#connected(state),
      onEvent: (name, form) => {
        this.transcript.take(name, form);
        this.#soon();
        if (name === "waiting" && this.transcript.live) this.#look();
      },
    });
    this.#look();
  }

  async #earlier(run, step) {
    const box = h("article", { class: "run earlier", "aria-label": run.task.slice(0, 80) });
    this.scroll.append(box);
    const transcript = new Transcript(box);
    transcript.live = false;
    const abort = new AbortController();
    this.signal.addEventListener("abort", () => abort.abort());
    await follow(`/v1/agent-runs/${run.id}/events`, {
      signal: abort.signal,
      isLast: (name) => name === "over",
      onEvent: (name, form) => {
        if (abort.signal.aborted) return;
        transcript.take(name, form);
        // Of a run that was forked only what the fork knows of.
        if (step && name === "step_ended" && form.number === step && transcript.agents.get(form.run) === transcript.top) abort.abort();
      },
    });
    if (step) box.append(h("p", { class: "forked" }, `Forked behind step ${step}`));
  }

  #connected(state) {
    this.lost = state === "lost" && this.transcript.status !== "done";
    this.#soon();
  }

  #soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#refresh();
    });
  }

  #refresh() {
    const { transcript } = this;
    const over = transcript.status === "done";
    const told = over ? stateText(transcript) : transcript.status === "waiting" ? "Waits for you" : "Running";
    fill(this.state, this.lost ? "Connection lost, trying again…" : told);
    this.stop.hidden = over;
    this.share.hidden = false;
    const { used, budget } = transcript;
    const rows = [
      ["Steps", used.steps, budget.max_steps], ["Tokens", used.tokens, budget.tokens], ["Cost", used.cost, budget.cost],
      ["Fuel", used.fuel], ["Memory", used.memory], ["Calls", used.tool_calls, budget.tool_calls],
    ];
    fill(this.meters, rows.map(([name, value, limit]) => {
      const shown = name === "Memory" ? bytes(value) : name === "Cost" ? (value === null ? "–" : `$${value.toFixed(4)}`) : count(value);
      const most = limit === null || limit === undefined ? null : h("span", { class: "dim" }, ` / ${name === "Cost" ? "$" : ""}${count(limit)}`);
      const bar = most ? h("meter", { min: 0, max: limit || 1, value: Math.min(value || 0, limit), "aria-label": `${name} of the budget` }) : null;
      return h("div", {}, h("dt", {}, name), h("dd", {}, shown, most, bar));
    }));
    this.task.placeholder = over ? "A follow-up task, or a new one" : "What is to be done next? The run has to end first.";
    this.begin.textContent = this.forkStep ? "Fork" : over ? "Follow up" : "Send";
    this.begin.disabled = !over && !this.forkStep;
  }

  // What a person does.

  async #send(event) {
    event.preventDefault();
    quiet();
    const task = this.task.value.trim();
    if (!task && !this.forkStep) return;
    const body = { agent: this.agent.value, task: task || null, id: `ui-${crypto.randomUUID()}`, files: {}, images: [], budget: {} };
    if (this.run && this.run.agent === body.agent) body.origin = { run: this.run.id, step: this.forkStep || null };
    for (const row of this.budget) {
      const field = row.querySelector("input");
      if (field.value !== "") body.budget[field.name] = Number(field.value);
    }
    this.begin.disabled = true;
    try {
      for (const file of this.files.files) {
        const data = await base64(file);
        if (/^image\/(png|jpeg|gif|webp)$/.test(file.type)) body.images.push(data);
        body.files[file.name.replaceAll("/", "_")] = data;
      }
      const run = await ask("POST", "/v1/agent-runs", body);
      location.hash = `#/runs/${run.id}`;
    } catch (error) {
      this.begin.disabled = false;
      complain(error);
    }
  }

  #fork(step) {
    this.forkStep = step;
    fill(this.chosen, `Forks behind step ${step}. `, h("button", { type: "button", class: "quiet", onclick: () => {
      this.forkStep = null;
      this.#named();
      this.#refresh();
    } }, "Do not fork"));
    this.task.placeholder = "A task for the fork; none, to let it try the same again";
    this.#refresh();
    this.task.focus();
  }

  async #stop() {
    this.stop.disabled = true;
    try {
      await ask("POST", `/v1/agent-runs/${this.run.id}/stop`);
      say("Stopped");
    } catch (error) {
      complain(error);
    }
    this.stop.disabled = false;
  }

  async #share() {
    try {
      const { link } = await ask("POST", `/v1/agent-runs/${this.run.id}/link`);
      const url = new URL(link, location.href).href;
      await navigator.clipboard?.writeText(url).catch(() => {});
      fill(this.chosen, "Whoever has this link may read the run: ", h("a", { href: url }, url));
    } catch (error) {
      complain(error);
    }
  }

  async #file(path) {
    try {
      const answer = await send("GET", `/v1/agent-runs/${this.run.id}/files${path.split("/").map(encodeURIComponent).join("/")}`);
      download(await answer.blob(), path.split("/").at(-1));
    } catch (error) {
      complain(error);
    }
  }
}

/** Show a run under a link that was shared: to be read only. */
export async function shared(main, { token, signal }) {
  const box = h("article", { class: "run pad" });
  const head = h("h1", {}, "A shared run");
  fill(main, h("div", { class: "reading" }, head, box));
  const transcript = new Transcript(box);
  transcript.live = false;
  const base = `/v1/shared-runs/${encodeURIComponent(token)}`;
  await follow(`${base}/events`, { signal, key: "", isLast: (name) => name === "over", onEvent: (name, form) => transcript.take(name, form) });
}

/** Show the list of runs. */
export async function runs(main, { signal }) {
  const list = h("tbody", {});
  const state = h("select", { id: "state" }, ["", "running", "waiting", "success", "interrupted", "failed", "budget", "max_steps", "model_error", "lost"].map((each) =>
    h("option", { value: each }, each || "any state")));
  const words = h("input", { id: "words", type: "search", placeholder: "in the task" });
  const agent = h("input", { id: "of", type: "search", placeholder: "any agent" });
  const more = h("button", { type: "button", hidden: true, onclick: () => load(next) }, "More");
  const compare = h("button", { type: "button", disabled: true, onclick: () => {
    const [a, b] = chosen();
    location.hash = `#/compare/${a}/${b}`;
  } }, "Compare two");
  let next = null;
  const chosen = () => [...list.querySelectorAll("input:checked")].map((each) => each.value);
  async function load(after) {
    const query = new URLSearchParams({ limit: "50", status: state.value, agent: agent.value, in: words.value, ...(after ? { after } : {}) });
    try {
      const found = await ask("GET", `/v1/agent-runs?${query}`, undefined, { signal });
      const rows = found.runs.map((run) => h("tr", {},
        h("td", {}, h("input", { type: "checkbox", value: run.id, "aria-label": `Compare ${run.task.slice(0, 40)}`, onchange: () => (compare.disabled = chosen().length !== 2) })),
        h("td", {}, h("a", { href: `#/runs/${run.id}` }, run.task.split("\n")[0])), h("td", {}, run.agent), h("td", {}, stateMark(run)),
        h("td", {}, moment(run.created)), h("td", { class: "number" }, String(run.used.steps)), h("td", { class: "number" }, count(run.used.tokens)),
        h("td", { class: "number" }, run.used.cost === null ? "–" : `$${run.used.cost.toFixed(4)}`), h("td", { class: "number" }, count(run.used.fuel)), h("td", { class: "number" }, seconds(run.used.seconds))));
      if (after) list.append(...rows);
      else fill(list, rows.length ? rows : h("tr", {}, h("td", { colspan: "10", class: "dim" }, "There are no such runs.")));
      next = found.next;
      more.hidden = !next;
    } catch (error) {
      if (!signal.aborted) complain(error);
    }
  }
  const filter = h("form", { class: "row filter", role: "search", "aria-label": "Filter", onsubmit: (event) => event.preventDefault(), oninput: () => load() },
    h("label", { for: "state" }, "State"), state, h("label", { for: "of" }, "Agent"), agent, h("label", { for: "words" }, "Words"), words, compare);
  const head = ["", "Task", "Agent", "State", "Begun", "Steps", "Tokens", "Cost", "Fuel", "Time"].map((each) => h("th", { scope: "col" }, each || h("span", { class: "unseen" }, "Compare")));
  fill(main, h("div", { class: "page" }, h("h1", {}, "Runs"), filter, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head)), list)), more));
  await load();
}

/** Show two runs beside each other. */
export async function compare(main, { ids, signal }) {
  const columns = ids.map(() => h("article", { class: "run" }));
  const facts = ids.map(() => h("div", {}));
  fill(main, h("div", { class: "page" }, h("h1", {}, "Two runs"),
    h("div", { class: "two" }, ids.map((_, index) => h("section", { "aria-label": `Run ${index + 1}` }, facts[index], columns[index])))));
  await Promise.all(ids.map(async (id, index) => {
    const run = await ask("GET", `/v1/agent-runs/${encodeURIComponent(id)}`, undefined, { signal });
    const { used } = run;
    fill(facts[index], h("h2", {}, h("a", { href: `#/runs/${run.id}` }, run.task.slice(0, 120))),
      h("p", { class: "dim" }, `${run.agent}, `, stateMark(run), ` ${used.steps} steps, ${count(used.tokens)} tokens, ${used.cost === null ? "" : `$${used.cost.toFixed(4)}, `}${count(used.fuel)} fuel, ${used.tool_calls} calls, ${seconds(used.seconds)}`));
    const transcript = new Transcript(columns[index]);
    transcript.live = false;
    await follow(`/v1/agent-runs/${run.id}/events`, { signal, isLast: (name) => name === "over", onEvent: (name, form) => transcript.take(name, form) });
  }));
}
