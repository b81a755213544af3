// Keeps what changes of a page up to date, while somebody looks at it. Nothing here is needed:
// every page can be reloaded, every form works without it.
"use strict";

(() => {
  const live = document.querySelector("[data-live]");
  const state = document.getElementById("state");
  if (!live || !state) return;

  const every = Number(live.dataset.live);
  let etag = "";
  let timer = 0;
  let asking = false;
  let ended = false;

  const holds = (node) =>
    node.nodeType === Node.ELEMENT_NODE &&
    (node.contains(document.activeElement) || node.querySelector("details[open] form") !== null);

  const isBlank = (node) => node.nodeType === Node.TEXT_NODE && !node.nodeValue.trim();

  const key = (node) => (node.dataset && node.dataset.key) || "";

  function copyAttributes(from, to) {
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of [...to.attributes]) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
  }

  // Turns one tree into another and keeps every node that stays what it is: focus, open forms,
  // what is typed and where it is scrolled to belong to the nodes.
  function turn(from, to) {
    if (from.isEqualNode(to)) return;
    if (from.nodeType !== Node.ELEMENT_NODE) {
      from.nodeValue = to.nodeValue;
      return;
    }
    copyAttributes(from, to);
    const keyed = new Map([...from.children].filter(key).map((one) => [key(one), one]));
    const stays = new Set([...to.children].map(key));
    let here = from.firstChild;
    for (const wanted of [...to.childNodes].filter((one) => !isBlank(one))) {
      while (here && isBlank(here)) here = here.nextSibling;
      // First what is gone: whoever types in the row behind it must not be moved.
      while (here && key(here) && !stays.has(key(here))) here = dropped(here);
      while (here && isBlank(here)) here = here.nextSibling;
      const fits = here && here.nodeName === wanted.nodeName && !key(here) && !key(wanted);
      const found = key(wanted) ? keyed.get(key(wanted)) : fits ? here : null;
      if (found && found === here) {
        here = here.nextSibling;
        turn(found, wanted);
      } else if (found) {
        from.insertBefore(found, here);
        turn(found, wanted);
      } else {
        from.insertBefore(document.importNode(wanted, true), here);
      }
      keyed.delete(key(wanted));
    }
    while (here) here = dropped(here);
  }

  // A row that somebody is busy with stays, as one that is gone.
  function dropped(node) {
    const next = node.nextSibling;
    if (key(node) && holds(node)) node.classList.add("gone");
    else node.remove();
    return next;
  }

  function show(text) {
    if (state.textContent !== text) state.textContent = text;
  }

  async function refresh() {
    if (asking || ended || document.hidden) return;
    asking = true;
    try {
      const headers = { "Payonce-Live": "1" };
      if (etag) headers["If-None-Match"] = etag;
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error" });
      const text = answer.status === 304 ? "" : await answer.text();
      take(answer, text);
    } catch {
      show("Not reached; trying again");
    } finally {
      asking = false;
    }
  }

  function take(answer, text) {
    if (answer.status === 401) {
      ended = true;
      clearInterval(timer);
      show("Stopped");
      live.insertAdjacentHTML("beforebegin", text);
    } else if (answer.ok) {
      etag = answer.headers.get("ETag") || "";
      const holder = document.createElement("div");
      holder.innerHTML = text;
      for (const { name, value } of [...live.attributes]) holder.setAttribute(name, value);
      turn(live, holder);
      show("Live");
    } else if (answer.status === 304) {
      show("Live");
    } else {
      show("A server of payonce is away; trying again");
    }
  }

  timer = setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
  show("Live");
})();
