// One pane: a slice with outlines, zoom and pan. It draws, and tells where the pointer is in voxels.

import { PLANES, slice } from "./volume.js";

const css = getComputedStyle(document.documentElement);
const color = (name) => css.getPropertyValue(`--${name}`).trim();
const ROMAN = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII"];

export class Viewer {
  // shared: {volume, at, level, width, show, chosen, rows, ghost, draft}; one for all panes.
  constructor(pane, shared, plane, small = false) {
    this.pane = pane;
    this.canvas = pane.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.shared = shared;
    this.small = small;
    this.cut = document.createElement("canvas");
    this.overlay = null; // drawn last: cursor and stroke
    this.setPlane(plane);
    new ResizeObserver(() => { this.resize(); }).observe(pane);
  }

  setPlane(number) {
    this.plane = PLANES[number];
    this.number = number;
    const { volume } = this.shared;
    this.cut.width = volume.shape[this.plane.u];
    this.cut.height = volume.shape[this.plane.v];
    this.fitted = true;
    this.resize();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, box = this.pane.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.ratio = ratio;
    if (this.fitted) this.fit();
    this.draw();
  }

  // Show the liver with some margin, as large as the pane allows.
  fit() {
    const { volume, liverBox } = this.shared, { u, v, up } = this.plane, margin = this.small ? 12 : 18;
    const [low, high] = liverBox, su = volume.spacing[u], sv = volume.spacing[v];
    const rows = up ? [volume.shape[v] - 1 - high[v], volume.shape[v] - 1 - low[v]] : [low[v], high[v]];
    const wide = (high[u] - low[u] + 1) * su + 2 * margin, tall = (rows[1] - rows[0] + 1) * sv + 2 * margin;
    this.scale = Math.min(this.canvas.width / wide, this.canvas.height / tall);
    this.left = this.canvas.width / 2 - ((low[u] + high[u] + 1) / 2) * su * this.scale;
    this.top = this.canvas.height / 2 - ((rows[0] + rows[1] + 1) / 2) * sv * this.scale;
    this.fitted = true;
  }

  zoom(factor, x, y) {
    x *= this.ratio;
    y *= this.ratio;
    const scale = Math.min(60, Math.max(0.2, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
  }

  pan(dx, dy) {
    this.left += dx * this.ratio;
    this.top += dy * this.ratio;
    this.fitted = false;
  }

  // Bring a voxel into view where it is not.
  reveal(p) {
    const [x, y] = this.screen(p), w = this.canvas.width, h = this.canvas.height;
    if (x < 0 || y < 0 || x > w || y > h) {
      this.left += w / 2 - x;
      this.top += h / 2 - y;
    }
  }

  // Canvas pixels of a voxel's centre.
  screen(p) {
    const { u, v, up } = this.plane, { volume } = this.shared;
    const row = up ? volume.shape[v] - 1 - p[v] : p[v];
    return [this.left + (p[u] + 0.5) * volume.spacing[u] * this.scale,
      this.top + (row + 0.5) * volume.spacing[v] * this.scale];
  }

  // Fractional voxel under a point of the page.
  voxel(x, y) {
    const { u, v, w, up } = this.plane, { volume, at } = this.shared, p = [0, 0, 0];
    const row = (y * this.ratio - this.top) / (volume.spacing[v] * this.scale) - 0.5;
    p[u] = (x * this.ratio - this.left) / (volume.spacing[u] * this.scale) - 0.5;
    p[v] = up ? volume.shape[v] - 1 - row : row;
    p[w] = at[w];
    return p;
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const { volume, at, show } = this.shared, { u, v, w } = this.plane, g = this.context;
    const nu = volume.shape[u], nv = volume.shape[v];
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.fillStyle = "#000";
    g.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.fillCut(slice(volume, volume.image, this.plane, at[w]));
    const sx = volume.spacing[u] * this.scale, sy = volume.spacing[v] * this.scale;
    g.imageSmoothingEnabled = true;
    g.imageSmoothingQuality = "high";
    g.drawImage(this.cut, 0, 0, nu, nv, this.left, this.top, nu * sx, nv * sy);
    const codes = slice(volume, volume.codes, this.plane, at[w]);
    const paths = outlines(codes, nu, nv, this.shared.chosen);
    g.lineJoin = "round";
    const line = this.small ? 1 : 1.5;
    if (show.segments) {
      const cut = slice(volume, volume.segments, this.plane, at[w]);
      this.stroke(borders(cut, nu, nv), color("segment"), line, sx, sy);
      if (!this.small) this.names(cut, nu, nv, sx, sy);
    }
    if (show.liver) this.stroke(paths.liver, color("liver"), line, sx, sy);
    if (show.lesions) {
      this.stroke(paths.lesions, color("lesion"), line, sx, sy);
      this.stroke(paths.chosen, color("chosen"), line + 0.7, sx, sy);
      if (!this.small) this.numbers(codes, nu, nv, sx, sy);
    }
    if (this.shared.ghost) {
      const cut = slice(volume, this.shared.ghost, this.plane, at[w]);
      this.stroke(borders(cut, nu, nv, true), "#ff5fd2", 2, sx, sy);
    }
    if (!this.small) this.axes();
    this.cross();
    this.letters();
    this.overlay?.(g, this);
  }

  fillCut(values) {
    const { level, width, volume } = this.shared, g = this.cut.getContext("2d");
    const picture = g.createImageData(this.cut.width, this.cut.height);
    const to = new Uint32Array(picture.data.buffer), span = Math.max(width, 1e-6);
    const low = (level - span / 2 - volume.low) / volume.step, gain = (255 * volume.step) / span;
    for (let k = 0; k < values.length; k++) {
      let grey = (values[k] - low) * gain;
      grey = grey < 0 ? 0 : grey > 255 ? 255 : grey | 0;
      to[k] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    g.putImageData(picture, 0, 0);
  }

  stroke(path, style, width, sx, sy) {
    const g = this.context, scaled = new Path2D();
    scaled.addPath(path, new DOMMatrix([sx, 0, 0, sy, this.left, this.top]));
    g.lineWidth = width * this.ratio;
    g.strokeStyle = style;
    g.stroke(scaled);
  }

  text(words, x, y, style, size = 11) {
    const g = this.context;
    g.font = `${size * this.ratio}px system-ui, sans-serif`;
    g.lineWidth = 3 * this.ratio;
    g.strokeStyle = "#000c";
    g.strokeText(words, x, y);
    g.fillStyle = style;
    g.fillText(words, x, y);
  }

  // The number of each lesion beside its rightmost voxel.
  numbers(codes, nu, nv, sx, sy) {
    const corner = new Map();
    for (let r = 0, k = 0; r < nv; r++) for (let c = 0; c < nu; c++, k++) {
      const n = codes[k] >> 1;
      if (!n) continue;
      const seen = corner.get(n);
      if (!seen) corner.set(n, [c, r]);
      else if (c > seen[0]) [seen[0], seen[1]] = [c, r];
    }
    this.context.textAlign = "left";
    for (const [n, [c, r]] of corner) {
      const style = n === this.shared.chosen ? color("chosen") : color("lesion");
      this.text(`${n}`, this.left + (c + 1.3) * sx, this.top + (r + 1) * sy, style);
    }
  }

  names(cut, nu, nv, sx, sy) {
    const sums = Array.from({ length: 9 }, () => [0, 0, 0]);
    for (let r = 0, k = 0; r < nv; r++) for (let c = 0; c < nu; c++, k++) {
      const s = sums[cut[k]];
      if (cut[k] && s) { s[0]++; s[1] += c; s[2] += r; }
    }
    this.context.textAlign = "center";
    sums.forEach(([n, c, r], k) => {
      if (n > 60) this.text(ROMAN[k], this.left + (c / n + 0.5) * sx, this.top + (r / n + 0.5) * sy, color("segment"), 13);
    });
  }

  // Long and short axis of the chosen lesion, in the slice in which they were measured.
  axes() {
    const row = this.shared.rows.get(this.shared.chosen), { w } = this.plane, { at } = this.shared;
    if (!row || row.stale || w !== this.shared.sliceAxis || Math.round(row.axes[0][w]) !== at[w]) return;
    const g = this.context;
    g.lineWidth = 1.5 * this.ratio;
    g.strokeStyle = "#fff";
    g.setLineDash([5 * this.ratio, 3 * this.ratio]);
    for (const [a, b] of [[0, 1], [2, 3]]) {
      g.beginPath();
      g.moveTo(...this.screen(row.axes[a]));
      g.lineTo(...this.screen(row.axes[b]));
      g.stroke();
    }
    g.setLineDash([]);
  }

  // Where the other planes cut this one.
  cross() {
    if (!this.shared.showCross) return;
    const g = this.context, [x, y] = this.screen(this.shared.at);
    g.lineWidth = this.ratio;
    g.strokeStyle = "#5ab0ff80";
    g.beginPath();
    if (this.small) {
      g.moveTo(0, y); g.lineTo(this.canvas.width, y);
      g.moveTo(x, 0); g.lineTo(x, this.canvas.height);
    }
    g.stroke();
  }

  letters() {
    const [l, r, t, b] = this.plane.letters, w = this.canvas.width, h = this.canvas.height, g = this.context;
    if (this.small) return;
    g.textAlign = "center";
    const d = 12 * this.ratio;
    this.text(l, d, h / 2, "#cfd8e3", 13);
    this.text(r, w - d, h / 2, "#cfd8e3", 13);
    this.text(t, w / 2, 1.4 * d, "#cfd8e3", 13);
    this.text(b, w / 2, h - 0.7 * d, "#cfd8e3", 13);
  }
}

// Outlines along the edges of voxels, in units of voxels: liver, lesions, the chosen lesion.
function outlines(codes, nu, nv, chosen) {
  const liver = new Path2D(), lesions = new Path2D(), mine = new Path2D();
  const edge = (a, b, x0, y0, x1, y1) => {
    if (a === b) return;
    if ((a > 0) !== (b > 0)) { liver.moveTo(x0, y0); liver.lineTo(x1, y1); }
    const n = a >> 1, m = b >> 1;
    if (n === m) return;
    const path = chosen && (n === chosen || m === chosen) ? mine : lesions;
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  };
  edges(codes, nu, nv, edge);
  return { liver, lesions, chosen: mine };
}

// Borders between labels; with `outer` also those to nothing.
function borders(cut, nu, nv, outer = false) {
  const path = new Path2D();
  edges(cut, nu, nv, (a, b, x0, y0, x1, y1) => {
    if (a === b || (!outer && (!a || !b))) return;
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  });
  return path;
}

function edges(cut, nu, nv, edge) {
  for (let r = 0, k = 0; r < nv; r++) for (let c = 0; c < nu; c++, k++) {
    const here = cut[k];
    if (c === 0) { if (here) edge(0, here, 0, r, 0, r + 1); }
    else if (here !== cut[k - 1]) edge(cut[k - 1], here, c, r, c, r + 1);
    if (r === 0) { if (here) edge(0, here, c, 0, c + 1, 0); }
    else if (here !== cut[k - nu]) edge(cut[k - nu], here, c, r, c + 1, r);
    if (here && c === nu - 1) edge(here, 0, nu, r, nu, r + 1);
    if (here && r === nv - 1) edge(here, 0, c, nv, c + 1, nv);
  }
}
