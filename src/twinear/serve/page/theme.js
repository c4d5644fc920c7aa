// The theme is set before the first paint, so that the page does not flash. A classic script: a
// module would run too late.
"use strict";

{
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const LABEL = { auto: "system", light: "light", dark: "dark" };

  const chosen = () => {
    try {
      const theme = localStorage.getItem("twinear-theme");
      return theme in NEXT ? theme : "auto";
    } catch {
      return "auto"; // a browser that stores nothing
    }
  };

  const apply = (theme) => {
    root.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
    const button = document.getElementById("theme");
    if (button) button.lastElementChild.textContent = `: ${LABEL[theme]}`;
    button?.setAttribute("aria-label", `Theme: ${LABEL[theme]}`);
    dispatchEvent(new Event("themechange"));
  };

  let theme = chosen();
  apply(theme);
  dark.addEventListener("change", () => apply(theme));
  addEventListener("DOMContentLoaded", () => {
    apply(theme);
    document.getElementById("theme").addEventListener("click", () => {
      theme = NEXT[theme];
      try {
        localStorage.setItem("twinear-theme", theme);
      } catch {
        // it lasts as long as the page
      }
      apply(theme);
    });
  });
}
