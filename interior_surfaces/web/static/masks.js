// Masks as /v1/segment sends them, and where their names go on a picture.

// COCO's packed run lengths: LEB128-like groups of five bits, from the third on as differences.
function runsOf(counts) {
  const runs = [];
  for (let position = 0; position < counts.length; ) {
    let value = 0, shift = 0, group;
    do {
      group = counts.charCodeAt(position++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

// For each pixel of the photo the number of its segment from 1, or 0.
export function segmentMap(result) {
  const { width, height } = result.image;
  const map = new Uint16Array(width * height);
  result.segments.forEach((segment, index) => {
    let position = 0;
    runsOf(segment.segmentation.counts).forEach((run, number) => {
      for (let end = position + run; position < end; position++) {
        if (number % 2) map[(position % height) * width + Math.floor(position / height)] = index + 1;
      }
    });
  });
  return map;
}

// The middle of each segment's longest row; of rows that are nearly as long, the middle one.
export function labelPlaces(photo, columns, rows) {
  const places = new Map();
  for (let y = 0; y < rows.length; y += 4) {
    for (let x = 0; x < columns.length; ) {
      const start = x, number = photo.map[rows[y] + columns[x]];
      while (x < columns.length && photo.map[rows[y] + columns[x]] === number) x++;
      if (!number) continue;
      if (!places.has(number)) places.set(number, []);
      places.get(number).push({ length: x - start, x: (start + x) / 2, y });
    }
  }
  for (const [number, found] of places) {
    const longest = Math.max(...found.map(({ length }) => length));
    const long = found.filter(({ length }) => length >= 0.8 * longest);
    places.set(number, long[long.length >> 1]);
  }
  return places;
}

export function label(context, text, { x, y }, width) {
  context.font = `600 ${Math.max(12, Math.round(width / 55))}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = Math.max(3, width / 300);
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}
