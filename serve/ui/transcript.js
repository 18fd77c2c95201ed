// What happened in a run of an agent, from its events: one box for each step, agents that others call inside of their calls.

import { block, brief, bytes, count, display, h, moment, python, say, seconds, visible } from "./dom.js";

const MARKS = ["<code>", "```python", "```py", "```"];
const STATES = {
  success: "Done", interrupted: "Stopped", suspended: "Waits", max_steps: "Out of steps", budget: "Out of budget",
  model_error: "The model failed", failed: "Failed", lost: "Lost",
};

/** Return how a run's state is called. */
export function stateText(run) {
  if (run.status === "running") return "Running";
  if (run.status === "waiting") return "Waits for you";
  return STATES[run.state] || run.state || "Done";
}

/** Return a mark for a run's state; its words say the same as its colour. */
export function stateMark(run) {
  const kind = run.status !== "done" ? run.status : run.state === "success" ? "good" : run.state === "interrupted" ? "dim" : "bad";
  return h("span", { class: `state ${kind}` }, stateText(run));
}

/**
 * Shows a run's events in an element. `acts` has what a viewer may do: `answer(call, answer)`, `fork(step)`; without it
 * the transcript is to be read only.
 */
export class Transcript {
  constructor(element, acts = {}) {
    this.element = element;
    this.acts = acts;
    this.agents = new Map();
    this.calls = new Map();
    this.top = null;
    this.status = "running";
    this.state = null;
    this.budget = {};
    this.used = { steps: 0, tokens: 0, cost: null, fuel: 0, memory: 0, tool_calls: 0, seconds: 0 };
    this.started = 0;
    this.live = true;
  }

  /** Take an event. One of a kind that is not known here is passed over. */
  take(name, form) {
    this[`on_${name}`]?.(form);
  }

  on_created(form) {
    this.started = form.time;
    this.element.append(h("section", { class: "task", "aria-label": "Task" }, h("p", {}, form.task)));
  }

  on_budget(form) {
    this.budget = this.budget.max_steps ? this.budget : form;
  }

  on_run_started(form) {
    const parent = this.agents.get(form.parent);
    if (!parent) {
      // A run that was continued goes on where it was.
      this.top = this.top || { box: this.element, steps: new Map(), step: null, name: form.agent };
      this.agents.set(form.run, this.top);
      return;
    }
    // One that had waited goes on where it was, too.
    const same = (each) => each.waits && each.parent === parent && each.name === form.agent && each.request === form.request;
    const known = [...this.agents.values()].find(same);
    if (known) {
      known.waits = false;
      this.agents.set(form.run, known);
      return;
    }
    const place = parent.step?.open.findLast?.((call) => call.tool === form.agent && !call.inner);
    const body = h("div", { class: "inner" }, form.request ? h("p", { class: "request" }, form.request) : null);
    const box = h("details", { class: "nested", open: true }, h("summary", {}, `Agent ${form.agent}`), body);
    if (place) place.inner = true;
    (place?.box || parent.step?.box || this.element).append(box);
    this.agents.set(form.run, { box: body, steps: new Map(), step: null, name: form.agent, request: form.request, parent });
  }

  on_step_started(form) {
    const agent = this.#agent(form);
    const known = agent.steps.get(form.number);
    if (known?.waits) {
      known.waits = false;
      agent.step = known;
      return;
    }
    const facts = h("span", { class: "facts" });
    const head = h("h3", {}, `Step ${form.number}`, facts);
    const box = h("section", { class: "step", "aria-label": `Step ${form.number}` }, head);
    agent.step = { number: form.number, box, head, facts, open: [], thought: null, code: null, output: null, raw: "" };
    agent.steps.set(form.number, agent.step);
    agent.box.append(box);
    if (agent === this.top && this.live) say(`Step ${form.number}`);
  }

  on_model_started(form) {
    const step = this.#step(form);
    step.raw = "";
    step.thought = null;
    step.asking = h("p", { class: "asking" }, form.purpose === "plan" ? "Planning…" : "Thinking…");
    step.box.append(step.asking);
  }

  on_text_delta(form) {
    const step = this.#step(form);
    if (form.restart) step.raw = "";
    step.raw += form.text;
    this.#said(step);
  }

  #said(step) {
    step.asking?.remove();
    const cut = MARKS.map((mark) => step.raw.indexOf(mark)).filter((at) => at >= 0);
    const at = cut.length ? Math.min(...cut) : step.raw.length;
    const thought = step.raw.slice(0, at).trim();
    if (!step.thought) {
      step.thought = h("p", { class: "thought" });
      step.box.append(step.thought);
    }
    step.thought.textContent = visible(thought);
    if (!cut.length) return;
    const mark = MARKS.find((each) => step.raw.startsWith(each, at));
    const code = step.raw.slice(at + mark.length).replace(/(<\/code>|```)\s*$/, "").trim();
    this.#code(step).textContent = visible(code);
  }

  #code(step) {
    if (!step.code) {
      step.code = h("code", {});
      const pre = h("pre", { class: "program", tabindex: "0", "aria-label": "Program" }, step.code);
      const details = h("details", { class: "code", open: true }, h("summary", {}, "Program"), pre);
      step.box.append(details);
    }
    return step.code;
  }

  on_model_finished(form) {
    const step = this.#step(form);
    step.asking?.remove();
    if (form.text && !step.raw) {
      step.raw = form.text;
      this.#said(step);
    }
    const usage = form.usage || {};
    const tokens = (usage.input_tokens || 0) + (usage.output_tokens || 0);
    this.used.tokens += tokens;
    if (usage.cost !== null && usage.cost !== undefined) this.used.cost = (this.used.cost || 0) + usage.cost;
    step.facts.append(` ${count(tokens)} tokens, ${seconds(form.seconds)}`);
    if (form.error) step.box.append(h("div", { class: "error" }, block(form.error)));
  }

  on_plan_made(form) {
    const agent = this.#agent(form);
    agent.box.append(h("details", { class: "plan", open: true }, h("summary", {}, "Plan"), block(form.plan)));
  }

  on_code_started(form) {
    const step = this.#step(form);
    this.#code(step).replaceChildren(...python(form.code.trim()));
  }

  on_printed(form) {
    const step = this.#step(form);
    if (step.output?.stream !== form.stream) {
      const text = document.createTextNode("");
      const pre = h("pre", { class: `output ${form.stream}`, tabindex: "0", "aria-label": form.stream });
      pre.append(text);
      step.output = { stream: form.stream, pre, text, size: 0 };
      step.box.append(pre);
    }
    const output = step.output;
    const shown = visible(form.text);
    output.size += shown.length;
    if (output.size <= MAX_SHOWN) {
      output.text.appendData(shown);
      return;
    }
    // Of much output the end is shown, and all of it is kept for those who want it.
    output.kept = output.kept || [output.text.data];
    output.kept.push(shown);
    const tail = (output.tail = ((output.tail || "") + shown).slice(-TAIL));
    if (!output.more) {
      output.text.data = output.text.data.slice(0, TAIL);
      output.rest = document.createTextNode("");
      output.more = h("button", { type: "button", class: "quiet", onclick: () => {
        output.pre.replaceChildren(output.kept.join(""));
        output.more.remove();
        output.done = true;
      } }, "Show all that was printed");
      output.pre.append(h("span", { class: "gap" }, "\n… "), output.more, h("span", { class: "gap" }, " …\n"), output.rest);
    }
    if (!output.done) output.rest.data = tail;
  }

  on_tool_call_started(form) {
    const step = this.#step(form);
    const outcome = h("span", { class: "outcome running" }, "running");
    const line = h("p", { class: "line" }, h("code", {}, called(form)), outcome);
    const box = h("div", { class: "call" }, line);
    const call = { tool: form.tool, box, outcome, line, ended: false };
    this.calls.set(`${form.run}:${form.call}`, call);
    step.open.push(call);
    step.output = null;
    step.box.append(box);
    this.used.tool_calls += 1;
  }

  on_tool_call_ended(form) {
    const step = this.#step(form);
    let call = this.calls.get(`${form.run}:${form.call}`);
    if (!call) {
      // Of a run that was continued: the call that waited.
      call = step.open.find((each) => each.tool === form.tool && !each.ended);
      call?.line.querySelector("code").replaceChildren(visible(called(form)));
    }
    if (!call) return;
    call.ended = true;
    const good = form.outcome === "returned";
    call.outcome.className = `outcome ${good ? "good" : "bad"}`;
    call.outcome.textContent = form.outcome + (form.seconds === null ? "" : `, ${seconds(form.seconds)}`);
    if (form.value && form.value !== "None") call.box.append(block(form.value, good ? "value" : "value bad"));
  }

  on_display(form) {
    const step = form.step ? this.top?.steps.get(form.step) || this.top?.step : this.#step(form);
    step?.box.append(display(form));
  }

  on_code_finished(form) {
    const step = this.#step(form);
    this.used.fuel += form.fuel || 0;
    this.used.memory = Math.max(this.used.memory, form.memory || 0);
    step.output = null;
    step.facts.append(` · ${count(form.fuel)} fuel, ${bytes(form.memory)}`);
    if (form.value !== null && form.value !== undefined) {
      step.box.append(h("div", { class: "last" }, h("span", { class: "dim" }, "Last value"), block(brief(form.value), "value")));
    }
    if (form.error) step.box.append(h("div", { class: "error" }, block(form.error)));
    if (form.rolled_back) step.box.append(h("p", { class: "dim" }, "The session is back where this step began."));
  }

  on_step_ended(form) {
    const agent = this.#agent(form);
    const step = this.#step(form);
    step.asking?.remove();
    if (form.error && !step.box.querySelector(":scope > .error")) {
      step.box.append(h("div", { class: "error" }, block(`${form.error.type}: ${form.error.message}`)));
    }
    if (agent !== this.top) return;
    this.used.steps += 1;
    if (this.acts.fork && !form.final) {
      const fork = () => this.acts.fork(form.number);
      step.head.append(h("button", { type: "button", class: "quiet fork", onclick: fork, title: "Begin another run behind this step" }, "Fork from here"));
    }
  }

  on_waiting(form) {
    this.status = "waiting";
    if (this.top?.step) this.top.step.waits = true;
    for (const call of form.calls) this.#askFor(call);
    say(`Your approval is needed: ${form.calls.map((call) => call.name).join(", ")}`);
  }

  #askFor(call) {
    const open = (agent) => agent.step?.open.find((each) => each.tool === call.name && !each.ended && !each.asked);
    const below = [...this.agents.values()].find((each) => each.waits && each.name === call.agent && open(each));
    const box = approval(call, this.acts.answer, below?.name);
    box.dataset.call = call.id;
    const step = (below || this.top)?.step;
    const place = below ? open(below) : this.top && open(this.top);
    if (place) {
      place.asked = true;
      place.outcome.textContent = "waits for you";
    }
    (place?.box || step?.box || this.element).append(box);
  }

  on_answered(form) {
    this.status = "running";
    for (const each of this.element.querySelectorAll(".approval")) {
      if (each.dataset.call !== form.call) {
        each.remove();
        continue;
      }
      const edited = form.arguments ? ` with ${brief(form.arguments)}` : "";
      const text = form.approve ? `Approved${edited}` : form.deny !== undefined ? `Denied${form.deny ? `: ${form.deny}` : ""}` : "Answered";
      each.replaceWith(h("p", { class: form.approve ? "verdict good" : "verdict bad" }, `${form.tool}: ${text}`));
    }
  }

  on_run_ended(form) {
    const agent = this.#agent(form);
    if (agent !== this.top && form.state === "suspended") {
      agent.waits = true;
      if (agent.step) agent.step.waits = true;
      return;
    }
    if (agent !== this.top) {
      agent.box.append(h("div", { class: "answer small" }, block(form.output === null ? form.error || "no answer" : text(form.output))));
      return;
    }
    if (form.state === "suspended") return;
    if (form.output !== null && form.output !== undefined) {
      this.element.append(h("section", { class: "answer", "aria-label": "Answer" }, answer(form.output)));
      if (this.live) say(`The answer: ${brief(form.output)}`);
    } else if (form.error && form.state !== "interrupted") {
      this.element.append(h("section", { class: "error", role: "note" }, block(form.error)));
    }
  }

  on_cut(form) {
    this.element.append(h("p", { class: "dim" }, `Not all is shown: ${form.reason}.`));
  }

  on_gap() {
    this.element.append(h("p", { class: "dim" }, "Events are missing here: they are not kept any more."));
  }

  on_over(form) {
    this.status = "done";
    this.state = form.state;
    Object.assign(this.used, form.used);
    for (const each of this.element.querySelectorAll(".asking")) each.remove();
    for (const each of this.element.querySelectorAll(".approval")) each.remove();
    for (const each of this.element.querySelectorAll(".outcome.running")) {
      each.className = "outcome dim";
      each.textContent = "given up";
    }
    const files = form.files.map((path) => this.acts.file
      ? h("button", { type: "button", class: "quiet", onclick: () => this.acts.file(path) }, path.replace("/work/", ""))
      : h("span", {}, path.replace("/work/", "")));
    this.element.append(h("footer", { class: "over" },
      stateMark({ status: "done", state: form.state }), form.error ? ` ${form.error}` : "", " ", moment(form.time),
      files.length ? h("span", { class: "files" }, " Files: ", files) : null));
    if (this.live) say(`The run is over: ${stateText(this)}`);
  }

  #agent(form) {
    return this.agents.get(form.run) || this.top || (this.top = { box: this.element, steps: new Map(), step: null, name: form.agent });
  }

  #step(form) {
    const agent = this.#agent(form);
    if (!agent.step) this.on_step_started({ ...form, number: 0 });
    return agent.step;
  }
}

const MAX_SHOWN = 60000;
const TAIL = 20000;

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

function answer(value) {
  return typeof value === "string" && value.length < 4000 ? h("p", {}, value) : block(text(value));
}

function called(form) {
  const { args = [], kwargs = {} } = form.arguments && typeof form.arguments === "object" ? form.arguments : {};
  const named = Array.isArray(args) ? args.map((each) => JSON.stringify(each)) : [brief(args)];
  if (kwargs && typeof kwargs === "object") named.push(...Object.entries(kwargs).map(([name, value]) => `${name}=${JSON.stringify(value)}`));
  return `${form.tool}(${named.join(", ")})`;
}

/** Return the form in which a person approves, corrects or denies a call; `agent` makes it, if another one manages it. */
function approval(call, answer, agent) {
  const fields = new Map();
  const rows = Object.entries(call.arguments).map(([name, value]) => {
    const plain = typeof value === "string";
    const long = plain && (value.length > 60 || value.includes("\n"));
    const id = `argument-${call.id}-${name}`;
    const field = h(long ? "textarea" : "input", { id, value: plain ? value : JSON.stringify(value), disabled: !answer, spellcheck: "false" });
    fields.set(name, { field, plain, value });
    return h("div", { class: "field" }, h("label", { for: id }, name), field);
  });
  const reason = h("input", { id: `reason-${call.id}`, placeholder: "Why not?", disabled: !answer });
  const problem = h("p", { class: "bad", role: "alert", hidden: true });
  const send = async (form) => {
    box.setAttribute("aria-busy", "true");
    for (const button of box.querySelectorAll("button")) button.disabled = true;
    try {
      await answer(call.id, form);
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.message;
      for (const button of box.querySelectorAll("button")) button.disabled = false;
    }
    box.removeAttribute("aria-busy");
  };
  const approve = (event) => {
    event.preventDefault();
    const edited = {};
    let changed = false;
    for (const [name, { field, plain, value }] of fields) {
      try {
        edited[name] = plain ? field.value : JSON.parse(field.value);
      } catch {
        problem.hidden = false;
        problem.textContent = `${name} is not JSON: write numbers and lists as such, and text in quotes`;
        field.focus();
        return;
      }
      changed ||= JSON.stringify(edited[name]) !== JSON.stringify(value);
    }
    send(changed ? { approve: true, arguments: edited } : { approve: true });
  };
  const buttons = answer && h("div", { class: "buttons" },
    h("button", { type: "submit", class: "primary" }, "Approve"),
    h("button", { type: "button", class: "danger", onclick: () => send({ deny: reason.value }) }, "Deny"),
    h("label", { class: "unseen", for: reason.id }, "Reason for denying"), reason);
  const box = h("form", { class: "approval", "aria-label": `Approval of ${call.name}`, onsubmit: approve },
    h("h4", {}, `Approve ${call.name}?`, agent ? h("span", { class: "dim" }, ` The agent ${agent} asks.`) : null),
    call.description ? h("p", { class: "dim" }, call.description.split("\n")[0]) : null,
    rows, buttons, problem);
  return box;
}
