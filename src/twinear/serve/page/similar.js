// Who sounds like one artist, several, or a dropped clip.

import { artistDetails, similar, similarToClips } from "./api.js";
import { combobox } from "./combobox.js";
import { announce, count, h, join } from "./dom.js";
import { optionsPanel } from "./options.js";
import {
  artistRow,
  copyLink,
  disclosure,
  failure,
  heading,
  iconButton,
  link,
  listeners,
  loading,
  musicbrainz,
  open,
  saveButton,
  score,
} from "./parts.js";
import { playable, playButton } from "./player.js";
import { note } from "./state.js";
import { explanationOf, whyPanel } from "./why.js";

const MORE = 10;
const MOST = 100;
let shown = null; // the view on the screen, if it is one of these

export function leave() {
  shown?.asking?.abort();
  shown = null;
}

// `clips` are the files of the view of a dropped clip: { files, local }.
export async function similarView(main, state, clips = null) {
  const key = clips ? clips.local.clip.audio : state.artists.join("\n");
  if (shown?.key !== key || !main.contains(shown.list)) {
    shown?.asking?.abort();
    shown = { key, asking: null };
    build(main, clips);
  }
  shown.state = state;
  shown.panel.show(state, shown.answer);
  await load(main, clips);
}

function build(main, clips) {
  const view = shown;
  view.head = h("header", { class: "head" });
  view.list = h("section", { class: "results", "aria-label": "Similar artists" });
  view.panel = optionsPanel({ without: [], balance: null, maxListeners: null, diverse: false }, (changes) =>
    open({ ...view.state, ...changes, why: null }),
  );
  view.aside = h("aside", { "aria-label": "Options" }, view.panel.element);
  main.replaceChildren(view.head, h("div", { class: "columns" }, view.aside, view.list));
  view.list.append(
    clips ? uploadProgress(view, clips) : loading("Comparing with every artist …"),
  );
  view.aside.hidden = Boolean(clips); // until the first answer
}

function uploadProgress(view, { local }) {
  view.bar = h("progress", { max: "1", value: "0", "aria-label": "Upload" });
  view.step = h("p", { role: "status" }, `Uploading ${local.artist.name} …`);
  return h(
    "div",
    { class: "uploading" },
    view.step,
    view.bar,
    h("button", { type: "button", class: "quiet", onclick: () => open({}) }, "Cancel"),
  );
}

async function load(main, clips) {
  const view = shown;
  const { state } = view;
  view.asking?.abort();
  const asking = new AbortController();
  view.asking = asking;
  view.list.setAttribute("aria-busy", "true");
  const had = document.activeElement;
  try {
    const answer = clips
      ? await similarToClips(clips.files, state, { signal: asking.signal, progress: progress(view) })
      : await similar(state, asking.signal);
    if (asking.signal.aborted) return;
    view.answer = answer;
    view.aside.hidden = false;
    view.panel.show(state, answer);
    drawHead(view, clips);
    drawList(view, clips);
    announce(`${count(answer.similar.length, "artist")} like ${title(view, clips)}`);
    if (had && !main.contains(had) && had !== document.body && !document.body.contains(had))
      view.head.querySelector("h1").focus({ preventScroll: true });
  } catch (error) {
    if (error.name === "AbortError") return;
    const instead = (name) => ({
      ...state,
      artists: state.artists.length > 1 ? state.artists.map((id) => (error.message.includes(id) ? name : id)) : [name],
    });
    view.list.replaceChildren(failure(error, { retry: () => load(main, clips), instead }));
    view.aside.hidden = [401, 404, 413, 415].includes(error.status); // no option helps there
    if (!view.head.children.length)
      view.head.replaceChildren(heading(clips ? "The clip cannot be compared" : "No answer"));
  } finally {
    if (view.asking === asking) view.list.removeAttribute("aria-busy");
  }
}

const progress = (view) => (share) => {
  if (!view.bar) return;
  if (share === null) view.bar.removeAttribute("value");
  else view.bar.value = share;
  if (share === 1) {
    view.bar.removeAttribute("value");
    view.step.textContent = "Listening to it and comparing …";
  }
};

const title = (view, clips) =>
  clips ? clips.local.artist.name : join(view.answer.of.map((artist) => artist.name));

function drawHead(view, clips) {
  const { state, answer } = view;
  const place = h("div", { class: "place" });
  const head = [];
  if (clips) {
    head.push(
      h("p", { class: "kicker" }, "Sounds like"),
      h(
        "div",
        { class: "seeds" },
        h(
          "div",
          { class: "seed" },
          playButton(playable(clips.local.artist, clips.local.clip), clips.local.artist.name),
          heading(clips.local.artist.name),
        ),
      ),
      h(
        "p",
        { class: "about" },
        h("span", {}, uploaded(answer.uploaded)),
        h("span", {}, "the server keeps nothing of it, so a link cannot bring it back"),
      ),
    );
  } else {
    const several = answer.of.length > 1;
    head.push(
      h("p", { class: "kicker" }, several ? "Near to all of" : "Sounds like"),
      several && h("h1", { tabindex: "-1", class: "visually-hidden" }, title(view, null)),
      h(
        "div",
        { class: "seeds" },
        answer.of.map((artist, i) => seed(view, artist, several, i)),
      ),
      !several &&
        h("p", { class: "about" }, h("span", {}, listeners(answer.of[0])), musicbrainz(answer.of[0])),
    );
  }
  const tools = [];
  if (!clips) {
    const add = picker("Add an artist", "Find what is near to both", place, (artist) =>
      open({ ...state, artists: [...state.artists, artist.id], why: null }),
    );
    const path = picker("Path to …", `A path from ${answer.of[0].name} to`, place, (artist) =>
      open({ from: state.artists[0], to: artist.id }),
    );
    tools.push(add, state.artists.length === 1 && path);
    tools.push(
      state.artists.length === 1 &&
        link({ view: "map", artists: [answer.of[0].id] }, "Show on the map", { class: "button quiet" }),
    );
  }
  tools.push(saveButton(answer.similar, `Like ${title(view, clips)}`), !clips && copyLink());
  view.head.replaceChildren(...head.filter(Boolean), h("div", { class: "tools" }, tools.filter(Boolean)), place);
  document.title = `Like ${title(view, clips)} · twinear`;
}

const uploaded = (files = []) =>
  files.length === 1
    ? `your clip, ${Math.round(files[0].seconds)} seconds`
    : `your ${files.length} clips, taken as one artist`;

function seed(view, artist, several, at) {
  const play = h("span", { class: "play none", "aria-hidden": "true" });
  artistDetails(artist.id)
    .then(({ clips }) => play.replaceWith(playButton(playable(artist, clips[0]), artist.name)))
    .catch(() => {});
  const { state } = view;
  return h(
    "div",
    { class: "seed" },
    play,
    several ? h("p", { class: "seed-name" }, artist.name) : heading(artist.name),
    several &&
      iconButton("close", `Take ${artist.name} away`, () =>
        open({ ...state, artists: state.artists.filter((_, i) => i !== at), why: null }),
      ),
  );
}

function picker(text, label, place, choose) {
  const box = combobox({ label, placeholder: "Artist", choose });
  const panel = h("div", { class: "picker" }, box.element);
  const { button } = disclosure(text, panel, {
    toggled: (value) => {
      for (const other of place.children) if (other !== panel) other.hidden = true;
      if (value) box.input.focus();
    },
  });
  place.append(panel);
  return button;
}

function drawList(view, clips) {
  const { state, answer } = view;
  if (!answer.similar.length) {
    view.list.replaceChildren(
      h(
        "div",
        { class: "empty" },
        h("p", {}, "No artist is left with these options."),
        h("p", {}, "Move “How well known” to the right, or take artists back in."),
      ),
    );
    return;
  }
  const rows = answer.similar.map((row, i) => similarRow(view, row, i, clips));
  const more =
    answer.similar.length >= state.top &&
    state.top < MOST &&
    h(
      "button",
      { type: "button", class: "more", onclick: () => open({ ...state, top: state.top + MORE }) },
      "More artists",
    );
  view.list.replaceChildren(
    h("ol", { class: "rows" }, rows),
    h("p", { class: "fine" }, meaning(answer)),
    ...[more].filter(Boolean),
  );
}

function meaning(answer) {
  const scores =
    answer.calibrated === false
      ? "With these options scores order the artists and mean no more than that."
      : "A score is the similarity by listeners to expect, from 0 to 1.";
  return `${scores} The words say how it stands among random pairs of artists here.`;
}

function similarRow(view, row, i, clips) {
  const { state, answer } = view;
  const { artist } = row;
  const { panel, load: explain } = whyPanel(
    clips
      ? async () => [answer.reasons[i]]
      : () => Promise.all(answer.of.map((seedArtist) => explanationOf(seedArtist.id, artist.id))),
    clips?.local,
  );
  const isOpen = state.why === artist.id;
  const { button, set } = disclosure("Why", panel, {
    open: isOpen,
    toggled: (value) => {
      view.state = { ...view.state, why: value ? artist.id : null };
      if (!clips) note(view.state);
      if (value) explain();
    },
  });
  button.classList.add("why-button");
  button.setAttribute("aria-label", `Why ${artist.name}?`);
  if (isOpen) explain();
  const actions = [
    !clips &&
      iconButton("add", `Near to ${artist.name} too`, () =>
        open({ ...view.state, artists: [...view.state.artists, artist.id], why: null }),
      ),
    iconButton("leave", `Leave ${artist.name} out`, () =>
      open({ ...view.state, view: clips ? "clip" : undefined, without: [...view.state.without, artist.id], why: null }),
    ),
    button,
  ];
  const element = artistRow({
    artist,
    clip: row.clip,
    href: { artists: [artist.id] },
    mark: String(i + 1),
    rating: score(row.score, row.words),
    actions: actions.filter(Boolean),
  });
  element.append(panel);
  element.openWhy = set;
  return element;
}
