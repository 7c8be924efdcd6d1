// The office: Spaces for everybody who hosts; people and health for those who operate the server.
import { Refusal, ask } from "./ask.js";
import { LAMP, when, zone } from "../player/words.js";

/** @typedef {import("../player/words.js").Space & {page: string}} Space */
/** @typedef {{id: string, name: string, role: string, since: string, expires?: string}} Person */

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);
/** @type {Person} */
let me;

/** @param {unknown} wrong */
function failed(wrong) {
  $("words").textContent = wrong instanceof Error ? wrong.message : String(wrong);
  if (wrong instanceof Refusal && wrong.status === 401) $("signin").hidden = false;
  else if (!(wrong instanceof Refusal)) throw wrong;
}

/** Do what was pressed, then look again. @param {() => Promise<unknown>} does */
async function doing(does) {
  $("words").textContent = "";
  try {
    await does();
    await look();
  } catch (wrong) {
    failed(wrong);
  }
}

/** @param {string} text @param {string} yes @returns {Promise<boolean>} */
function sure(text, yes) {
  const box = $("sure");
  $("suretext").textContent = text;
  $("sureyes").textContent = yes;
  box.returnValue = "no"; // Escape need not change it
  box.showModal();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true }));
}

/** @param {string} text @param {() => void} does @param {string} label */
function button(text, does, label) {
  const made = document.createElement("button");
  made.textContent = text;
  made.setAttribute("aria-label", `${text}: ${label}`);
  made.onclick = does;
  return made;
}

/** @param {string} text @param {string} href @param {string} label */
function link(text, href, label) {
  const made = document.createElement("a");
  made.className = "button";
  made.textContent = text;
  made.href = new URL(href).pathname;
  made.setAttribute("aria-label", `${text}: ${label}`);
  return made;
}

/** @param {Space} one */
function spaceRow(one) {
  const row = $("space").content.firstElementChild.cloneNode(true);
  const [lamp, name, said] = row.querySelectorAll("p");
  lamp.dataset.state = one.state;
  lamp.textContent = LAMP[one.state];
  name.firstElementChild.textContent = one.title;
  const live = one.state === "live" || one.state === "break";
  const over = one.state === "ended" || one.state === "cancelled";
  said.textContent = [
    one.host,
    live ? `${one.count.toLocaleString("en")} listening` : over ? (one.ended ? when(one.ended) : "") : one.starts ? when(one.starts) : "no time set",
  ].filter(Boolean).join(" · "); // prettier-ignore
  const does = row.querySelector(".does");
  does.append(link("Page", one.page, one.title));
  if (!over) {
    does.append(link("Studio", one.page.replace("/s/", "/studio/"), one.title));
    const [text, question] = live ? ["End", `End “${one.title}” for everybody? The recording is kept.`] : ["Cancel", `Cancel “${one.title}”? Listeners are told at once.`];
    does.append(button(text, async () => (await sure(question, text)) && doing(() => ask("POST", `/spaces/${one.id}/end`, {})), one.title));
  }
  return row;
}

/** @param {Person} one @param {boolean} waiting */
function personRow(one, waiting) {
  const row = $("person").content.firstElementChild.cloneNode(true);
  row.querySelector("bdi").textContent = one.name;
  row.querySelectorAll("p")[1].textContent = waiting ? `invited, until ${when(one.expires ?? null)}` : `${one.role}, since ${when(one.since)}`;
  const does = row.querySelector(".does");
  if (waiting) does.append(button("Take back", () => doing(() => ask("DELETE", `/people/invitations/${one.id}`)), one.name));
  else if (one.id !== me.id) {
    const question = `Remove ${one.name}? They are signed out everywhere; their Spaces fall to you.`;
    does.append(button("Sign-in link", () => doing(() => showLink(one)), one.name));
    does.append(button("Remove", async () => (await sure(question, "Remove")) && doing(() => ask("DELETE", `/people/${one.id}`)), one.name));
  }
  return row;
}

/** @param {Person} one */
async function showLink(one) {
  give((await ask("POST", "/links", { account: one.id })).link, one.name);
}

/** @param {string} address @param {string} name */
function give(address, name) {
  $("made").hidden = false;
  $("link").value = address;
  $("for").textContent = name;
  $("copy").textContent = "Copy the link";
  $("copy").focus();
}

async function look() {
  const { spaces } = await ask("GET", "/spaces?limit=100");
  $("spaces").replaceChildren(...spaces.map(spaceRow));
  $("none").hidden = spaces.length > 0;
  if (me.role !== "operator") return;
  const all = await ask("GET", "/people");
  $("people").replaceChildren(
    ...all.people.map((/** @type {Person} */ one) => personRow(one, false)),
    ...all.invitations.map((/** @type {Person} */ one) => personRow(one, true)),
  );
}

async function health() {
  const page = await fetch("/metrics", { signal: AbortSignal.timeout(4000) })
    .then((response) => (response.ok ? response.text() : "")).catch(() => ""); // prettier-ignore
  const lines = page ? page.split("\n") : ['rostra_up{role="control"} 0'];
  /** @param {string} name @param {string} process */
  const sum = (name, process) =>
    lines.filter((line) => line.startsWith(`${name}{`) && line.includes(`role="${process}"`))
      .reduce((all, line) => all + Number(line.split(" ").pop()), 0); // prettier-ignore
  /** @type {Record<string, (process: string) => string>} */
  const said = {
    door: (process) => `${sum("rostra_wire_open", process)} connections`,
    edge: (process) => `${sum("rostra_edge_listeners", process)} listening`,
    stage: (process) => `${sum("rostra_stage_speakers", process)} speaking, Spaces open: ${sum("rostra_stage_spaces", process)}`,
    radio: (process) => `MP3 streams of Spaces: ${sum("rostra_radio_tuned", process)}`,
    control: () => "people and plans",
  };
  const order = Object.keys(said);
  /** @param {string} process */
  const role = (process) => process.split("-")[0];
  const processes = lines.flatMap((line) => /^rostra_up\{role="([^"]+)"\}/.exec(line)?.[1] ?? []);
  processes.sort((one, other) => order.indexOf(role(one)) - order.indexOf(role(other)) || one.localeCompare(other, "en", { numeric: true }));
  $("roles").replaceChildren(
    ...processes.map((process) => {
      const tile = document.createElement("li");
      const up = sum("rostra_up", process) > 0;
      const name = document.createElement("b");
      name.className = up ? "yes" : "care";
      name.textContent = process[0].toUpperCase() + process.slice(1).replace("-", " ");
      const faults = sum("rostra_wire_faults_total", process);
      tile.append(name, !up ? "does not answer; it is started again by itself" : faults ? `${faults} faults, see the log` : said[role(process)]?.(process) ?? "answers");
      return tile;
    }),
  );
}

/** @param {{value: string | number | string[] | null, changed: boolean, secret: boolean}} one */
function acts(one) {
  if (one.secret) return one.changed ? "set, not shown here" : "not set";
  const text = Array.isArray(one.value) ? one.value.join(", ") : String(one.value);
  return text || "empty";
}

async function settings() {
  const found = (await ask("GET", "/settings")).settings;
  $("settings").replaceChildren(
    ...found.map((/** @type {any} */ one) => {
      const row = $("setting").content.firstElementChild.cloneNode(true);
      row.querySelector("code").textContent = one.name;
      row.querySelector("p").textContent = one.meaning;
      const [value, changed] = row.querySelectorAll("td > *");
      value.textContent = acts(one);
      changed.hidden = !one.changed;
      return row;
    }),
  );
  $("inforce").hidden = false;
}

async function begin() {
  $("zone").textContent = zone;
  try {
    me = await ask("GET", "/me");
    await look();
  } catch (wrong) {
    return failed(wrong);
  }
  $("words").textContent = "";
  $("me").textContent = me.name;
  $("hostname").placeholder = me.name;
  for (const id of ["out", "new", "mine"]) $(id).hidden = false;
  if (me.role !== "operator") return;
  $("all").hidden = false;
  $("health").hidden = false;
  await health();
  settings().catch(failed);
  setInterval(() => document.hidden || health(), 5000);
}

$("starts").oninput = () => {
  const value = $("starts").value;
  $("startsaid").textContent = value ? `That is ${new Date(value).toUTCString().replace(/:\d\d GMT$/, " UTC")}.` : "";
};
$("create").onsubmit = (/** @type {Event} */ event) => {
  event.preventDefault();
  doing(async () => {
    const starts = $("starts").value ? new Date($("starts").value).toISOString() : null;
    const made = await ask("POST", "/spaces", { title: $("title").value, starts, host_name: $("hostname").value || null });
    $("create").reset();
    $("startsaid").textContent = "";
    $("words").textContent = `“${made.title}” is scheduled. Its page is up.`;
  });
};
$("invite").onsubmit = (/** @type {Event} */ event) => {
  event.preventDefault();
  const name = $("name").value;
  doing(async () => {
    const made = await ask("POST", "/people/invitations", { name, role: $("operates").checked ? "operator" : "host" });
    $("name").value = "";
    give(made.link, name);
  });
};
$("copy").onclick = async () => {
  $("link").select();
  await navigator.clipboard.writeText($("link").value).catch(() => document.execCommand("copy"));
  $("copy").textContent = "Copied";
};
$("out").onclick = async () => {
  await ask("POST", "/sign-out").catch(() => {});
  location.replace("/sign-in");
};
begin();
