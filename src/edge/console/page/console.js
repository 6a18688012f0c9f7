// The proctor's page: what the box says, in rows; what the proctor decides, back to the box. Nothing is shown as done before the
// box has said that it is recorded. Everything about people comes in as text and stays text. The box names what happened by codes;
// the words for them come by language. Nothing is kept in the browser but which language that is.
"use strict";
const SILENCE = 1500, AGAIN = 400, PATIENCE = 15000;
const at = (id) => document.getElementById(id);
let me, source, heard = 0, tried = 0, offset = 0, board, shown = "missing", found, asking, known = new Set(), tab = "live", statusTimer;

async function ask(path, body) {
  const post = body !== undefined;
  const headers = post ? { "content-type": "application/json", ...(me && { "x-examgate-token": me.token }) } : {};
  let answer;
  try {
    const sent = post ? { method: "POST", body: JSON.stringify(body) } : {};
    answer = await fetch(path, { ...sent, headers, credentials: "same-origin", signal: AbortSignal.timeout(post ? PATIENCE : 2 * SILENCE) });
  } catch {
    throw new Error(say("error.unheard"));
  }
  const said = answer.headers.get("content-type") === "application/json" ? await answer.json() : undefined;
  if (!answer.ok) {
    if (answer.status === 401 && path !== "/api/sign-in") leave();
    throw new Error(words[`error.${said?.error}`] ? say(`error.${said.error}`, said) : say("error.unknown"));
  }
  return said;
}

// ---- words

let words = {};
function say(key, blanks = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(blanks[name] ?? ""));
}
const LANGUAGES = [...at("language").options].map((option) => option.value);
function preferred() {
  let kept;
  try { kept = localStorage.getItem("language"); } catch { /* Not kept, then. */ }
  const asked = [kept, ...navigator.languages].filter(Boolean);
  const known = asked.map((tag) => LANGUAGES.find((own) => own.split("-")[0] === tag.split("-")[0]));
  return known.find(Boolean) ?? "en";
}
async function speak(language) {
  words = await ask(`/words/${language}`);
  at("language").value = document.documentElement.lang = language;
  at("tongue").hidden = false;
  document.querySelectorAll("[data-say]").forEach((element) => { element.textContent = say(element.dataset.say); });
  document.querySelectorAll("[data-label]").forEach((element) => { element.ariaLabel = say(element.dataset.label); });
  document.title = say("title");
  at("sorry").textContent = at("told").textContent = "";
  draw();
  if (tab === "status" && me) status();
}
at("language").addEventListener("change", async () => {
  const language = at("language").value;
  try { localStorage.setItem("language", language); } catch { /* As before. */ }
  try { await speak(language); } catch (error) { tell(error.message); }
});

function make(name, fill = {}, ...inside) {
  const { look, act, ...plain } = fill;
  const element = Object.assign(document.createElement(name), plain);
  if (look) element.dataset.look = look;
  if (act) element.addEventListener("click", act);
  element.append(...inside.filter((part) => part !== undefined && part !== ""));
  return element;
}

// One shape an answer: colour is never alone.
const SHAPES = {
  admitted: ["M32 2a30 30 0 1 0 .1 0z", "M19 33l9 9 18-21"], inside: ["M32 2a30 30 0 1 0 .1 0z", "M19 33l9 9 18-21"],
  well: ["M32 2a30 30 0 1 0 .1 0z", "M19 33l9 9 18-21"],
  referred: ["M14 6h36a10 10 0 0 1 10 10v22a10 10 0 0 1-10 10H36L22 61V48h-8A10 10 0 0 1 4 38V16A10 10 0 0 1 14 6z", "M20 27h.1M32 27h.1M44 27h.1"],
  impaired: ["M32 5l29 52H3z", "M32 25v13M32 48h.1"],
  denied: ["M21 4h22l17 17v22L43 60H21L4 43V21z", "M26 22v20M38 22v20"], refused: ["M21 4h22l17 17v22L43 60H21L4 43V21z", "M26 22v20M38 22v20"],
  turned_away: ["M21 4h22l17 17v22L43 60H21L4 43V21z", "M26 22v20M38 22v20"], unwell: ["M21 4h22l17 17v22L43 60H21L4 43V21z", "M32 18v16M32 45h.1"],
  undone: ["M12 6h40a8 8 0 0 1 8 8v36a8 8 0 0 1-8 8H12a8 8 0 0 1-8-8V14a8 8 0 0 1 8-8z", "M18 32h28M28 22L18 32l10 10"],
  outside: ["M12 6h40a8 8 0 0 1 8 8v36a8 8 0 0 1-8 8H12a8 8 0 0 1-8-8V14a8 8 0 0 1 8-8z", "M20 32h.1M32 32h.1M44 32h.1"],
};
function mark(look) {
  const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const picture = svg("svg");
  picture.setAttribute("viewBox", "0 0 64 64");
  picture.setAttribute("class", "mark");
  picture.setAttribute("aria-hidden", "true");
  SHAPES[look].forEach((d, n) => {
    const path = svg("path");
    path.setAttribute("d", d);
    path.setAttribute("class", n ? "ink" : "body");
    picture.append(path);
  });
  return picture;
}

const now = () => Date.now() + offset;
const clock = (ms, seconds) => new Date(ms).toLocaleTimeString(document.documentElement.lang, { hour: "numeric", minute: "2-digit", ...(seconds && { second: "2-digit" }) });
const time = (ms, seconds) => make("time", { dateTime: new Date(ms).toISOString() }, clock(ms, seconds));

// ---- the live list

// As the student goes by, with the name on the ID where that is another one.
const called = (who) => who.official ? `${who.name} (${who.official})` : who.name;
const alike = (who) => (who.alike ?? []).map((other) => ` · ${say("alike", { who: other })}`).join("");
const seat = (who) => who.seat ? ` · ${say("seat", { seat: who.seat })}` : "";

function acts(who, answer) {
  const label = (text) => say("act", { act: text, who: `${called(who)} ${who.student}` });
  const button = (verdict, text) => make("button", { act: () => rule(who, verdict, answer), ariaLabel: label(text) }, text);
  const refuse = button("refuse", say("refuse"));
  if (who.whereabouts === "inside") return [refuse];
  const admit = answer ? button("admit", say("admit")) : button("admit_by_hand", say("admit_by_hand"));
  return who.whereabouts === "turned_away" ? [admit] : [admit, refuse];
}

function row(entry, latest) {
  const { who } = entry;
  const name = who ? `${called(who)} · ${who.student}${seat(who)}` : say("unknown"), title = say(`what.${entry.what}`);
  const [kind, reason] = entry.why.split("."), next = kind === "reason" && say(`next.${reason}`);
  const [room, at] = entry.other_room ?? [];
  const text = make("p", { className: "text" }, say(entry.why, room && { room, time: clock(at) }), who && latest ? alike(who) : "", entry.by ? ` · ${entry.by}` : "", entry.note ? ` · “${entry.note}”` : "");
  // Only the newest entry about somebody asks for something, and only while it is open.
  const open = latest && (!who || who.whereabouts === "outside");
  if (next && open) text.append(document.documentElement.lang === "zh-Hans" ? "。" : ". ", make("span", { className: "next" }, next));
  const buttons = make("div", { className: "acts" });
  if (entry.undo && entry.undo.until > now()) {
    const undo = make("button", { act: () => undoRuling(entry.undo.ruling), ariaLabel: say("act", { act: say("undo"), who: `${title}, ${name}` }) }, say("undo"));
    undo.dataset.until = entry.undo.until;
    buttons.append(undo);
  }
  if (who && latest) buttons.append(...acts(who, entry.by ? undefined : entry.id));
  const item = make("li", { look: entry.look }, mark(entry.look),
    make("p", { className: "head" }, time(entry.at), make("span", { className: "what" }, `${title} — ${name}`)), text, buttons);
  if (known.size && !known.has(entry.id)) item.classList.add("new");
  return item;
}

function keepFocus(draw) {
  const focused = document.activeElement, label = focused?.ariaLabel;
  draw();
  if (label && !document.contains(focused)) document.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus();
}

function draw() {
  if (!board) return;
  at("exam").textContent = board.exam;
  at("room").textContent = say("room", board);
  at("doors").textContent = say("doors", { opens: clock(board.opens), closes: clock(board.closes) });
  document.title = say("title.room", board);
  const here = board.people, inside = here.filter((p) => p.whereabouts === "inside");
  const missing = here.filter((p) => p.whereabouts !== "inside");
  const seen = new Set();
  let open = 0;
  const rows = board.entries.map((entry) => {
    const latest = !entry.who || !seen.has(entry.who.student);
    if (entry.who) seen.add(entry.who.student);
    if (entry.look === "referred" && entry.who?.whereabouts === "outside" && latest) open += 1;
    return row(entry, latest);
  });
  const tally = (number, words) => make("div", {}, make("b", {}, String(number)), words);
  at("tally").replaceChildren(tally(say("tally.of", { inside: inside.length, all: here.length }), say("tally.inside")), tally(missing.length, say("tally.missing")), tally(open, say("tally.open")));
  at("missing-count").textContent = missing.length;
  keepFocus(() => {
    at("entries").replaceChildren(...rows);
    drawPeople();
  });
  at("quiet").hidden = rows.length > 0;
  board.entries.forEach((entry) => known.add(entry.id));
  if (!known.size) known.add("");
}

function drawPeople() {
  const chosen = { missing: (p) => p.whereabouts !== "inside", inside: (p) => p.whereabouts === "inside", all: () => true }[shown];
  const fresh = new Map(board.people.map((p) => [p.student, p]));
  const people = found ? found.map((p) => fresh.get(p.student) ?? p) : board.people.filter(chosen);
  at("people").replaceChildren(...people.map((person) =>
    make("li", { look: person.whereabouts }, mark(person.whereabouts), make("p", { className: "head" }, called(person)),
      make("p", { className: "text" }, person.student, seat(person), " · ", make("b", {}, say(`where.${person.whereabouts}`)), alike(person), person.here ? "" : ` · ${say("elsewhere")}`),
      make("div", { className: "acts" }, ...acts(person)))));
  at("nobody").hidden = people.length > 0;
  at("nobody").textContent = found ? say("nobody.found") : shown === "missing" ? say("nobody.missing") : say("nobody");
}

setInterval(() => {
  if (!me) return;
  at("clock").textContent = clock(now());
  document.querySelectorAll("[data-until]").forEach((button) => {
    const left = Math.ceil((button.dataset.until - now()) / 1000);
    if (left <= 0) button.remove();
    else button.textContent = say("undo.left", { seconds: left });
  });
}, 250);

// ---- acting

function rule(who, verdict, answer) {
  asking = { student: who.student, verdict, answer };
  at("ruling-title").textContent = say(verdict);
  at("ruling-who").textContent = `${called(who)} · ${who.student}${seat(who)}${alike(who)}`;
  at("confirm").textContent = verdict === "refuse" ? say("refuse") : say("admit");
  at("confirm").classList.toggle("no", verdict === "refuse");
  at("note").value = at("ruling-sorry").textContent = "";
  const grounds = me.grounds[verdict].map((code, n) => {
    const choice = make("input", { type: "radio", name: "ground", value: code, checked: n === 0 });
    return make("label", {}, choice, say(`ground.${code}`));
  });
  at("grounds").replaceChildren(at("grounds").firstElementChild, ...grounds);
  at("ruling").showModal();
}

at("cancel").addEventListener("click", () => at("ruling").close());
at("ruling").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const ground = new FormData(event.target).get("ground"), note = at("note").value.trim();
  at("confirm").disabled = true;
  try {
    await ask("/api/rule", { ...asking, answer: asking.answer ?? null, ground, note: note || null });
    at("ruling").close();
    tell(say("recorded"));
  } catch (error) {
    at("ruling-sorry").textContent = error.message;
  } finally {
    at("confirm").disabled = false;
  }
});

async function undoRuling(ruling) {
  try {
    await ask("/api/undo", { ruling });
    tell(say("taken_back"));
  } catch (error) {
    tell(error.message);
  }
}

function tell(text) {
  at("told").textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => { at("told").textContent = ""; }, 6000);
}

// ---- views

document.querySelector("nav").addEventListener("click", ({ target }) => {
  const chosen = target.closest("[data-tab]");
  if (chosen) open(chosen.dataset.tab);
});
function open(name) {
  tab = name;
  document.querySelectorAll("[data-tab]").forEach((button) => {
    if (button.dataset.tab === name) button.setAttribute("aria-current", "page"); else button.removeAttribute("aria-current");
    at(button.dataset.tab).hidden = button.dataset.tab !== name;
  });
  clearInterval(statusTimer);
  if (name === "status") { status(); statusTimer = setInterval(status, 3000); }
}

document.querySelector(".choice").addEventListener("click", ({ target }) => {
  if (!target.dataset.show) return;
  shown = target.dataset.show;
  found = undefined;
  at("sought").value = "";
  document.querySelectorAll("[data-show]").forEach((button) => button.setAttribute("aria-pressed", String(button === target)));
  drawPeople();
});

at("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("sought").value.trim();
  try {
    found = text ? await ask("/api/search", { text }) : undefined;
    drawPeople();
  } catch (error) {
    tell(error.message);
  }
});

async function status() {
  let said;
  try { said = await ask("/api/status"); } catch { return; }
  at("findings").replaceChildren(...said.findings.map(({ part, state, found: text }) =>
    make("li", { look: state }, mark(state), make("p", { className: "head" }, `${part} — ${say(`state.${state}`)}`), make("p", { className: "text", lang: "en" }, text))));
  at("counters").replaceChildren(...said.counters.map(([name, number]) => make("div", {}, make("dt", {}, say(`count.${name}`)), make("dd", {}, String(number)))));
  const visit = ({ who, from, step }) => {
    const refused = step.refused && { who: who ?? say("somebody"), from, times: step.refused.times };
    return refused ? say("access.refused", refused) : say(`access.${step}`, { who, from });
  };
  const log = (line) => make("span", { lang: "en" }, line.text);
  for (const [list, text] of [["faults", log], ["access", visit], ["log", log]]) {
    const lines = said[list].map((line) => make("li", {}, time(line.at, true), text(line)));
    at(list).replaceChildren(...(lines.length ? lines : [make("li", {}, say("nothing"))]));
  }
}

// ---- coming, going and listening

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  at("sorry").textContent = "";
  try {
    enter(await ask("/api/sign-in", { code: at("code").value, pin: at("pin").value }));
  } catch (error) {
    at("sorry").textContent = error.message;
    at("code").value = "";
    at("code").focus();
  } finally {
    at("pin").value = "";
    button.disabled = false;
  }
});
at("sign-out").addEventListener("click", async () => {
  try { await ask("/api/sign-out", {}); } catch { /* Gone all the same. */ }
  leave();
});

function enter(session) {
  me = session;
  heard = performance.now();
  document.body.dataset.view = "in";
  at("name").textContent = me.name;
  at("code").value = "";
  open("live");
  listen();
}

function leave() {
  source?.close();
  source = me = board = found = undefined;
  known = new Set();
  clearInterval(statusTimer);
  if (at("ruling").open) at("ruling").close();
  for (const list of ["entries", "people", "tally", "findings", "counters", "faults", "access", "log"]) at(list).replaceChildren();
  document.title = say("title");
  document.body.dataset.view = "out";
  at("code").focus();
}

function listen() {
  source?.close();
  tried = performance.now();
  source = new EventSource("/api/events");
  source.addEventListener("board", (event) => { hear(); board = JSON.parse(event.data); draw(); });
  source.addEventListener("beat", (event) => { hear(); offset = Number(event.data) - Date.now(); });
  source.onerror = () => source.close();
}
function hear() {
  heard = performance.now();
  at("lost").hidden = true;
}
setInterval(async () => {
  if (!me || !source) return;
  const now = performance.now(), silent = now - heard > SILENCE, closed = source.readyState === EventSource.CLOSED;
  if (silent) at("lost").hidden = false;
  if (!(silent || closed) || now - tried < (closed ? AGAIN : SILENCE)) return;
  tried = now;
  // A session that ended is not a lost connection.
  try {
    const session = await ask("/api/session");
    if (!session) return leave();
    me = session;
    listen();
  } catch { /* Tried again. */ }
}, 200);

// Without words and a word from the box there is nothing to show.
async function begin() {
  try {
    await speak(preferred());
    const session = await ask("/api/session");
    if (session) enter(session); else leave();
  } catch {
    setTimeout(begin, AGAIN);
  }
}
begin();
