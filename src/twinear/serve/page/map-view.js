// The map of all artists, how far it can be trusted, and the same as a list.

import { artistDetails, Failure, get, similar } from "./api.js";
import { combobox } from "./combobox.js";
import { announce, count, h, join } from "./dom.js";
import { PointMap } from "./map.js";
import { failure, heading, iconButton, link, listeners, loading, musicbrainz, open } from "./parts.js";
import { playable, playButton, toggle } from "./player.js";
import { note } from "./state.js";

const NEIGHBOURS = 10;
const WAIT = 140; // ms that a pointer rests before the server is asked
const LISTED = 50;
let data = null; // the last answer: the map changes with the catalogue only
let shown = null;

export function leave() {
  shown?.map?.destroy();
  clearTimeout(shown?.again);
  shown = null;
}

export async function mapView(main, state) {
  if (shown && main.contains(shown.root)) {
    shown.state = state;
    return shown.map && select(state.artists[0] ?? null, { show: true });
  }
  leave();
  document.title = "Map · twinear";
  const root = h("div", { class: "map" });
  shown = { root, state, neighbours: new Map() };
  main.replaceChildren(root);
  root.append(heading("Map of all artists"), loading("Fetching the map …"));
  const view = shown;
  try {
    data ??= await get("map");
    if (shown === view) build(view);
  } catch (error) {
    if (shown !== view) return null;
    waitOrFail(view, error, main);
  }
  return null;
}

function waitOrFail(view, error, main) {
  const again = () => mapView(main, view.state);
  if (!(error instanceof Failure) || error.code !== "map_pending")
    return view.root.replaceChildren(heading("Map of all artists"), failure(error, { retry: restart(again) }));
  const seconds = Math.max(1, error.retryAfter ?? 5);
  view.root.replaceChildren(
    heading("Map of all artists"),
    h(
      "div",
      { class: "empty", role: "status" },
      h("p", {}, "The map is still being computed."),
      h("p", {}, "It appears here as soon as it is ready; you can leave this page meanwhile."),
      h("progress", { "aria-label": "Computing the map" }),
    ),
  );
  view.again = setTimeout(restart(again), seconds * 1000);
  return null;
}

const restart = (again) => () => {
  leave();
  again();
};

function build(view) {
  const { root, state } = view;
  const base = h("canvas", { "aria-hidden": "true" });
  const over = h("canvas", {
    tabindex: "0",
    role: "application",
    "aria-label": `Map of ${count(data.n, "artist")}`,
    "aria-describedby": "map-keys",
  });
  const aside = h("aside", { "aria-label": "Chosen artist" });
  const tip = h("p", { class: "tip", "aria-hidden": "true" });
  const box = combobox({
    label: "Find an artist on the map",
    placeholder: "Find on the map",
    visible: false,
    choose: (artist) => open({ ...view.state, artists: [artist.id] }),
  });
  const list = h("ul", { class: "plain in-view" });
  const details = h(
    "details",
    { class: "as-list", ontoggle: () => drawList(view) },
    h("summary", {}, "Artists in view, as a list"),
    list,
  );
  root.replaceChildren(
    h(
      "header",
      { class: "head" },
      heading("Map of all artists"),
      h("p", { class: "trust" }, trustInWords(data.trust)),
      box.element,
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "sheet" },
        base,
        over,
        h(
          "div",
          { class: "zoom" },
          iconButton("add", "Zoom in", () => view.map.zoomBy(1.5)),
          iconButton("leave", "Zoom out", () => view.map.zoomBy(1 / 1.5)),
          h("button", { type: "button", onclick: () => view.map.fit() }, "All"),
        ),
        tip,
      ),
      aside,
    ),
    h(
      "p",
      { class: "fine", id: "map-keys" },
      "Drag to move, wheel or pinch to zoom. With the keyboard: arrows go from artist to artist, ",
      "Enter plays, Shift and arrows move the map, + and − zoom, 0 shows all. ",
      "Lines lead to the artists that really score highest, near on the map or not.",
    ),
    details,
  );
  view.indexOf = new Map(data.ids.map((id, i) => [id, i]));
  Object.assign(view, { aside, tip, list, details, over });
  view.map = new PointMap(base, over, {
    hover: (point) => hover(view, point),
    choose: (point) => choose(view, point),
    view: () => settled(view),
  });
  view.map.setPoints(data);
  const [x, y, zoom] = (state.at ?? "").split(",").map(Number);
  if (zoom > 0) Object.assign(view.map, { centre: [x, y], zoom });
  view.map.draw();
  select(state.artists[0] ?? null, { show: !(zoom > 0) });
}

// What `data.trust` says, for someone who never heard of trustworthiness.
export function trustInWords({ trustworthiness, neighbours_kept: kept, k }) {
  const near =
    trustworthiness >= 0.95
      ? "Artists that are close together here are almost always similar"
      : trustworthiness >= 0.9
        ? "Artists that are close together here are mostly similar"
        : trustworthiness >= 0.8
          ? "Artists that are close together here are often similar, not always"
          : "This map is a rough picture: closeness says little";
  return (
    `${near} (trustworthiness ${trustworthiness.toFixed(2)} of 1). Of the ${k} artists that really ` +
    `are nearest to one, ${(kept * k).toFixed(1)} are on average among the ${k} nearest here. ` +
    "Point at an artist to see the true ones."
  );
}

// The true neighbours of a point, as the score gives them.
function neighboursOf(view, point) {
  const id = data.ids[point];
  if (!view.neighbours.has(id)) {
    const pending = similar({ artists: [id], without: [], top: NEIGHBOURS, balance: null, maxListeners: null });
    pending.catch(() => view.neighbours.delete(id));
    view.neighbours.set(id, pending);
  }
  return view.neighbours.get(id);
}

const linesOf = (view, answer) =>
  answer.similar
    .filter((row) => view.indexOf.has(row.artist.id))
    .map((row) => ({ index: view.indexOf.get(row.artist.id), score: row.score }));

async function hover(view, point) {
  clearTimeout(view.resting);
  const focus = point >= 0 ? point : view.map.chosen;
  view.tip.textContent = point >= 0 ? data.names[point] : "";
  if (focus < 0) return view.map.setLines([]);
  if (focus !== view.lined) view.map.setLines([]);
  const isKeyboard = document.activeElement === view.over;
  view.resting = setTimeout(async () => {
    try {
      const lines = linesOf(view, await neighboursOf(view, focus));
      const now = view.map.hovered >= 0 ? view.map.hovered : view.map.chosen;
      if (shown !== view || now !== focus) return;
      view.lined = focus;
      view.map.setLines(lines);
      const names = lines.slice(0, 3).map((line) => data.names[line.index]);
      if (isKeyboard && point >= 0) announce(`${data.names[point]}. Nearest: ${join(names)}.`);
    } catch {
      // a pointer that moves on needs no message; choosing the artist shows it
    }
  }, WAIT);
  return null;
}

function choose(view, point) {
  const id = point < 0 ? null : data.ids[point];
  if (id === (view.state.artists[0] ?? null) && id !== null) return playChosen(view, id);
  view.play = id;
  return open({ ...view.state, artists: id === null ? [] : [id] });
}

async function playChosen(view, id) {
  try {
    const { artist, clips } = await artistDetails(id);
    const target = playable(artist, clips.find((clip) => clip.audio));
    if (target && shown === view) toggle(target);
  } catch {
    // the panel beside the map shows the failure
  }
}

async function select(id, { show = false } = {}) {
  const view = shown;
  const point = id === null ? -1 : (view.indexOf.get(id) ?? data.names.indexOf(id));
  view.map.select(point, { show });
  view.map.hovered = -1;
  hover(view, -1);
  if (view.play === id && id !== null) playChosen(view, id);
  view.play = null;
  if (point < 0) return view.aside.replaceChildren(id === null ? invitation() : absent(id));
  view.aside.replaceChildren(loading("Looking for its true neighbours …"));
  try {
    const [answer, { artist, clips }] = await Promise.all([
      neighboursOf(view, point),
      artistDetails(data.ids[point]),
    ]);
    if (shown === view && view.map.chosen === point) drawChosen(view, point, answer, artist, clips);
  } catch (error) {
    if (shown === view) view.aside.replaceChildren(failure(error, { retry: () => select(id) }));
  }
  return null;
}

const invitation = () =>
  h(
    "div",
    { class: "empty" },
    h("p", {}, "Point at an artist to see who is really near to it."),
    h("p", {}, "Click to hear it."),
  );

const absent = (id) =>
  h("div", { class: "empty" }, h("p", {}, `“${id}” is not on this map. Choose another artist.`));

function drawChosen(view, point, answer, artist, clips) {
  const lines = linesOf(view, answer);
  const near = new Set(view.map.nearest(point, lines.length));
  const kept = lines.filter((line) => near.has(line.index)).length;
  view.aside.replaceChildren(
    h(
      "div",
      { class: "seed" },
      playButton(playable(artist, clips[0]), artist.name),
      h("h2", {}, link({ artists: [artist.id] }, artist.name)),
    ),
    h("p", { class: "about" }, h("span", {}, listeners(artist)), musicbrainz(artist)),
    h(
      "p",
      { class: "fine" },
      `Of its ${lines.length} true neighbours ${kept} ${kept === 1 ? "is" : "are"} also among the ` +
        `${lines.length} nearest on the map.`,
    ),
    h(
      "ol",
      { class: "plain neighbours" },
      answer.similar.map((row) =>
        h(
          "li",
          {},
          playButton(playable(row.artist, row.clip), row.artist.name, { extra: "small" }),
          link({ view: "map", artists: [row.artist.id], at: view.state.at }, row.artist.name),
          h("span", { class: "value" }, row.score.toFixed(2)),
        ),
      ),
    ),
    h("p", {}, link({ artists: [artist.id] }, `All that sounds like ${artist.name}`)),
  );
  announce(`${artist.name} chosen`);
}

// After the view has come to rest: the address and the list follow.
function settled(view) {
  if (shown !== view) return;
  const { centre, zoom } = view.map;
  const whole = zoom === 1 && centre.every((value) => value === 0);
  view.state = {
    ...view.state,
    at: whole ? null : [...centre.map((value) => value.toFixed(4)), zoom.toFixed(2)].join(","),
  };
  note(view.state);
  drawList(view);
}

function drawList(view) {
  if (!view.details.open) return;
  const points = view.map.visible(LISTED);
  view.list.replaceChildren(
    ...points.map((point) =>
      h(
        "li",
        {},
        h("button", { type: "button", class: "text", onclick: () => choose(view, point) }, data.names[point]),
        h("small", {}, data.listeners[point] ? count(data.listeners[point], "listener") : ""),
      ),
    ),
  );
  const summary = view.details.querySelector("summary");
  summary.textContent = `Artists in view, as a list (the ${count(points.length, "best known one", "best known")})`;
}

// The map on the screen, for tests.
export const current = () => ({ ...shown, names: data.names });

export const forget = () => {
  data = null;
};
