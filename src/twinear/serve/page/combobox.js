// A text box with suggestions: the editable combobox with a list box of WAI-ARIA's patterns.

import { announce, count, h } from "./dom.js";
import { Failure, findArtists } from "./api.js";

const WAIT = 120; // ms after the last key before the server is asked
let made = 0;

// `choose` takes an artist of the list; `enter` takes the text when Enter is pressed without one,
// and returns whether it did something.
export function combobox({ label, placeholder, choose, enter = () => false, visible = true }) {
  const id = `combobox-${++made}`;
  const list = h("ul", { role: "listbox", id: `${id}-list`, "aria-label": "Artists", hidden: true });
  const input = h("input", {
    id,
    type: "text",
    role: "combobox",
    placeholder,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
  });
  const element = h(
    "div",
    { class: "combobox" },
    h("label", { for: id, class: visible ? null : "visually-hidden" }, label),
    h("div", { class: "field" }, input, list),
  );
  let artists = [];
  let active = -1;
  let waiting = 0;
  let asking = null;

  const close = () => {
    clearTimeout(waiting);
    asking?.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const mark = (index) => {
    active = index;
    [...list.children].forEach((option, i) =>
      option.setAttribute("aria-selected", String(i === index)),
    );
    if (index < 0) return input.removeAttribute("aria-activedescendant");
    list.children[index].scrollIntoView({ block: "nearest" });
    return input.setAttribute("aria-activedescendant", `${id}-${index}`);
  };

  const show = (message = null) => {
    const rows = artists.map((artist, i) =>
      h(
        "li",
        {
          role: "option",
          id: `${id}-${i}`,
          "aria-selected": "false",
          onmousedown: (event) => event.preventDefault(), // the box keeps the focus
          onclick: () => pick(artist),
          onmousemove: () => active !== i && mark(i),
        },
        h("span", {}, artist.name),
        h("small", {}, artist.listeners ? count(artist.listeners, "listener") : ""),
      ),
    );
    list.replaceChildren(...rows);
    element.querySelector(".none")?.remove();
    if (message) element.append(h("p", { class: "none", role: "status" }, message));
    list.hidden = rows.length === 0;
    input.setAttribute("aria-expanded", String(rows.length > 0));
    mark(-1);
  };

  const search = async () => {
    const text = input.value.trim();
    asking?.abort();
    if (!text || /→|->/.test(text)) {
      artists = [];
      show();
      return close();
    }
    asking = new AbortController();
    try {
      const answer = await findArtists(text, 8, 0, asking.signal);
      artists = answer.artists;
      show(artists.length ? null : noneCalled(text, answer.nearest ?? []));
      if (artists.length) announce(count(answer.total, "artist"));
    } catch (error) {
      if (!(error instanceof Failure)) return null;
      artists = [];
      show(`${error.message} ${error.remedy}`);
    }
    return null;
  };

  const noneCalled = (text, nearest) => {
    if (!nearest.length) return `No artist is called “${text}”. Check the spelling, or drop a clip of theirs.`;
    const names = nearest.map((name) =>
      h(
        "button",
        {
          type: "button",
          class: "text",
          onmousedown: (event) => event.preventDefault(),
          onclick: () => pick({ id: name, name }),
        },
        name,
      ),
    );
    const listed = names.map((each, i) => [i > 0 && ", ", each]);
    return [`No artist is called “${text}”. Did you mean `, ...listed.flat().filter(Boolean), "?"];
  };

  const pick = (artist) => {
    input.value = "";
    artists = [];
    show();
    close();
    choose(artist);
  };

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, WAIT);
  });
  element.addEventListener("focusout", (event) => {
    if (element.contains(event.relatedTarget)) return;
    close();
    element.querySelector(".none")?.remove();
  });
  input.addEventListener("keydown", async (event) => {
    const open = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) {
        await search();
        if (artists.length) mark(event.key === "ArrowDown" ? 0 : artists.length - 1);
      } else if (event.key === "ArrowDown") mark(active + 1 >= artists.length ? -1 : active + 1);
      else mark(active < 0 ? artists.length - 1 : active - 1);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open && active >= 0) return pick(artists[active]);
      const text = input.value.trim();
      if (!text) return null;
      clearTimeout(waiting);
      if (enter(text)) {
        input.value = "";
        close();
        return input.blur();
      }
      if (!artists.length || list.hidden) await search();
      const exact = artists.find((artist) => artist.name.toLowerCase() === text.toLowerCase());
      if (exact || artists.length) pick(exact ?? artists[0]);
    }
    return null;
  });

  return { element, input };
}
