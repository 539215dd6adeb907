// Items like the chosen one, and by what they were compared.
import { html } from "./vendor/htm-preact.js";
import { useAnswer } from "./api.js";
import { Trouble, fixed } from "./marks.js";

export function Similar({ item }) {
  const found = useAnswer("/similar", item === null ? null : { item, k: 8 });
  const answer = found.answer;
  const most = answer ? Math.max(1e-9, ...answer.items.map((one) => Math.abs(one.similarity))) : 1;
  return html`<section aria-labelledby="similar">
    <h2 id="similar">Similar items</h2>
    <${Trouble} problem=${found.problem} />
    ${!answer && !found.problem && html`<p class="quiet">Choose an item of the list.</p>`}
    ${answer && html`<table class="bars"><caption>Like <cite><bdi>${answer.title}</bdi></cite>, by ${answer.by}</caption>
      <thead class="hidden"><tr><th scope="col">Title</th><th scope="col">Bar</th><th scope="col">Similarity</th></tr></thead>
      <tbody>${answer.items.map((one) => html`<tr key=${one.item}><th scope="row"><bdi>${one.title}</bdi></th>
        <td class="bar"><${Bar} part=${one.similarity / most} /></td>
        <td class="right number">${fixed(one.similarity)}</td></tr>`)}</tbody></table>`}
  </section>`;
}

export function Bar({ part }) {
  return html`<svg width="100%" height="12" aria-hidden="true">
    <rect class=${part >= 0 ? "for" : "against"} width="${100 * Math.min(1, Math.abs(part))}%" height="12" /></svg>`;
}
