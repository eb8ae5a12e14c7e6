"use strict";
// Text of others goes into the page as text alone: make() and textContent, never as HTML.
const at = id => document.getElementById(id);

function make(tag, className, ...content) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

async function ask(path, body) {
  const init = body === undefined ? {} : {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)};
  const response = await fetch(path, init);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

let state = {examples: []};
let edited = false; // the text of the configuration is the reader's

function say(problem) {
  at("wrong").textContent = problem;
  at("wrong").hidden = !problem;
}

async function refresh() {
  try {
    state = await ask("api/state");
  } catch (e) {
    return say("wasmfleet dev does not answer: " + e.message);
  }
  document.title = state.filter + " · wasmfleet dev";
  at("filter").textContent = state.filter + (state.env ? " in " + state.env : "");
  at("url").textContent = state.url;
  at("chain").textContent = (state.chain || []).join(" → ");
  say(Object.values(state.wrong).join("\n"));
  at("tried").textContent = state.tried ? "tried here, in no file" : "as the files have it";
  if (!edited) at("config").value = state.config;
  const list = (state.examples || []).map(e => {
    const button = make("button", "", e.method + " " + e.path + " ", make("small", "", e.description));
    button.type = "button";
    button.onclick = () => { fill(e); send({file: e.file, index: e.index}); };
    return make("li", "", button);
  });
  at("examples").replaceChildren(...(list.length ? list : [make("li", "quiet", "none yet: examples/*.yaml of the filter")]));
  at("recent").replaceChildren(...(state.exchanges || []).map(x => {
    const button = make("button", "", (x.status || "…") + " " + x.name + " ", make("small", "", x.began + (x.failure ? " failed" : "")));
    button.type = "button";
    button.onclick = () => show(x);
    return make("li", "", button);
  }));
  at("log").textContent = (state.lines || []).join("\n");
  at("log").scrollTop = at("log").scrollHeight;
}

function fill(e) {
  at("method").value = e.method;
  at("path").value = e.path;
  at("headers").value = (e.headers || []).map(h => h[0] + ": " + h[1]).join("\n");
  at("body").value = e.body;
}

function headerLines(text) {
  return text.split("\n").map(line => {
    const i = line.indexOf(":", 1); // a name may begin with one
    return i < 0 ? [line.trim(), ""] : [line.slice(0, i).trim(), line.slice(i + 1).trim()];
  }).filter(h => h[0]);
}

async function send(example) {
  at("answer").replaceChildren(make("p", "quiet", "…"));
  const request = {method: at("method").value.trim(), path: at("path").value, headers: headerLines(at("headers").value), body: at("body").value};
  if (example) { request.example = example; edited = false; }
  let out;
  try {
    out = await ask("api/send", request);
  } catch (e) {
    out = {problem: e.message};
  }
  const parts = [];
  if (out.problem) parts.push(make("p", "problem", out.problem));
  if (out.status) parts.push(make("p", "", make("span", "status", String(out.status)), " ", make("small", "", out.millis.toFixed(1) + " ms")));
  if (out.compared) {
    parts.push(out.differs ? make("p", "problem", "not as the example wants:\n" + out.differs.join("\n")) : make("p", "fits", "as the example wants"));
  }
  for (const h of out.headers || []) for (const v of h.values) parts.push(make("div", "header", h.name + ": " + v));
  if (out.body) parts.push(make("pre", "", out.body));
  if (out.upstream) {
    if (out.upstream.body !== request.body) parts.push(make("p", "changed header", "the body that came to the upstream: " + out.upstream.body));
    if (out.upstream.answered !== out.body) parts.push(make("p", "changed header", "the body that the upstream answered: " + out.upstream.answered));
  } else if (out.status) {
    parts.push(make("p", "quiet", "the upstream did not see it"));
  }
  at("answer").replaceChildren(...parts);
  show(out.trace);
  refresh();
}

function changed(title, list) {
  if (!list) return [];
  const join = values => values.join(", ");
  return [make("h4", "", title), ...list.map(c =>
    c.was === null ? make("div", "header added", "+ " + c.name + ": " + join(c.is)) :
    c.is === null ? make("div", "header gone", "− " + c.name + ": " + join(c.was)) :
    make("div", "header changed", "~ " + c.name + ": " + join(c.was) + " → " + join(c.is)))];
}

function show(trace) {
  if (!trace) return at("trace").replaceChildren();
  const parts = [make("p", "quiet", trace.name)];
  if (trace.failure) parts.push(make("p", "problem", trace.failure.join("\n")));
  for (const s of trace.steps || []) {
    parts.push(make("div", "step " + s.fate, make("h3", "", s.filter + " ", make("small", "", s.fate)),
      ...changed("request", s.in), ...changed("response", s.out),
      ...(s.fate === "passed" && !s.in && !s.out ? [make("p", "quiet", "no header changed")] : [])));
  }
  for (const line of trace.said || []) parts.push(make("div", "header", line));
  at("trace").replaceChildren(...parts);
}

let asked = 0;
async function judge(apply) {
  const mine = ++asked;
  let problem;
  try {
    problem = (await ask("api/config", {text: at("config").value, apply})).problem;
  } catch (e) {
    problem = e.message;
  }
  if (mine !== asked) return; // the text has changed since
  at("verdict").className = problem ? "bad" : "good";
  at("verdict").textContent = problem || (apply ? "in service, in no file" : "the filter takes it");
  if (apply && !problem) { edited = false; refresh(); }
}

let pause;
at("config").oninput = () => {
  edited = true;
  clearTimeout(pause);
  pause = setTimeout(() => judge(false), 250);
};
at("apply").onclick = () => judge(true);
at("reset").onclick = async () => {
  edited = false;
  const {problem} = await ask("api/config", {reset: true});
  at("verdict").textContent = problem;
  at("verdict").className = "bad";
  refresh();
};
at("request").onsubmit = e => { e.preventDefault(); send(null); };

let soon;
const events = new EventSource("api/events");
events.onmessage = () => { clearTimeout(soon); soon = setTimeout(refresh, 60); };
events.onopen = refresh;
events.onerror = () => say("wasmfleet dev does not answer. is it still running?");
