"use strict";

// The gallery of explained images. All elements are made with createElement and textContent: class names and the like
// come from a data set, and nothing in them may become markup.
(() => {
  const root = document.getElementById("gallery");
  const source = document.getElementById("gallery-data");
  if (!root || !source) return;

  const { items, pictures, explainers, curves, colours } = JSON.parse(source.textContent);
  const form = root.querySelector("form");
  const grid = root.querySelector(".gallery-grid");
  const dialog = root.querySelector("dialog");
  const more = root.querySelector(".gallery-more");
  const BATCH = 24; // cards made at a time
  const MOST_PAINTED = 200; // cards, on paper too; those that were seen longest ago give their pixels back
  const MOST_DECODED = 100e6; // bytes of decoded sheets
  const SMALL = 96; // pixels: up to here a picture's pixels stay sharp squares, as in the figures

  items.forEach((item, index) => {
    item.index = index;
    item.right = item.true === item.predicted;
    item.margin = item.confidence - item.true_probability;
  });

  // ---------------------------------------------------------------------------------------------------- elements

  /** An element with attributes, and children that are elements or texts; what is null is left out. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  /** A name from the data set; <bdi> keeps one that is written from right to left from turning its surroundings. */
  const named = (name) => make("bdi", {}, name || "(no name)");
  const percent = (value, digits = 0) => (value === null ? "–" : `${(100 * value).toFixed(digits)}%`);
  const counted = (count) => count.toLocaleString("en");
  const quoted = (name) => `“${name || "(no name)"}”`;
  const inQuotes = (name) => make("span", { class: "gallery-quoted" }, "“", named(name), "”");

  // ---------------------------------------------------------------------------------------------------- pixels

  const decoded = new Map(); // address of a sheet → promise of its pixels; the one used longest ago comes first
  let decodedBytes = 0;

  /** The pixels of a sheet: `depth` bytes each, 4 (red, green, blue, alpha) or 1 (the value of a map). */
  function sheetPixels(uri, depth) {
    const known = decoded.get(uri);
    if (known) {
      decoded.delete(uri);
      decoded.set(uri, known);
      return known;
    }
    const pixels = decode(uri, depth);
    decoded.set(uri, pixels);
    pixels.then(({ data }) => {
      decodedBytes += data.length;
      for (const [old, promise] of decoded) {
        if (decodedBytes <= MOST_DECODED || old === uri) break;
        decoded.delete(old);
        promise.then((gone) => { decodedBytes -= gone.data.length; });
      }
    });
    return pixels;
  }

  async function decode(uri, depth) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
    if (depth === 4) return { data, width };
    const grey = new Uint8ClampedArray(data.length / 4);
    for (let at = 0; at < grey.length; at++) grey[at] = data[4 * at];
    return { data: grey, width };
  }

  /** Tile `index`: { width, height, data }. */
  async function tile(sheets, index, depth) {
    const { width, height, step, columns, rows, uris } = sheets;
    const place = index % (columns * rows);
    const sheet = await sheetPixels(uris[Math.floor(index / (columns * rows))], depth);
    const data = new Uint8ClampedArray(width * height * depth);
    for (let y = 0; y < height; y++) {
      const left = (place % columns) * step[0];
      const top = Math.floor(place / columns) * step[1];
      const start = ((top + y) * sheet.width + left) * depth;
      data.set(sheet.data.subarray(start, start + width * depth), y * width * depth);
    }
    return { width, height, data };
  }

  /** A map's real values at each pixel of a picture; a coarser map is interpolated. */
  async function mapValues(map, index, width, height) {
    const small = await tile(map.sheets, index, 1);
    const low = map.low[index];
    const scale = (map.high[index] - low) / 255;
    const values = new Float32Array(width * height);
    const across = between(width, small.width);
    const down = between(height, small.height);
    for (let y = 0, at = 0; y < height; y++) {
      const [above, below, v] = down[y];
      for (let x = 0; x < width; x++, at++) {
        const [left, right, u] = across[x];
        const upper = small.data[above * small.width + left] * (1 - u) + small.data[above * small.width + right] * u;
        const lower = small.data[below * small.width + left] * (1 - u) + small.data[below * small.width + right] * u;
        values[at] = low + scale * (upper * (1 - v) + lower * v);
      }
    }
    return values;
  }

  /** For each of `many` pixels the two of `few` that it lies between, and the weight of the second. */
  function between(many, few) {
    return Array.from({ length: many }, (_, at) => {
      const place = Math.min(few - 1, Math.max(0, ((at + 0.5) * few) / many - 0.5));
      const first = Math.floor(place);
      return [first, Math.min(few - 1, first + 1), place - first];
    });
  }

  const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const EVIDENCE = bytes(colours.evidence);
  const DIFFERENCE = bytes(colours.difference);

  /** Where the colour of `value`, from 0 to 1, begins in a table. */
  const colourAt = (value) => 3 * Math.min(255, Math.max(0, Math.floor(256 * value)));

  /** Cover a picture with the colour of the evidence from 0 to 1, the more opaque the more evidence there is. */
  function overlay(picture, evidence, opacity) {
    for (let pixel = 0; pixel < evidence.length; pixel++) {
      const colour = colourAt(evidence[pixel]);
      const alpha = opacity * evidence[pixel];
      for (let channel = 0; channel < 3; channel++) {
        const at = 4 * pixel + channel;
        picture[at] = (1 - alpha) * picture[at] + alpha * EVIDENCE[colour + channel];
      }
    }
  }

  /** A difference from -1 to 1 in colours; the less there is, the more the picture is seen below it, in light grey. */
  function contrast(picture, difference) {
    const grey = new Float32Array(difference.length);
    for (let pixel = 0; pixel < grey.length; pixel++) {
      grey[pixel] = (picture[4 * pixel] + picture[4 * pixel + 1] + picture[4 * pixel + 2]) / 765;
    }
    const lightest = grey.reduce((one, other) => Math.max(one, other), 0);
    for (let pixel = 0; pixel < grey.length; pixel++) {
      const paper = 1 - 0.25 * (lightest - grey[pixel]) * (1 - Math.abs(difference[pixel]));
      const colour = colourAt((difference[pixel] + 1) / 2);
      for (let channel = 0; channel < 3; channel++) {
        picture[4 * pixel + channel] = DIFFERENCE[colour + channel] * paper;
      }
    }
  }

  /** Draw a panel; gives back what has to be said of it in words, if anything. */
  async function paint(canvas, item, panel) {
    const picture = await tile(pictures, item.index, 4);
    const { width, height, data } = picture;
    let words = "";
    if (panel.kind === "map") {
      words = await paintMap(data, item.index, panel.map, width, height);
    } else if (panel.kind === "difference") {
      words = await paintDifference(data, item.index, panel.predicted, panel.true, width, height);
    }
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
    return words;
  }

  /** Negative values count as no evidence, and each map goes from its own least to its own most. */
  async function paintMap(picture, index, map, width, height) {
    const least = Math.max(0, map.low[index]);
    const most = Math.max(0, map.high[index]);
    if (most <= least) return "empty map";
    const values = await mapValues(map, index, width, height);
    const evidence = values.map((value) => Math.min(1, (Math.max(0, value) - least) / (most - least) || 0));
    overlay(picture, evidence, state.opacity / 100);
    return "";
  }

  /** Both maps as they are, subtracted, and divided by the range of both together, zero included. */
  async function paintDifference(picture, index, one, other, width, height) {
    const extent = Math.max(one.high[index], other.high[index], 0) - Math.min(one.low[index], other.low[index], 0);
    const [for_predicted, for_true] = await Promise.all([
      mapValues(one, index, width, height),
      mapValues(other, index, width, height),
    ]);
    const difference = for_predicted.map((value, at) => (extent > 0 ? (value - for_true[at]) / extent : 0));
    contrast(picture, difference);
    return difference.some((value) => value !== 0) ? "" : "no difference";
  }

  /** The legend's scales: the evidence's colours as they lie on white, with the opacity that they have there. */
  function paintScales() {
    for (const canvas of root.querySelectorAll(".gallery-scale")) {
      const white = new Uint8ClampedArray(4 * 256).fill(255);
      const ramp = Float32Array.from({ length: 256 }, (_, at) => at / 255);
      if (canvas.dataset.scale === "evidence") overlay(white, ramp, state.opacity / 100);
      else contrast(white, ramp.map((value) => 2 * value - 1));
      canvas.getContext("2d").putImageData(new ImageData(white, 256, 1), 0, 0);
    }
  }

  // ---------------------------------------------------------------------------------------------------- panels

  /** What there is to see of an image by one explainer: a map for each class, and the difference of two. */
  function panelsOf(item, explainer) {
    const byClass = new Map();
    const maps = new Map();
    for (const map of explainer ? explainer.targets : []) {
      const model = Object.hasOwn(item.models, map.target) ? map.target : "";
      const role = { __proto__: null, predicted: "predicted", true: "true", runner_up: "runner-up" }[map.target];
      const name = model ? item.models[model] : role ? item[map.target] : map.target;
      if (!name) continue;
      maps.set(map.target, map);
      // A rightly classified image's predicted class is its true one: one map says it all. Two models have two.
      const key = `${model}:${name}`;
      if (!byClass.has(key)) byClass.set(key, { kind: "map", map, name, model, roles: [] });
      if (role) byClass.get(key).roles.push(role);
      else if (model && name === item.true) byClass.get(key).roles.push("true");
    }
    const panels = [...byClass.values()];
    if (maps.has("predicted") && maps.has("true") && !item.right) {
      panels.push({ kind: "difference", predicted: maps.get("predicted"), true: maps.get("true") });
    }
    return panels;
  }

  /** A panel as a <figure>; `paint` fills its canvas. */
  function figureOf(item, panel, by) {
    let label = "the image";
    let caption = ["the image"];
    if (panel.kind === "map") {
      // What is the true class of a rightly classified image needs no saying twice.
      const roles = panel.roles.length && !item.right ? ` (${panel.roles.join(" and ")})` : "";
      const model = panel.model ? `${panel.model}: ` : "";
      label = `${model}evidence for ${quoted(panel.name)}${roles}, by ${by}`;
      caption = [`${model}for `, inQuotes(panel.name), roles];
    } else if (panel.kind === "difference") {
      label = `difference of the evidence for ${quoted(item.predicted)} and for ${quoted(item.true)}, by ${by}`;
      caption = ["difference: orange for ", inQuotes(item.predicted), ", blue for ", inQuotes(item.true)];
    }
    const canvas = make("canvas", { role: "img", "aria-label": label, width: 1, height: 1 });
    const words = make("span", { class: "gallery-words" });
    const figure = make(
      "figure", { "data-kind": panel.kind },
      make("div", { class: "gallery-tile" }, canvas, words), make("figcaption", {}, ...caption),
    );
    return { figure, canvas, words, panel };
  }

  async function paintFigure(item, { canvas, words, panel }) {
    words.textContent = await paint(canvas, item, panel);
  }

  // ------------------------------------------------------------------------------------------- state and the URL

  const DEFAULTS = {
    explainer: explainers.length ? explainers[0].name : "", true: "", predicted: "", group: "", result: "all",
    least: "0", most: "100", sort: "explained", opacity: form.elements.opacity?.value ?? "75", image: "",
  };
  const state = { ...DEFAULTS };

  // Where "any" can be chosen, a name is "=name" in the controls and in the state: a class may have an empty name.
  const NAMED = new Set(["true", "predicted", "group"]);
  const chosenName = (key) => state[key].slice(1);

  /**
   * What an address says: the place on the page, and what is seen of the gallery. What is unknown is ignored, and what
   * is not said is as at first, so that an address shows the same to whoever opens it.
   */
  function parse(hash) {
    const [place, ...parts] = hash.slice(1).split("&");
    const view = { ...DEFAULTS };
    for (const [key, text] of new URLSearchParams(parts.join("&"))) {
      const value = NAMED.has(key) ? `=${text}` : text;
      if (isKnown(key, value)) view[key] = value;
    }
    return { place, view };
  }

  function isKnown(key, value) {
    if (key === "image") return items.some((item) => item.id === value);
    const control = Object.hasOwn(DEFAULTS, key) ? form.elements[key] : null;
    if (!control) return false;
    if (control.options) return [...control.options].some((option) => option.value === value);
    if (control.length) return [...control].some((radio) => radio.value === value);
    return /^\d+$/.test(value) && Number(value) <= 100;
  }

  const differs = (one, other) => Object.keys(DEFAULTS).filter((key) => one[key] !== other[key]);

  /** The address of a place and of what is seen of the gallery: only what differs from what one sees at first. */
  function address(place = "gallery") {
    const parts = differs(state, DEFAULTS);
    return [`#${place}`, ...parts.map((key) => `${key}=${encodeURIComponent(NAMED.has(key) ? chosenName(key) : state[key])}`)].join("&");
  }

  /** Small steps replace the address; what one may want to go back from is pushed. */
  function remember(push) {
    if (push && location.hash !== address()) history.pushState({ gallery: true }, "", address());
    else history.replaceState({ gallery: true }, "", address());
  }

  function readControls() {
    for (const key of Object.keys(DEFAULTS)) {
      const control = form.elements[key];
      if (control) state[key] = control.value === "" ? DEFAULTS[key] : control.value;
    }
    const beyond = ["least", "most"].filter((key) => state[key] !== inPercent(state[key]));
    for (const key of beyond) state[key] = inPercent(state[key]);
    sayOfRange(beyond.length ? "Whole numbers from 0 to 100: the nearest is taken." : "");
  }

  const inPercent = (text) => String(Math.min(100, Math.max(0, Math.round(Number(text)))));
  const emptyRange = () => Number(state.least) > Number(state.most);

  function sayOfRange(words) {
    const said = words || (emptyRange() ? "Nothing lies between: the first is the greater one." : "");
    const place = root.querySelector(".gallery-said");
    if (place.textContent !== said) place.textContent = said;
  }

  function writeControls() {
    for (const key of Object.keys(DEFAULTS)) if (form.elements[key]) form.elements[key].value = state[key];
  }

  let keepsView = false; // whether the reader is on the way to another place by a link that says nothing of the gallery

  /** Show what the address says. */
  function followAddress(scrolling = "auto") {
    const { place, view } = parse(location.hash);
    if (keepsView) {
      keepsView = false;
      history.replaceState({ gallery: true }, "", address(place));
      return;
    }
    const changed = differs(view, state).some((key) => key !== "image");
    Object.assign(state, view);
    if (changed) {
      writeControls();
      sayOfRange("");
      update();
    }
    // Entries that we made come back by the browser's buttons, and the browser scrolls by itself then.
    if (history.state?.gallery !== true && (place === "gallery" || changed || moves(place))) goTo(place, scrolling);
    if (state.image) openImage(items.find((item) => item.id === state.image));
    else if (dialog.open) dialog.close();
  }

  /** Whether a place would move while one scrolls to it, as cards that are not made yet are above it. */
  function moves(place) {
    const element = document.getElementById(place);
    return Boolean(element) && cards.size < chosen.length &&
      Boolean(root.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING) && !root.contains(element);
  }

  function goTo(place, behavior) {
    if (moves(place)) addCards(chosen.length);
    document.getElementById(place)?.scrollIntoView({ behavior });
  }

  // ---------------------------------------------------------------------------------------------- filter and sort

  let chosen = []; // the items that are seen, in order

  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const ORDERS = {
    __proto__: null,
    explained: (one, other) => one.index - other.index,
    "confidence-down": (one, other) => other.confidence - one.confidence,
    "confidence-up": (one, other) => one.confidence - other.confidence,
    margin: (one, other) => other.margin - one.margin,
    pair: (one, other) => compare(one.true, other.true) || compare(one.predicted, other.predicted),
  };

  function isChosen(item) {
    // What is shown as 50% counts as 50%.
    const confidence = Math.round(100 * item.confidence);
    return (
      (!state.true || item.true === chosenName("true")) &&
      (!state.predicted || item.predicted === chosenName("predicted")) &&
      (!state.group || item.group === chosenName("group")) &&
      (state.result === "all" || item.right === (state.result === "right")) &&
      confidence >= Number(state.least) && confidence <= Number(state.most)
    );
  }

  /** Filter, sort, and begin the grid anew. */
  function update() {
    chosen = items.filter(isChosen).sort(ORDERS[state.sort]);
    root.querySelector(".gallery-count").textContent = `${counted(chosen.length)} of ${counted(items.length)} images`;
    const none = root.querySelector(".gallery-none");
    none.hidden = chosen.length > 0;
    if (!chosen.length) none.textContent = whyNone();
    const paper = root.querySelector(".gallery-paper");
    paper.textContent = `On paper: the first ${counted(Math.min(chosen.length, MOST_PAINTED))} of ${counted(chosen.length)}.`;
    paper.hidden = chosen.length <= MOST_PAINTED;
    paintScales();
    fillGrid();
  }

  function whyNone() {
    if (emptyRange()) return `No image is at least ${state.least}% and at most ${state.most}% sure: exchange the two.`;
    let words = "";
    if (state.true && state.predicted && state.true !== state.predicted) {
      words = `is ${quoted(chosenName("true"))} taken for ${quoted(chosenName("predicted"))}`;
    } else if (state.true && state.predicted) {
      words = `is ${quoted(chosenName("true"))} and was recognised as such`;
    } else if (state.true) words = `is ${quoted(chosenName("true"))}`;
    else if (state.predicted) words = `was taken for ${quoted(chosenName("predicted"))}`;
    const others = ["group", "result", "least", "most"].some((key) => state[key] !== DEFAULTS[key]);
    if (others) words = words ? `${words} and matches the other filters` : "matches all filters";
    const why = others ? "Reset shows all of them." : "explain.select in the recipe says which images are explained.";
    return `None of the ${counted(items.length)} explained images ${words}. ${why}`;
  }

  // ---------------------------------------------------------------------------------------------------- the grid

  const cards = new Map(); // button of a card → { item, card, figures }
  const painted = new Map(); // button of a painted card → the opacity it has; the one painted longest ago first
  const inSight = new Set(); // buttons of cards near the window
  const paper = matchMedia("print");

  const explainerNow = () => explainers.find(({ name }) => name === state.explainer);
  const buttons = () => [...cards.keys()];

  function fillGrid() {
    nearby.disconnect();
    cards.clear();
    painted.clear();
    inSight.clear();
    grid.replaceChildren();
    addCards();
  }

  /** Make the next cards, and go on until there are `until`. */
  function addCards(until = 0) {
    const made = cards.size;
    const fragment = document.createDocumentFragment();
    for (const item of chosen.slice(made, Math.max(made + BATCH, until))) fragment.append(cardOf(item));
    grid.append(fragment);
    const [first] = cards.keys();
    if (made === 0 && first) first.tabIndex = 0; // one stop for the tabulator; arrow keys do the rest
    paintAhead();
    // An observer reports changes only: seen anew, the end of the list is reported again if it is still near.
    ending.unobserve(more);
    if (cards.size < chosen.length) ending.observe(more);
  }

  function cardOf(item) {
    const button = make("button", { type: "button", tabindex: "-1" }, ...titleOf(item));
    const figures = [{ kind: "image" }, ...panelsOf(item, explainerNow())]
      .map((panel) => figureOf(item, panel, state.explainer));
    const sure = `confidence ${percent(item.confidence)}`;
    const facts = item.remark || (item.right ? sure : `${sure} · true class ${percent(item.true_probability)}`);
    const card = make(
      "li", { class: cards.size < MOST_PAINTED ? "gallery-card" : "gallery-card gallery-offpaper" },
      make("h3", {}, button), make("p", {}, facts, " ", make("span", { class: "gallery-id" }, named(item.id))),
      make("div", { class: "gallery-tiles" }, ...figures.map(({ figure }) => figure)),
    );
    cards.set(button, { item, card, figures });
    nearby.observe(card);
    return card;
  }

  /** “✗ cat taken for dog”: a mark, and words for those who do not see it. */
  function titleOf(item) {
    const [word, sign] = item.right ? ["right", "✓"] : ["wrong", "✗"];
    const mark = make("span", { class: `gallery-mark gallery-${word}`, "aria-hidden": "true" }, sign);
    const words = make("span", { class: "gallery-hidden" }, `${word}: `);
    const names = make("span", {}, named(item.true));
    if (!item.right) names.append(make("span", { class: "gallery-for" }, " taken for "), named(item.predicted));
    return [mark, words, names];
  }

  const buttonOf = (card) => card.querySelector("button");

  /** Paint a card, unless it is as it should be. */
  function paintCard(button) {
    if (painted.get(button) === state.opacity) return;
    painted.delete(button);
    painted.set(button, state.opacity);
    const { item, figures } = cards.get(button);
    figures.forEach((figure) => paintFigure(item, figure));
    for (const old of painted.keys()) {
      if (painted.size <= MOST_PAINTED) break;
      painted.delete(old);
      cards.get(old).figures.forEach(({ canvas }) => { canvas.width = canvas.height = 1; });
    }
  }

  let ahead = 0; // the task that paints ahead, if there is one

  /** Make and paint cards that are out of sight while there is nothing else to do: printing does not wait for it. */
  function paintAhead() {
    if (ahead) return;
    const idle = globalThis.requestIdleCallback ?? ((task) => setTimeout(task, 50));
    ahead = idle(() => {
      ahead = 0;
      const next = buttons().slice(0, MOST_PAINTED).find((button) => painted.get(button) !== state.opacity);
      if (next) {
        paintCard(next);
        paintAhead();
      } else if (cards.size < Math.min(chosen.length, MOST_PAINTED)) addCards();
    });
  }

  /** As many cards as fit on paper. Pixels that were decoded ahead are painted before the browser goes on to print. */
  function toPaper() {
    if (cards.size < MOST_PAINTED) addCards(MOST_PAINTED);
    buttons().slice(0, MOST_PAINTED).forEach(paintCard);
  }

  const nearby = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const button = buttonOf(target);
      if (!cards.has(button)) continue; // of a grid that is gone
      if (isIntersecting) {
        inSight.add(button);
        if (!paper.matches) paintCard(button); // what is in sight on the screen takes no pixels from what is printed
      } else inSight.delete(button);
    }
  }, { rootMargin: "400px" });

  const ending = new IntersectionObserver((entries) => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) addCards();
  }, { rootMargin: "800px" });

  /** The opacity has changed: what is in sight is painted at once, the rest when it comes into sight. */
  function repaint() {
    paintScales();
    inSight.forEach(paintCard);
    paintAhead();
  }

  let frame = 0;
  function repaintSoon() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(repaint);
  }

  function columns() {
    const all = [...grid.children];
    const next = all.findIndex((card) => card.offsetTop > all[0].offsetTop);
    return next < 0 ? all.length : next;
  }

  function focusCard(index) {
    const place = Math.max(0, Math.min(chosen.length - 1, index));
    if (place >= cards.size) addCards(place + 1);
    const all = buttons();
    all.forEach((button) => { button.tabIndex = -1; });
    all[place].tabIndex = 0;
    all[place].focus();
  }

  grid.addEventListener("keydown", (event) => {
    const at = buttons().indexOf(event.target);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const places = {
      __proto__: null, ArrowLeft: () => at - 1, ArrowRight: () => at + 1, Home: () => 0, End: () => chosen.length - 1,
      ArrowUp: () => (at < columns() ? at : at - columns()),
      ArrowDown: () => (at + columns() < chosen.length ? at + columns() : at),
    };
    if (!(event.key in places)) return;
    event.preventDefault();
    focusCard(places[event.key]());
  });

  grid.addEventListener("click", (event) => {
    const card = event.target.closest(".gallery-card");
    if (!card) return;
    openImage(cards.get(buttonOf(card)).item);
    remember(true);
  });

  // ---------------------------------------------------------------------------------------------- a single image

  const title = dialog.querySelector("h3");
  let current = null; // the item that is seen, or was last

  function openImage(item) {
    state.image = item.id;
    current = item;
    title.replaceChildren(...titleOf(item));
    const place = chosen.indexOf(item);
    dialog.querySelector(".gallery-place").textContent =
      place < 0 ? "the filters leave it out" : `${counted(place + 1)} of ${counted(chosen.length)}`;
    for (const button of dialog.querySelectorAll("[data-go]")) {
      // Not `disabled`: that would take the focus, and the arrow keys with it, from whoever is on the button.
      button.setAttribute("aria-disabled", String(!chosen[place + Number(button.dataset.go)]));
    }
    dialog.querySelector(".gallery-body").replaceChildren(factsOf(item), make("div", {}, ...explainersOf(item)));
    if (!dialog.open) {
      dialog.showModal();
      title.focus();
    }
    dialog.scrollTop = 0;
  }

  /** The picture, large, and what is known of it. */
  function factsOf(item) {
    const picture = figureOf(item, { kind: "image" });
    paintFigure(item, picture);
    const facts = [
      ["Predicted", [named(item.predicted), ` ${percent(item.confidence, 1)}`]],
      ["True", [named(item.true), ` ${percent(item.true_probability, 1)}`]],
      ["Runner-up", [named(item.runner_up), item.runner_up === item.true ? ` ${percent(item.true_probability, 1)}` : ""]],
      ...(item.group ? [["Group", [named(item.group)]]] : []),
      ["Image", [named(item.id)]],
      ...item.notes.map(([term, sentence]) => [term, [named(sentence)]]),
    ];
    const list = make("dl");
    for (const [term, words] of facts) list.append(make("div", {}, make("dt", {}, term), make("dd", {}, ...words)));
    return make("div", { class: "gallery-facts" }, picture.figure, list);
  }

  /** Each explainer's maps side by side, and its curves. */
  function explainersOf(item) {
    const names = new Set([...explainers, ...curves].map(({ name }) => name));
    return [...names].map((name) => {
      const part = make("section", { class: "gallery-explainer", "aria-label": name }, make("h4", {}, named(name)));
      const row = make("div", { class: "gallery-tiles" });
      part.append(row);
      for (const panel of panelsOf(item, explainers.find((each) => each.name === name))) {
        const made = figureOf(item, panel, name);
        row.append(made.figure);
        paintFigure(item, made);
      }
      const measured = curves.find((each) => each.name === name);
      if (measured) row.append(curvesOf(item, measured));
      return part;
    });
  }

  /** Go to the image before or after this one; from one that the filters leave out, to the first. */
  function go(step) {
    const next = chosen[chosen.indexOf(current) + step];
    if (!next) return;
    openImage(next);
    remember(false);
  }

  dialog.addEventListener("keydown", (event) => {
    const step = { __proto__: null, ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(step);
  });

  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.go) go(Number(button.dataset.go));
    // The dialog itself is hit only outside of what lies in it: on the backdrop.
    else if (button || event.target === dialog) dialog.close();
  });

  dialog.addEventListener("close", () => {
    state.image = "";
    const place = chosen.indexOf(current);
    if (place >= 0) focusCard(place);
    if (parse(location.hash).view.image) remember(false);
  });

  // ---------------------------------------------------------------------------------------------------- curves

  function drawn(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** A line chart of an image's curves, with a legend and the same in words. */
  function curvesOf(item, { metric, fraction, lines, scores }) {
    const measured = lines
      .map(({ name, rows }, index) => ({ name, index, row: rows[item.index] }))
      .filter(({ row }) => row);
    if (!measured.length) return make("p", { class: "gallery-nocurve" }, "No curve was measured for this image.");
    const values = measured.flatMap(({ row }) => row).filter((value) => value !== null);
    const low = Math.min(0, ...values);
    const high = Math.max(1, ...values);
    const x = (value) => 46 + 232 * value;
    const y = (value) => 10 + (106 * (high - value)) / (high - low);
    const words = measured.map(({ name, row }) => {
      const known = row.filter((value) => value !== null);
      return `${name}: from ${percent(known[0])} to ${percent(known.at(-1))}`;
    });
    const chart = drawn(
      "svg", { viewBox: "0 0 300 160", role: "img", "aria-label": `${metric}. ${words.join("; ")}.` },
      ...[low, (low + high) / 2, high].flatMap((value) => [
        drawn("line", { class: "gallery-rule", x1: x(0), x2: x(1), y1: y(value), y2: y(value) }),
        drawn("text", { x: x(0) - 6, y: y(value) + 4, "text-anchor": "end" }, percent(value)),
      ]),
      ...[[0, "start"], [0.5, "middle"], [1, "end"]].map(([value, anchor]) =>
        drawn("text", { x: x(value), y: 136, "text-anchor": anchor }, percent(value))),
      drawn("text", { x: x(0.5), y: 153, "text-anchor": "middle" }, "part of the image that is replaced"),
      ...measured.map(({ index, row }) =>
        drawn("path", { class: `gallery-curve gallery-curve-${index % 4}`, d: pathOf(fraction, row, x, y) })),
    );
    const legend = make("ul", { role: "list" });
    for (const { name, index } of measured) {
      const swatch = drawn(
        "svg", { viewBox: "0 0 24 8", class: "gallery-swatch", "aria-hidden": "true" },
        drawn("path", { class: `gallery-curve gallery-curve-${index % 4}`, d: "M0 4H24" }),
      );
      legend.append(make("li", {}, swatch, named(name)));
    }
    const score = scores?.[item.index] ?? null;
    const said = score === null ? [] : [". ", named(metric), ` of this image: ${score.toFixed(3)}`];
    return make(
      "figure", { class: "gallery-chart" },
      make("figcaption", {}, "probability of the predicted class while the image is replaced, pixel by pixel", ...said),
      chart, legend,
    );
  }

  /** An SVG path, interrupted where there is no value. */
  function pathOf(fraction, row, x, y) {
    let pen = "M";
    return row.map((value, at) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const step = `${pen}${x(fraction[at]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return step;
    }).join("");
  }

  // ---------------------------------------------------------------------------------------------------- start

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    readControls();
    if (event.target.name === "opacity") repaintSoon();
    else update();
  });
  form.addEventListener("change", (event) => {
    if (event.target.type === "number") writeControls(); // what was not taken is not left standing
    remember(!["range", "number"].includes(event.target.type));
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    Object.assign(state, DEFAULTS);
    writeControls();
    sayOfRange("");
    update();
    remember(true);
  });
  addEventListener("hashchange", () => followAddress());
  addEventListener("beforeprint", toPaper);
  paper.addEventListener("change", () => (paper.matches ? toPaper() : inSight.forEach(paintCard)));
  document.addEventListener("click", ({ target, ctrlKey, metaKey, shiftKey }) => {
    const link = target.closest('a[href^="#"]');
    if (!link || ctrlKey || metaKey || shiftKey) return; // with a key it opens elsewhere
    const hash = new URL(link.getAttribute("href"), location).hash;
    const { place } = parse(hash);
    if (place !== "gallery") {
      // The browser scrolls there by itself; the address is to go on saying what is seen.
      if (moves(place)) addCards(chosen.length);
      keepsView = hash !== location.hash && differs(state, DEFAULTS).length > 0;
    } else if (hash === location.hash) root.scrollIntoView(); // no change of the address: the browser does nothing
  });

  root.style.setProperty("--gallery-ratio", `${pictures.width} / ${pictures.height}`);
  root.classList.toggle("gallery-pixels", Math.max(pictures.width, pictures.height) <= SMALL);
  form.hidden = false;
  root.querySelector(".gallery-line").hidden = false;
  update();
  followAddress("instant");
  // By now the browser has scrolled as far as there was a page; the way there need not be seen.
  addEventListener("load", () => { if (parse(location.hash).place !== "gallery") goTo(parse(location.hash).place, "instant"); });
})();
