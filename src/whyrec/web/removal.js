// How close removals come to the best order found, by how many units go at once, with floor and ceiling.
import { html } from "./vendor/htm-preact.js";
import { fixed } from "./marks.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT] = [320, 170, 70, 12, 14, 36];

export function Removal({ sizes }) {
  const known = sizes.filter((one) => one.deletion);
  if (!known.length) return null;
  const values = known.flatMap((one) => [one.deletion.low, one.deletion.high]);
  const [low, high] = [Math.min(0, ...values), Math.max(1, ...values)];
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - FOOT);
  const x = (place) => LEFT + ((place + 0.5) / known.length) * (WIDTH - LEFT - RIGHT);
  const told = known.map((one) => `${one.k} at once ${fixed(one.deletion.value)}`).join(", ");
  return html`<figure><svg class="removal" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
      aria-label="Deletion by how many units go at once, from 0, a random order, to 1, the best order found: ${told}">
    ${[[0, "random"], [1, "best found"]].map(([value, name]) => html`<line class="mark" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(value)} y2=${y(value)} />
      <text x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${name}</text>`)}
    <polyline class="curve" points=${known.map((one, place) => `${x(place)},${y(one.deletion.value)}`).join(" ")} />
    ${known.map((one, place) => html`<g><title>${one.k} at once: ${fixed(one.deletion.value)} [${fixed(one.deletion.low)}, ${fixed(one.deletion.high)}]</title>
      <line class="range" x1=${x(place)} x2=${x(place)} y1=${y(one.deletion.low)} y2=${y(one.deletion.high)} />
      <circle class="dot" cx=${x(place)} cy=${y(one.deletion.value)} r="4" />
      <text x=${x(place)} y=${HEIGHT - FOOT + 18} text-anchor="middle">${one.k}</text></g>`)}
    <text x=${(LEFT + WIDTH - RIGHT) / 2} y=${HEIGHT - 3} text-anchor="middle">units taken away at once</text>
  </svg><figcaption>Deletion between its floor and its ceiling.</figcaption></figure>`;
}
