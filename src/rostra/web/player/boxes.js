// What rides along with the sound: boxes between the parts that no decoder looks at.

/** @typedef {{state: string, speaking: string[], level: number, count: number, seq: number}} Now */

const EMSG = 0x656d7367; // a message and its moment: ISO/IEC 23009-1, 5.10.3.3, version 1
const PRFT = 0x70726674; // the wall clock at a sample: ISO/IEC 14496-12, 8.16.5, version 1
const NTP_TO_UNIX_S = 2208988800;

/**
 * The messages of our scheme in a run of parts, each with the second of the broadcast at which it is true; and `t0`, the
 * wall time (ms since 1970) of the broadcast's second 0, if the parts say so. Anything malformed is passed over: the
 * sound does not depend on it.
 * @param {Uint8Array} bytes
 * @returns {{messages: {at: number, now: Now}[], t0: number | null}}
 */
export function alongside(bytes) {
  /** @type {{at: number, now: Now}[]} */
  const messages = [];
  let t0 = null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @param {number} at */
  const long = (at) => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at);
    const kind = view.getUint32(at + 4);
    if (size < 8 || at + size > bytes.length) break;
    if (kind === PRFT && size >= 32 && bytes[at + 8] === 1)
      t0 = (long(at + 16) / 2 ** 32 - NTP_TO_UNIX_S - long(at + 24) / 48000) * 1000;
    if (kind === EMSG && size > 40 && bytes[at + 8] === 1) {
      const [scheme, , ...rest] = new TextDecoder().decode(bytes.subarray(at + 32, at + size)).split("\0");
      try {
        if (scheme === "urn:rostra:now")
          messages.push({ at: long(at + 16) / view.getUint32(at + 12), now: JSON.parse(rest.join("\0")) });
      } catch {
        // A message that is not JSON says nothing.
      }
    }
    at += size;
  }
  return { messages, t0 };
}
