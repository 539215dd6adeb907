// One score as a waterfall: from where it starts, step by step through what each unit brings, to the score.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { fixed, signed } from "./marks.js";

const [ROW, MOST, LETTER, NUMBER] = [26, 10, 7.2, 52];

export function Waterfall({ explained, drawing }) {
  const around = useRef(null);
  const width = useWidth(around);
  const steps = stepsOf(explained);
  const rows = [{ title: "start", before: steps.start, after: steps.start }, ...steps.rows,
    { title: explained.target === "logit" ? "score" : "difference", before: steps.end, after: steps.end }];
  const ends = rows.flatMap((one) => [one.before, one.after]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const left = Math.min(230, width * 0.42);
  const x = (value) => left + ((value - low) / (high - low || 1)) * Math.max(20, width - left - NUMBER);
  const height = ROW * rows.length + 4;
  return html`<div class="waterfall" ref=${around}>
    <svg ref=${drawing} width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="img"
      aria-label="Waterfall from ${fixed(steps.start)} to ${fixed(steps.end)}; the same numbers stand in the table below">
      <line class="zero" x1=${x(0)} x2=${x(0)} y1="0" y2=${height} />
      ${rows.map((one, place) => html`<${Step} key=${place} one=${one} y=${place * ROW + 2} x=${x} left=${left} />`)}
    </svg>
  </div>`;
}

function Step({ one, y, x, left }) {
  const [from, to] = [x(Math.min(one.before, one.after)), x(Math.max(one.before, one.after))];
  const end = one.amount === undefined;
  const kind = end ? "end" : one.amount >= 0 ? "for" : "against";
  const amount = end ? fixed(one.after) : signed(one.amount);
  return html`<g>
    <title>${one.title}: ${amount}</title>
    <text x="0" y=${y + 16}>${short(one.title, Math.floor((left - 10) / LETTER))}</text>
    <rect class=${kind} x=${end ? from - 1 : from} y=${y + 3} width=${end ? 2 : Math.max(1, to - from)} height=${ROW - 8} />
    <line class="joint" x1=${x(one.after)} x2=${x(one.after)} y1=${y + 3} y2=${y + ROW + 3} />
    <text x=${to + 5} y=${y + 16} class="amount">${amount}</text>
  </g>`;
}

// `start` is what the score is without any unit; the end is what all units together lead to.
export function stepsOf(explained) {
  const start = explained.ledger.reference + explained.ledger.bias;
  const units = [...explained.parts].sort((a, b) => Math.abs(b.relevance) - Math.abs(a.relevance));
  const shown = units.slice(0, MOST).map((one) => ({ title: one.title, amount: one.relevance }));
  const rest = units.slice(MOST);
  const others = { title: `${rest.length} more`, amount: rest.reduce((sum, one) => sum + one.relevance, 0) };
  let at = start;
  const rows = (rest.length ? [...shown, others] : shown).map((one) => ({ ...one, before: at, after: (at += one.amount) }));
  return { start, end: at, rows };
}

export function Units({ explained }) {
  return html`<details><summary>The same as a table</summary><div class="scroll" tabindex="0" role="group" aria-label="Contributions">
    <table><caption class="hidden">What each unit brings to the score</caption>
      <thead><tr><th scope="col">Unit</th><th scope="col">Part</th><th scope="col" class="right">Contribution</th></tr></thead>
      <tbody>${explained.parts.map((one) => html`<tr key="${one.part} ${one.unit}"><th scope="row"><bdi>${one.title}</bdi></th>
        <td>${one.part}</td><td class="right number">${signed(one.relevance, 3)}</td></tr>`)}
      ${Object.entries(explained.ledger).map(([name, value]) => html`<tr key=${name} class="quiet"><th scope="row">${name}</th>
        <td>ledger</td><td class="right number">${signed(value, 3)}</td></tr>`)}</tbody>
      <tfoot><tr><th scope="row">${explained.target_name}</th><td /><td class="right number">${fixed(explained.target_value, 3)}</td></tr></tfoot>
    </table></div></details>`;
}

function short(title, most) {
  return title.length > most ? `${title.slice(0, Math.max(1, most - 1)).trimEnd()}…` : title;
}

function useWidth(around) {
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const watch = new ResizeObserver(([seen]) => setWidth(Math.floor(seen.contentRect.width)));
    watch.observe(around.current);
    return () => watch.disconnect();
  }, []);
  return width;
}
