// Requests to the office, and its refusals in words.

export class Refusal extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * The answer's JSON, null where there is none. Raises Refusal with a sentence for people.
 * @param {string} method
 * @param {string} path below /api
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    });
  } catch {
    throw new Refusal(0, "The server did not answer. Try again in a moment.");
  }
  const text = await response.text();
  let plain = null;
  try {
    plain = text ? JSON.parse(text) : null;
  } catch {
    // Not ours; the status says enough.
  }
  if (!response.ok) throw new Refusal(response.status, plain?.message ?? `The server answered ${response.status}.`);
  return plain;
}
