// Why one item: its reasons, the waterfall, another method beside it, another item beside it, what would drop it.
import { html, useRef, useState, useEffect } from "./vendor/htm-preact.js";
import { useAnswer } from "./api.js";
import { Agreement } from "./agreement.js";
import { Badge, Trouble, Wait, fixed } from "./marks.js";
import { Units, Waterfall } from "./waterfall.js";
import { saveCsv, saveJson, savePng } from "./export.js";

export function Why({ at, go, person, lines, model, changed, byPast }) {
  const drawing = useRef(null);
  const chosen = lines.find((one) => one.item === at.item);
  const asked = chosen && person ? { ...person, items: [at.item] } : null;
  const target = at.rival === null ? "logit" : `contrast:${at.rival}`;
  const verdict = model.verdicts[at.method];
  const found = useAnswer("/explain", asked && { ...asked, method: at.method, target }, `${verdict}`);
  const beside = useAnswer("/explain", asked && at.other ? { ...asked, method: at.other, target } : null);
  const explained = found.answer?.explanations[0];
  const other = beside.answer?.explanations[0];
  const settled = explained && other && !found.busy && !beside.busy;
  if (!chosen) return html`<section aria-labelledby="why"><h2 id="why">Why</h2>
    <p class="quiet">Choose an item of the list to see what its score is made of.</p></section>`;
  const rivals = lines.filter((one) => one.item !== at.item);
  return html`<section aria-labelledby="why" aria-busy=${found.busy ? "true" : "false"}>
    <h2 id="why">Why <cite><bdi>${chosen.title}</bdi></cite></h2>
    <div class="controls">
      <${Choice} id="method" label="Method" value=${at.method} pick=${(method) => go({ method })}
        options=${model.methods.map((name) => [name, named(name, model.verdicts[name])])} />
      <${Choice} id="other" label="Compare with" value=${at.other} pick=${(name) => go({ other: name })}
        options=${[["", "no other method"], ...model.methods.filter((name) => name !== at.method).map((name) => [name, name])]} />
      <${Choice} id="rival" label="Rather than" value=${at.rival === null ? "" : String(at.rival)}
        pick=${(text) => go({ rival: rivals.find((one) => String(one.item) === text)?.item ?? null })}
        options=${[["", "no other item"], ...rivals.map((one) => [String(one.item), one.title])]} />
    </div>
    ${changed && !byPast && html`<p class="note">This model also knows the user by more than the past, so this is about the past as it is.</p>`}
    <${Trouble} problem=${found.problem} />
    ${!person && html`<p class="quiet">Nothing of the past is left that could be a reason.</p>`}
    ${!explained && html`<${Wait} busy=${found.busy}>The score is taken apart …<//>`}
    ${explained && html`
      <p class="say"><${Badge} verdict=${explained.verdict} /> <span>${explained.text}</span></p>
      <p class="note">${at.rival === null ? "Score" : "Lead"} ${fixed(explained.target_value)} by ${explained.method}${explained.complete ? "; contributions add up to it" : "; this method does not promise to add up"}.</p>
      <${Waterfall} explained=${explained} drawing=${drawing} />
      <${Units} explained=${explained} />
      <p class="buttons"><span class="quiet" id="save-why">Save the reasons</span>
        <button type="button" aria-describedby="save-why" onClick=${() => savePng("why", drawing.current)}>PNG</button>
        <button type="button" aria-describedby="save-why" onClick=${() => saveCsv("why", rows(explained))}>CSV</button>
        <button type="button" aria-describedby="save-why" onClick=${() => saveJson("why", explained)}>JSON</button></p>`}
    <${Trouble} problem=${beside.problem} />
    ${settled && html`<h3>Do the methods agree?</h3><${Agreement} one=${explained} other=${other} />`}
    ${asked && at.rival === null && !changed && html`<${Missing} asked=${asked} />`}
  </section>`;
}

function Missing({ asked }) {
  const [wanted, setWanted] = useState(false);
  const question = JSON.stringify(asked);
  useEffect(() => setWanted(false), [question]);
  const found = useAnswer("/explain", wanted ? { ...asked, counterfactual: true } : null);
  const told = found.answer?.explanations[0].counterfactual;
  return html`<h3>What keeps it in the list?</h3>
    ${!wanted && html`<p><button type="button" onClick=${() => setWanted(true)}>Look for past items without which it leaves</button></p>`}
    <div role="status"><${Wait} busy=${found.busy}>The list is run without some past items …<//>
      ${told && html`<p>${told.text}${told.verified && html` <span class="note">The model was really run without them.</span>`}</p>`}</div>
    <${Trouble} problem=${found.problem} />`;
}

function Choice({ id, label, value, options, pick }) {
  return html`<div><label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => pick(event.target.value)}>
      ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
    </select></div>`;
}

function named(name, verdict) {
  return verdict ? `${name} (${verdict})` : name;
}

function rows(explained) {
  return [["part", "unit", "title", "relevance"],
    ...explained.parts.map((one) => [one.part, one.unit, one.title, one.relevance])];
}
