// Whether two methods say the same of one item: rank correlation over all units, and the units both put first.
import { html } from "./vendor/htm-preact.js";
import { Badge, fixed, signed } from "./marks.js";

const FIRST = 3;

export function Agreement({ one, other }) {
  const theirs = new Map(other.parts.map((unit) => [`${unit.part} ${unit.unit}`, unit.relevance]));
  const units = one.parts.filter((unit) => theirs.has(`${unit.part} ${unit.unit}`));
  const pairs = units.map((unit) => ({ ...unit, theirs: theirs.get(`${unit.part} ${unit.unit}`) }));
  const shared = best(pairs, "relevance").filter((title) => best(pairs, "theirs").includes(title)).length;
  const rho = spearman(pairs.map((unit) => unit.relevance), pairs.map((unit) => unit.theirs));
  const top = Math.min(FIRST, pairs.length);
  return html`<div class="agreement" role="status">
    <p><strong>${one.method}</strong> <${Badge} verdict=${one.verdict} /> ${" and "}
      <strong>${other.method}</strong> <${Badge} verdict=${other.verdict} />:
      ${rho === null ? " no rank correlation can be told" : ` rank correlation ${fixed(rho)} over ${pairs.length} units`},
      ${" "}${shared} of the first ${top} are the same.</p>
    <div class="scroll" tabindex="0" role="group" aria-label="Both methods"><table><caption class="hidden">Contributions by both methods</caption>
      <thead><tr><th scope="col">Unit</th><th scope="col" class="right">${one.method}</th><th scope="col" class="right">${other.method}</th></tr></thead>
      <tbody>${pairs.slice(0, 8).map((unit) => html`<tr key="${unit.part} ${unit.unit}"><th scope="row"><bdi>${unit.title}</bdi></th>
        <td class="right number">${signed(unit.relevance)}</td><td class="right number">${signed(unit.theirs)}</td></tr>`)}</tbody>
    </table></div></div>`;
}

function best(pairs, by) {
  return [...pairs].sort((a, b) => b[by] - a[by]).slice(0, FIRST).map((unit) => `${unit.part} ${unit.unit}`);
}

// Pearson's correlation of the ranks, ties sharing their mean rank; null where one side is constant.
export function spearman(one, other) {
  const [a, b] = [ranks(one), ranks(other)];
  const middle = (one.length - 1) / 2;
  const product = (x, y) => x.reduce((sum, value, place) => sum + (value - middle) * (y[place] - middle), 0);
  const size = Math.sqrt(product(a, a) * product(b, b));
  return size > 0 ? product(a, b) / size : null;
}

function ranks(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2);
}
