// Draws: the picture with its faces, bars, timeline and figures. Knows nothing of models.

const COLOURS = ["#8d9aa3", "#d9a93c", "#dd8350", "#5a8ccb", "#c85a5a", "#6aa06a", "#9377c4", "#3d9a9a"];
const SPAN = 20, STEP = 0.09; // seconds of the timeline, and between its points
const element = (id) => document.getElementById(id);

/** Colour of label i. */
export const colour = (i) => COLOURS[i % COLOURS.length];

/** Frame a picture of any size: the canvas takes its size, the stage keeps its own. */
export function drawPicture(source, width, height, faces, mirrored, labelOf) {
  const canvas = element("picture");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.save();
  pen.globalCompositeOperation = "copy";
  if (mirrored) pen.setTransform(-1, 0, 0, 1, width, 0);
  pen.drawImage(source, 0, 0, width, height);
  pen.restore();
  faces.forEach((face) => drawFace(pen, face, mirrored ? width : 0, labelOf(face)));
  element("hint").hidden = true;
}

function drawFace(pen, { box: [x, y, w, h] }, mirror, { text, colour: stroke }) {
  const left = mirror ? mirror - x - w : x;
  const { width, height, clientWidth, clientHeight } = pen.canvas;
  const unit = Math.max(width / clientWidth, height / clientHeight); // of what is shown, so that words can be read on a phone
  pen.lineWidth = 2 * unit;
  pen.strokeStyle = stroke;
  pen.beginPath();
  pen.roundRect(left, y, w, h, 5 * unit);
  pen.stroke();
  pen.font = `600 ${13 * unit}px system-ui, sans-serif`;
  const wide = pen.measureText(text).width + 10 * unit, tall = 20 * unit;
  const top = Math.max(0, y - tall - 2 * unit), from = Math.max(0, Math.min(left, width - wide)); // words stay inside
  pen.fillStyle = "rgba(18, 22, 24, .78)";
  pen.beginPath();
  pen.roundRect(from, top, wide, tall, 4 * unit);
  pen.fill();
  pen.fillStyle = "#ffffff";
  pen.textBaseline = "middle";
  pen.fillText(text, from + 5 * unit, top + tall / 2);
}

export function makeBars(labels) {
  element("bars").replaceChildren(
    ...labels.map((label, i) => {
      const item = document.createElement("li");
      item.innerHTML = '<span class="name"></span><span class="bar"><i></i></span><span class="part">–</span>';
      item.querySelector(".name").textContent = label;
      item.querySelector("i").style.background = colour(i);
      return item;
    }),
  );
}

/** Bars of the largest face; null when there is none. */
export function drawBars(labels, probabilities, faces) {
  const top = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
  [...element("bars").children].forEach((item, i) => {
    const part = probabilities ? probabilities[i] : 0;
    item.querySelector("i").style.transform = `scaleX(${part})`;
    item.querySelector(".part").textContent = probabilities ? `${Math.round(100 * part)} %` : "–";
    item.classList.toggle("top", i === top);
  });
  const heading = element("now");
  const text = probabilities ? labels[top] : "no face";
  const more = faces > 1 ? ` largest of ${faces} faces` : "";
  if (heading.dataset.text === text + more) return;
  heading.dataset.text = text + more;
  heading.textContent = text;
  if (more) heading.append(Object.assign(document.createElement("small"), { textContent: more }));
}

/** Shares of the labels over the last seconds, stacked; a gap where no face was. */
export class Timeline {
  #points = [];

  clear() {
    this.#points = [];
    this.#draw();
  }

  /** Probabilities (or null) at a time in seconds; those that come too fast to be seen are left out. */
  add(time, probabilities) {
    if (time - this.#points.at(-1)?.[0] < STEP) return;
    this.#points.push([time, probabilities && Array.from(probabilities)]);
    while (this.#points[0][0] < time - SPAN) this.#points.shift();
    this.#draw();
  }

  #draw() {
    const canvas = element("timeline"), scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (!this.#points.length) return;
    const now = this.#points.at(-1)[0];
    const across = (time) => width * (1 - (now - time) / SPAN);
    for (let i = 1; i < this.#points.length; i++) {
      const [from, before] = this.#points[i - 1], [to, after] = this.#points[i];
      if (!before || !after || to - from > 1) continue;
      let low = 0, high = 0;
      for (let k = 0; k < after.length; k++) {
        pen.fillStyle = colour(k);
        pen.beginPath();
        pen.moveTo(across(from), height * (1 - low));
        pen.lineTo(across(to) + 1, height * (1 - high));
        pen.lineTo(across(to) + 1, height * (1 - (high += after[k])));
        pen.lineTo(across(from), height * (1 - (low += before[k])));
        pen.fill();
      }
    }
  }
}

/** Frames a second and latency percentiles, milliseconds. */
export function drawFigures(fps, p50, p90, p95) {
  const milliseconds = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
  element("fps").textContent = fps === null ? "–" : fps.toFixed(fps < 10 ? 1 : 0);
  Object.entries({ p50, p90, p95 }).forEach(([id, value]) => (element(id).textContent = milliseconds(value)));
}
