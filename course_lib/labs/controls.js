// The controls' face. Each kind of field is a function that gives its nodes and a way to set its value from the kernel.

const DICE = "M3 1.5h10A1.5 1.5 0 0 1 14.5 3v10a1.5 1.5 0 0 1-1.5 1.5H3A1.5 1.5 0 0 1 1.5 13V3A1.5 1.5 0 0 1 3 1.5zM3 3v10h10V3zM4 5.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0zM9 5.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0zM4 10.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0zM9 10.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0z";
const STEP_REST_MS = 250; // a held key steps fast: the model is asked when it rests
const DICE_SIDES = 10000; // seeds that the dice throws stay short enough to be typed again

const KINDS = {
  text({ rest }, id, send) {
    const input = control("input", { type: "text", id, autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", () => send(input.value, rest));
    input.addEventListener("change", () => send(input.value));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send(input.value);
      event.stopPropagation(); // Enter with Shift or Ctrl would run the cell
    });
    return { nodes: [input], set: (value) => { if (document.activeElement !== input) input.value = value; } };
  },

  number({ low, high, dice, label }, id, send) {
    const input = control("input", { type: "number", id, min: low, max: high, step: 1, inputmode: "numeric" });
    const read = () => (input.value === "" ? "" : Number(input.value));
    input.addEventListener("input", () => send(read(), STEP_REST_MS));
    input.addEventListener("change", () => send(read()));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send(read());
      event.stopPropagation();
    });
    const nodes = [input];
    if (dice) {
      const throwIt = control("button", { type: "button", class: "dice", title: "Another at random", "aria-label": `Another ${label.toLowerCase()}, at random` }, icon(DICE));
      throwIt.addEventListener("click", () => {
        input.value = low + Math.floor(Math.random() * Math.min(DICE_SIDES, high - low + 1));
        send(read());
      });
      nodes.push(throwIt);
    }
    return { nodes, set: (value) => { if (document.activeElement !== input) input.value = value; } };
  },

  slider({ low, high, step }, id, send) {
    const input = control("input", { type: "range", id, min: low, max: high, step });
    const shown = make("output", { for: id });
    const show = () => { shown.textContent = String(Number(input.value)).replace("-", "−"); };
    input.addEventListener("input", () => { show(); });
    input.addEventListener("change", () => send(Number(input.value)));
    return { nodes: [input, shown], set: (value) => { input.value = value; show(); } };
  },

  choice({ options }, id, send) {
    const select = control("select", { id }, ...options.map((text) => make("option", { value: text }, text)));
    select.addEventListener("change", () => send(select.value));
    return { nodes: [select], set: (value) => { select.value = value; } };
  },

  toggle(_, id, send) {
    const input = control("input", { type: "checkbox", id });
    input.addEventListener("change", () => send(input.checked));
    return { nodes: [input], set: (value) => { input.checked = value; } };
  },

  button({ label }, id, send) {
    let presses = 0;
    const press = control("button", { type: "button", id, class: "press" }, label);
    press.addEventListener("click", () => send(presses + 1));
    return { nodes: [press], set: (value) => { presses = value; } };
  },
};

function render({ model, el }) {
  const timers = {};
  const setters = {};

  // Send one field's value now, or when it has rested.
  function sender(name) {
    const now = (value) => {
      clearTimeout(timers[name]);
      const values = model.get("values");
      if (values[name] === value) return;
      model.set("values", { ...values, [name]: value });
      model.save_changes();
    };
    return (value, rest = 0) => {
      clearTimeout(timers[name]);
      if (rest) timers[name] = setTimeout(() => now(value), rest);
      else now(value);
    };
  }

  const fields = make("div", { class: "fields" });
  for (const [name, spec] of Object.entries(model.get("fields"))) {
    const id = unique(name);
    const { nodes, set } = KINDS[spec.kind](spec, id, sender(name));
    setters[name] = set;
    const label = spec.kind === "button" ? [] : [make("label", { for: id }, spec.label)]; // a button carries its own
    fields.append(make("div", { class: `field ${spec.kind}` }, ...label, make("div", { class: "entry" }, ...nodes)));
  }
  const busy = make("span", { class: "busy" }, make("span", { class: "spinner" }), "working");
  const message = make("span", { class: "message", role: "status", "aria-live": "polite" });
  const said = make("div", { class: "said" }, busy, message);
  const root = make("div", { class: "lab-part card controls", role: "group", "aria-label": "Controls" }, fields, said);
  el.replaceChildren(root);

  const showValues = () => {
    for (const [name, value] of Object.entries(model.get("values"))) setters[name]?.(value);
  };
  const showState = () => {
    busy.hidden = !model.get("busy");
    message.textContent = model.get("message");
    message.classList.toggle("wrong", model.get("wrong"));
    root.toggleAttribute("data-busy", model.get("busy"));
  };
  model.on("change:values", showValues);
  for (const name of ["busy", "message", "wrong"]) model.on(`change:${name}`, showState);
  showValues();
  showState();
  if (document.documentElement.dataset.kernel === "none") {
    fields.inert = true;
    busy.hidden = true;
    message.textContent = "To change these, open the chapter in JupyterLab: they need the model. The slider works here.";
  }

  return () => {
    Object.values(timers).forEach(clearTimeout);
    model.off("change:values", showValues);
    for (const name of ["busy", "message", "wrong"]) model.off(`change:${name}`, showState);
  };
}

export default { render };
