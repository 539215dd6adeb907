// The explorer: who, the list, why, what if, and what is known of the model. What is looked at stands in the address.
import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { read, write } from "./address.js";
import { ask, useAnswer, useKey } from "./api.js";
import { Card } from "./card.js";
import { List } from "./list.js";
import { Trouble } from "./marks.js";
import { Parameters } from "./parameters.js";
import { People } from "./people.js";
import { Similar } from "./similar.js";
import { WhatIf } from "./what_if.js";
import { Why } from "./why.js";

const [PLACES, EXPLAINED, LOOKS, PAUSE] = [10, 10, 20, 3000];

function App() {
  const [at, go] = useAddress();
  const { model, problem, again } = useModel(at.method);
  useFirstUser(at, go, model);
  if (problem?.status === 401) return html`<${Header} /><main><${Key} problem=${problem} /></main>`;
  if (!model) return html`<${Header} /><main><${Trouble} problem=${problem} /></main>`;
  return html`<${Header} model=${model} /><${Page} at=${at} go=${go} model=${model} again=${again} />`;
}

function Page({ at, go, model, again }) {
  const titles = useRef(new Map()).current;
  const { method } = at;
  const verdict = model.verdicts[method];
  const person = at.past === null ? at.user !== null && { user: at.user } : at.past.length > 0 && { history: at.past };
  const isChanged = at.without.length + at.also.length > 0;
  const listed = useAnswer("/recommend", person ? lists(person) : null);
  const list = person ? listed.answer?.lists[0] : undefined;
  const items = list?.items.map((one) => one.item) ?? [];
  const current = list !== undefined && listed.asked === JSON.stringify(lists(person));
  const hasPast = list?.profiling !== false;
  const profiled = current && hasPast; // nothing is asked about whoever objected
  const question = items.length && profiled ? { ...person, items, method } : null;
  const reasoned = useAnswer("/explain", question, `${verdict}`);
  const past = list?.history ?? [];
  const changedPast = [...past.map((one) => one.item).filter((id) => !at.without.includes(id)), ...at.also];
  const explained = changedPast.length ? EXPLAINED : 0; // an empty past has no units to explain by
  const changed = useAnswer("/what-if", current && isChanged
    ? { ...person, remove: at.without, add: at.also, k: PLACES, explained, method } : null, `${verdict}`);
  past.forEach((one) => titles.set(one.item, one.title));
  const after = isChanged ? changed.answer : null;
  const answered = reasoned.asked === JSON.stringify(question) ? reasoned.answer : null;
  const reasons = new Map((answered?.explanations ?? []).map((one) => [one.item, one]));
  const lines = after ? after.after : (list?.items ?? []).map((one) => ({ ...one, ...pick(reasons.get(one.item)) }));
  const item = lines.some((one) => one.item === at.item) ? at.item : (lines[0]?.item ?? null);
  const rival = lines.some((one) => one.item === at.rival) && at.rival !== item ? at.rival : null;
  const byPast = !("user" in model.parts);
  const asker = isChanged && byPast ? changedPast.length > 0 && { history: changedPast } : person;
  return html`<main id="main">
    <div class="columns">
      <div><${People} at=${at} go=${go} past=${past} />
        ${person && hasPast && html`<${WhatIf} at=${at} go=${(change) => go({ item, ...change })} past=${past} titles=${titles} changed=${changed} />`}</div>
      ${person ? html`<${List} lines=${lines} changed=${after && changed} verdict=${verdict} method=${method} item=${item}
          choose=${(id) => go({ item: id })} busy=${listed.busy || changed.busy} problem=${listed.problem ?? reasoned.problem}
          source=${after ?? list} profiling=${list?.profiling} />
        <${Why} at=${{ ...at, item, rival }} go=${go} person=${profiled && asker} lines=${lines} model=${model} changed=${isChanged} byPast=${byPast} />`
      : html`<p class="quiet">Find a user, or add a title to a new past.</p>`}
    </div>
    <h2 class="hidden">The model</h2>
    <div class="columns below"><${Similar} item=${item} /><${Parameters} method=${method} />
      <${Card} method=${method} verdict=${verdict} judged=${again} /></div>
  </main>`;
}

function Header({ model }) {
  const [shared, setShared] = useState("");
  const copy = () => navigator.clipboard.writeText(location.href).then(() => setShared("Copied."), () => setShared("Take it from the address bar."));
  return html`<a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.getElementById("main").scrollIntoView())}>To the list</a>
    <header><div><h1>whyrec explorer</h1>
      ${model && html`<p class="quiet">${model.family}, ${model.users.toLocaleString("en")} users,
        ${" "}${model.items.toLocaleString("en")} items, whyrec ${model.version}</p>`}</div>
      <p class="buttons"><button type="button" onClick=${copy}>Copy the address</button>
        <span role="status" class="quiet">${shared}</span></p></header>`;
}

function Key({ problem }) {
  const send = (event) => (event.preventDefault(), useKey(event.target.key.value), location.reload());
  return html`<form onSubmit=${send}><${Trouble} problem=${problem} /><p><label for="key">API key</label>
    <input id="key" name="key" type="password" autocomplete="off" required /> <button>Send</button></p></form>`;
}

function useAddress() {
  const [at, setAt] = useState(() => read(location.hash));
  useEffect(() => {
    const follow = () => setAt(read(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => history.replaceState(null, "", write(at)), [at]);
  return [at, (change) => setAt((before) => ({ ...before, ...change }))];
}

// What is served. A verdict that is still being found when the service starts is waited for.
function useModel(method) {
  const [found, setFound] = useState({ model: null, problem: null });
  const [look, setLook] = useState(0);
  useEffect(() => {
    ask("/model").then((model) => setFound({ model, problem: null }), (problem) => setFound({ model: null, problem }));
  }, [look]);
  const waiting = found.model !== null && found.model.verdicts[method] === null && look < LOOKS;
  useEffect(() => {
    if (!waiting) return undefined;
    const wait = setTimeout(() => setLook(look + 1), PAUSE);
    return () => clearTimeout(wait);
  }, [waiting, look]);
  return { ...found, again: () => setLook(look + 1) };
}

function useFirstUser(at, go, model) {
  useEffect(() => {
    if (!model || at.user !== null || at.past !== null) return;
    ask("/users?limit=1").then((answer) => answer.matches.length && go({ user: answer.matches[0].user }), () => undefined);
  }, [model === null, at.user, at.past]);
}

function lists(person) {
  return person.history ? { history: person.history, k: PLACES } : { users: [person.user], k: PLACES };
}

function pick(explained) {
  return explained && { text: explained.text, reasons: explained.reasons };
}

render(html`<${App} />`, document.getElementById("app"));
