// One audio element for the page. What it plays is an item: a whole clip, or a window of one.

import { announce, clock, h, icon, setVars } from "./dom.js";

const audio = new Audio();
audio.preload = "none";
let item = null; // { clip, artist, title, start, end, key }
let message = "";
let ui = null;

export const element = audio;

export function playable(artist, clip, { start = null, end = null } = {}) {
  if (!clip?.audio) return null;
  const key = `${clip.id || clip.audio}${start === null ? "" : `#${start.toFixed(2)}`}`;
  return { artist, clip, start, end, key };
}

// A button that plays an item; without audio it says so.
export function playButton(target, label, { text = null, extra = "" } = {}) {
  if (!target)
    return h(
      "span",
      { class: `play none ${extra}`, role: "img", "aria-label": `No audio: ${label}`, title: "No audio here" },
      icon("none"),
    );
  const button = h(
    "button",
    {
      type: "button",
      class: `play ${text ? "wide" : ""} ${extra}`,
      "data-play": target.key,
      "data-label": label,
      onclick: () => toggle(target),
    },
    icon("play"),
    text && h("span", {}, text),
  );
  button.target = target;
  dress(button);
  return button;
}

export function toggle(target) {
  if (item?.key === target.key) {
    if (audio.paused) resume();
    else audio.pause();
    return;
  }
  item = target;
  message = "";
  const source = new URL(target.clip.audio, document.baseURI).href;
  if (audio.src !== source) audio.src = source;
  const start = () => {
    audio.currentTime = target.start ?? 0;
  };
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) start();
  else if (target.start !== null) audio.addEventListener("loadedmetadata", start, { once: true });
  resume();
}

export function playPause() {
  if (!item) return document.querySelector("main [data-play]")?.click();
  if (audio.paused) resume();
  else audio.pause();
  return undefined;
}

function resume() {
  if (item.end !== null && audio.currentTime >= item.end - 0.05) audio.currentTime = item.start;
  audio.play().catch((error) => {
    if (error.name === "AbortError") return; // another clip was chosen meanwhile
    message = `${item.artist.name} cannot be played here.`;
    announce(message);
    draw();
  });
  draw();
}

// The neighbours of what plays, in the order of the page; windows end where they end.
function step(by) {
  const buttons = [...document.querySelectorAll("main [data-play]:not(.wide)")];
  const at = buttons.findIndex((button) => button.dataset.play === item?.key);
  const next = buttons[at + by];
  if (at >= 0 && next) toggle(next.target);
  return at >= 0 && Boolean(next);
}

const bounds = () => {
  const start = item?.start ?? 0;
  const end = item?.end ?? (isFinite(audio.duration) ? audio.duration : (item?.clip.seconds ?? 0));
  return { start, end, share: end > start ? (audio.currentTime - start) / (end - start) : 0 };
};

function dress(button) {
  const mine = item !== null && button.dataset.play === item.key;
  const playing = mine && !audio.paused;
  button.classList.toggle("on", mine);
  button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${button.dataset.label}`);
  button.querySelector("svg").replaceWith(icon(playing ? "pause" : "play"));
}

function tick() {
  if (!item) return;
  const { start, end, share } = bounds();
  if (item.end !== null && audio.currentTime >= item.end) audio.pause();
  const p = String(Math.max(0, Math.min(1, share)));
  for (const button of document.querySelectorAll("[data-play].on")) setVars(button, { "--p": p });
  if (document.activeElement !== ui.seek || audio.paused === false) ui.seek.value = audio.currentTime;
  ui.seek.min = start;
  ui.seek.max = end;
  setVars(ui.seek, { "--p": p });
  ui.seek.setAttribute("aria-valuetext", `${clock(audio.currentTime)} of ${clock(end)}`);
  ui.time.textContent = `${clock(audio.currentTime)} / ${clock(end)}`;
}

function frame() {
  tick();
  if (!audio.paused) requestAnimationFrame(frame);
}

function draw() {
  document.querySelectorAll("[data-play]").forEach(dress);
  ui.root.hidden = !item;
  document.body.classList.toggle("has-player", Boolean(item));
  if (!item) return;
  const playing = !audio.paused;
  ui.main.replaceChildren(icon(playing ? "pause" : "play"));
  ui.main.setAttribute("aria-label", playing ? "Pause" : "Play");
  const part = item.start === null ? "" : ` (${clock(item.start)} to ${clock(item.end)})`;
  ui.name.textContent = item.artist.name;
  ui.title.textContent = message || `${item.clip.title ?? "Untitled"}${part}`;
  ui.title.classList.toggle("bad", Boolean(message));
  tick();
}

export function mount(root) {
  const button = (name, label, onclick) =>
    h("button", { type: "button", class: "icon", "aria-label": label, onclick }, icon(name));
  ui = {
    root,
    main: button("play", "Play", playPause),
    name: h("strong"),
    title: h("span"),
    time: h("span", { class: "time" }),
    seek: h("input", {
      type: "range",
      step: "0.1",
      value: "0",
      "aria-label": "Position in the clip",
      oninput: (event) => {
        audio.currentTime = Number(event.target.value);
      },
    }),
  };
  ui.main.classList.add("main");
  root.replaceChildren(
    h(
      "div",
      { class: "inner" },
      h(
        "div",
        { class: "controls" },
        button("previous", "Previous row", () => step(-1)),
        ui.main,
        button("next", "Next row", () => step(1)),
      ),
      h("div", { class: "what" }, ui.name, ui.title),
      ui.seek,
      ui.time,
    ),
  );
  for (const type of ["play", "pause", "loadedmetadata", "seeked"]) audio.addEventListener(type, draw);
  audio.addEventListener("play", () => requestAnimationFrame(frame));
  audio.addEventListener("timeupdate", tick); // a window ends in a hidden tab too
  audio.addEventListener("ended", () => {
    if (item.start !== null || !step(1)) draw();
  });
  audio.addEventListener("error", () => {
    // Firefox reports a missing output so, and goes on as if the clip was heard
    const silent = audio.error?.message?.includes("MediaSink");
    message = silent
      ? "This computer has no sound output, or it is in use."
      : "This clip cannot be loaded or its codec is unknown here.";
    announce(message);
    draw();
  });
}
