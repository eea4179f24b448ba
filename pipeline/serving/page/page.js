// Queries the service while a question is typed, and shows its answers as plain text, never as markup.

const WAIT_MS = 150;
const byId = (id) => document.getElementById(id);
const form = byId("form");
const percent = (share) => `${(100 * share).toFixed(share > 0.999 || share < 0.001 ? 2 : 1)}\u00a0%`;
const cosine = (value) => value.toFixed(4);
const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

let waiting = null;
let running = null;

class Refused extends Error {}

async function ask(path, body, signal) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (form.token.value) headers.Authorization = `Bearer ${form.token.value}`;
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  const answer = await response.json();
  if (response.status === 401) byId("token-field").hidden = false;
  if (!response.ok && !("status" in answer)) throw new Refused(answer.detail);
  return answer;
}

function say(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

function clear() {
  byId("answer").hidden = true;
  byId("found").hidden = true;
  say("error", "");
}

function showVerdict(answer) {
  const [result] = answer.results;
  const decides = result.same !== null;
  byId("answer").classList.toggle("same", result.same === true);
  byId("answer").hidden = false;
  if (!decides) {
    say("verdict", `Cosine ${cosine(result.cosine)}`);
    say("why", "This model has no calibrated threshold, so there is only a cosine.");
    return;
  }
  say("verdict", result.same ? "The same question" : "Different questions");
  const comparison = result.same ? "reaches" : "is below";
  say(
    "why",
    `The cosine ${cosine(result.cosine)} ${comparison} the threshold ${cosine(answer.threshold)}. ` +
      `The probability of a duplicate is ${percent(result.probability)}, ` +
      `assuming that ${percent(answer.prior)} of the pairs are duplicates.`,
  );
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showFound(answer) {
  const found = answer.results[0];
  byId("found").hidden = false;
  const same = found.filter((one) => one.same).length;
  const decided = answer.threshold === null ? "" : `; ${same} of them ${same === 1 ? "is a duplicate" : "are duplicates"}`;
  byId("count").textContent = found.length ? `${count(found.length, "question")}${decided}` : "There are no known questions yet.";
  byId("list").replaceChildren(
    ...found.map((one) => {
      const item = element("li", "");
      const figures = element("div", "figures");
      const bar = element("div", "bar");
      const filled = element("span", "");
      filled.style.width = `${100 * Math.max(0, one.probability ?? one.cosine)}%`;
      bar.append(filled);
      bar.setAttribute("aria-hidden", "true");
      figures.append(bar);
      if (one.probability !== null) figures.append(element("span", "", `probability ${percent(one.probability)}`));
      figures.append(element("span", "", `cosine ${cosine(one.cosine)}`));
      if (one.same) figures.append(element("span", "tag", "same"));
      item.append(element("div", "question", one.question), figures);
      return item;
    }),
  );
}

async function answer() {
  clearTimeout(waiting);
  running?.abort();
  running = null;
  const [first, second] = [form.first.value, form.second.value];
  if (!first.trim() || !form.prior.validity.valid || !form.top.validity.valid) {
    clear();
    if (first.trim()) say("error", "Enter a share between 0 and 100 %, and 1 to 100 questions to show.");
    return;
  }
  const mine = new AbortController();
  running = mine;
  const prior = form.prior.value ? Number(form.prior.value) / 100 : null;
  try {
    const [compared, found] = await Promise.all([
      second.trim() ? ask("compare", { pairs: [[first, second]], prior }, mine.signal) : null,
      ask("search", { questions: [first], top: Number(form.top.value) || 10, prior }, mine.signal),
    ]);
    if (running !== mine) return;
    say("error", "");
    if (compared) showVerdict(compared);
    else byId("answer").hidden = true;
    showFound(found);
  } catch (error) {
    if (running !== mine || error.name === "AbortError") return;
    clear();
    say("error", error instanceof Refused ? error.message : "The service does not respond. Is it running?");
  }
}

async function introduce() {
  try {
    const { about: health } = await ask("health");
    if (!health) {
      byId("token-field").hidden = false;
      say("about", "Enter the token of this service below.");
      return;
    }
    const corpus = health.corpus ? ` from ${health.corpus}` : "";
    say("about", `${count(health.known_questions, "known question")}${corpus}. Model: ${health.description}.`);
  } catch {
    say("about", "The service does not respond. Is it running?");
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});
form.token.addEventListener("change", introduce);
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(answer, WAIT_MS);
});
introduce();
