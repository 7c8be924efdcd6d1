// What the studio draws from what the stage says.

/**
 * @typedef {{loss_pct: number, rtt_ms: number | null, jitter_ms: number, words: string}} Connection
 * @typedef {{seat: string, name: string, role: string, on_stage: boolean, via: string, muted: boolean, muted_by: string,
 *   unmute_asked: boolean, connection: Connection | null}} SeatShown
 * @typedef {{id: string, title: string, state: string, starts: string | null, live_since: string | null, ended: string | null,
 *   count: number, room_left_s: number | null, notices: {code: string, message: string}[], seats: SeatShown[], page: string,
 *   you: {seat: string | null, role: string}, now: string}} Studio
 * @typedef {(type: string, fields?: Record<string, unknown>) => Promise<any>} Command
 */

/** Change the text only where it differs, so that nothing is read out twice. @param {Element} where @param {string} text */
export function fill(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** @param {string} name */
export const initials = (name) => {
  const words = name.split(/\s+/).filter(Boolean).map((word) => [...word][0]);
  return [...words.slice(0, 1), ...words.slice(1).slice(-1)].join("").toUpperCase();
};

/** @param {SeatShown} one */
function stateOf(one) {
  if (!one.on_stage) return "not here";
  const heard = one.muted ? "muted" : "can be heard";
  const line = one.connection ? `connection ${one.connection.words}` : "";
  return [one.via === "whip" ? "by encoder" : "", heard, line].filter(Boolean).join(" · ");
}

/**
 * What is still to do before going live. `state`: "yes", "care" or "open".
 * @param {Studio} studio
 * @param {{mic: boolean, tested: boolean, on: boolean}} mine
 * @returns {{state: string, text: string}[]}
 */
export function checksOf(studio, mine) {
  const here = studio.seats.filter((one) => one.on_stage);
  const missing = studio.seats.filter((one) => !one.on_stage && one.seat !== studio.you.seat);
  const shaky = here.filter((one) => one.connection && one.connection.words !== "good");
  const open = studio.state === "open";
  const list = [
    mine.tested ? { state: "yes", text: "Your microphone sounds right" }
    : { state: mine.mic ? "care" : "open", text: mine.mic ? "Test your microphone for two seconds" : "Choose your microphone" },
    { state: open ? "yes" : "open", text: open ? "The green room is open" : "Open the green room" },
    { state: mine.on ? "yes" : "open", text: mine.on ? "You are on the stage" : "Go to the stage" },
  ]; // prettier-ignore
  if (missing.length) list.push({ state: "care", text: `${names(missing)} ${missing.length === 1 ? "is" : "are"} not here yet` });
  else if (studio.seats.length > 1) list.push({ state: "yes", text: "All speakers are here" });
  if (shaky.length) list.push({ state: "care", text: `The connection of ${names(shaky)} is ${shaky[0].connection?.words}` });
  if (studio.room_left_s !== null)
    list.push(studio.room_left_s > 2 * 3600 ? { state: "yes", text: "There is room for the recording" }
      : { state: "care", text: `The disk has room for ${Math.round(studio.room_left_s / 60)} minutes` }); // prettier-ignore
  return list;
}

/** @param {SeatShown[]} seats */
function names(seats) {
  const all = seats.map((one) => `\u2068${one.name}\u2069`);
  return all.length < 3 ? all.join(" and ") : `${all.slice(0, 2).join(", ")} and ${all.length - 2} more`;
}

/** @param {Element} list @param {{state: string, text: string}[]} checks */
export function drawChecks(list, checks) {
  const plain = JSON.stringify(checks);
  if (/** @type {any} */ (list).plain === plain) return;
  /** @type {any} */ (list).plain = plain;
  list.replaceChildren(
    ...checks.map(({ state, text }) => {
      const item = document.createElement("li");
      item.className = state;
      item.textContent = text;
      const done = document.createElement("span");
      done.className = "said";
      done.textContent = state === "yes" ? ": done" : state === "care" ? ": look at this" : ": to do";
      item.append(done);
      return item;
    }),
  );
}

/**
 * What somebody should know now, and what they can do about it.
 * @param {Studio} studio
 * @returns {{text: string, act?: string, command?: string, seat?: string}[]}
 */
export function alertsOf(studio) {
  const found = studio.notices.map((one) => ({ text: one.message }));
  const me = studio.seats.find((one) => one.seat === studio.you.seat);
  /** @type {{text: string, act?: string, command?: string, seat?: string}[]} */
  const more = [];
  if (me?.unmute_asked && me.on_stage) more.push({ text: "The host asks you to unmute.", act: "Unmute", command: "unmute", seat: me.seat });
  const here = studio.seats.filter((one) => one.on_stage);
  if (studio.state === "live" && here.length > 1 && here.every((one) => one.muted))
    more.push({ text: here.length === 2 ? "It is quiet: both microphones are muted." : "It is quiet: all microphones are muted." });
  return [...more, ...found];
}

/**
 * @param {Element} box
 * @param {ReturnType<typeof alertsOf>} alerts
 * @param {Command} command
 */
export function drawAlerts(box, alerts, command) {
  const plain = JSON.stringify(alerts);
  if (/** @type {any} */ (box).plain === plain) return;
  /** @type {any} */ (box).plain = plain;
  box.replaceChildren(
    ...alerts.map((one) => {
      const item = document.createElement("p");
      item.className = "alert";
      item.append(one.text);
      if (one.act) item.append(button(one.act, () => command(one.command ?? "", { seat: one.seat })));
      return item;
    }),
  );
}

/**
 * One card a seat; a card stays the same element, so that focus and rings stay where they are.
 * @param {HTMLElement} list
 * @param {HTMLTemplateElement} template
 * @param {Studio} studio
 * @param {boolean} hosts
 * @param {Command} command
 * @param {(text: string, yes: string) => Promise<boolean>} sure
 */
export function drawSeats(list, template, studio, hosts, command, sure) {
  const cards = new Map([...list.children].map((card) => [/** @type {HTMLElement} */ (card).dataset.seat, card]));
  for (const one of studio.seats) {
    let card = /** @type {HTMLElement | undefined} */ (cards.get(one.seat));
    cards.delete(one.seat);
    if (!card) {
      card = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
      card.dataset.seat = one.seat;
      list.append(card);
    }
    card.classList.toggle("off", !one.on_stage);
    card.classList.toggle("muted", one.muted);
    /** @param {string} part */
    const at = (part) => /** @type {HTMLElement} */ (card?.querySelector(part));
    fill(at(".ring"), initials(one.name));
    fill(at(".name"), one.name);
    const own = one.seat === studio.you.seat;
    fill(at(".you"), [own ? "you" : "", one.role === "host" ? "host" : ""].filter(Boolean).join(", "));
    fill(at(".soft-said"), stateOf(one));
    at(".soft-said").title = one.connection ? `${one.connection.loss_pct} % lost, ${one.connection.rtt_ms ?? "?"} ms there and back` : "";
    const wanted = !hosts || own || ["ended", "cancelled"].includes(studio.state) ? []
      : [one.on_stage ? (one.muted ? (one.unmute_asked ? "Asked" : "Ask to unmute") : "Mute") : "", "New link", "Remove"].filter(Boolean); // prettier-ignore
    const does = at(".does");
    if (does.dataset.has !== wanted.join()) {
      does.dataset.has = wanted.join();
      does.replaceChildren(...wanted.map((what) => button(what, (pressed) => act(what, one, pressed, command, sure), `${what}: ${one.name}`)));
    }
  }
  for (const gone of cards.values()) gone.remove();
}

/**
 * @param {string} what
 * @param {SeatShown} one
 * @param {HTMLButtonElement} pressed
 * @param {Command} command
 * @param {(text: string, yes: string) => Promise<boolean>} sure
 */
async function act(what, one, pressed, command, sure) {
  if (what === "Mute") command("mute", { seat: one.seat });
  if (what === "Ask to unmute") command("ask_unmute", { seat: one.seat });
  if (what === "Remove" && (await sure(`Remove \u2068${one.name}\u2069? Their link stops working.`, "Remove"))) command("remove", { seat: one.seat });
  if (what === "New link" && (await sure(`Make a new link for \u2068${one.name}\u2069? The old one stops working.`, "Make it"))) {
    const made = await command("renew_link", { seat: one.seat });
    if (!made) return;
    const link = `${location.origin}${location.pathname}#key=${made.token}`;
    const copied = await navigator.clipboard.writeText(link).then(() => true, () => false); // prettier-ignore
    fill(pressed, copied ? "Link copied" : link);
  }
}

/**
 * @param {string} text
 * @param {(pressed: HTMLButtonElement) => void} does
 * @param {string} [label]
 */
function button(text, does, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  if (text === "Asked") made.disabled = true;
  made.onclick = () => does(made);
  return made;
}
