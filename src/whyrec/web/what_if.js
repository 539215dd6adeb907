// The past, item by item: what is unticked is taken out, what is added comes behind it, and the list is run again.
import { html } from "./vendor/htm-preact.js";
import { Trouble } from "./marks.js";
import { Search } from "./search.js";

export function WhatIf({ at, go, past, titles, changed }) {
  const toggle = (id) =>
    go({ without: at.without.includes(id) ? at.without.filter((one) => one !== id) : [...at.without, id] });
  const known = new Set([...past.map((one) => one.item), ...at.also]);
  const isChanged = at.without.length + at.also.length > 0;
  return html`<section aria-labelledby="past">
    <h2 id="past">What if the past were another?</h2>
    <p class="note">Untick what should not have been taken; the model is run again on the rest.</p>
    ${past.length === 0 && html`<p class="quiet">The past is empty.</p>`}
    <ul class="past">
      ${past.map((one) => html`<li key=${one.item} class=${at.without.includes(one.item) ? "out" : ""}>
        <label><input type="checkbox" checked=${!at.without.includes(one.item)} onChange=${() => toggle(one.item)} />
          <span><bdi>${one.title}</bdi></span></label>
      </li>`)}
      ${at.also.map((id) => html`<li key="also ${id}" class="in">
        <label><input type="checkbox" checked onChange=${() => go({ also: at.also.filter((one) => one !== id) })} />
          <span><bdi>${titles.get(id) ?? id}</bdi> <span class="tag">added</span></span></label>
      </li>`)}
    </ul>
    <${Search} id="add" label="Add to the past" path="/items" name="item" hint="part of a title"
      pick=${(one) => known.has(one.item) || (titles.set(one.item, one.title), go({ also: [...at.also, one.item] }))} />
    <p><button type="button" disabled=${!isChanged} onClick=${() => go({ without: [], also: [] })}>As it was</button></p>
    <${Trouble} problem=${changed.problem} />
  </section>`;
}
