// The figures of the last report, in words.

import { get } from "./api.js";
import { h } from "./dom.js";
import { failure, heading, loading } from "./parts.js";

// In the order shown. What the report calls a system, and what it is.
const SYSTEMS = [
  ["catalogue", "This catalogue", "sound, hubness reduction and listeners together"],
  ["siamese", "Sound alone", "the network, without any listener"],
  ["popularity", "Popularity", "the best known artists first"],
  ["l2", "Plain distance", "of the spectrograms"],
  ["mfcc", "Timbre alone", "distance of mean timbre (MFCC)"],
  ["mfcc_mp", "Timbre, hubs reduced", "the same with mutual proximity"],
  ["chance", "Chance", "95 % of random orders lie in this band"],
];

const digits = (value) => value.toFixed(2);
const range = (figure) => `${digits(figure.low)} to ${digits(figure.high)}`;

export async function figuresView(main) {
  document.title = "Figures · twinear";
  const body = h("div", { class: "figures" });
  body.append(loading("Reading the report …"));
  main.replaceChildren(h("header", { class: "head" }, heading("How good is it?")), body);
  try {
    const { ranking, listeners } = await get("report");
    if (!ranking?.catalogue) {
      body.replaceChildren(
        h(
          "div",
          { class: "empty" },
          h("p", {}, "There is no report about this catalogue."),
          h("p", {}, "The pipeline makes it: ", h("code", {}, "make run"), " or ", h("code", {}, "dvc repro"), "."),
        ),
      );
      return;
    }
    body.replaceChildren(quality(ranking), ...[listeners && inListeners(listeners)].filter(Boolean));
  } catch (error) {
    body.replaceChildren(failure(error, { retry: () => figuresView(main) }));
  }
}

function quality(ranking) {
  const rows = SYSTEMS.filter(([name]) => ranking[name]?.["ndcg@10"]);
  const best = ranking.catalogue["ndcg@10"];
  const chance = ranking.chance?.["ndcg@10"];
  const beats = chance && best.low > chance.high;
  return h(
    "section",
    {},
    h(
      "p",
      { class: "lead" },
      "Artists that the network never met in training were ordered by their clips. Their listeners " +
        "gave the true order. ",
      h("strong", {}, `On a scale to 1 the catalogue reaches ${digits(best.value)}`),
      chance && `; chance reaches ${digits(chance.value)}.`,
      chance && (beats ? " That is more than luck: its interval lies above the band of chance." : " Its interval reaches into the band of chance: this may be luck."),
    ),
    h(
      "table",
      { class: "dots" },
      h("caption", {}, "Quality of the order: NDCG@10 with its 95 % interval"),
      h(
        "thead",
        {},
        h("tr", {}, h("th", { scope: "col" }, "Order by"), h("th", { scope: "col" }, scale()), h("th", { scope: "col" }, "Value")),
      ),
      h(
        "tbody",
        {},
        rows.map(([name, label, meaning]) => {
          const figure = ranking[name]["ndcg@10"];
          return h(
            "tr",
            { class: name },
            h("th", { scope: "row" }, label, h("small", {}, meaning)),
            h(
              "td",
              { class: "plot" },
              h("span", {
                class: "interval",
                "aria-hidden": "true",
                vars: { "--low": figure.low, "--high": figure.high, "--value": figure.value },
              }),
            ),
            h("td", { class: "value" }, digits(figure.value), h("small", {}, range(figure))),
          );
        }),
      ),
    ),
  );
}

const scale = () =>
  h("span", { class: "scale" }, ["0", "0.25", "0.5", "0.75", "1"].map((tick) => h("span", {}, tick)));

function inListeners(report) {
  const own = report.systems?.catalogue?.listeners;
  const people = (value) => Math.round(value).toLocaleString("en");
  const ceiling = report.ceiling;
  return h(
    "section",
    {},
    h("h2", {}, "What that is worth in listeners"),
    own &&
      h(
        "p",
        { class: "lead" },
        "The catalogue orders unheard artists about as well as the listening histories of ",
        h("strong", {}, `${people(own.value)} people`),
        ` would (${people(own.low)} to ${people(own.high)}).`,
      ),
    ceiling &&
      h(
        "p",
        {},
        `Even listeners do not agree fully. One half of them predicts the other half with ` +
          `${digits(ceiling.value)} (${range(ceiling)}), so that is the most that can be reached.`,
      ),
  );
}
