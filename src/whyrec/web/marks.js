// Small things that stand in many places, as in the report: numbers, the badge of a verdict, problems, quiet notes.
import { html } from "./vendor/htm-preact.js";

export function fixed(value, digits = 2) {
  return value.toFixed(digits).replace("-", "−");
}

export function signed(value, digits = 2) {
  return (value > 0 ? "+" : "") + fixed(value, digits);
}

export function share(value, digits = 0) {
  return `${fixed(100 * value, digits)} %`;
}

export function Badge({ verdict }) {
  return html`<span class="badge ${(verdict ?? "not judged").replaceAll(" ", "-")}">
    <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">${SHAPES[verdict] ?? OPEN}</svg>
    ${verdict ?? "not judged yet"}
  </span>`;
}

const RING = html`<circle class="ring" cx="7" cy="7" r="6" />`;
const OPEN = html`${RING}<path class="ring" d="M4.4 7h5.2" />`;
const SHAPES = {
  faithful: html`<circle class="full" cx="7" cy="7" r="6" /><path class="cut" d="M4 7.2l2.2 2.2L10 5" />`,
  weak: html`${RING}<path class="full" d="M7 1a6 6 0 0 0 0 12z" />`,
  "not better than random": html`${RING}<path class="ring" d="M4.6 4.6l4.8 4.8m0-4.8l-4.8 4.8" />`,
};

export function Trouble({ problem }) {
  return problem && html`<p class="trouble" role="alert">${problem.message}</p>`;
}

export function Wait({ busy, children }) {
  return busy && html`<p class="quiet">${children}</p>`;
}
