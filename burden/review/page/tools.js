// The tools: what the left button does in the large pane.

export const settings = { brush: 12, ball: true, fresh: true, liverOff: false, edge: 50, size: 60, seeds: false };

const MM_STEP = 0.3; // of the radius: how densely a stroke is told to the server

export function makeTools(app) {
  const { shared } = app;
  const flat = () => (settings.ball ? {} : { flat: app.viewer.plane.w });
  const brushOptions = [
    { kind: "range", key: "brush", label: "Size", min: 1, max: 80, unit: "mm" },
    { kind: "choice", key: "ball", label: "", values: [[true, "Ball"], [false, "Disc"]], title: "A ball paints through slices, a disc this slice alone (B)" },
  ];

  const brush = (action, extra) => {
    let stroke = null;
    return {
      options: brushOptions,
      down(p) { stroke = [p]; },
      move(p) { if (stroke) { stroke.push(p); app.redraw(); } },
      up() {
        if (!stroke) return;
        const points = thinned(stroke, (settings.brush / 2) * MM_STEP, shared.volume.spacing);
        stroke = null;
        app.do(action(), { stroke: points, radius: settings.brush / 2, ...flat(), ...extra() });
      },
      cancel() { stroke = null; },
      overlay(g, viewer, pointer) {
        const width = settings.brush * viewer.scale;
        if (stroke) {
          g.strokeStyle = this.erases() ? "#ff6f6f70" : "#fff36b70";
          g.lineWidth = width;
          g.lineCap = g.lineJoin = "round";
          g.beginPath();
          stroke.forEach((p, n) => { const q = viewer.screen(p); if (n) g.lineTo(...q); else { g.moveTo(...q); g.lineTo(q[0] + 0.01, q[1]); } });
          g.stroke();
        }
        if (!pointer) return;
        g.lineWidth = 1.5 * viewer.ratio;
        g.strokeStyle = this.erases() ? "#ff6f6f" : "#fff36b";
        g.beginPath();
        g.arc(...viewer.screen(pointer), width / 2, 0, 2 * Math.PI);
        g.stroke();
      },
      erases: () => false,
    };
  };

  const look = {
    id: "look", name: "Look", key: "v", title: "Click a lesion to choose it; drag to change the window (V)", options: [],
    hint: "Wheel: slices. Drag: window. Right drag: zoom. Middle drag: move.",
    click(p) {
      app.choose(shared.volume.lesion(rounded(p)) || null, false);
      app.goto(rounded(p));
    },
    drag: "window",
  };

  let clicked = null, wait = 0;
  const add = {
    id: "add", name: "Add", key: "n", title: "Add a lesion by a click into it (N)",
    hint: "Click into a lesion that is missing; set edge and size; Enter adds it.",
    options: [
      { kind: "range", key: "edge", label: "Edge at", min: 15, max: 85, unit: "%", title: "Share of the way from liver to spot at which the edge lies: more makes it smaller", on: () => preview() },
      { kind: "range", key: "size", label: "At most", min: 5, max: 200, unit: "mm", on: () => preview() },
      { kind: "button", label: "Add it", title: "Enter", main: true, on: () => add.accept() },
    ],
    click(p) { clicked = rounded(p); preview(true); },
    cancel() { clicked = null; shared.ghost = null; app.redraw(); },
    accept() {
      if (!clicked) return app.say("Click into the lesion first.");
      const at = clicked;
      add.cancel();
      app.do("grow", { at, edge: settings.edge / 100, size: settings.size }, true);
    },
    busy: () => Boolean(clicked),
  };
  async function preview(first = false) {
    if (!clicked) return;
    const mine = ++wait, at = clicked;
    try {
      const found = await app.ask("preview", { at, edge: settings.edge / 100, size: settings.size });
      if (mine !== wait || !clicked) return;
      const ghost = shared.ghost ?? new Uint8Array(shared.volume.image.length);
      ghost.fill(0);
      shared.volume.put(ghost, found.part);
      shared.ghost = ghost;
      const limit = found.at_limit ? " It reaches the size limit: check for a leak." : "";
      app.say(`${found.ml.toFixed(found.ml < 10 ? 2 : 1)} mL; spot ${shared.volume.said(found.spot)}, liver ${shared.volume.said(found.liver)}.${limit} Enter adds it.`);
    } catch (error) {
      shared.ghost = null;
      if (first) clicked = null;
      app.say(error.message, true);
    }
    app.redraw();
  }

  const paint = Object.assign(brush(() => "paint", () => (settings.fresh || !shared.chosen ? {} : { lesion: shared.chosen })), {
    id: "paint", name: "Paint", key: "p", title: "Paint a lesion (P)",
    hint: "Paint inside the liver. With Shift the brush erases. [ and ] change its size.",
    options: [...brushOptions, { kind: "choice", key: "fresh", label: "", values: [[true, "New lesion"], [false, "Chosen lesion"]], title: "What the brush adds to" }],
    shifted: "erase",
  });
  const erase = Object.assign(brush(() => "erase", () => (shared.chosen ? { lesion: shared.chosen } : {})), {
    id: "erase", name: "Erase", key: "e", title: "Erase the chosen lesion, or any if none is chosen (E)",
    hint: "Erases the chosen lesion alone; with none chosen, any. Pieces cut off become lesions of their own.",
    erases: () => true,
  });
  const liver = Object.assign(brush(() => (settings.liverOff ? "erase_liver" : "paint_liver"), () => ({})), {
    id: "liver", name: "Liver edge", key: "l", title: "Correct the edge of the liver (L)",
    hint: "Adds to the liver or takes off, lesions with it. With Shift the other way round.",
    options: [...brushOptions, { kind: "choice", key: "liverOff", label: "", values: [[false, "Add"], [true, "Take off"]] }],
    erases: () => settings.liverOff,
    shifted: "flip",
  });

  let line = null, seeds = [];
  const split = {
    id: "split", name: "Split", key: "t", title: "Split the chosen lesion by a line or by seeds (T)",
    hint: "",
    options: [
      { kind: "choice", key: "seeds", label: "", values: [[false, "By a line"], [true, "By seeds"]], on: () => split.cancel() },
      { kind: "button", label: "Split", title: "Enter", when: () => settings.seeds, on: () => split.accept() },
    ],
    down(p) { if (!settings.seeds) line = [p, p]; },
    move(p) { if (line) { line[1] = p; app.redraw(); } },
    up() {
      if (!line) return;
      const [start, end] = line;
      line = null;
      const lesion = shared.chosen || shared.volume.lesion(rounded(start.map((x, a) => (x + end[a]) / 2)));
      if (!lesion) { app.redraw(); return app.say("Choose the lesion first, or draw the line through it.", true); }
      app.do("split_line", { lesion, start, end, across: app.viewer.plane.w });
    },
    click(p) {
      if (!settings.seeds) return;
      const lesion = shared.volume.lesion(rounded(p));
      if (!seeds.length) app.choose(lesion || null, false);
      if (!lesion || lesion !== shared.chosen) return app.say("Put the seeds into one lesion.", true);
      seeds.push(rounded(p));
      app.say(`${seeds.length} seed${seeds.length > 1 ? "s; Enter splits" : ""}.`);
      app.redraw();
    },
    accept() {
      if (seeds.length < 2) return app.say("Put two or more seeds into the lesion.", true);
      const lesion = shared.chosen, given = seeds;
      seeds = [];
      app.do("split_seeds", { lesion, seeds: given });
    },
    cancel() { line = null; seeds = []; app.redraw(); },
    busy: () => seeds.length > 0,
    overlay(g, viewer) {
      g.lineWidth = 2 * viewer.ratio;
      g.strokeStyle = "#ff5fd2";
      if (line) { g.beginPath(); g.moveTo(...viewer.screen(line[0])); g.lineTo(...viewer.screen(line[1])); g.stroke(); }
      for (const p of seeds) {
        const away = Math.abs(p[viewer.plane.w] - shared.at[viewer.plane.w]);
        g.globalAlpha = away ? 0.35 : 1;
        g.beginPath();
        g.arc(...viewer.screen(p), 5 * viewer.ratio, 0, 2 * Math.PI);
        g.stroke();
        g.globalAlpha = 1;
      }
    },
  };

  const merge = {
    id: "merge", name: "Merge", key: "g", title: "Merge two lesions: choose one, click the other (G)",
    hint: "Choose a lesion, then click the one that belongs to it.", options: [],
    click(p) {
      const other = shared.volume.lesion(rounded(p));
      if (!other) return app.say("Click a lesion.");
      if (!shared.chosen) return app.choose(other, false);
      app.do("merge", { lesion: shared.chosen, other });
    },
  };
  return [look, add, paint, erase, split, merge, liver];
}

export const rounded = (p) => p.map(Math.round);

// Points of a stroke no nearer to each other than `least` mm; the ends always stay.
function thinned(stroke, least, spacing) {
  const kept = [stroke[0]];
  for (const p of stroke) {
    const q = kept[kept.length - 1];
    if (Math.hypot(...p.map((x, a) => (x - q[a]) * spacing[a])) >= least) kept.push(p);
  }
  if (kept[kept.length - 1] !== stroke[stroke.length - 1]) kept.push(stroke[stroke.length - 1]);
  const stride = Math.ceil(kept.length / 1500);
  return kept.filter((_, n) => n % stride === 0 || n === kept.length - 1);
}

// Pointer and wheel in a pane.
export function listen(app, viewer, tool) {
  const { canvas } = viewer, { shared } = app;
  let drag = null, notch = 0;
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) { viewer.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, ...spot(event)); return viewer.draw(); }
    notch += Math.abs(event.deltaY) >= 50 ? Math.sign(event.deltaY) : event.deltaY / 50;
    const steps = Math.trunc(notch);
    notch -= steps;
    if (steps) app.scroll(viewer, -steps);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    const [x, y] = spot(event), now = tool();
    const kind = event.button === 1 ? "pan" : event.button === 2 ? "zoom" : app.held === " " ? "pan" : "tool";
    drag = { kind, x, y, lastX: x, lastY: y, moved: false, tool: now, shift: event.shiftKey };
    if (event.button === 1) event.preventDefault();
    if (kind === "tool") app.press(drag, viewer.voxel(x, y));
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = spot(event);
    shared.pointer = viewer.voxel(x, y);
    shared.pointerIn = viewer;
    if (drag) {
      const dx = x - drag.lastX, dy = y - drag.lastY;
      [drag.lastX, drag.lastY] = [x, y];
      drag.moved ||= Math.hypot(x - drag.x, y - drag.y) > 3;
      if (drag.kind === "pan") viewer.pan(dx, dy);
      else if (drag.kind === "zoom") viewer.zoom(Math.exp(-dy / 150), drag.x, drag.y);
      else if (drag.moved && drag.tool.drag === "window") app.window(dx, dy);
      else drag.tool.move?.(shared.pointer);
    }
    app.hover();
    viewer.draw();
  });
  const end = (event) => {
    if (!drag) return;
    const done = drag, p = viewer.voxel(...spot(event));
    drag = null;
    if (done.kind !== "tool") return;
    app.release(done, p, event.type === "pointercancel");
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => { shared.pointer = null; app.hover(); viewer.draw(); });
}
