// The page: what the reader does goes to the server, what it answers is shown.

import { $, choose, make, showDeclaration, showLesions, showNumbers, showTrail } from "./panels.js";
import { listen, makeTools, rounded, settings } from "./tools.js";
import { Viewer } from "./viewer.js";
import { PLANES, Volume } from "./volume.js";

const shared = { at: [0, 0, 0], level: 40, width: 400, show: { liver: true, lesions: true, segments: false }, chosen: null, rows: new Map(), ghost: null, showCross: true, pointer: null };
const app = { shared, stands: null, told: null, now: null, first: null, last: null, fresh: false, held: "", ask, do: edit, say, redraw, choose: chooseLesion, goto, scroll, window: changeWindow, hover, press, release };
let tools = [], tool = null, panes = [], queue = Promise.resolve(), hush = 0;

async function ask(what, given = {}) {
  const answer = await fetch(what, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) })
    .catch(() => { throw new Error("The program does not answer: was it stopped?"); });
  const told = await answer.json().catch(() => ({ error: `The program refused this (${answer.status}).` }));
  if (!answer.ok) throw new Error(told.error);
  return told;
}

function say(text, bad = false) {
  const box = $("message");
  box.textContent = text[0].toUpperCase() + text.slice(1);
  box.classList.toggle("bad", bad);
  box.hidden = false;
  clearTimeout(hush);
  hush = setTimeout(() => { box.hidden = true; }, bad ? 6000 : 4500);
}

// --- edits ---------------------------------------------------------------------------------

function edit(action, given, chooseNew = false) { return change("do", { action, ...given }, chooseNew); }

function change(what, given = {}, chooseNew = false) {
  queue = queue.then(async () => {
    try {
      const reader = await readerName();
      if (!reader) return redraw();
      const before = new Set(Object.keys(app.stands.volumes));
      const told = await ask(what, { ...given, reader, step: app.stands.step });
      if (told.part) shared.volume.put(shared.volume.codes, told.part);
      const fresh = Object.keys(told.volumes).filter((n) => !before.has(n)).map(Number);
      stand(told);
      if (chooseNew || given.action === "paint") { if (fresh.length === 1) { chooseLesion(fresh[0], false); settings.fresh = false; options(); } }
      if (told.part && what !== "do") goto(told.part.start.map((x, a) => Math.floor(x + told.part.size[a] / 2)), false);
    } catch (error) {
      await catchUp();
      say(error.message, true);
    }
    redraw();
  });
  return queue;
}

// Show what another window has changed meanwhile.
async function catchUp() {
  const told = await ask("stands", { step: app.stands.step }).catch(() => app.stands);
  if (told.step === app.stands.step) return;
  shared.volume.put(shared.volume.codes, told.part);
  stand(told);
  redraw();
  say("Another window has changed the masks: they are shown now.");
}

// Where the correction stands now; the measured numbers are asked for and come later.
function stand(told) {
  const moved = !app.stands || app.stands.step !== told.step;
  for (const [n, row] of shared.rows) if (app.stands?.volumes[n] !== told.volumes[n]) row.stale = true;
  app.stands = told;
  if (shared.chosen && !(shared.chosen in told.volumes)) shared.chosen = null;
  for (const [id, text] of [["undo", told.undo], ["redo", told.redo]]) {
    $(id).disabled = !text;
    $(id).title = text ? `${id[0].toUpperCase()}${id.slice(1)}: ${text}` : `Nothing to ${id}`;
  }
  $("edits").textContent = String(told.edits);
  if (moved) { app.fresh = false; conclude(told.step); }
  showLesions(app);
  showNumbers(app);
  showDeclaration(app);
}

async function conclude(step) {
  try {
    for (;;) {
      const told = await ask("conclusion", { of: step });
      if (app.stands.step !== step) return;
      if (told.waiting) {
        if (told.step !== step) await (queue = queue.then(catchUp));
        if (app.stands.step !== step) return;
        continue;
      }
      app.last = app.now ?? told;
      app.now = told;
      app.first ??= step ? await ask("conclusion", { of: 0 }) : told;
      if (app.stands.step !== step) return;
      app.fresh = true;
      shared.rows = new Map(told.lesions.map((row) => [row.number, row]));
      shared.volume.setSegments(told.segments);
      showLesions(app);
      showNumbers(app);
      document.body.dataset.step = String(step); // the numbers of this step are on the page
      return redraw();
    }
  } catch (error) {
    if (app.stands.step === step) { $("busy").hidden = true; say(error.message, true); }
  }
}

async function readerName() {
  const given = $("reader").value.trim();
  if (given) return given;
  $("name").value = "";
  const answer = await modal($("ask-name"));
  if (answer === "yes") $("reader").value = $("name").value.trim();
  return $("reader").value.trim();
}

function modal(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}

async function save() {
  const reader = await readerName();
  if (!reader) return;
  const who = [...new Set(app.stands.history.map((one) => one.who))].join(", ");
  $("folder").value = app.stands.suggested;
  $("save-says").textContent = `${app.stands.edits} edit${app.stands.edits === 1 ? "" : "s"}${who && ` by ${who}`}. ` + (app.stands.complete ? "" : "You have not said that all lesions are marked.");
  $("save-result").textContent = "";
  $("save-yes").disabled = false;
  $("save-no").textContent = "Cancel";
  $("ask-save").showModal();
}

async function saveNow(event) {
  event.preventDefault();
  if (!$("folder").reportValidity()) return;
  const says = $("save-result");
  $("save-yes").disabled = true;
  says.className = "";
  says.textContent = "Saving: measuring once more, pictures, DICOM objects…";
  try {
    const told = await ask("save", { reader: $("reader").value.trim(), name: $("folder").value.trim(), step: app.stands.step });
    says.className = "good-text";
    says.textContent = `Saved to ${told.folder}. ${told.missing.join(" ")}`;
    $("save-no").textContent = "Close";
    app.stands.suggested = told.suggested;
    app.saved = told.saved;
  } catch (error) {
    says.className = "bad-text";
    says.textContent = error.message;
    $("save-yes").disabled = false;
    queue = queue.then(catchUp);
  }
}

// --- looking -------------------------------------------------------------------------------

function redraw() {
  for (const pane of panes) pane.draw();
  corners();
}

function corners() {
  if (!panes.length) return;
  const [main, a, b] = panes, { volume } = shared;
  const where = (pane) => `${pane.plane.name} ${shared.at[pane.plane.w] + 1} / ${volume.shape[pane.plane.w]}`;
  const out = main.pane.querySelectorAll("output");
  out[0].textContent = where(main);
  out[2].textContent = `L ${volume.said(shared.level)}  W ${volume.said(shared.width)}`;
  a.pane.querySelector("output").textContent = where(a);
  b.pane.querySelector("output").textContent = where(b);
  hover();
}

function hover() {
  const out = panes[0].pane.querySelectorAll("output")[3], { volume, pointer } = shared;
  const p = pointer && rounded(pointer);
  if (!p || !volume.inside(p)) { out.textContent = ""; return; }
  const n = volume.lesion(p), s = volume.segments[volume.index(p)], unit = app.told.modality === "CT" ? " HU" : "";
  const names = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII"];
  out.textContent = [n ? `lesion ${n}` : "", s ? `segment ${names[s]}` : "", `${volume.said(volume.value(p))}${unit}`].filter(Boolean).join(" · ");
}

function goto(p, reveal = true) {
  shared.at = p.map((x, a) => Math.min(Math.max(Math.round(x), 0), shared.volume.shape[a] - 1));
  if (reveal) for (const pane of panes) pane.reveal(shared.at);
  redraw();
}

function scroll(viewer, steps) {
  const { w } = viewer.plane, p = [...shared.at];
  p[w] += viewer.plane.w === 2 ? steps : -steps;
  goto(p, false);
}

function chooseLesion(n, go) {
  shared.chosen = n;
  const row = n && shared.rows.get(n);
  if (go && row) goto(row.place);
  if (n) { settings.fresh = false; options(); }
  showLesions(app);
  choose(app);
  redraw();
}

function step(by) {
  const all = [...document.querySelectorAll("#lesions tbody tr")].map((r) => Number(r.dataset.lesion));
  if (!all.length) return;
  const at = all.indexOf(shared.chosen);
  chooseLesion(all[at < 0 ? 0 : (at + by + all.length) % all.length], true);
}

function changeWindow(dx, dy) {
  const speed = Math.max(shared.width, 20 * shared.volume.step) / 300;
  shared.width = Math.max(shared.width + dx * speed, shared.volume.step);
  shared.level += dy * speed;
  for (const b of $("presets").children) b.setAttribute("aria-pressed", "false");
  redraw();
}

function preset(n) {
  const one = app.told.presets[n];
  if (!one) return;
  [shared.level, shared.width] = [one.level, one.width];
  [...$("presets").children].forEach((b, k) => b.setAttribute("aria-pressed", k === n ? "true" : "false"));
  redraw();
}

function setPlane(n) {
  const others = [2, 1, 0].filter((k) => k !== n);
  [n, ...others].forEach((k, at) => panes[at].setPlane(k));
  for (const b of $("planes").children) b.setAttribute("aria-checked", Number(b.dataset.plane) === n ? "true" : "false");
  redraw();
}

function toggle(name) {
  shared.show[name] = !shared.show[name];
  $(`show-${name}`).setAttribute("aria-pressed", String(shared.show[name]));
  redraw();
}

// --- tools ---------------------------------------------------------------------------------

function take(one) {
  tool?.cancel?.();
  tool = one;
  for (const b of $("tools").children) b.setAttribute("aria-checked", b.dataset.tool === one.id ? "true" : "false");
  panes[0].canvas.style.cursor = one.overlay && one.id !== "split" ? "none" : "crosshair";
  if (one.id === "paint") settings.fresh = !shared.chosen;
  options();
  redraw();
}

function options() {
  if (!tool) return;
  const parts = tool.options.filter((o) => !o.when || o.when()).map((o) => {
    if (o.kind === "button") return make("button", { class: o.main ? "main" : "", title: o.title, onclick: o.on }, o.label);
    if (o.kind === "choice") {
      return make("span", { class: "group", role: "group", title: o.title }, ...o.values.map(([value, name]) => make("button", {
        "aria-pressed": settings[o.key] === value ? "true" : "false", onclick: () => { settings[o.key] = value; options(); o.on?.(); redraw(); },
      }, name)));
    }
    const says = make("span", {}, `${settings[o.key]} ${o.unit}`);
    const range = make("input", { type: "range", min: o.min, max: o.max, value: settings[o.key], "data-setting": o.key, "aria-label": o.label,
      oninput: () => { settings[o.key] = Number(range.value); says.textContent = `${range.value} ${o.unit}`; o.on?.(); redraw(); } });
    return make("label", { title: o.title }, o.label, range, says);
  });
  $("options").replaceChildren(...parts);
}

function press(drag, p) {
  if (drag.shift && drag.tool.shifted === "erase") drag.tool = tools.find((t) => t.id === "erase");
  if (drag.shift && drag.tool.shifted === "flip") { settings.liverOff = !settings.liverOff; drag.flipped = true; }
  drag.tool.down?.(p);
  redraw();
}

function release(drag, p, cancelled) {
  if (cancelled) drag.tool.cancel?.();
  else {
    drag.tool.up?.(p);
    if (!drag.moved) drag.tool.click?.(p);
  }
  if (drag.flipped) settings.liverOff = !settings.liverOff;
  redraw();
}

const KEYS = [
  ["Wheel, ↑ ↓", "next slice; Page Up and Page Down: ten"], ["Ctrl + wheel, right drag", "zoom; F fits the liver again"], ["Middle drag, space + drag", "move"],
  ["A C S", "axial, coronal, sagittal"], ["W", "next window"], ["1 2 3", "liver, lesions, segments on and off; O: all"],
  [", .", "lesion before, next lesion"], ["Del", "delete the chosen lesion"], ["V N P E T G L", "look, add, paint, erase, split, merge, liver edge"],
  ["[ ]", "smaller, larger brush; B: ball or disc"], ["Shift + paint", "erase"], ["Enter, Esc", "do it, leave it"], ["Ctrl + Z, Ctrl + Y", "undo, redo"], ["Ctrl + S", "save"],
];

function key(event) {
  if (event.target.matches("input:not([type=range])") || document.querySelector("dialog[open]")) return;
  const k = event.key.length === 1 ? event.key.toLowerCase() : event.key, ctrl = event.ctrlKey || event.metaKey;
  const does = ctrl ? {
    z: () => change(event.shiftKey ? "redo" : "undo"), y: () => change("redo"), s: save,
  }[k] : {
    ArrowUp: () => scroll(panes[0], 1), ArrowDown: () => scroll(panes[0], -1), PageUp: () => scroll(panes[0], 10), PageDown: () => scroll(panes[0], -10),
    a: () => setPlane(2), c: () => setPlane(1), s: () => setPlane(0), f: () => { panes.forEach((p) => p.fit()); redraw(); },
    w: () => preset(([...$("presets").children].findIndex((b) => b.getAttribute("aria-pressed") === "true") + 1) % app.told.presets.length),
    1: () => toggle("liver"), 2: () => toggle("lesions"), 3: () => toggle("segments"),
    o: () => { const on = !(shared.show.liver || shared.show.lesions); for (const n of ["liver", "lesions"]) if (shared.show[n] !== on) toggle(n); },
    ",": () => step(-1), ".": () => step(1),
    Delete: () => shared.chosen && edit("delete", { lesion: shared.chosen }), Backspace: () => shared.chosen && edit("delete", { lesion: shared.chosen }),
    "[": () => { settings.brush = Math.max(1, settings.brush - (settings.brush > 10 ? 2 : 1)); options(); redraw(); },
    "]": () => { settings.brush = Math.min(80, settings.brush + (settings.brush >= 10 ? 2 : 1)); options(); redraw(); },
    b: () => { settings.ball = !settings.ball; options(); },
    Enter: event.target.matches("button, summary") ? null : () => tool.accept?.(), Escape: () => { if (tool.busy?.()) tool.cancel(); else chooseLesion(null, false); },
    "?": () => $("show-help").showModal(), " ": event.target.matches("button, summary") ? null : () => { app.held = " "; },
    ...Object.fromEntries(tools.map((t) => [t.key, () => take(t)])),
  }[k];
  if (!does) return;
  event.preventDefault();
  does();
}

// --- start ---------------------------------------------------------------------------------

async function start() {
  const told = app.told = await ask("case");
  const volume = shared.volume = new Volume(told);
  shared.liverBox = volume.liverBox();
  shared.sliceAxis = told.slice_axis;
  shared.at = shared.liverBox[0].map((x, a) => Math.round((x + shared.liverBox[1][a]) / 2));
  $("case").textContent = [told.case_id, told.modality, told.phase && `${told.phase} phase`].filter(Boolean).join(" · ");
  $("research").textContent = told.research_use;
  $("reader").value = told.reader;
  document.title = `${told.case_id} · review`;
  panes = ["pane-main", "pane-a", "pane-b"].map((id, n) => new Viewer($(id), shared, 2 - n, n > 0));
  app.viewer = panes[0];
  tools = makeTools(app);
  $("tools").append(...tools.map((t) => make("button", { role: "radio", "data-tool": t.id, "aria-checked": "false", title: `${t.title}\n${t.hint}`, onclick: () => take(t) }, t.name)));
  $("presets").append(...told.presets.map((p, n) => make("button", { "aria-pressed": "false", title: `Level ${p.level}, width ${p.width} (W: next)`, onclick: () => preset(n) }, p.name)));
  $("planes").append(...[2, 1, 0].map((n) => make("button", { role: "radio", "data-plane": n, title: `${PLANES[n].name} (${PLANES[n].key.toUpperCase()})`, onclick: () => setPlane(n) }, PLANES[n].name.slice(0, 3))));
  $("keys").append(...KEYS.flatMap(([k, what]) => [make("kbd", {}, k), make("span", {}, what)]));
  panes[0].overlay = (g, viewer) => tool?.overlay?.(g, viewer, shared.pointerIn === viewer ? shared.pointer : null);
  listen(app, panes[0], () => tool);
  const small = { ...tools[0], click: (p) => goto(rounded(p)), drag: "", move: (p) => goto(rounded(p)), down: (p) => goto(rounded(p)) };
  for (const pane of panes.slice(1)) listen(app, pane, () => small);
  for (const name of ["liver", "lesions", "segments"]) $(`show-${name}`).addEventListener("click", () => toggle(name));
  $("reader").addEventListener("keydown", (event) => { if (event.key === "Enter") panes[0].canvas.focus(); });
  $("undo").addEventListener("click", () => change("undo"));
  $("redo").addEventListener("click", () => change("redo"));
  $("save").addEventListener("click", save);
  $("save-yes").addEventListener("click", saveNow);
  $("trail").addEventListener("click", () => { showTrail(app.stands); $("show-trail").showModal(); });
  $("help").addEventListener("click", () => $("show-help").showModal());
  document.addEventListener("keydown", key);
  document.addEventListener("keyup", (event) => { if (event.key === " ") app.held = ""; });
  addEventListener("focus", () => { queue = queue.then(catchUp); });
  addEventListener("beforeunload", (event) => { if (app.stands.edits && app.saved !== app.stands.step) event.preventDefault(); });
  preset(0);
  setPlane(told.slice_axis);
  take(tools[0]);
  stand(told);
  await volume.load(shared.at[2], redraw);
  $("loading").hidden = true;
  document.body.dataset.loaded = "yes";
  // For tests of the page: where the middle of a lesion's long axis is drawn, in CSS pixels.
  window.review = { shown: (n) => panes[0].screen(shared.rows.get(n).place).map((x) => x / panes[0].ratio) };
}

start().catch((error) => { $("loading").textContent = error.message; $("loading").classList.add("bad"); });
