// All that a view depends on stands in its address, so that a link and the back button restore it.

const number = (text) => (text === null || text === "" || isNaN(Number(text)) ? null : Number(text));

export function readState(search = location.search) {
  const query = new URLSearchParams(search);
  const artists = query.getAll("artist");
  const from = query.get("from");
  return {
    view: query.get("view") ?? (from ? "path" : artists.length ? "similar" : "home"),
    artists,
    without: query.getAll("without"),
    top: number(query.get("top")) ?? 10,
    balance: number(query.get("balance")), // null: as the catalogue was built
    maxListeners: number(query.get("max_listeners")), // null: all
    diverse: query.get("diverse") === "true",
    why: query.get("why"),
    from,
    to: query.get("to"),
    length: number(query.get("length")) ?? 10,
    music: query.get("music") === "true", // of the user's own music, not of the catalogue's clips
    at: query.get("at"), // what the map shows: x,y,zoom
  };
}

export function address(changes) {
  const state = { artists: [], without: [], ...changes };
  const query = new URLSearchParams();
  if (["map", "figures", "clip"].includes(state.view)) query.set("view", state.view);
  for (const artist of state.artists) query.append("artist", artist);
  for (const artist of state.without) query.append("without", artist);
  if (state.from) query.set("from", state.from);
  if (state.to) query.set("to", state.to);
  if (state.from && state.music) query.set("music", "true");
  if (state.from && state.length && state.length !== 10) query.set("length", state.length);
  if (state.top && state.top !== 10) query.set("top", state.top);
  if (state.balance !== null && state.balance !== undefined) query.set("balance", state.balance);
  if (state.maxListeners !== null && state.maxListeners !== undefined)
    query.set("max_listeners", state.maxListeners);
  if (state.diverse) query.set("diverse", "true");
  if (state.why) query.set("why", state.why);
  if (state.at) query.set("at", state.at);
  const text = query.toString();
  return text ? `?${text}` : "./";
}

export function go(changes, { replace = false } = {}) {
  const to = new URL(address(changes), document.baseURI);
  if (to.href === location.href) return dispatchEvent(new Event("statechange"));
  history[replace ? "replaceState" : "pushState"](null, "", to);
  return dispatchEvent(new Event("statechange"));
}

// The address changes and nothing is drawn again: for what is on the screen already.
export function note(changes) {
  history.replaceState(null, "", new URL(address(changes), document.baseURI));
}
