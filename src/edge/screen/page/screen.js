// Shows the sheets that the box sends, and nothing of them when the box is not heard: an answer never outlives the box's word
// for it. It knows no words: texts come finished. Beats come every 500 ms; after SILENCE the box counts as gone.
"use strict";
const SILENCE = 1200, AGAIN = 400, HINT_STAYS = 700;
const NOTES = { admitted: [659, 880], referred: [587, 587], denied: [440, 349] };
const at = (id) => document.getElementById(id);
const root = document.documentElement, body = document.body;
let source, audio, program, waiting, sheet, later;
let heard = -Infinity, tried = 0, worded = 0, offset = Infinity;

function listen() {
  source?.close();
  tried = performance.now();
  source = new EventSource("/events");
  source.addEventListener("sheet", (event) => {
    heard = performance.now();
    const next = JSON.parse(event.data);
    program ??= next.program;
    if (next.program !== program) return location.reload();
    waiting = next.waiting;
    clearTimeout(later);
    // Hints stay long enough to be read; an answer is never held back.
    const still = sheet?.look === "looking" && next.look === "looking" ? worded + HINT_STAYS - heard : 0;
    if (still > 0) later = setTimeout(show, still, next);
    else show(next);
  });
  source.addEventListener("beat", (event) => {
    heard = performance.now();
    // The box's clock against ours: the least delayed beat tells best.
    offset = Math.min(offset, heard - Number(event.data));
  });
  source.onerror = () => source.close();
}

function watch() {
  const now = performance.now();
  if (now - heard > SILENCE && sheet) wait();
  const patience = source.readyState === EventSource.CLOSED ? AGAIN : SILENCE;
  if (now - Math.max(heard, tried) > patience) listen();
}

function wait() {
  clearTimeout(later);
  sheet = undefined;
  offset = Infinity;
  body.dataset.look = "waiting";
  mirror(false);
  at("progress").hidden = true;
  if (waiting) say(waiting);
}

function show(next) {
  const before = sheet;
  sheet = next;
  body.dataset.look = next.look;
  text("exam", next.exam);
  text("room", next.room);
  text("clock", next.clock);
  at("picture").alt = next.picture;
  if (next.hint) at("guide").dataset.hint = next.hint;
  else delete at("guide").dataset.hint;
  mirror(next.look === "looking");
  const said = (it) => JSON.stringify([it?.lines, it?.progress]);
  if (said(before) !== said(next)) {
    worded = performance.now();
    progress(next.progress);
    say(next.lines);
  }
  if (before?.since === next.since) return;
  if (next.sound) sound(NOTES[next.look] ?? []);
  // After the next frame: how long the way from the box's word to the eye was.
  requestAnimationFrame(() => setTimeout(() => {
    performance.clearMeasures();
    if (offset !== Infinity) performance.measure(next.look, { start: Math.max(0, next.since + offset), end: performance.now() });
  }));
}

function text(id, words) {
  if (at(id).textContent !== words) at(id).textContent = words;
}

function say([own, ...others]) {
  root.lang = own.lang;
  root.dir = own.dir;
  text("title", own.title);
  text("detail", own.detail);
  at("others").replaceChildren(...others.map(({ lang, dir, title }) =>
    Object.assign(document.createElement("p"), { lang, dir, textContent: title })));
  fit();
}

function progress(of) {
  at("progress").hidden = !of;
  text("try", of?.text ?? "");
  at("tries").replaceChildren(...Array.from({ length: of?.of ?? 0 }, (_, n) =>
    Object.assign(document.createElement("i"), { className: n + 1 < of.attempt ? "done" : n + 1 === of.attempt ? "now" : "" })));
}

function mirror(on) {
  const picture = at("picture");
  const load = () => { picture.src = "/picture?" + Math.round(performance.now()); };
  if (on && !picture.dataset.on) {
    picture.dataset.on = "yes";
    picture.onload = () => { picture.hidden = false; };
    // No picture yet, or none at all: the drawn face stays, and it is asked for again while somebody is looked at.
    picture.onerror = () => { picture.hidden = true; setTimeout(() => { if (picture.dataset.on) load(); }, 300); };
    load();
  } else if (!on && picture.dataset.on) {
    delete picture.dataset.on;
    picture.onload = picture.onerror = null;
    picture.removeAttribute("src");
    picture.hidden = true;
  }
}

function sound(notes) {
  audio ??= new AudioContext();
  notes.forEach((pitch, n) => {
    const tone = new OscillatorNode(audio, { frequency: pitch }), volume = new GainNode(audio, { gain: 0 });
    const start = audio.currentTime + n * .18;
    volume.gain.setTargetAtTime(.2, start, .01);
    volume.gain.setTargetAtTime(0, start + .12, .04);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + .5);
  });
}

// The largest title with which all words fit into their place.
function fit() {
  const words = at("words"), title = at("title"), unit = Math.min(innerWidth, innerHeight) / 100;
  // The figure's place is as high as that of the words, beside it or above it.
  const fits = (size) => {
    root.style.setProperty("--title", size * unit + "px");
    return words.scrollHeight <= at("figure").clientHeight && title.scrollWidth <= title.clientWidth;
  };
  body.classList.remove("broken");
  let low = 6, high = Number(getComputedStyle(root).getPropertyValue("--most"));
  if (fits(high)) return;
  if (!fits(low)) body.classList.add("broken");
  while (high - low > .4) {
    const middle = (low + high) / 2;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  fits(low);
}

addEventListener("resize", fit);
document.fonts.ready.then(fit);
setInterval(watch, 100);
listen();
