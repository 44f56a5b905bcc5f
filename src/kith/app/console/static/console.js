"use strict";
// One key per act, and words that open in their card without loading the page again. Every page works without this.

const TYPING = "input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]";
const STORED = "kith-staff-shortcuts";

const shortcutsOn = () => localStorage.getItem(STORED) !== "off";

function press(element) {
  if (element.matches("textarea, select")) element.focus();
  else element.click();
}

document.addEventListener("keydown", (event) => {
  if (!shortcutsOn() || event.ctrlKey || event.metaKey || event.altKey || event.target.matches(TYPING)) return;
  const key = event.key.toLowerCase();
  const card = event.target.closest("[data-thing]");
  const found = (card && card.querySelector(`[data-verdict-key="${CSS.escape(key)}"]`))
    || document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!found) return;
  event.preventDefault();
  press(found);
});

const toggle = document.getElementById("shortcuts");
if (toggle) {
  const show = () => { toggle.setAttribute("aria-pressed", String(shortcutsOn())); };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    localStorage.setItem(STORED, shortcutsOn() ? "off" : "on");
    show();
  });
  show();
}

// Opening words -----------------------------------------------------------------------------------

const BEFORE = {
  delete: "Took an earlier message back.",
  edit: "New words for an earlier message:",
  reaction: "A reaction:",
  reply: "An answer:",
  unreadable: "Not a message in the right form; the bytes as they stand:",
};

function line(className, words) {
  const made = document.createElement("p");
  made.className = className;
  made.textContent = words;
  return made;
}

function saidBox(said) {
  const box = document.createElement("div");
  box.className = "said";
  box.tabIndex = -1;
  if (BEFORE[said.kind]) box.append(line("small", BEFORE[said.kind]));
  const words = line("words", said.text || "(no words)");
  words.dir = "auto";
  box.append(words);
  if (said.forwarded) box.append(line("small", `Forwarded from elsewhere, ${said.forwarded} ${said.forwarded === 1 ? "time" : "times"} so far.`));
  return box;
}

/** A form of its own for each attachment: what it opens is one act, on one page. */
function attached(opener, id, file) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = opener.action.replace(/open$/, "attachments");
  form.target = "_blank";
  form.className = "row";
  for (const [name, value] of [["csrf", opener.elements.csrf.value], ["exhibit", id], ["part", String(file.part)]]) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  const words = document.createElement("span");
  words.className = "small";
  const quoted = (text) => { const made = document.createElement("bdi"); made.textContent = text; return made; };
  words.append("Attachment: ", quoted(file.name || "without a name"), ", ", quoted(file.media_type));
  if (file.description) words.append(". Described as: ", quoted(file.description));
  const button = document.createElement("button");
  button.textContent = "Check and open";
  form.append(words, button);
  return form;
}

function put(id, said) {
  const card = document.querySelector(`[data-thing="${CSS.escape(id)}"]`);
  if (!card) return null;
  card.querySelector(".said")?.remove();
  const form = card.querySelector("form[data-open]");
  const box = saidBox(said);
  const opener = form || document.querySelector("form[data-open]");
  if (opener) for (const file of said.files) box.append(attached(opener, id, file));
  const hide = document.createElement("button");
  hide.type = "button";
  hide.className = "quiet";
  hide.textContent = "Hide";
  hide.addEventListener("click", () => { box.remove(); if (form) { form.hidden = false; form.querySelector("button").focus(); } });
  box.append(hide);
  if (form) form.hidden = true;
  card.querySelector("header").after(box);
  return box;
}

for (const form of document.querySelectorAll("form[data-open]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) { form.submit(); return; }
    const { things, views, most } = await answer.json();
    const boxes = Object.entries(things).map(([id, said]) => put(id, said)).filter(Boolean);
    const count = document.querySelector("[data-exposure]:not(.notice)");
    if (count) count.textContent = `Opened in this shift: ${views} of ${most} messages.`;
    boxes[0]?.focus();
  });
}

// The decision form -------------------------------------------------------------------------------

const policy = document.getElementById("policy");
if (policy) {
  const severity = document.getElementById("severity");
  const looks = document.getElementById("looks");
  const fill = (choose) => {
    const chosen = policy.selectedOptions[0];
    looks.textContent = chosen?.dataset.looks ? `Look for: ${chosen.dataset.looks}.` : "";
    if (choose && chosen?.dataset.severity) severity.value = chosen.dataset.severity;
    const may = chosen?.dataset.actions?.split(" ");
    for (const radio of document.querySelectorAll("input[name=action]")) {
      radio.disabled = Boolean(may) && !may.includes(radio.value);
      if (radio.disabled) radio.checked = false;
    }
  };
  policy.addEventListener("change", () => fill(true));
  fill(false);
}

document.getElementById("problem")?.scrollIntoView({ block: "nearest" });
