// Who is looked at: somebody the model knows, or somebody new with a past built from titles.
import { html } from "./vendor/htm-preact.js";
import { Search } from "./search.js";

export function People({ at, go, past }) {
  const isNew = at.past !== null;
  const fresh = { without: [], also: [], item: null, rival: null };
  const become = (change) => go({ ...fresh, ...change });
  return html`<section aria-labelledby="who">
    <h2 id="who">Who</h2>
    <fieldset class="choice">
      <legend class="hidden">Whose list</legend>
      <label><input type="radio" name="who" checked=${!isNew} onChange=${() => become({ past: null })} />Known user</label>
      <label><input type="radio" name="who" checked=${isNew}
        onChange=${() => become({ past: past.map((one) => one.item) })} />Somebody new</label>
    </fieldset>
    ${isNew
      ? html`<${Search} id="build" label="Add a title to the past" path="/items" name="item" hint="part of a title"
            pick=${(one) => at.past.includes(one.item) || become({ past: [...at.past, one.item] })} />
          <p><button type="button" onClick=${() => become({ past: [] })} disabled=${!at.past.length}>Begin anew</button></p>`
      : html`<${Search} id="find-user" label="Find a user" path="/users" name="user" hint="part of an id or title"
            pick=${(one) => become({ user: one.user })} />
          <p class="chosen"><span class="quiet">Shown:</span> <strong><bdi>${at.user ?? "nobody yet"}</bdi></strong></p>`}
  </section>`;
}
