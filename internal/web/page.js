// Brings the page up to date in place: the same page is asked for again, and what differs is changed. Ticks, selections and
// the place in the page stay. Nothing else is ever asked for.
(() => {
  const main = document.querySelector("main");
  if (!main || !main.dataset.live) return;
  const address = new URL(main.dataset.live, location.href);
  address.username = address.password = "";
  const pause = 700; // ms between an answer and the next question
  let timer = 0, last = new Date();

  const same = (a, b) => a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && !(a.dataset && a.dataset.key) && !(b.dataset && b.dataset.key);

  function attributes(old, now) {
    for (const a of now.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
    for (const a of [...old.attributes]) if (!now.hasAttribute(a.name)) old.removeAttribute(a.name);
  }

  function change(old, now) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== now.data) old.data = now.data;
      return;
    }
    attributes(old, now);
    const keyed = new Map();
    for (const c of old.children) if (c.dataset.key) keyed.set(c.dataset.key, c);
    let at = old.firstChild;
    for (const next of [...now.childNodes]) {
      const key = next.dataset && next.dataset.key;
      const have = key ? keyed.get(key) : same(at, next) ? at : null;
      if (!have) {
        old.insertBefore(document.importNode(next, true), at);
        continue;
      }
      if (have === at) at = at.nextSibling;
      else old.insertBefore(have, at);
      change(have, next);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function say(text, stale) {
    const e = document.getElementById("live");
    if (!e) return;
    e.textContent = text;
    e.classList.toggle("stale", stale);
  }

  async function round() {
    const begun = performance.now();
    try {
      const answer = await fetch(address, { cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error("the answer was " + answer.status);
      const now = new DOMParser().parseFromString(await answer.text(), "text/html");
      change(main, now.querySelector("main"));
      document.title = now.title;
      last = new Date();
      say("live, " + last.toLocaleTimeString(), false);
    } catch (e) {
      say("no answer since " + last.toLocaleTimeString() + ": " + e.message, true);
    }
    // A server that needs long for the page is asked less often.
    timer = setTimeout(round, Math.max(pause, 5 * (performance.now() - begun)));
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) round();
  });
  if (!document.hidden) timer = setTimeout(round, pause);
})();
