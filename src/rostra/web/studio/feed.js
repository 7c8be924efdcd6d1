// What the stage tells the studio: server-sent events, read by hand because only fetch can send the seat's key along.

/** @param {number} ms */
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));
/**
 * 0.2 to 2 seconds, longer after each failure, never the same for two; ended by the signal.
 * @param {number} tries
 * @param {AbortSignal} hurry
 */
export async function pause(tries, hurry) {
  if (hurry.aborted) return;
  const called = new Promise((done) => hurry.addEventListener("abort", done));
  await Promise.race([wait(Math.min(2000, 200 * 1.6 ** tries) * (0.5 + Math.random() / 2)), called]);
}

const SILENCE_MS = 12_000; // the stage says something every 5 s

/**
 * A refusal that asking again will not change.
 */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The sentence of a failed answer. @param {Response} response */
export async function said(response) {
  try {
    return String((await response.json()).message);
  } catch {
    return `The server answered ${response.status}.`;
  }
}

/**
 * Follow the events for ever; resolves never, rejects with Refused when the key opens nothing (any more).
 * @param {string} address
 * @param {string} key
 * @param {(event: string, data: any) => void} heard
 * @param {(connected: boolean) => void} line
 */
export async function follow(address, key, heard, line) {
  for (let tries = 0; ; tries++) {
    const cut = new AbortController();
    const again = () => cut.abort();
    const back = new AbortController(); // the network is back
    back.signal.addEventListener("abort", again);
    addEventListener("online", () => back.abort(), { signal: back.signal });
    let watch = setTimeout(again, SILENCE_MS);
    try {
      const response = await fetch(address, { headers: { Authorization: `Bearer ${key}` }, signal: cut.signal, cache: "no-store" });
      if ([401, 403, 404].includes(response.status)) throw new Refused(response.status, await said(response));
      if (response.ok && response.body) {
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          clearTimeout(watch);
          watch = setTimeout(again, SILENCE_MS);
          text += value;
          const blocks = text.split("\n\n");
          text = blocks.pop() ?? "";
          for (const block of blocks) {
            const event = /^event: (.*)$/m.exec(block);
            const data = /^data: (.*)$/m.exec(block);
            if (!event || !data) continue;
            tries = 0;
            line(true);
            heard(event[1], JSON.parse(data[1]));
          }
        }
      }
    } catch (wrong) {
      if (wrong instanceof Refused) throw wrong;
    } finally {
      clearTimeout(watch);
    }
    line(false);
    await pause(tries, back.signal);
    if (back.signal.aborted) tries = -1;
    back.abort();
  }
}
