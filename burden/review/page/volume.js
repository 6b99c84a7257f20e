// The image, the masks and the segments, all with x (to the patient's left) running fastest,
// then y (to the back), then z (to the head).

const CHUNK = 8;

export class Volume {
  constructor(told) {
    [this.nx, this.ny, this.nz] = this.shape = told.shape;
    this.spacing = told.spacing;
    [this.low, this.step] = told.scale;
    const count = this.nx * this.ny * this.nz;
    this.image = new Int16Array(count);
    this.codes = new Uint16Array(count);
    this.segments = new Uint8Array(count);
    this.loaded = new Uint8Array(this.nz);
    this.put(this.codes, told.part);
  }

  // Load all slices, those nearest to `middle` first.
  async load(middle, onSlices) {
    const starts = [];
    for (let k = 0; k < this.nz; k += CHUNK) starts.push(k);
    starts.sort((a, b) => Math.abs(a + CHUNK / 2 - middle) - Math.abs(b + CHUNK / 2 - middle));
    const area = this.nx * this.ny;
    for (const k of starts) {
      const end = Math.min(k + CHUNK, this.nz);
      const answer = await fetch(`image?from=${k}&to=${end}`);
      if (!answer.ok) throw new Error("The image cannot be loaded.");
      this.image.set(new Int16Array(await answer.arrayBuffer()), k * area);
      this.loaded.fill(1, k, end);
      onSlices();
    }
  }

  // Write a part (start, size, run lengths) into an array of labels.
  put(labels, part) {
    const [x0, y0, z0] = part.start, [sx, sy] = part.size, runs = part.runs;
    let at = 0;
    for (let r = 0; r < runs.length; r += 2) {
      const value = runs[r];
      let left = runs[r + 1];
      while (left > 0) {
        const x = at % sx, row = (at - x) / sx, n = Math.min(left, sx - x);
        const y = row % sy, z = (row - y) / sy;
        const start = x0 + x + this.nx * (y0 + y + this.ny * (z0 + z));
        labels.fill(value, start, start + n);
        at += n;
        left -= n;
      }
    }
  }

  setSegments(part) {
    this.segments.fill(0);
    this.put(this.segments, part);
  }

  index(p) { return p[0] + this.nx * (p[1] + this.ny * p[2]); }

  inside(p) { return p.every((x, a) => x >= 0 && x < this.shape[a]); }

  value(p) { return this.image[this.index(p)] * this.step + this.low; }

  // A value in words: an image of fractions needs digits, one of whole numbers has none.
  said(x) { return String(this.step < 1 && Math.abs(x) < 100 ? Number(x.toPrecision(3)) : Math.round(x)); }

  lesion(p) { return this.inside(p) ? this.codes[this.index(p)] >> 1 : 0; }

  // Bounding box of the liver, [low, high] by axis.
  liverBox() {
    const low = [...this.shape], high = [-1, -1, -1];
    let at = 0;
    for (let z = 0; z < this.nz; z++) for (let y = 0; y < this.ny; y++) for (let x = 0; x < this.nx; x++, at++) {
      if (!this.codes[at]) continue;
      if (x < low[0]) low[0] = x;
      if (x > high[0]) high[0] = x;
      if (y < low[1]) low[1] = y;
      if (y > high[1]) high[1] = y;
      if (z < low[2]) low[2] = z;
      if (z > high[2]) high[2] = z;
    }
    return high[0] < 0 ? [[0, 0, 0], this.shape.map((n) => n - 1)] : [low, high];
  }
}

// Axes of the three planes: u to the right of the screen, v down, w across; v may run upwards.
export const PLANES = [
  { name: "Sagittal", key: "s", u: 1, v: 2, w: 0, up: true, letters: ["A", "P", "H", "F"] },
  { name: "Coronal", key: "c", u: 0, v: 2, w: 1, up: true, letters: ["R", "L", "H", "F"] },
  { name: "Axial", key: "a", u: 0, v: 1, w: 2, up: false, letters: ["R", "L", "A", "P"] },
];

// One slice of an array, row by row as it is seen.
export function slice(volume, array, plane, at, out) {
  const { u, v, w, up } = plane, steps = [1, volume.nx, volume.nx * volume.ny];
  const nu = volume.shape[u], nv = volume.shape[v], su = steps[u];
  const cut = out ?? new array.constructor(nu * nv);
  for (let row = 0, to = 0; row < nv; row++) {
    let from = at * steps[w] + (up ? nv - 1 - row : row) * steps[v];
    for (let col = 0; col < nu; col++, from += su) cut[to++] = array[from];
  }
  return cut;
}
