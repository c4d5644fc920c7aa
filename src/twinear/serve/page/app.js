// The page: the box, dropped clips, keys, and the view that the address asks for.

import { findArtists } from "./api.js";
import { combobox } from "./combobox.js";
import { count, h } from "./dom.js";
import { figuresView } from "./figures.js";
import * as mapPage from "./map-view.js";
import { failure, heading, link, open } from "./parts.js";
import { pathView } from "./path.js";
import * as player from "./player.js";
import * as similarPage from "./similar.js";
import { readState } from "./state.js";

const ARROW = /\s*(?:→|->)\s*/;
const main = document.getElementById("main");
let dropped = null; // { files, local }: a clip lives as long as the page

const box = combobox({
  label: "Who sounds like …",
  placeholder: "Type an artist",
  choose: (artist) => open({ artists: [artist.id] }),
  enter: (text) => {
    if (!ARROW.test(text)) return false;
    const [from, to] = text.split(ARROW).map((name) => name.trim());
    if (!from) return false;
    open({ from, to: to || null });
    return true;
  },
});
box.input.setAttribute("aria-describedby", "box-hint");
document.getElementById("box").append(box.element);
player.mount(document.getElementById("player"));

async function show() {
  const state = readState();
  const searching = ["similar", "clip", "path", "home"].includes(state.view);
  for (const each of document.querySelectorAll("[data-nav]")) {
    const current = each.dataset.nav === (searching ? "search" : state.view);
    if (current) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  document.body.dataset.view = state.view;
  if (!["similar", "clip"].includes(state.view)) similarPage.leave();
  if (state.view !== "map") mapPage.leave();
  if (state.view === "similar") await similarPage.similarView(main, state);
  else if (state.view === "path") await pathView(main, state);
  else if (state.view === "map") await mapPage.mapView(main, state);
  else if (state.view === "figures") await figuresView(main);
  else if (state.view === "clip" && dropped) await similarPage.similarView(main, state, dropped);
  else if (state.view === "clip") clipGone();
  else await home();
}

async function home() {
  document.title = "twinear";
  const view = h("section", { class: "home" });
  main.replaceChildren(view);
  view.append(
    h("h1", { class: "visually-hidden", tabindex: "-1" }, "Who sounds alike?"),
    h(
      "p",
      { class: "lead" },
      "An artist without any listener is found by sound: a clip is enough. Every answer can be heard, and says why.",
    ),
  );
  try {
    const { artists, total } = await findArtists("", 8);
    const [first, second] = artists;
    if (!main.contains(view)) return;
    if (!total) {
      view.append(
        h("div", { class: "empty" }, h("p", {}, "This catalogue holds no artist yet."), h("p", {}, "Build one with ", h("code", {}, "make run"), ".")),
      );
      return;
    }
    view.append(
      h("h2", {}, `Some of ${count(total, "artist")}`),
      h("ul", { class: "chips large" }, artists.map((artist) => h("li", {}, link({ artists: [artist.id] }, artist.name)))),
      ...(second
        ? [
            h("h2", {}, "A path between two"),
            h(
              "p",
              {},
              link({ from: first.id, to: artists.at(-1).id }, `${first.name} → ${artists.at(-1).name}`),
            ),
          ]
        : []),
    );
  } catch (error) {
    view.append(failure(error, { retry: home }));
  }
}

function clipGone() {
  document.title = "twinear";
  main.replaceChildren(
    heading("The clip is no longer here"),
    h(
      "div",
      { class: "empty" },
      h("p", {}, "A dropped clip lives as long as the page that it was dropped on."),
      h("p", {}, "Drop it once more, or choose it with the button above."),
    ),
  );
}

function take(files) {
  if (!files.length) return;
  if (dropped) URL.revokeObjectURL(dropped.local.clip.audio);
  const [file] = files;
  const name = files.length > 1 ? `${file.name} and ${files.length - 1} more` : file.name;
  const clip = { id: "", title: "your clip", seconds: 0, audio: URL.createObjectURL(file) };
  dropped = { files: [...files], local: { artist: { id: "", name, known: false }, clip } };
  open({ view: "clip" });
}

const fileInput = document.getElementById("files");
fileInput.addEventListener("change", () => {
  take([...fileInput.files]);
  fileInput.value = "";
});

const drop = document.getElementById("drop");
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => {
  if (carriesFiles(event)) drop.hidden = false;
});
addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
drop.addEventListener("dragleave", () => {
  drop.hidden = true;
});
addEventListener("drop", (event) => {
  drop.hidden = true;
  if (!carriesFiles(event)) return;
  event.preventDefault();
  take([...event.dataTransfer.files]);
});

// A link within the page changes the address and draws the view; nothing is loaded again.
addEventListener("click", (event) => {
  const target = event.target.closest?.("a[data-link]");
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!target || !plain || event.defaultPrevented) return;
  event.preventDefault();
  if (target.href !== location.href) history.pushState(null, "", target.href);
  dispatchEvent(new Event("statechange"));
  scrollTo({ top: 0 });
});

addEventListener("popstate", () => show());
addEventListener("statechange", () => show());

function moveRow(by) {
  const rows = [...document.querySelectorAll("main .row")];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  next?.querySelector("button, a")?.focus();
}

addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = target.matches?.("input, select, textarea");
  if (key === "Escape" && !drop.hidden) drop.hidden = true;
  if (typing) return;
  if (key === "/") {
    event.preventDefault();
    box.input.focus();
  } else if (key === "j" || key === "k") moveRow(key === "j" ? 1 : -1);
  else if (key === "w") target.closest?.(".row")?.querySelector(".why-button")?.click();
  else if (key === " " && !target.closest?.("button, a, summary, canvas")) {
    event.preventDefault();
    player.playPause();
  }
});

// The model that answers stands below; when another one takes over, what was kept of it goes.
let scorer = null;
addEventListener("model", ({ detail }) => {
  if (!detail) return;
  if (scorer !== null && scorer !== `${detail.scorer}${detail.data}`) mapPage.forget();
  scorer = `${detail.scorer}${detail.data}`;
  document.getElementById("model").textContent =
    `Scorer ${detail.scorer}, data ${detail.data}, ` +
    (detail.listens ? "sound and listeners" : "sound alone");
});

show();
