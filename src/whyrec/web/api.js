// Asking the service. A refusal is an error whose message says what, where and what to do.
import { useEffect, useState } from "./vendor/htm-preact.js";

const KEY = "whyrec key";

export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(path, body, signal) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...(body && { "content-type": "application/json" }), ...(key && { "X-API-Key": key }) };
  const sent = body ? { method: "POST", body: JSON.stringify(body) } : {};
  const response = await fetch(path, { ...sent, headers, signal });
  const answer = await response.json();
  if (!response.ok) throw new Refusal(response.status, answer.detail);
  return answer;
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

// What is answered to `body`, asked anew when it changes or `again` does; nothing is asked while `body` is null.
// The answer before stays until the next one is there, so that the page does not flicker.
export function useAnswer(path, body, again = "") {
  const asked = body === null ? null : JSON.stringify(body);
  const [found, setFound] = useState(NOTHING);
  useEffect(() => {
    if (asked === null) return setFound(NOTHING);
    const stop = new AbortController();
    const start = performance.now();
    const settle = (answer, problem) =>
      stop.signal.aborted || setFound({ answer, problem, busy: false, asked, ms: performance.now() - start });
    setFound((before) => ({ ...before, busy: true }));
    ask(path, JSON.parse(asked), stop.signal).then(
      (answer) => settle(answer, null),
      (problem) => settle(null, problem),
    );
    return () => stop.abort();
  }, [path, asked, again]);
  return found;
}

const NOTHING = { answer: null, problem: null, busy: false, asked: null, ms: 0 };
