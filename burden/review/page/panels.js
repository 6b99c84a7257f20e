// The panels beside the image: lesions on the left, numbers and verdicts on the right.

export const $ = (id) => document.getElementById(id);

// An element with text and children; nothing is ever parsed as HTML.
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return element;
}

const ml = (x) => (x >= 99.95 ? x.toFixed(0) : x >= 9.995 ? x.toFixed(1) : x.toFixed(2));

export function showLesions(app) {
  const { stands, shared } = app, body = document.querySelector("#lesions tbody");
  const numbers = Object.keys(stands.volumes).map(Number);
  numbers.sort((a, b) => stands.volumes[b] - stands.volumes[a]);
  body.replaceChildren(...numbers.map((n) => {
    const row = shared.rows.get(n), chosen = n === shared.chosen;
    const known = row && !row.stale, edited = stands.edited.includes(n);
    return make("tr", {
      "data-lesion": n, tabindex: 0, "aria-selected": chosen ? "true" : "false",
      class: `${edited ? "edited" : ""} ${known ? "" : "pending"}`,
      title: edited ? (known ? row.source : "edited") : "",
      onclick: () => app.choose(n, true),
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); app.choose(n, true); } },
    },
    make("td", {}, String(n)),
    make("td", { class: "n" }, (row?.edge ? "≥ " : "") + ml(stands.volumes[n])),
    make("td", { class: "n" }, known ? `${row.long} × ${row.short}` : app.fresh ? "too small to count" : "…"),
    make("td", { title: known ? row.segments : "" }, known ? row.segments || "–" : ""),
    make("td", { class: "n" }, known ? (row.certain ? "" : row.p) : ""));
  }));
  $("lesions").classList.toggle("sure", [...shared.rows.values()].every((row) => row.certain));
  $("count").textContent = String(numbers.length);
  $("gone").hidden = !stands.deleted.length;
  $("gone").querySelector("ul").replaceChildren(...stands.deleted.map((one) => make("li", {},
    make("span", { onclick: () => app.goto(one.place), title: "Show the place" }, `${one.number} · ${ml(one.ml)} mL`),
    make("button", { onclick: () => app.do("restore", { lesion: one.number }) }, "Restore"))));
  const one = shared.chosen;
  $("lesion-hint").replaceChildren(...(one
    ? [make("button", { id: "delete", title: "Delete this lesion (Del)", onclick: () => app.do("delete", { lesion: one }) }, `Delete lesion ${one}`)]
    : ["Choose a lesion here or in the image."]));
}

export function choose(app) {
  for (const row of document.querySelectorAll("#lesions tbody tr")) {
    const mine = Number(row.dataset.lesion) === app.shared.chosen;
    row.setAttribute("aria-selected", mine ? "true" : "false");
    if (mine) row.scrollIntoView({ block: "nearest" });
  }
}

export function showNumbers(app) {
  const { now, first, last, stands } = app;
  $("right").classList.toggle("stale", !app.fresh);
  $("busy").hidden = app.fresh;
  if (!now) return;
  const old = byId(first.figures), before = byId(last.figures);
  const row = (one) => figure(one, old.get(one.id), before.get(one.id), app);
  const group = (name) => now.figures.filter((one) => one.group === name).flatMap(row);
  $("figures").replaceChildren(...group("main"));
  $("remnants").replaceChildren(...group("flr"));
  $("lobes").replaceChildren(...group("lobe"));
  for (const [id, name] of [["remnants", "flr"], ["lobes", "lobe"]]) {
    const moved = now.figures.filter((one) => one.group === name && old.get(one.id) && old.get(one.id).text !== one.text).length;
    const box = $(id).parentElement;
    box.hidden = !now.figures.some((one) => one.group === name);
    box.querySelector(".moved").textContent = moved ? `${moved} changed` : "";
  }
  showFindings(now);
  showVerdicts(app);
}

// One number: what it was at the start, struck out, where it is another now.
function figure(one, was, before, app) {
  const { stands } = app, moved = was && was.text !== one.text, burden = one.id === "tumor.burden";
  const quick = !app.fresh && burden && stands.liver_ml
    ? `≈ ${((100 * stands.tumor_ml) / stands.liver_ml).toFixed(1)} %` : null;
  const range = one.range.replace("90 % range ", "").replace("90\u00a0%\u00a0range ", "");
  const jumped = app.fresh && before && before.text !== one.text;
  return [make("dt", { title: one.note }, one.label),
    make("dd", { class: `${burden ? "first" : ""} ${one.known ? "" : "unsure"} ${jumped ? "flash" : ""}`, "data-figure": one.id, title: one.note },
      moved ? make("span", { class: "was" }, make("s", {}, was.text), " → ") : "",
      make("b", { class: quick ? "live" : "" }, quick ?? one.text),
      one.beside ? make("span", { class: "soft" }, ` ${one.beside}`) : "",
      range && app.fresh ? make("small", {}, range) : "")];
}

function showFindings(now) {
  const rank = { error: 0, warning: 1, info: 2 }, box = $("findings");
  const told = [...now.findings].sort((a, b) => rank[a.severity] - rank[b.severity]);
  const grave = told.filter((f) => f.severity !== "info").length;
  box.hidden = !told.length;
  if (told.some((f) => f.severity === "error")) box.open = true;
  box.querySelector("summary").textContent = grave ? `${grave} warning${grave > 1 ? "s" : ""} to read first` : `${told.length} note${told.length > 1 ? "s" : ""}`;
  box.querySelector("ul").replaceChildren(...told.map((f) => make("li", { class: f.severity }, f.text)));
}

const chip = (answer, word, old = false) => make("span", { class: `chip ${answer}${old ? " old" : ""}` }, word);

function showVerdicts(app) {
  const { now, first, last } = app, old = byId(first.verdicts, "book"), before = byId(last.verdicts, "book");
  const open = new Set([...document.querySelectorAll(".book[open]")].map((d) => d.dataset.book));
  const groups = new Map(), flips = [];
  for (const one of now.verdicts) {
    const was = old.get(one.book), name = one.modality || "Other";
    if (was && was.answer !== one.answer) flips.push([one, was]);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(book(one, was, before.get(one.book), open.has(one.book), app));
  }
  const gone = now.verdicts.length ? [] : first.verdicts;
  $("flips").hidden = !flips.length && !gone.length;
  $("flips").replaceChildren(
    make("h3", {}, gone.length ? "No lesion is left: no rule book applies" : `${flips.length} verdict${flips.length > 1 ? "s" : ""} changed by your edits`),
    ...flips.map(([one, was]) => make("p", { "data-flip": one.book }, chip(was.answer, was.word, true), " → ", chip(one.answer, one.word), ` ${one.title}`)));
  $("verdicts").replaceChildren(...[...groups].map(([name, rows]) => make("div", { class: "books" },
    make("h3", {}, name[0].toUpperCase() + name.slice(1)), ...rows)),
  now.verdicts.length ? "" : make("p", { class: "hint soft" }, "No verdicts: the rule books presuppose liver metastases."));
}

function book(one, was, before, isOpen, app) {
  const flipped = was && was.answer !== one.answer, moved = was && was.p !== one.p;
  const jumped = app.fresh && before && (before.answer !== one.answer || before.p !== one.p);
  const p = one.p ? `P ${one.p}` : "";
  return make("details", { class: `book${flipped ? " flipped" : ""}`, "data-book": one.book, "data-answer": one.answer, open: isOpen },
    make("summary", { class: jumped ? "flash" : "" },
      make("span", { class: "title" }, one.title, one.scope.startsWith("yes") ? make("span", { class: "soft" }, ` (${one.scope})`) : ""),
      make("span", { class: "p", title: moved ? `was P ${was.p || "not known"}` : "Probability that it is met" }, p),
      flipped ? chip(was.answer, was.word, true) : "", chip(one.answer, one.word)),
    make("ul", {},
      one.decided ? make("li", {}, `Decided by: ${one.decided}`) : "",
      ...one.lines.map((line) => make("li", { class: `d${line.depth}` }, `${line.text}: `, make("b", {}, line.word), [line.value, line.margin, line.p && `P ${line.p}`].filter(Boolean).map((t) => ` · ${t}`).join(""))),
      one.needed ? make("li", {}, `Still needed: ${one.needed}`) : ""));
}

export function showDeclaration(app) {
  const { stands } = app, box = $("declare");
  if (stands.complete) {
    box.replaceChildren(make("div", { class: "done" }, `Looked through by ${stands.complete.who}: the outline is right and all lesions are marked. `,
      make("button", { id: "undeclare", onclick: () => app.do("complete", { complete: false }) }, "Take back")));
    return;
  }
  const why = app.told.overlooks
    ? "The model overlooks lesions, so tumor numbers stay open upwards until you say this."
    : app.told.declared_by ? `${app.told.declared_by} said this in an earlier review, and it holds.`
    : "Goes into the record: the masks then count as drawn by you.";
  box.replaceChildren(make("button", { id: "declare-it", title: why, onclick: () => app.do("complete", { complete: true }) },
    "I have looked through the whole liver: its outline is right and all lesions are marked"),
  app.told.overlooks || app.told.declared_by ? make("p", { class: "soft" }, why) : "");
}

export function showTrail(stands) {
  document.querySelector("#trail-table tbody").replaceChildren(...stands.history.map((one) => make("tr", {},
    make("td", {}, new Date(one.when).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })), make("td", {}, one.who), make("td", {}, one.what),
    make("td", { class: "n" }, `${ml(one.tumor_ml.before)} → ${ml(one.tumor_ml.after)}`))));
}

const byId = (list, key = "id") => new Map((list ?? []).map((one) => [one[key], one]));
