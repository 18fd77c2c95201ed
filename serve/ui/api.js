// The server's public API, as any other client sees it: requests with a key, and events that survive a lost connection.

const STORE = "cloche-key";

/** A request that was refused: what the server says about it. */
export class Problem extends Error {
  constructor(status, form) {
    super(form.message || `the server answered with ${status}`);
    this.status = status;
    this.code = form.code || "";
    this.remedy = form.remedy || "";
    this.form = form;
  }
}

export const access = {
  get key() { return sessionStorage.getItem(STORE) || localStorage.getItem(STORE) || ""; },
  get admin() { return sessionStorage.getItem(`${STORE}-admin`) || ""; },
  set(key, lasting) {
    this.forget();
    (lasting ? localStorage : sessionStorage).setItem(STORE, key);
  },
  setAdmin(key) { sessionStorage.setItem(`${STORE}-admin`, key); },
  forget() {
    for (const store of [sessionStorage, localStorage]) store.removeItem(STORE);
    sessionStorage.removeItem(`${STORE}-admin`);
  },
};

/** Send a request and return its response. Throws Problem, or TypeError where no server answers. */
export async function send(method, path, { body, raw, headers = {}, signal, key = access.key } = {}) {
  const options = { method, signal, cache: "no-store", headers: { ...headers } };
  if (key) options.headers.authorization = `Bearer ${key}`;
  if (raw !== undefined) options.body = raw;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const form = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, form);
  }
  return answer;
}

/** Send a request and return the JSON of its answer, null if there is none. */
export async function ask(method, path, body, options = {}) {
  const answer = await send(method, path, { body, ...options });
  return answer.status === 204 ? null : answer.json();
}

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;

/**
 * Call `onEvent(name, form)` with each event of a stream, once and in order, until one is the last by `isLast(name)`.
 * A connection that is lost is taken up behind the last event that came; `onState` hears "open" and "lost".
 */
export async function follow(path, { onEvent, onState = () => {}, isLast, signal, first, key }) {
  let last = 0;
  let pause = FIRST_PAUSE;
  let begin = first;
  while (!signal?.aborted) {
    try {
      const headers = { accept: "text/event-stream", "last-event-id": String(last) };
      const answer = await (begin ? begin(headers) : send("GET", path, { headers, signal, key }));
      begin = undefined;
      onState("open");
      for await (const event of read(answer.body)) {
        pause = FIRST_PAUSE;
        // What was on its way twice is taken once.
        if (event.id <= last) continue;
        last = event.id;
        try {
          onEvent(event.name, JSON.parse(event.data));
        } catch (error) {
          // The page's own fault, and no reason to ask for the event again.
          reportError(error);
        }
        if (isLast(event.name)) return;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    }
    onState("lost");
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

/** Yield the events of a response's body. One that is not whole when the connection ends is none. */
async function* read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    // Only the new part is searched: an event may be megabytes, and come in thousands of pieces.
    let from = Math.max(0, rest.length - 1);
    rest += value;
    for (let end; (end = rest.indexOf("\n\n", from)) >= 0; from = 0) {
      const event = parse(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (event) yield event;
    }
  }
}

function parse(text) {
  const event = { id: 0, name: "", data: "" };
  for (const line of text.split("\n")) {
    const at = line.indexOf(": ");
    const field = line.slice(0, at);
    const value = line.slice(at + 2);
    if (field === "id") event.id = Number(value);
    else if (field === "event") event.name = value;
    else if (field === "data") event.data += value;
  }
  return event.name ? event : null;
}
