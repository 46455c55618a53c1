// Shows what /v1/segment finds. Each photo stays in the browser and is sent again for each request: the server keeps none.

import { label, labelPlaces, segmentMap } from "./masks.js";

const STAGE_PIXELS = 1600; // longest side of the canvas
const ATTEMPTS = 6; // of a button; added photos wait as long as the server is busy
const PATIENCE_MS = 150_000;
const PATTERN_PERIOD = 14; // canvas pixels for a canvas of 800
const byId = (id) => document.getElementById(id);
const boxes = [...document.querySelectorAll("input[name=class]")];
const CLASSES = boxes.map((box) => ({ name: box.value, rgb: box.dataset.rgb.split(",").map(Number), box }));
// Patterns besides hue, for people who do not tell the colours apart: strokes /, dots, a grid.
const PATTERNS = [
  (x, y, period) => (x + y) % period < period * 0.2,
  (x, y, period) => Math.hypot((x % period) - period / 2, (y % period) - period / 2) < period * 0.22,
  (x, y, period) => x % period < period * 0.16 || y % period < period * 0.16,
];
const patternOf = (kind) => PATTERNS[kind % PATTERNS.length];
const photos = [];
let current = null;
let highlighted = -1;

// --- requests

async function ask(path, photo, fields, attempts = ATTEMPTS) {
  const bytesMax = Number(document.querySelector("main").dataset.bytesMax);
  if (photo.blob && photo.blob.size > bytesMax) {
    throw new Error(`expected a file of at most ${bytesMax / 1e6} MB, got ${(photo.blob.size / 1e6).toFixed(1)} MB`);
  }
  for (let attempt = 1, waited = false; ; attempt++) {
    const form = new FormData();
    if (photo.blob) form.append("file", photo.blob, photo.name);
    else form.append("url", photo.url);
    for (const [name, values] of Object.entries(fields)) for (const value of [values].flat()) form.append(name, value);
    const response = await fetch(path, { method: "POST", body: form, signal: AbortSignal.timeout(PATIENCE_MS) });
    if ((response.status === 429 || response.status === 503) && attempt < attempts) {
      status("The server is busy; the photo waits.");
      waited = true;
      const seconds = Number(response.headers.get("Retry-After")) || 2;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      continue;
    }
    if (!response.ok) {
      const answer = await response.json().catch(() => ({}));
      throw new Error(answer.error || `the server answered ${response.status}`);
    }
    if (waited) status("");
    return response;
  }
}

// One photo after the other, whatever comes meanwhile.
let adding = Promise.resolve();
let waitingPhotos = 0;
let working = false; // at a photo, since the last ones were added
function addAll(chosen) {
  clearErrors();
  working = false;
  waitingPhotos += chosen.length;
  for (const photo of chosen) adding = adding.then(() => add(photo)).finally(() => waitingPhotos--);
}

// Lines about photos of the queue stay until all are there.
function clearErrors() {
  if (!waitingPhotos) byId("error").textContent = "";
}

function fail(line) {
  byId("error").append(line, document.createElement("br"));
}

async function add(photo) {
  status(`Segmenting ${photo.name} …`);
  try {
    let bitmap = photo.blob && (await createImageBitmap(photo.blob).catch(() => null));
    const response = await ask("v1/segment", photo, { photo: !bitmap }, Infinity);
    const result = await response.json();
    if (!bitmap) {
      // From an address, or of a format that this browser cannot show: the server's copy takes its place.
      photo.blob = blobOf(result.image.data);
      delete result.image.data;
      bitmap = await createImageBitmap(photo.blob);
    }
    Object.assign(photo, { bitmap, result, map: segmentMap(result), painted: null, paints: new Map() });
    photos.push(photo);
    listPhoto(photo);
    // Who works at a photo keeps it.
    if (!current || !(working || byId("viewer").contains(document.activeElement))) show(photo);
    status(summary(photo));
  } catch (error) {
    status("");
    fail(`${photo.name}: ${error.message}`);
  }
}

function blobOf(dataUrl) {
  const bytes = Uint8Array.from(atob(dataUrl.split(",")[1]), (sign) => sign.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}

// --- masks

const classOf = (segment) => CLASSES.findIndex((known) => known.name === segment.class);
const visible = (segment) => CLASSES[classOf(segment)].box.checked && segment.score >= byId("min-score").value / 100;

// Draws the segments that are chosen over a photo of this size; `map` belongs to the photo's full size.
function tint(context, photo, width, height) {
  const { segments, image } = photo.result;
  const opacity = byId("opacity").value / 100;
  const period = Math.max(4, Math.round((PATTERN_PERIOD * Math.max(width, height)) / 800));
  const shown = segments.map(visible), kinds = segments.map(classOf);
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * image.width) / width));
  const pixels = context.getImageData(0, 0, width, height);
  const data = pixels.data;
  const line = Math.max(1, Math.round(Math.max(width, height) / 600));
  const rows = Array.from({ length: height }, (_, y) => Math.floor(((y + 0.5) * image.height) / height) * image.width);
  for (let y = 0, at = 0; y < height; y++) {
    const above = rows[Math.max(0, y - line)];
    for (let x = 0; x < width; x++, at += 4) {
      const number = photo.map[rows[y] + columns[x]];
      if (!number || !shown[number - 1]) continue;
      const kind = kinds[number - 1];
      const edge = number !== photo.map[above + columns[x]] || number !== photo.map[rows[y] + columns[Math.max(0, x - line)]];
      let share = patternOf(kind)(x, y, period) ? Math.min(1, opacity * 1.6) : opacity;
      if (edge && opacity > 0) share = 1;
      else if (number - 1 === highlighted) share = Math.min(1, share + 0.3);
      const rgb = CLASSES[kind].rgb;
      for (let channel = 0; channel < 3; channel++) {
        data[at + channel] += share * (rgb[channel] - data[at + channel]);
      }
    }
  }
  context.putImageData(pixels, 0, 0);
  if (opacity === 0) return;
  for (const [number, place] of labelPlaces(photo, columns, rows)) {
    if (shown[number - 1]) label(context, segments[number - 1].class, place, width);
  }
}

// --- what is shown

const status = (words) => (byId("status").textContent = words);
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const described = (segment) => `${segment.class}, score ${segment.score.toFixed(2)}, ${percent(segment.area_share)} of the photo`;

function summary({ name, result }) {
  const found = result.segments.map((segment) => `${segment.class} ${percent(segment.area_share)}`);
  return `${name}: ${found.join(", ") || "nothing found"}`;
}

function draw() {
  const { width, height } = current.result.image;
  const scale = Math.min(1, STAGE_PIXELS / Math.max(width, height));
  const stage = byId("stage");
  [stage.width, stage.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const context = stage.getContext("2d", { willReadFrequently: true });
  context.drawImage(current.painted || current.bitmap, 0, 0, stage.width, stage.height);
  tint(context, current, stage.width, stage.height);
  const split = Math.round((stage.width * byId("split").value) / 100);
  if (split > 0) {
    context.save();
    context.beginPath();
    context.rect(0, 0, split, stage.height);
    context.clip();
    context.drawImage(current.bitmap, 0, 0, stage.width, stage.height);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(split - 1, 0, 2, stage.height);
  }
  byId("opacity-value").textContent = `${byId("opacity").value} %`;
  byId("min-score-value").textContent = (byId("min-score").value / 100).toFixed(2);
  [...byId("segments").querySelectorAll("button")].forEach((button, index) => {
    button.classList.toggle("off", !visible(current.result.segments[index]));
  });
}

let waiting = false;
function redraw() {
  if (waiting || !current) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function highlight(index) {
  if (highlighted === index) return;
  highlighted = index;
  redraw();
}

function show(photo) {
  current = photo;
  highlighted = -1;
  byId("viewer").hidden = false;
  byId("stage").setAttribute("aria-label", summary(photo));
  byId("original").setAttribute("aria-disabled", String(!photo.painted));
  for (const other of photos) other.button.setAttribute("aria-pressed", String(other === photo));
  byId("segments").replaceChildren(...photo.result.segments.map((segment, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: described(segment) });
    button.style.borderLeftColor = `rgb(${CLASSES[classOf(segment)].rgb})`;
    for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => highlight(index));
    for (const event of ["blur", "pointerleave"]) button.addEventListener(event, () => highlight(-1));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  draw();
}

function listPhoto(photo) {
  const image = Object.assign(new Image(), { alt: photo.name, src: thumbnail(photo.bitmap) });
  photo.button = Object.assign(document.createElement("button"), { type: "button", title: photo.name });
  photo.button.append(image);
  photo.button.addEventListener("click", () => {
    working = true;
    show(photo);
  });
  const item = document.createElement("li");
  item.append(photo.button);
  byId("photos").append(item);
}

function thumbnail(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.height = 128;
  canvas.width = Math.max(1, Math.min(512, Math.round((128 * bitmap.width) / bitmap.height)));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg");
}

// --- controls

// `disabled` would take the keyboard's focus away.
async function withButton(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  clearErrors();
  try {
    await work(current);
  } catch (error) {
    fail(error.message);
  } finally {
    button.setAttribute("aria-disabled", "false");
  }
}

async function recolor(photo) {
  const [surface, color] = [byId("surface").value, byId("color").value];
  const paints = new Map([...photo.paints, [surface, color]]);
  const fields = { surface: [...paints.keys()], color: [...paints.values()], min_score: byId("min-score").value / 100 };
  const response = await ask("v1/recolor", photo, fields);
  Object.assign(photo, { painted: await createImageBitmap(await response.blob()), paints });
  status(`${photo.name}: the ${surface} is ${color} now; Opacity shows the masks again`);
  if (photo !== current) return;
  byId("opacity").value = 0; // masks would hide the new colour
  byId("original").setAttribute("aria-disabled", "false");
  redraw();
}

function save(blob, photo, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${photo.name.replace(/\.[^.]*$/, "") || "photo"}.surfaces${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function savePicture(photo) {
  const { width, height } = photo.result.image;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(photo.painted || photo.bitmap, 0, 0);
  tint(context, photo, width, height);
  save(await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92)), photo, ".jpg");
}

async function saveMasks(photo) {
  const classes = CLASSES.filter(({ box }) => box.checked).map(({ name }) => name);
  if (!classes.length) throw new Error("expected at least one class to be shown");
  const fields = { save: "masks", classes: classes.join(","), min_score: byId("min-score").value / 100 };
  save(await (await ask("v1/segment", photo, fields)).blob(), photo, ".masks.zip");
}

function saveJson(photo) {
  const shown = { ...photo.result, segments: photo.result.segments.filter(visible) };
  save(new Blob([JSON.stringify(shown, null, 1)], { type: "application/json" }), photo, ".json");
}

// The list of a file input empties itself, so it is copied.
function addFiles(files) {
  addAll([...files].map((file) => ({ name: file.name, blob: file })));
}

function swatches() {
  document.querySelectorAll(".swatch").forEach((canvas, kind) => {
    const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
    for (let at = 0, place = 0; at < pixels.data.length; at += 4, place++) {
      const dark = patternOf(kind)(place % canvas.width, Math.floor(place / canvas.width), 12);
      CLASSES[kind].rgb.forEach((level, channel) => (pixels.data[at + channel] = dark ? level * 0.6 : level + (255 - level) * 0.45));
      pixels.data[at + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
  });
}

function onStage(event) {
  const stage = byId("stage"), frame = stage.getBoundingClientRect(), { width, height } = current.result.image;
  // `object-fit: contain` leaves margins where the canvas is higher than the window.
  const scale = Math.min(frame.width / width, frame.height / height);
  const x = Math.floor((event.clientX - frame.left - (frame.width - width * scale) / 2) / scale);
  const y = Math.floor((event.clientY - frame.top - (frame.height - height * scale) / 2) / scale);
  const inside = x >= 0 && y >= 0 && x < width && y < height;
  const index = inside ? current.map[y * width + x] - 1 : -1;
  const found = index >= 0 && visible(current.result.segments[index]);
  const tip = byId("tip");
  tip.hidden = !found;
  if (found) {
    tip.textContent = described(current.result.segments[index]);
    const left = event.clientX - frame.left + 14;
    tip.style.left = `${Math.max(0, Math.min(left, frame.width - tip.offsetWidth))}px`;
    tip.style.top = `${event.clientY - frame.top + 14}px`;
  }
  highlight(found ? index : -1);
}

byId("files").addEventListener("change", (event) => {
  addFiles(event.target.files);
  event.target.value = "";
});
byId("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = byId("url").value.trim();
  if (url) addAll([{ name: url.split(/[?#]/)[0].split("/").pop() || "photo", url }]);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") addFiles(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => addFiles(event.clipboardData.files));
for (const control of [...boxes, byId("opacity"), byId("min-score"), byId("split")]) control.addEventListener("input", redraw);
for (const event of ["pointerdown", "keydown"]) byId("viewer").addEventListener(event, () => (working = true));
byId("stage").addEventListener("pointermove", onStage);
byId("stage").addEventListener("pointerleave", () => {
  byId("tip").hidden = true;
  highlight(-1);
});
byId("recolor").addEventListener("click", (event) => withButton(event.target, recolor));
byId("original").addEventListener("click", () => {
  Object.assign(current, { painted: null, paints: new Map() });
  byId("original").setAttribute("aria-disabled", "true");
  redraw();
});
byId("save-jpg").addEventListener("click", (event) => withButton(event.target, savePicture));
byId("save-masks").addEventListener("click", (event) => withButton(event.target, saveMasks));
byId("save-json").addEventListener("click", (event) => withButton(event.target, saveJson));
swatches();
