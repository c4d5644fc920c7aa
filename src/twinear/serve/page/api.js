// The public API, as everyone calls it. Every failure becomes a `Failure` that the page can show.

export class Failure extends Error {
  constructor(message, { remedy = "", nearest = [], status = 0, code = "", retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { remedy, nearest, status, code, retryAfter });
  }
}

const BASE = new URL("api/v1/", document.baseURI);
const TOKEN = "twinear-token";
const seen = new Map(); // artists by id, so that an address of ids can be shown as names

export const known = (id) => seen.get(id);
export const remember = (artist) => {
  if (artist && artist.id) seen.set(artist.id, artist);
  return artist;
};
export const setToken = (token) => sessionStorage.setItem(TOKEN, token);

export function endpoint(path, params = {}) {
  const url = new URL(path, BASE);
  for (const [key, value] of Object.entries(params)) {
    for (const each of [value].flat()) {
      if (each !== null && each !== undefined && each !== "" && each !== false)
        url.searchParams.append(key, each);
    }
  }
  return url;
}

export function headers() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export async function get(path, params = {}, signal = undefined) {
  let response;
  try {
    response = await fetch(endpoint(path, params), { signal, headers: headers() });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  const text = await response.text();
  return take(response.status, text, response.headers.get("Retry-After"));
}

export const unreachable = () =>
  new Failure("The server does not answer.", {
    remedy: "Check that twinear serve is still running, then try again.",
  });

// Read an answer, or throw what it says went wrong.
export function take(status, text, retryAfter = null) {
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (status >= 200 && status < 300 && answer) {
    dispatchEvent(new CustomEvent("model", { detail: answer.model }));
    return answer;
  }
  const error = answer?.error ?? { message: `The server answered with status ${status}.` };
  throw asFailure(error, status, retryAfter);
}

export function asFailure(error, status = 0, retryAfter = null) {
  // where near names follow, they are the remedy, and the place is the box that was typed into
  const message = error.nearest?.length ? error.found : error.message;
  return new Failure(message, {
    remedy: error.nearest?.length || error.message.includes(error.remedy) ? "" : error.remedy,
    nearest: error.nearest ?? [],
    status,
    code: error.code,
    retryAfter: retryAfter === null ? null : Number(retryAfter),
  });
}

export async function findArtists(q, limit = 8, offset = 0, signal = undefined) {
  const answer = await get("artists", { q, limit, offset }, signal);
  answer.artists.forEach(remember);
  return answer;
}

const details = new Map();

export function artistDetails(id) {
  if (!details.has(id)) {
    const pending = get(`artists/${encodeURIComponent(id)}`).then((answer) => {
      remember(answer.artist);
      return answer;
    });
    pending.catch(() => details.delete(id));
    details.set(id, pending);
  }
  return details.get(id);
}

export const options = (state) => ({
  top: state.top,
  without: state.without,
  max_listeners: state.maxListeners,
  balance: state.balance,
  diverse: state.diverse ? "true" : null,
});

export async function similar(state, signal) {
  const answer = await get("similar", { artist: state.artists, ...options(state) }, signal);
  answer.of.forEach(remember);
  answer.similar.forEach((row) => remember(row.artist));
  return answer;
}

// fetch does not tell how much was sent, so clips go by XMLHttpRequest.
export function similarToClips(files, state, { progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    for (const file of files) form.append("clip", file, file.name);
    request.open("POST", endpoint("similar/clips", { ...options(state), why: "true" }));
    for (const [key, value] of Object.entries(headers())) request.setRequestHeader(key, value);
    request.upload.addEventListener("progress", (event) =>
      progress(event.lengthComputable ? event.loaded / event.total : null),
    );
    request.addEventListener("load", () => {
      try {
        const retryAfter = request.getResponseHeader("Retry-After");
        const answer = take(request.status, request.responseText, retryAfter);
        answer.similar.forEach((row) => remember(row.artist));
        resolve(answer);
      } catch (error) {
        reject(error);
      }
    });
    request.addEventListener("error", () => reject(unreachable()));
    signal.addEventListener("abort", () => {
      request.abort();
      reject(new DOMException("cancelled", "AbortError"));
    });
    request.send(form);
  });
}
