/* A map's dots on a canvas, with the question and its answer marked over them. */
window.dwcMapDrawing = (() => {
  const SIDE = 65535;
  const MARGIN = 16; // around the whole map, so that no mark is cut; CSS pixels, as all lengths here
  const MOST = 64; // times enlarged
  const NAMED = 5; // how many results carry their rank

  const square = (x) => x * x;

  /* Where the whole map stands on a canvas, enlarged about a place in [0, 1]. */
  class View {
    constructor() { this.reset(); }

    reset() { this.scale = 1; this.x = 0.5; this.y = 0.5; }

    fit(width, height) { this.width = width; this.height = height; this.hold(); }

    get side() { return Math.max(1, Math.min(this.width, this.height) - 2 * MARGIN) * this.scale; }

    /* The map never leaves the canvas: what is seen of it touches an edge at most. */
    hold() {
      this.scale = Math.min(Math.max(this.scale, 1), MOST);
      const held = (place, length) => {
        const half = Math.max(0, 0.5 - (length / 2 - MARGIN) / this.side);
        return Math.min(Math.max(place, 0.5 - half), 0.5 + half);
      };
      this.x = held(this.x, this.width);
      this.y = held(this.y, this.height);
    }

    toScreen(x, y) {
      return [this.width / 2 + (x - this.x) * this.side, this.height / 2 + (y - this.y) * this.side];
    }

    toMap(left, top) {
      return [this.x + (left - this.width / 2) / this.side, this.y + (top - this.height / 2) / this.side];
    }

    move(right, down) { this.x -= right / this.side; this.y -= down / this.side; this.hold(); }

    /* What lies under the point stays under it. */
    zoom(times, left, top) {
      const [x, y] = this.toMap(left, top);
      this.scale = Math.min(Math.max(this.scale * times, 1), MOST);
      this.x = x - (left - this.width / 2) / this.side;
      this.y = y - (top - this.height / 2) / this.side;
      this.hold();
    }

    /* Move as little as is needed to have a place well inside. */
    include(x, y) {
      const [left, top] = this.toScreen(x, y);
      const over = (at, length) => Math.min(0, at - 40) + Math.max(0, at - (length - 40));
      this.move(-over(left, this.width), -over(top, this.height));
    }
  }

  /* The dots: x and y by turns in a Uint16Array, in the order of the gallery. */
  class Dots {
    constructor(points) {
      this.points = points;
      this.count = points.length / 2;
    }

    at(place) { return [this.points[2 * place] / SIDE, this.points[2 * place + 1] / SIDE]; }

    /* The nearest dot to a place, or -1 beyond the reach. A look at each of 100,000 takes a fraction
       of a millisecond: an index of them would cost more to keep than it saves. */
    nearest(x, y, reach) {
      const {points} = this;
      const [goalX, goalY] = [x * SIDE, y * SIDE];
      let best = -1, least = square(reach * SIDE);
      for (let i = 0; i < points.length; i += 2) {
        const away = square(points[i] - goalX) + square(points[i + 1] - goalY);
        if (away <= least) { least = away; best = i / 2; }
      }
      return best;
    }

    /* The nearest dot from a place to one side: further that way than it is aside. */
    towards(x, y, right, down, without) {
      const {points} = this;
      let best = -1, least = Infinity;
      for (let i = 0; i < points.length; i += 2) {
        const [dx, dy] = [points[i] - x * SIDE, points[i + 1] - y * SIDE];
        const [along, aside] = [dx * right + dy * down, Math.abs(dx * down) + Math.abs(dy * right)];
        const away = along * along + aside * aside;
        if (along > 0 && aside <= along && away < least && i / 2 !== without) { least = away; best = i / 2; }
      }
      return best;
    }

    /* Write every dot in view, or those that fit a filter, into a picture with `edge` pixels to spare on each side, all in one
       colour: where dots lie thick, it is thicker. Written here and not by the canvas, since 100,000
       arcs are too many for a frame. */
    paint(pixels, width, height, edge, view, ratio, colour, stamp, fits = null) {
      const {points} = this;
      const scale = view.side * ratio / SIDE;
      const left = (view.width / 2 - view.x * view.side) * ratio + edge - stamp.size / 2 + 0.5;
      const top = (view.height / 2 - view.y * view.side) * ratio + edge - stamp.size / 2 + 0.5;
      const row = width + 2 * edge;
      const [last, lowest] = [row - stamp.size, height + 2 * edge - stamp.size];
      const {offsets, covers} = stamp.on(row);
      for (let i = 0; i < points.length; i += 2) {
        if (fits && !(fits[i >> 4] >> (i >> 1 & 7) & 1)) continue;
        const x = Math.floor(points[i] * scale + left);
        const y = Math.floor(points[i + 1] * scale + top);
        if (x < 0 || y < 0 || x > last || y > lowest) continue;
        const start = y * row + x;
        for (let j = 0; j < offsets.length; j++) {
          const place = start + offsets[j];
          const covered = pixels[place] >>> 24;
          pixels[place] = ((covered + ((255 - covered) * covers[j] >> 8)) << 24 | colour) >>> 0;
        }
      }
    }
  }

  /* A small soft disc as how much it covers (0 to 255) of each pixel. */
  class Stamp {
    constructor(radius, opacity) {
      this.size = Math.ceil(2 * radius + 1);
      this.radius = radius;
      this.opacity = opacity;
    }

    on(row) {
      const [offsets, covers] = [[], []];
      const middle = (this.size - 1) / 2;
      for (let y = 0; y < this.size; y++) {
        for (let x = 0; x < this.size; x++) {
          const inside = this.radius + 0.5 - Math.hypot(x - middle, y - middle);
          const cover = Math.round(255 * this.opacity * Math.min(Math.max(inside, 0), 1));
          if (cover > 0) { offsets.push(y * row + x); covers.push(cover); }
        }
      }
      return {offsets: Int32Array.from(offsets), covers: Int32Array.from(covers)};
    }
  }

  /* One canvas with its dots and marks; `pick` is told which dot a person chose. */
  class Drawing {
    constructor(canvas, dots, {marks, groups = [], fits = null}, view, pick = () => {}) {
      Object.assign(this, {canvas, dots, marks, groups, view, pick});
      // One bit per dot: whether it fits the filter. Without a filter, null.
      this.fits = fits && Uint8Array.from(atob(fits), (letter) => letter.charCodeAt(0));
      this.context = canvas.getContext("2d");
      this.picked = this.pointed = -1;
      this.fit();
    }

    fit() {
      const {clientWidth, clientHeight} = this.canvas;
      if (!clientWidth || !clientHeight) return;
      this.ratio = Math.min(window.devicePixelRatio || 1, 2);
      this.canvas.width = Math.round(clientWidth * this.ratio);
      this.canvas.height = Math.round(clientHeight * this.ratio);
      this.view.fit(clientWidth, clientHeight);
      this.image = null;
      this.ask();
    }

    ask() {
      if (this.asked) return;
      this.asked = requestAnimationFrame(() => { this.asked = null; this.paint(); });
    }

    paint() {
      if (!this.ratio || !this.canvas.isConnected) return;
      this.paintDots();
      const {context} = this;
      context.save();
      context.scale(this.ratio, this.ratio);
      this.look = getComputedStyle(this.canvas);
      this.paintGroups();
      this.paintMarks();
      context.restore();
      this.canvas.style.touchAction = this.view.scale > 1 ? "none" : "pan-y";
    }

    paintDots() {
      const {canvas: {width, height}, ratio, view, dots} = this;
      // Smaller where there are many, larger the closer one looks.
      const whole = Math.min(Math.max(150 / Math.sqrt(dots.count), 1.1), 3);
      const radius = Math.min(whole * Math.sqrt(view.scale), 6) * ratio;
      const opacity = dots.count > 20000 ? 0.4 : 0.62;
      const stamp = new Stamp(radius, opacity);
      const edge = stamp.size;
      if (!this.image || this.edge !== edge) {
        this.image = new ImageData(width + 2 * edge, height + 2 * edge);
        this.pixels = new Uint32Array(this.image.data.buffer);
        this.edge = edge;
      }
      this.pixels.fill(0);
      const [red, green, blue] = getComputedStyle(this.canvas).color.match(/\d+/g).map(Number);
      const colour = blue << 16 | green << 8 | red;
      if (this.fits) dots.paint(this.pixels, width, height, edge, view, ratio, colour, new Stamp(radius, opacity / 6));
      dots.paint(this.pixels, width, height, edge, view, ratio, colour, stamp, this.fits);
      this.context.putImageData(this.image, -edge, -edge);
    }

    colour(name) { return this.look.getPropertyValue(`--${name}`).trim(); }

    /* Each name where its group is, or a little over or under it where a mark or another name is in
       the way; what finds no place is left out. */
    paintGroups() {
      const {context} = this;
      context.font = `600 13px ${this.look.fontFamily}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.lineJoin = "round";
      const {reference, query, results} = this.marks;
      const taken = [reference, query, ...results].filter(Boolean).map(({x, y}) => {
        const [left, top] = this.view.toScreen(x, y);
        return {left, top, half: 10};
      });
      for (const {name, x, y} of this.groups) {
        const [left, middle] = this.view.toScreen(x, y);
        const half = context.measureText(name).width / 2 + 4;
        const isFree = (top) => taken.every(
          (other) => Math.abs(other.left - left) > other.half + half || Math.abs(other.top - top) > 19,
        );
        const top = [0, -20, 20, -40, 40].map((aside) => middle + aside).find(isFree);
        if (top === undefined) continue;
        taken.push({left, top, half});
        context.strokeStyle = this.colour("card");
        context.lineWidth = 4;
        context.strokeText(name, left, top);
        context.fillStyle = this.colour("ink");
        context.fillText(name, left, top);
      }
    }

    paintMarks() {
      const {reference, query, results} = this.marks;
      if (reference && query) this.paintWay(reference, query);
      for (const [rank, mark] of [...results.entries()].reverse()) this.paintResult(mark, rank + 1);
      if (reference) this.paintReference(reference);
      if (query) this.paintQuery(query);
      for (const [place, name] of [[this.pointed, "edge"], [this.picked, "focus"]]) {
        if (place >= 0) this.ring(this.view.toScreen(...this.dots.at(place)), 9, 3, this.colour(name));
      }
    }

    paintWay(from, to) {
      const {context} = this;
      context.beginPath();
      context.moveTo(...this.view.toScreen(from.x, from.y));
      context.lineTo(...this.view.toScreen(to.x, to.y));
      context.setLineDash([4, 4]);
      context.lineWidth = 1.5;
      context.strokeStyle = this.colour("ink");
      context.stroke();
      context.setLineDash([]);
    }

    paintResult(mark, rank) {
      const {context} = this;
      const [left, top] = this.view.toScreen(mark.x, mark.y);
      const named = rank <= NAMED;
      this.disc([left, top], named ? 9 : 5, this.colour("ink"));
      if (!named) return;
      context.font = `700 11px ${this.look.fontFamily}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillStyle = this.colour("card");
      context.fillText(rank, left, top + 0.5);
    }

    paintReference(mark) {
      const place = this.view.toScreen(mark.x, mark.y);
      this.disc(place, 5, this.colour("picture"));
      this.ring(place, 10, 3, this.colour("picture"));
    }

    /* Half picture, half words: the query is of both. */
    paintQuery(mark) {
      const {context} = this;
      const [left, top] = this.view.toScreen(mark.x, mark.y);
      for (const [side, name] of [[-1, "word"], [1, "picture"]]) {
        context.beginPath();
        context.moveTo(left, top - 11);
        context.lineTo(left + side * 11, top);
        context.lineTo(left, top + 11);
        context.closePath();
        context.fillStyle = this.colour(name);
        context.fill();
      }
      context.beginPath();
      context.moveTo(left, top - 12);
      for (const [dx, dy] of [[12, 0], [0, 12], [-12, 0], [0, -12]]) context.lineTo(left + dx, top + dy);
      context.lineWidth = 2;
      context.strokeStyle = this.colour("card");
      context.stroke();
    }

    disc([left, top], radius, colour) {
      const {context} = this;
      context.beginPath();
      context.arc(left, top, radius, 0, 2 * Math.PI);
      context.fillStyle = colour;
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = this.colour("card");
      context.stroke();
    }

    ring([left, top], radius, width, colour) {
      const {context} = this;
      context.beginPath();
      context.arc(left, top, radius, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }

    under(left, top, reach) {
      return this.dots.nearest(...this.view.toMap(left, top), reach / this.view.side);
    }

    choose(place) {
      this.picked = place;
      if (place >= 0) {
        this.view.include(...this.dots.at(place));
        this.pick(place);
      }
      this.ask();
    }

    /* From the chosen dot, or where nothing is chosen yet from the search, or the middle. The first
       step chooses the nearest dot if there is none on that side. */
    step(right, down) {
      const {query} = this.marks;
      const begin = query ? [query.x, query.y] : [0.5, 0.5];
      const [x, y] = this.picked >= 0 ? this.dots.at(this.picked) : begin;
      let next = this.dots.towards(x, y, right, down, this.picked);
      if (next < 0 && this.picked < 0) next = this.dots.nearest(x, y, Infinity);
      if (next >= 0) this.choose(next);
    }

    zoom(times, left = this.view.width / 2, top = this.view.height / 2) {
      this.view.zoom(times, left, top);
      this.ask();
    }

    whole() { this.view.reset(); this.ask(); }
  }

  return {Drawing, Dots, View};
})();
