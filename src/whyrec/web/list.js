// The list: titles, scores and reasons that were checked; where the past was changed, how each place moved.
import { html } from "./vendor/htm-preact.js";
import { Badge, Trouble, Wait, fixed } from "./marks.js";
import { saveCsv, saveJson } from "./export.js";

export function List({ lines, changed, verdict, method, item, choose, busy, problem, source, profiling }) {
  const before = changed?.answer.before;
  const left = changed?.answer.left;
  const places = before && new Map(before.map((one) => [one.item, one.rank]));
  return html`<section aria-labelledby="list" aria-busy=${busy ? "true" : "false"}>
    <div class="top"><h2 id="list">${before ? "The list as it would be" : "The list"}</h2>
      <p class="by"><span class="quiet">Reasons by ${method}:</span> <${Badge} verdict=${verdict} /></p></div>
    <div role="status">${changed && html`<p>${changed.answer.text}
      <span class="note"> Run again in ${Math.round(changed.ms)} ms.</span></p>`}</div>
    <${Trouble} problem=${problem} />
    ${!lines.length && html`<${Wait} busy=${busy}>The list is made …<//>`}
    ${profiling === false && html`<p class="note">Nothing about this user goes into the list.</p>`}
    ${lines.length > 0 && html`<table class="list">
      <caption class="hidden">Recommended items with scores and reasons</caption>
      <thead><tr><th scope="col">Rank</th>${places && html`<th scope="col">Moved</th>`}<th scope="col">Title and reasons</th>
        <th scope="col" class="right">Score</th></tr></thead>
      <tbody>${lines.map((one) => html`<tr key=${one.item} class=${one.item === item ? "here" : ""}>
        <td class="rank">${one.rank}</td>
        ${places && html`<td class="moved"><${Moved} was=${places.get(one.item)} now=${one.rank} /></td>`}
        <td><button type="button" class="plain" aria-pressed=${one.item === item ? "true" : "false"}
            onClick=${() => choose(one.item)}><bdi>${one.title}</bdi></button>
          <small class="reasons">${one.text ?? ""}</small></td>
        <td class="right number">${fixed(one.score)}</td>
      </tr>`)}</tbody>
    </table>`}
    ${left?.length > 0 && html`<p class="gone"><span class="quiet">No longer in the list:</span> ${" "}
      ${left.map((one, place) => html`${place ? ", " : ""}<cite><bdi>${one.title}</bdi></cite>`)}</p>`}
    ${lines.length > 0 && html`<p class="buttons"><span class="quiet" id="save-list">Save the list</span>
      <button type="button" aria-describedby="save-list" onClick=${() => saveCsv("list", rows(lines))}>CSV</button>
      <button type="button" aria-describedby="save-list" onClick=${() => saveJson("list", source)}>JSON</button></p>`}
  </section>`;
}

function Moved({ was, now }) {
  if (was === undefined) return html`<span class="tag">new</span>`;
  if (was === now) return html`<span class="quiet" aria-label="stayed">=</span>`;
  const up = was > now;
  return html`<span class=${up ? "up" : "down"} role="img"
    aria-label="${up ? "up" : "down"} ${Math.abs(was - now)}">${up ? "▲" : "▼"} ${Math.abs(was - now)}</span>`;
}

function rows(lines) {
  return [["rank", "item", "title", "score", "reasons"], ...lines.map((one) => [
    one.rank, one.item, one.title, one.score, (one.reasons ?? []).map((reason) => reason.title).join("; "),
  ])];
}
