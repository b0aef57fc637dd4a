// Shows the widgets of an exported page without a kernel: it reads their stored state and draws what the labs are made
// of, boxes, HTML and our own widgets (anywidget). Any other widget needs a kernel to be of use, and is left out.

(() => {
  const REFERENCE = "IPY_MODEL_";

  function decode(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new DataView(bytes.buffer);
  }

  // Binary parts are stored beside the state, with the path to where they belong. A path that is gone belonged to an
  // older value.
  function restore(state, buffers) {
    for (const { path, data } of buffers) {
      const holder = path.slice(0, -1).reduce((value, key) => value?.[key], state);
      if (holder) holder[path.at(-1)] = decode(data);
    }
    return state;
  }

  // What anywidget hands to a widget's `render`, with nobody at the other end: sending does nothing.
  class Model {
    constructor(state) {
      this.state = state;
      this.listeners = [];
    }

    get(name) {
      return this.state[name];
    }

    set(name, value) {
      const changes = typeof name === "object" ? name : { [name]: value };
      const changed = Object.keys(changes).filter((key) => changes[key] !== this.state[key]);
      Object.assign(this.state, changes);
      for (const key of changed) this.tell(`change:${key}`, this.state[key]);
      if (changed.length) this.tell("change");
    }

    tell(event, ...details) {
      for (const [wanted, callback] of [...this.listeners]) {
        if (wanted === event) callback(this, ...details);
      }
    }

    on(events, callback) {
      for (const event of events.split(" ")) this.listeners.push([event, callback]);
    }

    off(events = null, callback = null) {
      const named = events?.split(" ");
      this.listeners = this.listeners.filter(([event, listener]) =>
        (named && !named.includes(event)) || (callback && listener !== callback));
    }

    save_changes() {}

    send() {}
  }

  const models = new Map(); // id -> { kind, model }
  for (const script of document.querySelectorAll('script[type="application/vnd.jupyter.widget-state+json"]')) {
    const stored = JSON.parse(script.textContent).state;
    for (const [id, { model_name: kind, state, buffers = [] }] of Object.entries(stored)) {
      models.set(id, { kind, model: new Model(restore(state, buffers)) });
    }
  }
  const find = (reference) => models.get(reference?.replace(REFERENCE, ""));

  const modules = new Map(); // source -> its widget; many widgets share one source
  function load(source) {
    if (!modules.has(source)) {
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      modules.set(source, import(address).then(({ default: widget }) =>
        typeof widget === "function" ? widget() : widget));
    }
    return modules.get(source);
  }

  const styles = new Set();
  function addStyle(text) {
    if (!text || styles.has(text)) return;
    styles.add(text);
    const style = document.createElement("style");
    style.textContent = text;
    document.head.append(style);
  }

  function applyLayout(layout, place) {
    for (const [name, value] of Object.entries(layout?.model.state ?? {})) {
      if (!name.startsWith("_") && value !== null) place.style.setProperty(name.replaceAll("_", "-"), value);
    }
  }

  async function drawBox({ model }, place) {
    const drawn = await Promise.all(model.get("children").map((reference) => {
      const child = place.appendChild(document.createElement("div"));
      return draw(find(reference), child);
    }));
    return drawn.some(Boolean);
  }

  async function drawOwn({ model }, place) {
    addStyle(model.get("_css"));
    const widget = await load(model.get("_esm"));
    model.ready ??= widget.initialize?.({ model });
    await model.ready;
    await widget.render({ model, el: place });
    return true;
  }

  async function drawHtml({ model }, place) {
    place.innerHTML = model.get("value");
    return true;
  }

  const DRAW = {
    AnyModel: [drawOwn, "widget-own"],
    BoxModel: [drawBox, "widget-box"],
    HBoxModel: [drawBox, "widget-hbox"],
    VBoxModel: [drawBox, "widget-vbox"],
    HTMLModel: [drawHtml, "widget-html"],
  };

  // Draws a widget in its place, and tells whether there was anything to draw; if not, the place is taken away.
  async function draw(widget, place) {
    const [way, name] = DRAW[widget?.kind] ?? [];
    if (way) {
      const { model } = widget;
      place.classList.add(name, ...(model.get("_dom_classes") ?? []));
      applyLayout(find(model.get("layout")), place);
      if (await way(widget, place)) return true;
    }
    place.remove();
    return false;
  }

  // A film strip stands where the widget is to come: it goes once the widget is there, and stays if that fails.
  async function show(stage) {
    const strip = [...stage.childNodes];
    const place = stage.appendChild(document.createElement("div"));
    try {
      if (await draw(models.get(stage.dataset.model), place)) strip.forEach((node) => node.remove());
    } catch (error) {
      place.remove();
      console.error(error);
    }
  }

  document.querySelectorAll("[data-model]").forEach(show);
})();
