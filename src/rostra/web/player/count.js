// How we count, in plain words; door/view.py says the same where no script runs.

const KINDS = /** @type {Record<string, string>} */ ({
  web: "on this page", hls: "in HLS players", stream: "on radio streams", replay: "listening to what was said before",
}); // prettier-ignore

/** @param {number} n */
const number = (n) => n.toLocaleString("en");

/** A standard error in words: nineteen of twenty such counts are off by less. @param {number} error */
const within = (error) => (error ? `, give or take ${(200 * error).toFixed(1)} %` : "");

/**
 * @param {import("./words.js").Space} space
 * @param {boolean} now whether they listen still
 */
export function counting(space, now) {
  const said = [`We count ${space.counted || "players that fetch sound"}${within(space.count_error)}.`];
  const kinds = Object.keys(KINDS).filter((kind) => space.kinds[kind]);
  if (now && kinds.length) said.push(`Now: ${kinds.map((kind) => `${number(space.kinds[kind])} ${KINDS[kind]}`).join(", ")}.`);
  if (space.peak) said.push(`At most ${number(space.peak)} at once.`);
  if (space.unique) said.push(`${number(space.unique)} in all${within(space.unique_error)}; who opens it twice counts twice.`);
  return said.join(" ");
}
