// A link's secret stands behind its #; it leaves the browser only when the button is pressed, once.
import { ask } from "./ask.js";

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);
const given = new URLSearchParams(location.hash.slice(1));
const wanted = new URLSearchParams(location.search).get("to") ?? "";
const to = /^\/(studio\/\w+|operator)$/.test(wanted) ? wanted : "/operator";
const token = given.get("token");
const invitation = given.get("invitation");

if (token || invitation) {
  history.replaceState(null, "", location.pathname + location.search);
  $("form").hidden = false;
  $("named").hidden = !invitation;
  $("name").required = Boolean(invitation);
  $("words").textContent = invitation ? "You are invited. Say what you want to be called." : "This link works once. Press to sign in on this device.";
  if (invitation) $("title").textContent = "Welcome";
  if (invitation) $("go").textContent = "Come in";
} else
  ask("GET", "/me").then(
    () => location.replace(to),
    () => {},
  );

// A new link in the tab of an old one: for the browser that is the same page.
addEventListener("hashchange", () => location.hash && location.reload());

$("form").onsubmit = async (/** @type {Event} */ event) => {
  event.preventDefault();
  $("go").disabled = true;
  try {
    if (invitation) await ask("POST", "/people/accept", { token: invitation, name: $("name").value });
    else await ask("POST", "/sign-in", { token });
    location.replace(to);
  } catch (wrong) {
    $("words").textContent = /** @type {Error} */ (wrong).message;
    $("go").disabled = false;
  }
};
