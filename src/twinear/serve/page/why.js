// Why an artist is similar: exact parts as bars, the steps of the score, the seconds that agree,
// the neighbours that both have.

import { asFailure, get } from "./api.js";
import { clock, h, signed } from "./dom.js";
import { capital, failure, link, loading } from "./parts.js";
import { playable, playButton } from "./player.js";

const STEPS = {
  sound: ["Sound", "what the network hears in all clips"],
  csls: ["Hubness", "less for artists that are near to everyone"],
  listeners: ["Listeners", "who listens to one listens to the other"],
  popularity: ["Popularity", "how many listen at all"],
};
const YOURS = "Your clip"; // that was dropped

// `ask` gives the explanations, one for each seed; `local` plays the clip that was dropped.
export function whyPanel(ask, local = null) {
  const panel = h("div", { class: "why", hidden: true });
  let asked = false;
  const load = async () => {
    if (asked) return;
    asked = true;
    panel.replaceChildren(loading("Comparing the clips …"));
    try {
      const explanations = await ask();
      const failed = explanations.find((each) => each.error);
      if (failed) throw asFailure(failed.error);
      panel.replaceChildren(
        ...explanations.map((each) => explain(each, local, explanations.length > 1)),
      );
    } catch (error) {
      asked = false;
      panel.replaceChildren(failure(error, { retry: load }));
    }
  };
  return { panel, load };
}

export const explanationOf = (of, like) => get("explanation", { of, like });

const named = (artist) => (typeof artist === "string" ? artist : artist?.name);

function explain(explanation, local, several) {
  const { of, like, reasons, sound, missing, certainty } = explanation;
  const first = of?.name ?? YOURS;
  const title = several && h("p", { class: "pair" }, `${first} and ${like.name}`);
  return h(
    "div",
    { class: "explanation" },
    title,
    h(
      "div",
      { class: "stack" },
      steps(reasons),
      through(reasons),
      neighbours(explanation.neighbours ?? reasons.shared_neighbours),
      h("section", {}, h("h2", {}, "How sure"), h("p", {}, capital(certainty))),
    ),
    h(
      "div",
      { class: "stack" },
      sound && parts(sound),
      sound?.windows && windows(sound, { of, like, local }),
      !sound && missing && h("p", {}, `The clips cannot be compared: the audio of ${missing} is not here.`),
    ),
  );
}

function steps(reasons) {
  const shown = reasons.steps.filter(
    (step) => step.contribution || ["sound", "csls"].includes(step.name),
  );
  return h(
    "section",
    {},
    h("h2", {}, "What each step added"),
    bars(
      shown.map((step) => ({
        label: STEPS[step.name]?.[0] ?? step.name,
        meaning: STEPS[step.name]?.[1],
        value: step.contribution,
        note: ordinal(step.rank),
      })),
    ),
    h(
      "p",
      { class: "fine" },
      `Beside each step: what it adds, and the place among ${reasons.n_artists} artists after it. ` +
        `Together they make the score of ${reasons.score.toFixed(2)}, exactly. `,
      reasons.calibrated &&
        "Artists with such a score have that similarity by their listeners on average.",
    ),
  );
}

function parts(sound) {
  const exact =
    sound.exact_to === "block"
      ? "The parts are exact; a bar to the left says that the clips differ there."
      : "The parts are exact for each branch of the network only.";
  const titles = sound.clips.map((clip) => (clip ? clip.title && `“${clip.title}”` : "your clip"));
  const title = titles.every(Boolean) ? `Why ${titles.join(" and ")} sound alike` : "In the sound";
  return h(
    "section",
    {},
    h("h2", {}, title),
    bars(
      sound.parts.map((part) => ({
        label: capital(part.label),
        meaning: part.meaning,
        value: part.contribution,
      })),
    ),
    sound.convolutions_share > 0 &&
      sound.score_without_convolutions !== null &&
      h(
        "p",
        { class: "fine" },
        `Without the learned patterns the clips would score ${sound.score_without_convolutions.toFixed(2)} ` +
          `instead of ${sound.score.toFixed(2)}.`,
      ),
    h("p", { class: "fine" }, `These two clips are the pair that scores highest. ${exact}`),
  );
}

// Bars to both sides of nothing; the line stands where the longest bar on each side needs it.
function bars(rows) {
  const values = rows.map((row) => row.value);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const span = high - low || 1;
  return h(
    "ul",
    { class: "bars" },
    rows.map((row) =>
      h(
        "li",
        { class: row.value < 0 ? "minus" : "plus" },
        h("span", { class: "label" }, row.label, row.meaning && h("small", {}, row.meaning)),
        h("span", { class: "track", "aria-hidden": "true", vars: { "--v": Math.abs(row.value) / span, "--zero": -low / span } }),
        h("span", { class: "value" }, signed(row.value), row.note && h("small", {}, row.note)),
      ),
    ),
  );
}

function windows(sound, { of, like, local }) {
  const side = (window, artist, clip, own) => {
    const span = `${clock(window.start)} – ${clock(window.end)}`;
    const target = playable(artist, clip, { start: window.start, end: window.end });
    return h(
      "span",
      { class: "side" },
      playButton(target, `${artist.name}, ${clock(window.start)} to ${clock(window.end)}`, {
        extra: "window",
      }),
      h("span", {}, own, h("small", {}, span)),
    );
  };
  return h(
    "section",
    {},
    h("h2", {}, "Seconds that agree most"),
    h(
      "ul",
      { class: "windows" },
      sound.windows.best.map((window) =>
        h(
          "li",
          {},
          side(window.first, of ?? { name: YOURS }, window.first.clip ?? local?.clip, of?.name ?? YOURS),
          side(window.second, like, window.second.clip, like.name),
          h("span", { class: "value" }, window.score.toFixed(2)),
        ),
      ),
    ),
    h(
      "p",
      { class: "fine" },
      "Approximate: windows of six seconds, each scored as if it were a clip. " +
        `Two windows of these clips score ${sound.windows.mean_score.toFixed(2)} on average.`,
    ),
  );
}

function through(reasons) {
  if (!reasons.through.length) return null;
  return h(
    "section",
    {},
    h("h2", {}, "Through whose listeners"),
    h(
      "ul",
      { class: "plain" },
      reasons.through.map((each) =>
        h(
          "li",
          {},
          h("strong", {}, named(each.first)),
          " and ",
          h("strong", {}, named(each.second)),
          ` share listeners: ${Math.round(each.share * 100)}\u00a0% of this step`,
        ),
      ),
    ),
  );
}

function neighbours(both) {
  if (!both.length) return null;
  return h(
    "section",
    {},
    h("h2", {}, "Near to both"),
    h(
      "ul",
      { class: "chips" },
      both.map((each) => {
        if (typeof each === "string") return h("li", {}, link({ artists: [each] }, each));
        const { artist, clip } = each;
        return h(
          "li",
          {},
          playButton(playable(artist, clip), artist.name, { extra: "small" }),
          link({ artists: [artist.id] }, artist.name),
        );
      }),
    ),
  );
}

function ordinal(n) {
  const tens = n % 100;
  const end = tens > 10 && tens < 14 ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[n % 10] ?? "th");
  return `${n}${end}`;
}
