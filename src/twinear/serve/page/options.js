// The wishes about an answer: sound or listeners, well known or unknown, varied, who is left out.

import { artistDetails, findArtists } from "./api.js";
import { count, h } from "./dom.js";
import { iconButton, nameOf } from "./parts.js";

let mostListeners = null; // of any artist: where the slider ends

async function findMost() {
  mostListeners ??= findArtists("", 1).then(({ artists }) => artists[0]?.listeners ?? 0);
  return mostListeners;
}

// 1, 2, 5, 10, … below `most`: a logarithmic scale of round numbers.
export function roundSteps(most) {
  const steps = [];
  for (let power = 10; power < most; power *= 10)
    for (const factor of [1, 2, 5]) if (factor * power < most) steps.push(factor * power);
  return steps;
}

// `change` takes the options that changed.
export function optionsPanel(state, change) {
  const balance = h("input", {
    type: "range",
    id: "balance",
    min: "0",
    max: "100",
    step: "5",
    "aria-describedby": "balance-says",
  });
  const balanceSays = h("output", { id: "balance-says", for: "balance" });
  const asBuilt = h(
    "button",
    { type: "button", class: "quiet", onclick: () => change({ balance: null }) },
    "As built",
  );
  balance.addEventListener("input", () => say(Number(balance.value) / 100));
  balance.addEventListener("change", () => change({ balance: Number(balance.value) / 100 }));
  const say = (value) => {
    balanceSays.textContent =
      value === null
        ? "as built"
        : value === 0
          ? "sound alone"
          : value === 1
            ? "listeners alone"
            : `${Math.round(value * 100)} % listeners`;
    balance.setAttribute("aria-valuetext", balanceSays.textContent);
  };

  const fame = h("input", { type: "range", id: "fame", min: "0", max: "1", value: "1", step: "1" });
  const fameSays = h("output", { for: "fame" });
  let steps = [];
  const sayFame = () => {
    const most = steps[Number(fame.value)];
    fameSays.textContent = most === undefined ? "all" : `at most ${count(most, "listener")}`;
    fame.setAttribute("aria-valuetext", fameSays.textContent);
  };
  fame.addEventListener("input", sayFame);
  fame.addEventListener("change", () => change({ maxListeners: steps[Number(fame.value)] ?? null }));

  const diverse = h("input", {
    type: "checkbox",
    id: "diverse",
    onchange: () => change({ diverse: diverse.checked }),
  });
  const without = h("ul", { class: "chips" });
  const leftOut = h("div", { class: "option" }, h("h2", {}, "Left out"), without);
  const balanceOption = h(
    "div",
    { class: "option" },
    h("div", { class: "title" }, h("label", { for: "balance" }, "What counts"), balanceSays),
    balance,
    h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, "sound"), h("span", {}, "listeners")),
    asBuilt,
  );

  const show = async (now, answer = null) => {
    say(now.balance);
    const built = answer?.balance ?? 0.5;
    balance.value = String(Math.round((now.balance ?? built) * 100));
    balance.classList.toggle("unset", now.balance === null);
    asBuilt.hidden = now.balance === null;
    if (answer?.model && !answer.model.listens && now.balance === null) {
      balance.disabled = true;
      balanceSays.textContent = "sound alone: no listens are in this catalogue";
    }
    diverse.checked = now.diverse;
    leftOut.hidden = !now.without.length;
    await Promise.all(now.without.map((id) => artistDetails(id).catch(() => null)));
    without.replaceChildren(
      ...now.without.map((id) =>
        h(
          "li",
          {},
          h("span", {}, nameOf(id)),
          iconButton("close", `Take ${nameOf(id)} back in`, () =>
            change({ without: now.without.filter((each) => each !== id) }),
          ),
        ),
      ),
    );
    steps = roundSteps(await findMost().catch(() => 1_000_000));
    if (now.maxListeners !== null && !steps.includes(now.maxListeners))
      steps = [...steps, now.maxListeners].sort((a, b) => a - b);
    fame.max = String(steps.length);
    fame.disabled = steps.length === 0;
    const at = steps.indexOf(now.maxListeners);
    fame.value = String(now.maxListeners === null ? steps.length : at);
    sayFame();
  };

  const element = h(
    "details",
    { class: "options", open: matchMedia("(min-width: 60rem)").matches },
    h("summary", {}, "Options"),
    balanceOption,
    h(
      "div",
      { class: "option" },
      h("div", { class: "title" }, h("label", { for: "fame" }, "How well known"), fameSays),
      fame,
      h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, "little known"), h("span", {}, "everyone")),
    ),
    h(
      "div",
      { class: "option check" },
      diverse,
      h("label", { for: "diverse" }, "Varied", h("small", {}, "no two that sound nearly the same")),
    ),
    leftOut,
  );
  show(state).catch(() => {});
  return { element, show };
}
