// What a person does here is done by Airflow's own REST API, signed in by the cookie: its permissions, its record.
const airflow = document.body.dataset.airflow;
const api = `${airflow}/api/v2`;
const ENDED = ["success", "failed"];
const POLL_MS = 2000;
const POLLS = 300;

async function call(method, path, body) {
  const answer = await fetch(api + path, {
    method,
    credentials: "same-origin",
    headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
  }).catch(() => {
    const unsure = method === "GET" ? "" : " It may have been told all the same: look there before you try again.";
    throw new Error(`Airflow's server does not answer.${unsure}`);
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(why(answer.status, said.detail));
  return said;
}

function why(status, detail) {
  if (status === 401) return "You are not signed in any more. Sign in to Airflow and try again.";
  if (status === 403) return "Airflow says that you may not do this.";
  if (status === 404) return "Airflow does not know it: has its DAG been read yet?";
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((each) => `${each.loc?.at(-1)}: ${each.msg}`).join("; ");
  return `Airflow answered ${status}.`;
}

function tell(form, text, kind = "", run = null) {
  const place = form.querySelector(".result");
  place.className = `result ${kind}`;
  place.textContent = text;
  if (!run) return;
  const link = document.createElement("a");
  link.className = "airflow";
  link.href = `${airflow}/dags/${encodeURIComponent(run.dag_id)}/runs/${encodeURIComponent(run.dag_run_id)}`;
  link.textContent = "See its run in Airflow";
  place.append(" ", link);
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Tells how a run goes, until it ends; whether it has. */
async function follow(form, run, words) {
  const path = `/dags/${encodeURIComponent(run.dag_id)}`;
  const { is_paused: paused } = await call("GET", path);
  const waits = paused ? ` The DAG ${run.dag_id} is paused: it waits until somebody unpauses it.` : "";
  let state = "";
  for (let poll = 0; poll < POLLS && !ENDED.includes(state); poll += 1) {
    const now = await call("GET", `${path}/dagRuns/${encodeURIComponent(run.dag_run_id)}`);
    if (now.state !== state) {
      state = now.state;
      if (state === "success") tell(form, words.done, "good", run);
      else if (state === "failed") tell(form, `${words.what} failed: the log of its task says why.`, "bad", run);
      else tell(form, `${words.what} is ${state}.${waits}`, "", run);
    }
    if (!ENDED.includes(state)) await pause(POLL_MS);
  }
  if (ENDED.includes(state)) return true;
  tell(form, `${words.what} takes long: its run tells how it goes.${waits}`, "", run);
  return false;
}

/** The fields of a form as Airflow's parameters: empty ones are left to their defaults, typed ones are JSON. */
function fields(form) {
  const conf = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || field.value.trim() === "") continue;
    conf[field.name] = field.dataset.type ? JSON.parse(field.value) : field.value.trim();
  }
  return conf;
}

/** Does something once: the buttons come back where it failed, or where `work` says that it may be done again. */
async function guarded(form, work) {
  const buttons = [...form.querySelectorAll("button")];
  buttons.forEach((button) => (button.disabled = true));
  let again = true;
  try {
    again = await work();
  } catch (error) {
    tell(form, error.message, "bad");
  }
  if (again) buttons.forEach((button) => (button.disabled = false));
}

/** What the browser cannot check by itself; empty where all is well. */
function mistake(form) {
  const one = form.querySelector("fieldset");
  if (!one) return "";
  const filled = [...one.querySelectorAll("input")].filter((field) => field.value.trim() !== "").length;
  return filled === 1 ? "" : `${filled} of the fields that say whose are filled in: fill in exactly one.`;
}

function trigger(form) {
  const wrong = mistake(form);
  if (wrong) return tell(form, wrong, "bad");
  const words = { what: form.dataset.what, done: form.dataset.done };
  return guarded(form, async () => {
    tell(form, `${words.what} is asked for …`);
    const body = { logical_date: null, conf: fields(form) };
    const run = await call("POST", `/dags/${encodeURIComponent(form.dataset.dag)}/dagRuns`, body);
    try {
      return (await follow(form, run, words)) && "again" in form.dataset;
    } catch (error) {
      // It was started: what failed is the question, and a second rollback would go a step further.
      tell(form, `${words.what} was started. How it goes cannot be asked: ${error.message}`, "bad", run);
      return false;
    }
  });
}

function answer(form, waiting, option) {
  const { dag_id: dag, dag_run_id: run, task_id: task, map_index: index } = waiting.task_instance;
  const path = [`/dags/${encodeURIComponent(dag)}`, `dagRuns/${encodeURIComponent(run)}`];
  path.push(`taskInstances/${encodeURIComponent(task)}/${index}`, "hitlDetails");
  return guarded(form, async () => {
    await call("PATCH", path.join("/"), { chosen_options: [option], params_input: fields(form) });
    tell(form, `Answered: ${option}. The run goes on.`, "good", waiting.task_instance);
    return false;
  });
}

async function listWaiting(place) {
  const none = place.querySelector(".none");
  try {
    const asked = "response_received=false&state=awaiting_input&order_by=-created_at&limit=50";
    const found = await call("GET", `/dags/${encodeURIComponent(place.dataset.dag)}/dagRuns/~/hitlDetails?${asked}`);
    none.textContent = found.hitl_details.length ? "" : "Nothing waits for an answer.";
    found.hitl_details.forEach((waiting, number) => place.append(question(waiting, number)));
  } catch (error) {
    none.textContent = error.message;
  }
}

function question(waiting, number) {
  const form = document.getElementById("question").content.cloneNode(true).querySelector("form");
  const { dag_id: dag, dag_run_id: run, task_id: task } = waiting.task_instance;
  form.querySelector("h3").textContent = waiting.subject;
  form.querySelector("a.airflow").href =
    `${airflow}/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}/tasks/${encodeURIComponent(task)}/required_actions`;
  const field = form.elements.reason;
  field.id = `reason-${number}`;
  form.querySelector("label").htmlFor = field.id;
  for (const option of waiting.options) {
    const button = document.createElement("button");
    button.type = "button"; // none is the form's default: Enter in the field must not approve
    button.textContent = option;
    button.addEventListener("click", () => form.reportValidity() && answer(form, waiting, option));
    if (option !== waiting.options[0]) button.className = "second";
    form.querySelector(".buttons").append(button);
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

for (const form of document.querySelectorAll("form[data-dag]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    trigger(form);
  });
  form.querySelector("button").disabled = false;
}
document.querySelectorAll(".waiting").forEach(listWaiting);
