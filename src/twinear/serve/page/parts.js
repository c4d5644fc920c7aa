// What several views are made of: rows with playback, scores in words, messages, downloads.

import { known, setToken } from "./api.js";
import { announce, count, h, icon } from "./dom.js";
import { playable, playButton } from "./player.js";
import { address, go } from "./state.js";

export const listeners = (artist) =>
  artist.listeners ? count(artist.listeners, "listener") : "no listeners known";

export const nameOf = (id) => known(id)?.name ?? id;

// A link within the page; with a modifier key it opens as any link does.
export const link = (changes, text, props = {}) =>
  h("a", { href: address(changes), "data-link": true, ...props }, text);

export const musicbrainz = (artist) =>
  artist.mbid &&
  h(
    "a",
    {
      class: "out",
      href: `https://musicbrainz.org/artist/${encodeURIComponent(artist.mbid)}`,
      rel: "external noreferrer",
      target: "_blank",
      "aria-label": `${artist.name} on MusicBrainz, in a new tab`,
    },
    "MusicBrainz",
  );

// The score in words, with a bar and the number.
export const score = (value, words) =>
  h(
    "div",
    { class: "score" },
    h("span", { class: "words" }, words),
    h("span", { class: "number" }, value.toFixed(2)),
    h("span", { class: "bar", "aria-hidden": "true", vars: { "--v": value } }),
  );

export const iconButton = (name, label, onclick) =>
  h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick }, icon(name));

// A row of a list: playback, the artist, a score and what else belongs to it.
export function artistRow({ artist, clip, href, mark = null, rating = null, actions = [] }) {
  return h(
    "li",
    { class: "row", "data-artist": artist.id },
    h(
      "div",
      { class: "line" },
      mark !== null && h("span", { class: "mark", "aria-hidden": "true" }, mark),
      playButton(playable(artist, clip), artist.name),
      h(
        "div",
        { class: "who" },
        href ? link(href, artist.name, { class: "name" }) : h("span", { class: "name" }, artist.name),
        h(
          "p",
          { class: "about" },
          clip?.title && h("span", { class: "clip" }, clip.title),
          h("span", {}, listeners(artist)),
          musicbrainz(artist),
        ),
      ),
      rating,
      h("div", { class: "actions" }, actions),
    ),
  );
}

export const heading = (...children) => h("h1", { tabindex: "-1" }, children);

export const loading = (text) => h("p", { class: "loading", role: "status" }, text);

// What went wrong, what to do, and the nearest names where a name is unknown.
export function failure(error, { retry = null, instead = null } = {}) {
  announce(`${error.message} ${error.remedy ?? ""}`);
  const parts = [h("p", { class: "what" }, sentence(error.message))];
  if (error.remedy) parts.push(h("p", {}, sentence(error.remedy)));
  if (error.nearest?.length && instead)
    parts.push(
      h(
        "p",
        { class: "nearest" },
        "Did you mean ",
        error.nearest.map((name, i) => [i > 0 && ", ", link(instead(name), name)]),
        "?",
      ),
    );
  if (error.status === 401) parts.push(tokenForm());
  else if (retry && ![404, 413, 415, 422].includes(error.status))
    parts.push(h("p", {}, h("button", { type: "button", onclick: retry }, "Try again")));
  return h("div", { class: "failure", role: "alert" }, parts);
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const sentence = (text) => {
  const whole = text.replace(/^[a-z]+\b(?!\.)/, (word) => capital(word)); // not the name of a file
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
};

function tokenForm() {
  const input = h("input", { type: "password", id: "token", autocomplete: "current-password" });
  const submit = (event) => {
    event.preventDefault();
    setToken(input.value.trim());
    dispatchEvent(new Event("statechange"));
  };
  return h(
    "form",
    { class: "token", onsubmit: submit },
    h("label", { for: "token" }, "Token of this server (TWINEAR_TOKEN)"),
    input,
    h("button", {}, "Continue"),
  );
}

export function copyLink() {
  const button = h("button", { type: "button", class: "quiet" }, "Copy link");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Link copied";
      announce("Link copied");
      setTimeout(() => {
        button.textContent = "Copy link";
      }, 2000);
    } catch {
      // browsers offer the clipboard on secure pages only
      const field = h("input", { readonly: true, value: location.href, "aria-label": "Link" });
      button.replaceWith(field);
      field.select();
    }
  });
  return button;
}

// The rows as they are on the screen, as a playlist of this server's addresses.
export function saveButton(rows, name) {
  const tracks = rows.filter((row) => row.clip?.audio && !row.clip.audio.startsWith("blob:"));
  if (!tracks.length) return null;
  const save = () => {
    const line = (text) => text.replace(/[\r\n]+/g, " ");
    const lines = tracks.flatMap(({ artist, clip }) => [
      `#EXTINF:${Math.round(clip.seconds)},${line(artist.name)} - ${line(clip.title ?? "Untitled")}`,
      new URL(clip.audio, document.baseURI).href,
    ]);
    const text = ["#EXTM3U", `#PLAYLIST:${line(name)}`, ...lines, ""].join("\n");
    const url = URL.createObjectURL(new Blob([text], { type: "audio/x-mpegurl" }));
    const file = name.replace(/[\\/:*?"<>|]+/g, " ").trim();
    h("a", { href: url, download: `${file}.m3u8` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    announce(`Playlist of ${count(tracks.length, "clip")} saved`);
  };
  return h("button", { type: "button", class: "quiet", onclick: save }, "Save as playlist");
}

// A button that opens a place under it.
export function disclosure(text, panel, { open = false, toggled = () => {} } = {}) {
  const button = h("button", { type: "button", class: "quiet" }, text);
  const set = (value, told = true) => {
    panel.hidden = !value;
    button.setAttribute("aria-expanded", String(value));
    if (told) toggled(value);
  };
  button.addEventListener("click", () => set(panel.hidden));
  set(open, false);
  return { button, set };
}

export const open = (changes, options) => go(changes, options);
