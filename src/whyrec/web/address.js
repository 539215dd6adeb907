// What is looked at, as the part of the address behind `#`: it can be shared, and is never sent to a server.

export const START = { user: null, past: null, without: [], also: [], item: null, method: "lrp", other: "", rival: null };

const LISTS = ["past", "without", "also"];

export function read(hash) {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  const at = { ...START };
  for (const name of Object.keys(START)) {
    if (!found.has(name)) continue;
    if (LISTS.includes(name)) at[name] = found.getAll(name).filter(Boolean).map(idOf);
    else at[name] = name === "method" || name === "other" ? found.get(name) : idOf(found.get(name));
  }
  return at;
}

export function write(at) {
  const shown = new URLSearchParams();
  if (at.past !== null && !at.past.length) shown.append("past", "");
  for (const [name, value] of Object.entries(at)) {
    if (LISTS.includes(name)) (value ?? []).forEach((id) => shown.append(name, textOf(id)));
    else if (value !== START[name]) shown.append(name, textOf(value));
  }
  return `#${shown}`;
}

// Ids are whole numbers or texts; a text that looks like a number stands in quotes.
function idOf(text) {
  if (/^-?\d+$/.test(text)) return Number(text);
  return text.startsWith('"') ? JSON.parse(text) : text;
}

function textOf(id) {
  return typeof id === "string" && /^(-?\d+$|")/.test(id) ? JSON.stringify(id) : String(id);
}
