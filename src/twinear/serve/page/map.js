// A map of points on a canvas of our own: 5,000 as discs, 100,000 and more as a density.
//
// Points lie in typed arrays, sorted by the cells of a grid, so that drawing and picking look at
// what is in view only. Few visible points are discs. Many are counted for each pixel and drawn as
// one image, darker where more lie: without a graphics card too this takes milliseconds.
// Lines, rings and names are on a second canvas above, so that a pointer that moves redraws little.

const FEW = 4000; // visible points up to which discs are drawn
const PICK = 16; // px around the pointer in which a point is found
const ROOMY = 20_000; // visible points up to which names keep off them: beyond, all is covered
const TRIED = 1000; // points tried for a name
const MARGIN = 36; // px left free around all points
const MOST_ZOOM = 4000;

export class PointMap {
  // `events`: hover(index | -1), choose(index | -1), view() after the view has changed
  constructor(base, over, events) {
    Object.assign(this, { base, over, events });
    this.n = 0;
    this.hovered = -1;
    this.chosen = -1;
    this.lines = []; // { index, score } of the chosen or hovered point's true neighbours
    this.centre = [0, 0];
    this.zoom = 1;
    this.frames = 0;
    this.waiting = 0;
    this.listen();
  }

  // Columns of equal length; x and y of any range.
  setPoints({ x, y, names, listeners }) {
    const n = x.length;
    const columns = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n / 8))));
    const [left, right] = extent(x);
    const [top, bottom] = extent(y);
    const span = Math.max(right - left, bottom - top) || 1;
    const middle = [(left + right) / 2, (top + bottom) / 2];
    const cells = new Uint32Array(n);
    const starts = new Uint32Array(columns * columns + 1);
    const u = new Float32Array(n);
    const v = new Float32Array(n);
    const column = (value) => Math.min(columns - 1, Math.max(0, Math.floor((value + 0.5) * columns)));
    for (let i = 0; i < n; i++) {
      u[i] = (x[i] - middle[0]) / span; // -0.5 .. 0.5
      v[i] = (middle[1] - y[i]) / span; // y points up, pixels down
      cells[i] = column(v[i]) * columns + column(u[i]);
      starts[cells[i] + 1]++;
    }
    for (let cell = 0; cell < columns * columns; cell++) starts[cell + 1] += starts[cell];
    const next = starts.slice();
    Object.assign(this, { n, columns, starts, names, listeners, column });
    this.x = new Float32Array(n); // in the order of the cells, as all that follows
    this.y = new Float32Array(n);
    this.index = new Uint32Array(n); // of a place: the point
    this.place = new Uint32Array(n); // of a point: the place
    for (let i = 0; i < n; i++) {
      const place = next[cells[i]]++;
      this.x[place] = u[i];
      this.y[place] = v[i];
      this.index[place] = i;
      this.place[i] = place;
    }
    this.byFame = Uint32Array.from({ length: n }, (_, i) => i).sort(
      (a, b) => listeners[b] - listeners[a] || a - b,
    );
    this.widths = [new Float32Array(n), new Float32Array(n)]; // of names, once measured
    this.rank = new Uint32Array(n);
    this.byFame.forEach((point, rank) => {
      this.rank[point] = rank;
    });
    this.resize();
  }

  resize() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const { clientWidth: width, clientHeight: height } = this.base;
    Object.assign(this, { ratio, width, height });
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.image = null;
    this.draw();
  }

  get scale() {
    return Math.max(1, Math.min(this.width, this.height) - 2 * MARGIN) * this.zoom;
  }

  // On the screen, in CSS pixels.
  at(point) {
    const place = this.place[point];
    return [this.toX(this.x[place]), this.toY(this.y[place])];
  }

  toX(x) {
    return (x - this.centre[0]) * this.scale + this.width / 2;
  }

  toY(y) {
    return (y - this.centre[1]) * this.scale + this.height / 2;
  }

  // The runs of places whose cells meet a rectangle of the screen.
  *runs(left, top, right, bottom) {
    const x = (px) => (px - this.width / 2) / this.scale + this.centre[0];
    const y = (px) => (px - this.height / 2) / this.scale + this.centre[1];
    const first = this.column(x(left));
    const last = this.column(x(right));
    for (let row = this.column(y(top)); row <= this.column(y(bottom)); row++) {
      const from = this.starts[row * this.columns + first];
      const to = this.starts[row * this.columns + last + 1];
      if (to > from) yield [from, to];
    }
  }

  pick(px, py) {
    let best = -1;
    let least = PICK * PICK;
    for (const [from, to] of this.runs(px - PICK, py - PICK, px + PICK, py + PICK)) {
      for (let place = from; place < to; place++) {
        const dx = this.toX(this.x[place]) - px;
        const dy = this.toY(this.y[place]) - py;
        const distance = dx * dx + dy * dy;
        if (distance < least) [best, least] = [this.index[place], distance];
      }
    }
    return best;
  }

  // The `k` points nearest to one on the map.
  nearest(point, k) {
    const place = this.place[point];
    const distances = new Float32Array(this.n);
    for (let i = 0; i < this.n; i++)
      distances[i] = (this.x[i] - this.x[place]) ** 2 + (this.y[i] - this.y[place]) ** 2;
    distances[place] = Infinity;
    const found = [];
    for (let i = 0; i < this.n; i++) {
      if (found.length === k && distances[i] >= distances[found[k - 1]]) continue;
      let at = found.length;
      while (at > 0 && distances[found[at - 1]] > distances[i]) at--;
      found.splice(at, 0, i);
      if (found.length > k) found.pop();
    }
    return found.map((i) => this.index[i]);
  }

  // The points in view, best known first, at most `most`.
  visible(most) {
    const inView = [];
    for (const [from, to] of this.runs(0, 0, this.width, this.height)) {
      for (let place = from; place < to; place++) {
        const [x, y] = [this.toX(this.x[place]), this.toY(this.y[place])];
        if (x >= 0 && y >= 0 && x <= this.width && y <= this.height) inView.push(this.index[place]);
      }
    }
    return inView.sort((a, b) => this.rank[a] - this.rank[b]).slice(0, most);
  }

  setLines(lines) {
    this.lines = lines;
    this.drawOver();
  }

  select(point, { show = false } = {}) {
    this.chosen = point;
    if (point >= 0 && show) {
      const [x, y] = this.at(point);
      const seen = x > 60 && y > 60 && x < this.width - 60 && y < this.height - 60;
      if (!seen) this.centre = [this.x[this.place[point]], this.y[this.place[point]]];
    }
    this.draw();
  }

  zoomBy(factor, px = this.width / 2, py = this.height / 2) {
    const before = [(px - this.width / 2) / this.scale, (py - this.height / 2) / this.scale];
    this.zoom = Math.max(0.5, Math.min(MOST_ZOOM, this.zoom * factor));
    const after = [(px - this.width / 2) / this.scale, (py - this.height / 2) / this.scale];
    this.centre = [0, 1].map((i) => this.centre[i] + before[i] - after[i]);
    this.changed();
  }

  panBy(dx, dy) {
    this.centre = [this.centre[0] - dx / this.scale, this.centre[1] - dy / this.scale];
    this.centre = this.centre.map((value) => Math.max(-0.6, Math.min(0.6, value)));
    this.changed();
  }

  fit() {
    this.centre = [0, 0];
    this.zoom = 1;
    this.changed();
  }

  changed() {
    this.draw();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.events.view(), 250);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.drawNow();
    });
  }

  drawNow() {
    if (!this.n || !this.width) return;
    const style = getComputedStyle(this.base);
    this.colours = Object.fromEntries(
      ["ink", "paper", "accent", "muted", "second"].map((name) => [
        name,
        style.getPropertyValue(`--${name}`).trim(),
      ]),
    );
    this.font = style.fontFamily;
    let inView = 0;
    for (const [from, to] of this.runs(0, 0, this.width, this.height)) inView += to - from;
    this.inView = inView;
    if (inView <= FEW) this.drawDiscs();
    else this.drawDensity();
    this.drawOver();
    this.frames++;
  }

  radius(point) {
    const room = Math.sqrt((this.width * this.height * this.zoom) / this.n); // px
    const known = 1 + 0.15 * Math.log10(1 + this.listeners[point]);
    return Math.max(1.6, Math.min(5, 0.05 * room)) * known;
  }

  drawDiscs() {
    const context = this.base.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const runs = [...this.runs(-20, -20, this.width + 20, this.height + 20)];
    for (const known of [false, true]) {
      context.beginPath();
      for (const [from, to] of runs) {
        for (let place = from; place < to; place++) {
          const point = this.index[place];
          if (this.listeners[point] > 0 !== known) continue;
          const [x, y, r] = [this.toX(this.x[place]), this.toY(this.y[place]), this.radius(point)];
          context.moveTo(x + r, y);
          context.arc(x, y, r, 0, 2 * Math.PI);
        }
      }
      context.globalAlpha = 0.75;
      context.fillStyle = known ? this.colours.accent : this.colours.muted;
      context.fill();
    }
    context.globalAlpha = 1;
  }

  drawDensity() {
    const context = this.base.getContext("2d");
    const { width, height } = this.base;
    if (!this.image) {
      this.image = context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.counts = new Uint8Array(width * height);
    }
    this.pixels.fill(0);
    this.counts.fill(0);
    const table = shades(this.colours.accent);
    const size = Math.max(2, Math.round(1.6 * this.ratio));
    const [scale, middleX, middleY] = [this.scale * this.ratio, width / 2, height / 2];
    for (const [from, to] of this.runs(0, 0, this.width, this.height)) {
      for (let place = from; place < to; place++) {
        const x = Math.round((this.x[place] - this.centre[0]) * scale + middleX);
        const y = Math.round((this.y[place] - this.centre[1]) * scale + middleY);
        if (x < 0 || y < 0 || x + size > width || y + size > height) continue;
        for (let row = y; row < y + size; row++) {
          for (let pixel = row * width + x; pixel < row * width + x + size; pixel++) {
            if (this.counts[pixel] < 255) this.pixels[pixel] = table[++this.counts[pixel]];
          }
        }
      }
    }
    context.putImageData(this.image, 0, 0);
  }

  // Lines to the true neighbours, rings, and names that do not overlap.
  drawOver() {
    if (!this.n || !this.colours) return;
    const context = this.over.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const focus = this.hovered >= 0 ? this.hovered : this.chosen;
    if (focus >= 0) {
      const [x, y] = this.at(focus);
      context.strokeStyle = this.colours.second;
      context.lineCap = "round";
      for (const { index, score } of this.lines) {
        const [toX, toY] = this.at(index);
        context.globalAlpha = 0.35 + 0.6 * score;
        context.lineWidth = 1 + 2 * score;
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(toX, toY);
        context.stroke();
      }
      context.globalAlpha = 1;
      context.fillStyle = this.colours.second;
      for (const { index } of this.lines) this.ring(context, index, 0, true);
    }
    for (const point of new Set([this.chosen, this.hovered])) {
      if (point < 0) continue;
      context.fillStyle = this.colours.ink;
      this.ring(context, point, 1, true);
      context.strokeStyle = this.colours.ink;
      context.lineWidth = 1.5;
      this.ring(context, point, 5, false);
    }
    this.drawNames(context, focus);
  }

  ring(context, point, more, filled) {
    const [x, y] = this.at(point);
    context.beginPath();
    context.arc(x, y, Math.max(3, this.inView > FEW ? 2 : this.radius(point)) + more, 0, 2 * Math.PI);
    if (filled) context.fill();
    else context.stroke();
  }

  drawNames(context, focus) {
    const most = Math.max(6, Math.min(70, Math.round((this.width * this.height) / 16_000)));
    const taken = [[this.width - 160, this.height - 56, this.width, this.height]]; // the buttons
    const ends = []; // discs that names of neighbours never hide
    this.named = [];
    this.boxes = []; // of these names
    context.textBaseline = "middle";
    context.lineJoin = "round";
    // The best known first, each in the first of eight places that is free, or not at all.
    const place = (point, strong, free) => {
      const [x, y] = this.at(point);
      if (x < 0 || y < 0 || x > this.width || y > this.height) return;
      context.font = `${strong ? "600 14px" : "13px"} ${this.font}`;
      const name = shorten(this.names[point]);
      const widths = this.widths[strong ? 1 : 0];
      const wide = (widths[point] ||= context.measureText(name).width);
      const gap = this.drawnRadius(point) + (strong ? 9 : 6);
      const [right, left, near] = [x + gap, x - gap - wide, gap / Math.SQRT2 + 6];
      const beside = [
        [right, y],
        [left, y],
        [x - wide / 2, y - gap - 8],
        [x - wide / 2, y + gap + 8],
        [right - 3, y - near],
        [right - 3, y + near],
        [left + 3, y - near],
        [left + 3, y + near],
      ];
      for (const [start, middle] of beside) {
        const box = [start - 3, middle - 9, start + wide + 3, middle + 9];
        if (box[0] < 0 || box[2] > this.width || box[1] < 0 || box[3] > this.height) continue;
        if (taken.some((other) => meet(box, other)) || !free(box)) continue;
        taken.push(box);
        this.named.push(point);
        this.boxes.push(box);
        context.strokeStyle = this.colours.paper;
        context.lineWidth = 4;
        context.strokeText(name, start, middle);
        context.fillStyle = this.colours.ink;
        context.fillText(name, start, middle);
        return;
      }
    };
    const hidesNone = (box) => this.inView > ROOMY || !this.hides(box);
    const strong = new Set(
      focus < 0 ? [] : [focus, this.chosen, ...this.lines.map((line) => line.index)],
    );
    strong.delete(-1);
    for (const point of strong) ends.push(this.disc(point));
    for (const point of strong) place(point, true, hidesNone);
    const hidesNoEnd = (box) => !ends.some((other) => meet(box, other));
    for (const point of strong) if (!this.named.includes(point)) place(point, true, hidesNoEnd);
    context.globalAlpha = focus < 0 ? 0.85 : 0.45;
    const names = this.inView <= FEW ? this.visible(TRIED) : this.byFame.subarray(0, TRIED);
    for (const point of names) {
      if (taken.length >= most) break;
      if (!this.named.includes(point)) place(point, false, hidesNone);
    }
    context.globalAlpha = 1;
  }

  drawnRadius(point) {
    return this.inView > FEW ? 1 : this.radius(point);
  }

  disc(point) {
    const [x, y] = this.at(point);
    const r = this.drawnRadius(point);
    return [x - r, y - r, x + r, y + r];
  }

  // Whether a point lies under a box of the screen.
  hides(box) {
    const most = 10; // px, more than a radius
    const [left, top, right, bottom] = box;
    for (const [from, to] of this.runs(left - most, top - most, right + most, bottom + most)) {
      for (let place = from; place < to; place++)
        if (meet(box, this.disc(this.index[place]))) return true;
    }
    return false;
  }

  hover(point) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.over.classList.toggle("pointing", point >= 0);
    this.events.hover(point);
    this.drawOver();
  }

  // The point next to the chosen one in a direction of the screen, for the arrow keys.
  towards(dx, dy) {
    const from = this.hovered >= 0 ? this.hovered : this.chosen;
    const [x, y] = from >= 0 ? this.at(from) : [this.width / 2, this.height / 2];
    let best = -1;
    let least = Infinity;
    for (let place = 0; place < this.n; place++) {
      if (this.index[place] === from) continue;
      const [ox, oy] = [this.toX(this.x[place]) - x, this.toY(this.y[place]) - y];
      const along = ox * dx + oy * dy;
      const across = Math.abs(ox * dy) + Math.abs(oy * dx);
      if (from >= 0 && (along <= 0 || across > along)) continue;
      const distance = Math.hypot(ox, oy) + across;
      if (distance < least) [best, least] = [this.index[place], distance];
    }
    return best;
  }

  listen() {
    const pointers = new Map();
    const canvas = this.over;
    let moved = 0;
    const local = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, local(event));
      if (pointers.size === 1) moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = local(event);
      const before = pointers.get(event.pointerId);
      if (!before) return this.hover(this.pick(...now));
      if (pointers.size === 2) {
        const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
        const apart = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
        this.panBy((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
        this.zoomBy(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
        moved = Infinity;
      } else {
        moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
        if (moved > 5) this.panBy(now[0] - before[0], now[1] - before[1]);
      }
      return pointers.set(event.pointerId, now);
    });
    const up = (event) => {
      const had = pointers.delete(event.pointerId);
      if (had && event.type === "pointerup" && moved <= 5 && !pointers.size)
        this.events.choose(this.pick(...local(event)));
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const step = event.deltaMode === 1 ? 18 * event.deltaY : event.deltaY;
        this.zoomBy(Math.exp(-Math.max(-200, Math.min(200, step)) / 350), ...local(event));
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in arrows && event.shiftKey) this.panBy(...arrows[event.key].map((d) => -80 * d));
      else if (event.key in arrows) {
        const next = this.towards(...arrows[event.key]);
        if (next >= 0) {
          this.hover(next);
          this.bring(next);
        }
      } else if (event.key === "+" || event.key === "=") this.zoomBy(1.4);
      else if (event.key === "-") this.zoomBy(1 / 1.4);
      else if (event.key === "0") this.fit();
      else if ((event.key === "Enter" || event.key === " ") && this.hovered >= 0)
        this.events.choose(this.hovered);
      else if (event.key === "Escape") {
        this.hover(-1);
        this.events.choose(-1);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    canvas.addEventListener("blur", () => this.hover(-1));
    this.resizes = new ResizeObserver(() => this.resize());
    this.resizes.observe(this.base);
    this.themes = () => this.draw();
    addEventListener("themechange", this.themes);
  }

  bring(point) {
    const [x, y] = this.at(point);
    const edge = 60;
    const dx = x < edge ? edge - x : x > this.width - edge ? this.width - edge - x : 0;
    const dy = y < edge ? edge - y : y > this.height - edge ? this.height - edge - y : 0;
    if (dx || dy) this.panBy(dx, dy);
  }

  destroy() {
    this.resizes.disconnect();
    removeEventListener("themechange", this.themes);
    clearTimeout(this.settling);
    cancelAnimationFrame(this.waiting);
  }
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

const shorten = (name) => (name.length > 28 ? `${name.slice(0, 27)}…` : name);

// Pixels of 1, 2, … points: more opaque where more lie. `colour` is #rrggbb; pixels are ABGR.
const tables = new Map();
function shades(colour) {
  if (!tables.has(colour)) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    const alpha = (n) => Math.round(255 * (1 - 0.68 * Math.exp(-(n - 1) / 3)));
    tables.set(
      colour,
      Uint32Array.from({ length: 256 }, (_, n) =>
        n ? ((alpha(n) << 24) | (b << 16) | (g << 8) | r) >>> 0 : 0,
      ),
    );
  }
  return tables.get(colour);
}
