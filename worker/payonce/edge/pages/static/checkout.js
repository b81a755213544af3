// Keeps the checkout page as it stands at the server. The server renders; this only listens,
// fetches the page when the order has changed, and puts the new #page in the place of the old one.
"use strict";

(() => {
  const OFTEN_MS = 2500; // between looks, while the stream does not work
  const SELDOM_MS = 15000; // and while it does: a dead connection is not always noticed
  const STREAM_AGAIN_MS = 10000;
  const NEWER_MS = 400; // after the end of the countdown, for rounding

  const news = document.getElementById("news");
  const trouble = document.getElementById("trouble");
  let stream = null;
  let streams = false; // whether the stream is open
  let looking = 0; // the timer of the next look
  let busy = false; // a form is under way: nothing else may change the page
  let fetching = null;
  let again = false;
  let stale = false; // the last fetch of the page failed, or came to nothing
  let choices = 0; // how many were made: what was asked for before one is not what is wanted now
  let endsAt = null;

  const page = () => document.getElementById("page");

  // ---- the page ----

  function adopt(text, address) {
    const found = new DOMParser().parseFromString(text, "text/html");
    const next = found.getElementById("page");
    if (next === null) {
      // Another kind of page, such as "no access": let the browser show it.
      location.replace(address);
      return;
    }
    stale = false;
    const before = page();
    const focused = before.contains(document.activeElement) ? document.activeElement : null;
    const isNews = before.dataset.state !== next.dataset.state;
    before.replaceWith(next);
    document.title = found.title;
    if (focused !== null) {
      const same = focused.id === "" ? null : document.getElementById(focused.id);
      (isNews || same === null ? document.getElementById("title") : same).focus();
    }
    if (isNews) {
      news.textContent = document.getElementById("title").textContent;
    }
    keepAddress(address);
    begin();
  }

  function keepAddress(address) {
    const url = new URL(address, location.href);
    url.searchParams.delete("notice");
    if (url.href !== location.href) {
      history.replaceState(null, "", url);
    }
  }

  async function load(options) {
    const answer = await fetch(options.address, { cache: "no-store", ...options.request });
    if (answer.status >= 500) {
      throw new Error(`status ${answer.status}`);
    }
    const text = await answer.text();
    setTrouble(false);
    if (options.isWanted()) {
      adopt(text, answer.url);
    } else {
      stale = true;
    }
  }

  // One fetch at a time; what changes meanwhile is fetched after it.
  async function refresh() {
    if (busy) {
      return;
    }
    if (fetching !== null) {
      again = true;
      return;
    }
    const before = choices;
    const isWanted = () => choices === before;
    fetching = load({ address: location.href, request: {}, isWanted });
    try {
      await fetching;
    } catch {
      stale = true;
      setTrouble(true);
    }
    fetching = null;
    if (again) {
      again = false;
      await refresh();
    }
  }

  function setTrouble(isThere) {
    const words = isThere ? trouble.dataset.words : "";
    if (trouble.textContent !== words) {
      trouble.textContent = words;
    }
  }

  // ---- the order ----

  // Writes what panel.py: shown_of writes.
  function shownOf(order) {
    const payments = order.payments.map((one) => [
      one.status,
      one.closing,
      one.unresolved,
      one.mismatched,
    ]);
    return JSON.stringify([order.version, payments, order.refunds.map((one) => one.status)]);
  }

  function hear(order) {
    if (stale || shownOf(order) !== page().dataset.shown) {
      refresh();
    }
  }

  async function look() {
    clearTimeout(looking);
    try {
      const answer = await fetch(page().dataset.order, { cache: "no-store" });
      if (answer.ok) {
        setTrouble(false);
        hear(await answer.json());
      } else if (answer.status < 500) {
        refresh();
      } else {
        setTrouble(true);
      }
    } catch {
      setTrouble(true);
    }
    plan();
  }

  function plan() {
    clearTimeout(looking);
    if (!("final" in page().dataset)) {
      looking = setTimeout(look, streams ? SELDOM_MS : OFTEN_MS);
    }
  }

  function listen() {
    if ("final" in page().dataset) {
      return;
    }
    stream = new EventSource(page().dataset.events);
    stream.onopen = () => {
      streams = true;
      plan();
    };
    stream.addEventListener("order", (event) => {
      setTrouble(false);
      hear(JSON.parse(event.data));
    });
    stream.onerror = () => {
      // The browser tries again by itself, perhaps more often than this looks: the first failure
      // alone brings the next look nearer, or no look would ever have its turn.
      if (streams) {
        streams = false;
        plan();
      }
      if (stream?.readyState === EventSource.CLOSED) {
        // The browser gives up after an answer that is no stream.
        setTimeout(listen, STREAM_AGAIN_MS);
      }
    };
  }

  // Times are sent in UTC; the browser knows where its owner is.
  function showTimes() {
    const style = { dateStyle: "medium", timeStyle: "short" };
    for (const time of page().querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      time.textContent = at.toLocaleString(document.documentElement.lang, style);
    }
  }

  function begin() {
    const facts = page().dataset;
    showTimes();
    endsAt = "left" in facts ? performance.now() + Number(facts.left) * 1000 : null;
    if ("final" in facts) {
      stream?.close();
      stream = null;
    }
    plan();
  }

  // ---- the countdown, by the server's clock ----

  function tick() {
    if (endsAt === null) {
      return;
    }
    const leftMs = endsAt - performance.now();
    const left = Math.max(0, Math.round(leftMs / 1000));
    const hours = Math.floor(left / 3600);
    const parts = [Math.floor(left / 60) % 60, left % 60].map((n) => String(n).padStart(2, "0"));
    const shown = document.getElementById("left");
    if (shown !== null) {
      shown.textContent = [...(hours > 0 ? [hours] : []), ...parts].join(":");
    }
    if (leftMs < -NEWER_MS) {
      endsAt = null;
      refresh();
    }
  }

  // ---- another channel ----

  async function choose(event) {
    event.preventDefault();
    if (busy) {
      return;
    }
    busy = true;
    choices += 1;
    const form = event.target;
    const body = new URLSearchParams(new FormData(form, event.submitter));
    page().setAttribute("aria-busy", "true");
    news.textContent = page().dataset.busy;
    try {
      const request = { method: "POST", body };
      await load({ address: form.action, request, isWanted: () => true });
    } catch {
      setTrouble(true);
      page().removeAttribute("aria-busy");
    }
    busy = false;
    look();
  }

  document.addEventListener("submit", choose);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      look();
    }
  });
  window.addEventListener("online", look);
  window.addEventListener("offline", () => setTrouble(true));
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      refresh();
    }
  });
  setInterval(tick, 250);
  keepAddress(location.href);
  begin();
  listen();
})();
