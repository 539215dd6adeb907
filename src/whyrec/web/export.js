// What is shown, as a file: CSV by RFC 4180, JSON as the service answered it, a drawing as PNG.

export function saveCsv(name, rows) {
  const cell = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const text = rows.map((row) => row.map(cell).join(",")).join("\r\n");
  save(`${name}.csv`, new Blob([text, "\r\n"], { type: "text/csv;charset=utf-8" }));
}

export function saveJson(name, document) {
  save(`${name}.json`, new Blob([JSON.stringify(document, null, 2)], { type: "application/json" }));
}

export async function savePng(name, drawing, scale = 2) {
  const { width, height } = drawing.getBoundingClientRect();
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(alone(drawing, width, height))}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save(`${name}.png`, blob));
}

const LOOKS = ["fill", "stroke", "stroke-width", "paint-order", "font-size", "font-weight", "font-family"];

// A drawing has its colours from the page's style sheet; by itself it needs them written on it.
function alone(drawing, width, height) {
  const copy = drawing.cloneNode(true);
  const shapes = drawing.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((shape, place) => {
    const style = getComputedStyle(shapes[place]);
    for (const name of LOOKS) {
      shape.setAttribute(name, style.getPropertyValue(name));
    }
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return new XMLSerializer().serializeToString(copy);
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
