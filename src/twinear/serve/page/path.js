// A path between two artists, or a playlist that stays near one.

import { artistDetails, get, remember } from "./api.js";
import { combobox } from "./combobox.js";
import { announce, count, h } from "./dom.js";
import { artistRow, copyLink, disclosure, failure, heading, link, loading, nameOf, open, saveButton } from "./parts.js";
import { toggle } from "./player.js";

const LENGTHS = [5, 10, 20, 50];

// Each row says how near it is to the one before.
const near = (score) =>
  score === null || score === undefined
    ? null
    : h(
        "div",
        { class: "score" },
        h("span", { class: "words" }, "step"),
        h("span", { class: "number" }, score.toFixed(2)),
        h("span", { class: "bar", "aria-hidden": "true", vars: { "--v": score } }),
      );

export async function pathView(main, state) {
  const head = h("header", { class: "head" });
  const list = h("section", { class: "results", "aria-label": "Clips in order" });
  list.append(loading("Looking for the way …"));
  main.replaceChildren(head, list);
  const names = () =>
    state.to ? `${nameOf(state.from)} → ${nameOf(state.to)}` : `Starting at ${nameOf(state.from)}`;
  try {
    const ends = [state.from, state.to].filter(Boolean).map((id) => artistDetails(id).catch(() => null));
    const ask = { from: state.from, to: state.to, length: state.length, music: state.music };
    const [answer, music, ...found] = await Promise.all([
      get(state.to ? "path" : "playlist", ask),
      get("music").catch(() => ({ recordings: 0 })),
      ...ends,
    ]);
    if (!main.contains(list)) return;
    answer.items.forEach((item) => remember(item.artist));
    const resolved = { ...state, from: found[0]?.artist.id ?? state.from, to: found[1]?.artist.id ?? state.to };
    drawHead(head, resolved, answer, music);
    const rows = answer.items.map((item, i) =>
      artistRow({
        artist: item.artist,
        clip: item.clip,
        href: item.in_catalogue ? { artists: [item.artist.id] } : null,
        mark: String(i + 1),
        rating: near(item.score_to_previous),
      }),
    );
    list.replaceChildren(
      ...answer.instead_of.map((name) =>
        h("p", { class: "fine" }, `Your music holds nothing of ${name}; the recording nearest to it stands instead.`),
      ),
      h("ol", { class: "rows path" }, rows),
      h("p", { class: "fine" }, "A step says how alike a clip and the one before it sound, from 0 to 1. " +
          `Random pairs of artists reach ${answer.random_score.toFixed(2)} on average.`),
    );
    document.title = `${head.querySelector("h1").textContent} · twinear`;
    announce(count(answer.items.length, "clip"));
  } catch (error) {
    if (error.name === "AbortError" || !main.contains(list)) return;
    head.replaceChildren(heading(names()));
    const instead = (name) => {
      const missing = error.message.includes(`'${state.to}'`) ? "to" : "from";
      return { ...state, [missing]: name };
    };
    list.replaceChildren(failure(error, { retry: () => pathView(main, state), instead }));
  }
}

function drawHead(head, state, { items }, music) {
  const title = state.to ? `${nameOf(state.from)} → ${nameOf(state.to)}` : nameOf(state.from);
  const box = combobox({
    label: `A path from ${nameOf(state.from)} to`,
    placeholder: "Artist",
    choose: (artist) => open({ ...state, to: artist.id }),
  });
  const panel = h("div", { class: "picker" }, box.element);
  const other = disclosure(state.to ? "Another end" : "Path to …", panel, {
    toggled: (value) => value && box.input.focus(),
  });
  const select = h(
    "select",
    { id: "length", onchange: () => open({ ...state, length: Number(select.value) }) },
    [...new Set([...LENGTHS, state.length])]
      .sort((a, b) => a - b)
      .map((n) => h("option", { value: n, selected: n === state.length }, String(n))),
  );
  const source = h(
    "select",
    { id: "source", onchange: () => open({ ...state, music: source.value === "music" }) },
    h("option", { value: "catalogue", selected: !state.music }, "the catalogue"),
    h("option", { value: "music", selected: state.music }, "your music"),
  );
  const play = h("button", { type: "button", class: "primary" }, "Play in order");
  play.addEventListener("click", () => {
    const first = document.querySelector("main .rows [data-play]");
    if (first) toggle(first.target);
  });
  head.replaceChildren(
    h("p", { class: "kicker" }, state.to ? "A path between two artists" : "A playlist that stays near"),
    heading(title),
    h(
      "div",
      { class: "tools" },
      play,
      h("label", { for: "length" }, "Clips"),
      select,
      music.recordings > 0 && [h("label", { for: "source" }, "of"), source],
      state.to &&
        h(
          "button",
          { type: "button", class: "quiet", onclick: () => open({ ...state, from: state.to, to: state.from }) },
          "Turn round",
        ),
      other.button,
      link({ artists: [state.from] }, `Like ${nameOf(state.from)}`, { class: "button quiet" }),
      saveButton(items, title.replace("→", "to")),
      copyLink(),
    ),
    panel,
  );
}
