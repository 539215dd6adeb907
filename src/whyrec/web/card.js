// The report card: whether the explanations of a method are true of this model, between a floor and a ceiling.
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { useAnswer } from "./api.js";
import { Removal } from "./removal.js";
import { Badge, Trouble, Wait, fixed } from "./marks.js";
import { saveJson } from "./export.js";

const CHECKS = [
  ["deletion", "Deletion", "what the first units cost when taken away: 0 random, 1 best order found"],
  ["sufficiency", "Sufficiency", "what they keep when all else is taken away: 0 random, 1 best order found"],
  ["correlation", "Correlation", "of contributions and what removals really cost"],
  ["randomisation", "Shuffled weights", "likeness to explanations of a model with shuffled weights; near 0 is good"],
  ["other_item", "Another item", "likeness to what is said of another item; near 0 is good"],
  ["stability", "Stability", "likeness after a small change of the past"],
];

export function Card({ method, verdict, judged }) {
  const [wanted, setWanted] = useState(null);
  const shown = Boolean(verdict) || wanted === method;
  const found = useAnswer("/verify", shown ? { methods: [method] } : null);
  const row = found.answer?.rows.find((one) => one.method === method);
  useEffect(() => {
    if (row && !verdict) judged();
  }, [row, verdict]);
  return html`<section aria-labelledby="card">
    <h2 id="card">Report card</h2>
    ${!shown && html`<p class="note">Whether ${method} is true of this model was not looked at yet; no reasons are given until it was.</p>
      <p><button type="button" onClick=${() => setWanted(method)}>Check ${method}</button></p>`}
    <${Wait} busy=${found.busy && !row}>Units are taken away from the past of many users …<//>
    <${Trouble} problem=${found.problem} />
    ${row && html`<p class="say"><strong>${method}</strong> <${Badge} verdict=${row.verdict} /></p>
      <p>${sentence(row.because)}</p>
      <table class="checks"><caption>${found.answer.users} users, ${found.answer.settings.k} units at once, 95 % intervals</caption>
        <thead class="hidden"><tr><th scope="col">Check</th><th scope="col">Value</th></tr></thead>
        <tbody>${CHECKS.filter(([name]) => row[name]).map(([name, title, note]) => html`<tr key=${name}>
          <th scope="row">${title}<small>${note}</small></th>
          <td class="right number">${estimate(row[name].normalised ?? row[name])}</td></tr>`)}</tbody></table>
      <${Removal} sizes=${row.by_size} />
      <p class="buttons"><span class="quiet" id="save-card">Save the card</span>
        <button type="button" aria-describedby="save-card" onClick=${() => saveJson("report-card", found.answer)}>JSON</button></p>`}
  </section>`;
}

function estimate(found) {
  return html`${fixed(found.value)}<small>${fixed(found.low)} to ${fixed(found.high)}</small>`;
}

function sentence(because) {
  const text = because.join("; ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
