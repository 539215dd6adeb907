// What recommendations of this model rest on, as shares of 100 % with intervals: main parameters in plain language.
import { html, useState } from "./vendor/htm-preact.js";
import { useAnswer } from "./api.js";
import { Bar } from "./similar.js";
import { Trouble, Wait, share } from "./marks.js";
import { saveCsv } from "./export.js";

export function Parameters({ method }) {
  const [wanted, setWanted] = useState(null);
  const found = useAnswer("/main-parameters", wanted === method ? { method } : null);
  const answer = wanted === method ? found.answer : null;
  return html`<section aria-labelledby="parameters">
    <h2 id="parameters">Main parameters</h2>
    <p class="note">What lists of this model rest on, on average over users (Digital Services Act, Art. 27).</p>
    ${wanted !== method && html`<p><button type="button" onClick=${() => setWanted(method)}>Measure by ${method}</button></p>`}
    <${Wait} busy=${found.busy}>Lists of many users are explained …<//>
    <${Trouble} problem=${found.problem} />
    ${answer && html`<table class="bars"><caption>${answer.text.split("\n")[0]}</caption>
      <thead class="hidden"><tr><th scope="col">Parameter</th><th scope="col">Bar</th><th scope="col">Share</th></tr></thead>
      <tbody>${answer.rows.map((one) => html`<tr key=${one.name}><th scope="row"><bdi>${one.title}</bdi></th>
        <td class="bar"><${Bar} part=${one.share.value / answer.rows[0].share.value} /></td>
        <td class="right number">${share(one.share.value, 1)}<small>${share(one.share.low, 1)} to ${share(one.share.high, 1)}</small></td></tr>`)}
      </tbody></table>
      <p class="buttons"><span class="quiet" id="save-parameters">Save the shares</span>
        <button type="button" aria-describedby="save-parameters" onClick=${() => saveCsv("main-parameters", rows(answer))}>CSV</button></p>`}
  </section>`;
}

function rows(answer) {
  return [["name", "title", "share", "low", "high"],
    ...answer.rows.map(({ name, title, share: { value, low, high } }) => [name, title, value, low, high])];
}
