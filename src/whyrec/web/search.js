// A field that finds users or items by a part of their title or id. Arrow keys choose, Enter takes, Escape closes.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { ask } from "./api.js";

const PAUSE = 120; // milliseconds without a key until it is looked for

export function Search({ id, label, path, name, pick, hint }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const field = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const stop = new AbortController();
    const wait = setTimeout(async () => {
      try {
        const answer = await ask(`${path}?limit=8&search=${encodeURIComponent(text)}`, undefined, stop.signal);
        setFound(answer.matches);
        setActive(0);
      } catch (problem) {
        if (problem.name !== "AbortError") setFound([]);
      }
    }, PAUSE);
    return () => (clearTimeout(wait), stop.abort());
  }, [text, open, path]);

  const take = (one) => {
    pick(one);
    setText("");
    setOpen(false);
    field.current.focus();
  };
  const step = (by) => (setOpen(true), setActive((at) => (found.length ? (at + by + found.length) % found.length : 0)));
  const press = (event) => {
    const act = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Escape: () => setOpen(false) }[event.key];
    if (event.key === "Enter" && open && found[active]) take(found[active]);
    else if (act) act();
    else return;
    event.preventDefault();
  };
  const shown = open && found.length > 0;
  return html`<div class="search">
    <label for=${id}>${label}</label>
    <input id=${id} ref=${field} type="text" role="combobox" autocomplete="off" spellcheck=${false} value=${text}
      placeholder=${hint} aria-expanded=${shown ? "true" : "false"} aria-controls="${id}-found"
      aria-autocomplete="list" aria-activedescendant=${shown ? `${id}-${active}` : undefined}
      onInput=${(event) => (setText(event.target.value), setOpen(true))}
      onClick=${() => setOpen(true)} onBlur=${() => setOpen(false)} onKeyDown=${press} />
    <ul id="${id}-found" role="listbox" aria-label="${label}: found" hidden=${!shown}>
      ${found.map((one, place) => html`<li key=${one[name]} id="${id}-${place}" role="option"
        aria-selected=${place === active ? "true" : "false"}
        onMouseDown=${(event) => (event.preventDefault(), take(one))}>
        <bdi>${one.title}</bdi>${String(one[name]) !== one.title && html` <small>${one[name]}</small>`}
      </li>`)}
    </ul>
  </div>`;
}
