// The monitor's script. All pages work without it. It updates times, replaces live regions without flicker, and adds
// shortcut keys, switching colours without a reload, select-all, tips on charts, and copying.
"use strict";
(() => {
  const doc = document, root = doc.documentElement, body = doc.body;
  const $ = (what, where = doc) => where.querySelector(what);
  const all = (what, where = doc) => Array.from(where.querySelectorAll(what));
  const ahead = Date.now() / 1000 - Number(body.dataset.now); // seconds that this clock is ahead of the server
  const now = () => Date.now() / 1000 - ahead;

  // Times, formatted by the same rules as in formats.py.
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const long = (seconds) => {
    const unit = UNITS.find(([size]) => seconds >= size);
    return unit ? `${Math.floor(seconds / unit[0])} ${unit[1]}` : "";
  };
  const relative = (time) => {
    const passed = now() - Date.parse(time.dateTime) / 1000;
    if (time.dataset.kind === "run") return long(Math.max(0, passed)) || "0 s";
    const length = long(Math.abs(passed));
    return length ? (passed > 0 ? `${length} ago` : `in ${length}`) : "now";
  };
  // 2030-01-31 14:02:11 CET: by the clock of the server, in the zone of the page.
  const stamp = (at) => {
    const parts = { timeZone: body.dataset.zone, dateStyle: "short", timeStyle: "medium" };
    return `${new Intl.DateTimeFormat("sv-SE", parts).format(at * 1000)} ${body.dataset.zoneEnd}`;
  };
  const tellTimes = () => {
    for (const time of all("time[datetime]")) {
      if (time.dataset.kind === "as-of") continue;
      const text = relative(time);
      if (time.textContent !== text && !isSelected(time)) time.textContent = text;
    }
  };
  const isSelected = (node) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(node, true);
  };

  // Live regions: only nodes that differ are changed, so that focus, selection, scroll position, and open or selected
  // items are kept.
  const keyOf = (node) => node.nodeType === 1 ? node.id || node.dataset.id || "" : "";
  const isFold = (node, name) => name === "open" && node.nodeName === "DETAILS"; // only the user changes it
  const isBlank = (node) => node.nodeType === 3 && !node.data.trim();
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== 1) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name } of Array.from(old.attributes)) {
      if (!fresh.hasAttribute(name) && !isFold(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of Array.from(fresh.attributes)) {
      if (!isFold(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    morphChildren(old, fresh);
  };
  const morphChildren = (old, fresh) => {
    const keyed = new Map();
    for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
    let place = old.firstChild;
    for (const child of Array.from(fresh.childNodes)) {
      // White space between elements differs between a page and its region; skip it, to compare the same elements.
      while (place && isBlank(place) && !isBlank(child)) {
        const next = place.nextSibling;
        place.remove();
        place = next;
      }
      if (isBlank(child)) {
        if (place && isBlank(place)) place = place.nextSibling;
        else old.insertBefore(child, place);
        continue;
      }
      const known = keyOf(child) && keyed.get(keyOf(child));
      if (known) {
        if (known !== place) old.insertBefore(known, place);
        else place = place.nextSibling;
        keyed.delete(keyOf(child));
        morph(known, child);
      } else if (place && !keyOf(place)) {
        const next = place.nextSibling;
        morph(place, child);
        place = next;
      } else {
        old.insertBefore(child, place);
      }
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  };

  const regions = all("[data-live]").map((node) => ({ node, name: node.dataset.live, every: Number(node.dataset.slow || 0), tag: "", at: now() }));
  const choice = $("#live"), beat = $(".beat"), stale = $("#stale");
  let timer = 0, busy = false, lostAt = 0;

  // A log that grows stays at its end, unless somebody has scrolled away from there.
  const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 8;
  const follow = (where, away = []) => {
    for (const box of all(".follow", where)) if (!away.includes(box)) box.scrollTop = box.scrollHeight;
  };
  const FAST_S = 0.8;
  const isFast = (region) => Boolean($("[data-fast]", region.node)); // asked for so often that a line is there within two seconds

  const fetchRegion = async (region) => {
    const address = new URL(location.href);
    address.hash = "";
    address.searchParams.set("fragment", region.name);
    const answer = await fetch(address, { headers: region.tag ? { "If-None-Match": region.tag } : {}, cache: "no-store", redirect: "error" });
    region.at = now();
    if (answer.status === 304) return;
    if (answer.status === 401) throw new Error("You are logged out.");
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const html = await answer.text();
    if (isSelected(region.node)) return; // the user may be copying from it: update at the next poll
    region.tag = answer.headers.get("ETag") || "";
    const fresh = region.node.cloneNode(false);
    fresh.innerHTML = html;
    region.held = null;
    if (isPointedAt(region.node) && movesRows(region.node, fresh)) region.held = fresh;
    else show(region, fresh);
    tellHeld();
  };
  const show = (region, fresh) => {
    region.held = null;
    const away = all(".follow", region.node).filter((box) => !isAtEnd(box));
    morphChildren(region.node, fresh);
    follow(region.node, away);
    region.node.dispatchEvent(new Event("fresh", { bubbles: true }));
  };

  // Rows do not move under the pointer, or while some are ticked: new ones wait until they are asked for.
  const rowsOf = (node) => all("tr[data-id]", node).map((row) => row.dataset.id);
  const isPointedAt = (node) => $("tbody:hover", node) || $('input[name="id"]:checked', node);
  const movesRows = (old, fresh) => {
    const before = rowsOf(old);
    return before.length > 0 && before.join("\n") !== rowsOf(fresh).join("\n");
  };
  const held = $("#held");
  const tellHeld = () => {
    const waiting = regions.filter((region) => region.held);
    const count = (region) => { const known = new Set(rowsOf(region.node)); return rowsOf(region.held).filter((id) => !known.has(id)).length; };
    const number = waiting.reduce((sum, region) => sum + count(region), 0);
    held.hidden = !waiting.length;
    held.textContent = number ? `${number} new: show` : "Changed: show";
  };
  const release = () => {
    for (const region of regions) if (region.held) show(region, region.held);
    tellHeld();
  };
  if (held) {
    held.addEventListener("click", release);
    const releaseIfLeft = () => { if (regions.every((region) => !region.held || !isPointedAt(region.node))) release(); };
    doc.addEventListener("pointerover", releaseIfLeft);
    doc.addEventListener("change", releaseIfLeft);
  }
  const tell = (problem) => {
    beat.className = problem ? "beat lost" : "beat on";
    if (!problem) lostAt = 0;
    else if (!lostAt) lostAt = now();
    stale.hidden = !problem;
    if (problem) {
      stale.textContent = `Stale since ${stamp(lostAt).slice(11)}: ${problem}`;
    }
  };
  const poll = async () => {
    clearTimeout(timer);
    const every = Number(choice.value);
    if (!every || doc.hidden || busy) return;
    busy = true;
    try {
      for (const region of regions) {
        const after = isFast(region) ? FAST_S : Math.max(every, region.every);
        if (now() - region.at >= after - 0.5 || lostAt) await fetchRegion(region);
      }
      tell("");
      const asOf = $('time[data-kind="as-of"]');
      if (asOf) asOf.textContent = stamp(now());
    } catch (error) {
      tell(error instanceof TypeError ? "the server does not answer; it is asked again." : error.message);
    }
    busy = false;
    plan();
  };
  const plan = () => {
    clearTimeout(timer);
    const every = Number(choice.value);
    beat.classList.toggle("on", every > 0 && !lostAt);
    if (every && !doc.hidden) timer = setTimeout(poll, (regions.some(isFast) ? FAST_S : every) * 1000);
  };
  if (regions.length && choice) {
    const kept = recall("duey-live");
    if (kept !== null && $(`option[value="${CSS.escape(kept)}"]`, choice)) choice.value = kept;
    choice.closest(".live").hidden = false;
    choice.addEventListener("change", () => { keep("duey-live", choice.value); poll(); plan(); });
    doc.addEventListener("visibilitychange", () => { if (!doc.hidden) { tellTimes(); poll(); } });
    follow(doc);
    plan();
  }
  function recall(name) { try { return localStorage.getItem(name); } catch { return null; } }
  function keep(name, value) { try { localStorage.setItem(name, value); } catch { /* a private window forbids it */ } }
  setInterval(() => { if (!doc.hidden) tellTimes(); }, 1000);

  // Colours: switched at once, and stored for the next page.
  for (const button of all('.themes button[name="theme"]')) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const theme = button.value;
      if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
      const path = body.dataset.root.replace(/\/monitor$/, "") || "/";
      doc.cookie = `duey_theme=${theme}; path=${path}; samesite=lax; max-age=${theme ? 34560000 : 0}${location.protocol === 'https:' ? '; secure' : ''}`;
      for (const each of all('.themes button[name="theme"]')) each.setAttribute("aria-pressed", String(each === button));
    });
  }

  // The zone of the browser can be chosen for all times, if it is another one than that of the service.
  for (const button of all("[data-own-zone]")) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone || !button.hidden || zone === button.dataset.ownZone) continue;
    button.value = button.textContent = zone;
    button.hidden = false;
  }

  // Filters saved by name.
  const saved = $("#saved"), SAVED = `duey-filters ${body.dataset.root}`;
  const filters = (but) => Object.entries(JSON.parse(recall(SAVED) || "{}")).filter(([name]) => name !== but);
  if (saved) {
    const blank = $("li", saved), field = $("input", saved);
    const show = (entries) => {
      $("ul", saved).replaceChildren(...entries.map(([name, query]) => {
        const item = blank.cloneNode(true), [link, button] = item.children;
        link.href = `${body.dataset.root}/jobs?${query}`;
        link.textContent = name;
        if (`?${query}` === location.search) link.ariaCurrent = "page";
        button.ariaLabel = button.title = `Forget the filter ${name}`;
        button.addEventListener("click", () => save(filters(name)));
        return item;
      }));
      saved.hidden = !entries.length && !field;
    };
    const save = (entries) => { keep(SAVED, JSON.stringify(Object.fromEntries(entries))); show(entries); };
    saved.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = field.value.trim() || "?", query = new URLSearchParams(location.search);
      query.delete("cursor");
      save([...filters(name), [name, query.toString()]]);
      field.value = "";
    });
    show(filters());
  }

  // Selected rows: select all, ranges with shift, and their number.
  let lastTicked = null;
  const boxes = () => all('input[name="id"]');
  const countTicked = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    for (const node of all("[data-ticked]")) node.textContent = ticked ? `${ticked} selected` : "";
    for (const button of all("[data-needs-ticked]")) button.disabled = !ticked;
    const whole = $("#all");
    if (whole) {
      whole.checked = ticked > 0 && ticked === boxes().length;
      whole.indeterminate = ticked > 0 && !whole.checked;
    }
  };
  doc.addEventListener("click", (event) => {
    const box = event.target;
    if (box.id === "all") for (const each of boxes()) each.checked = box.checked;
    else if (box.name !== "id") return;
    else if (event.shiftKey && lastTicked) {
      const [a, b] = [boxes().indexOf(lastTicked), boxes().indexOf(box)].sort((x, y) => x - y);
      if (a >= 0) for (const each of boxes().slice(a, b + 1)) each.checked = box.checked;
    }
    if (box.name === "id") lastTicked = box;
    countTicked();
  });
  doc.addEventListener("fresh", countTicked);
  const whole = $("#all");
  if (whole) whole.hidden = false;
  countTicked();

  // What was typed is kept in this tab until the next page, for the case that the log-in is over when it is sent: then
  // until the same person has logged in again.
  const TYPED = "duey-typed", who = $(".me") && $(".me").textContent;
  const fieldsOf = (form) => all("input:not([type=hidden]), textarea, select", form).filter((each) => each.name);
  const keepTyped = (kept) => { try { sessionStorage.setItem(TYPED, JSON.stringify(kept)); } catch { /* too large, or forbidden */ } };
  doc.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-keep]")) return;
    keepTyped({ who, page: form.elements.page.value, typed: fieldsOf(form).map((each) => [each.name, each.value]) });
  });
  const restoreTyped = () => {
    let kept;
    try {
      kept = JSON.parse(sessionStorage.getItem(TYPED) || "{}");
      sessionStorage.removeItem(TYPED);
    } catch { return; }
    if ($("#login")) return keepTyped({ ...kept, loggedOut: true });
    const form = $("form[data-keep]");
    if (!form || !kept.loggedOut || kept.who !== who || kept.page !== location.pathname + location.search) return;
    for (const [name, value] of kept.typed) if (form.elements[name] && form.elements[name].value !== undefined) form.elements[name].value = value;
    const fold = form.closest("details");
    if (fold) fold.open = true;
    const note = Object.assign(doc.createElement("p"), { className: "message note", textContent: "You were logged out before it was sent: what you typed is here again, and nothing was done." });
    note.setAttribute("role", "status");
    form.prepend(note);
  };
  restoreTyped();

  // The next runs of a schedule, while its form is filled in.
  const planned = $("form[data-preview]"), preview = $("#preview");
  if (planned) {
    let asking = 0;
    const look = async () => {
      const address = new URL(planned.dataset.preview, location.href);
      for (const name of ["cron", "every", "at", "tz", "catch_up", "overlap", "window"]) address.searchParams.set(name, planned.elements[name].value);
      const mine = ++asking, answer = await fetch(address, { cache: "no-store", redirect: "error" });
      if (!answer.ok || mine !== asking) return;
      preview.textContent = (await answer.json()).sentence;
      preview.hidden = !preview.textContent;
    };
    let waiting = 0;
    const soon = () => { clearTimeout(waiting); waiting = setTimeout(() => look().catch(() => {}), 300); };
    planned.addEventListener("input", soon);
    soon();
  }

  // A form is sent only once, even after a double click.
  doc.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "1";
    setTimeout(() => delete event.target.dataset.sent, 4000);
  });

  // Tips on charts: one text for each bar.
  let tip = null, tipAt = 0;
  const dropTip = () => { if (tip) tip.remove(); tip = null; };
  const chartOf = (event) => event.target.closest && event.target.closest("svg[data-tips]");
  const showTip = (chart, index) => {
    const tips = chart.dataset.tips.split("|"), box = chart.getBoundingClientRect();
    if (!tips[0]) return dropTip();
    tipAt = Math.min(tips.length - 1, Math.max(0, index));
    if (!tip) tip = body.appendChild(Object.assign(doc.createElement("div"), { className: "tip" }));
    tip.setAttribute("role", "status");
    tip.textContent = tips[tipAt];
    const middle = box.left + (tipAt + .5) / tips.length * box.width;
    tip.style.left = `${Math.max(8, Math.min(middle - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8)) + scrollX}px`;
    tip.style.top = `${box.top + scrollY - 14}px`;
  };
  for (const kind of ["pointermove", "pointerdown"]) {
    doc.addEventListener(kind, (event) => {
      const chart = chartOf(event);
      if (!chart) return dropTip();
      const box = chart.getBoundingClientRect();
      showTip(chart, Math.floor((event.clientX - box.left) / box.width * chart.dataset.tips.split("|").length));
    });
  }
  doc.addEventListener("focusin", (event) => { if (chartOf(event) && event.target.matches(":focus-visible")) showTip(chartOf(event), Infinity); });
  doc.addEventListener("focusout", dropTip);
  doc.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && chartOf(event)) { event.preventDefault(); showTip(chartOf(event), tipAt + step); }
  });

  // Copying. Browsers offer the clipboard on HTTPS and localhost only; over plain HTTP the old command still works.
  const copy = async (node) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(node.textContent);
    getSelection().selectAllChildren(node);
    doc.execCommand("copy");
  };
  for (const text of all("[data-copy]")) {
    const button = Object.assign(doc.createElement("button"), { type: "button", className: "plain copy", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await copy(text);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    text.before(button);
  }

  // Shortcut keys.
  let going = 0;
  const help = $("#help");
  const showHelp = () => {
    let dialog = $("#keys");
    if (!dialog) {
      dialog = doc.createElement("dialog");
      dialog.id = "keys";
      const rows = all("nav a[data-key]").map((a) => [`g ${a.dataset.key}`, a.textContent]);
      rows.push(["/", "Filter"], ["?", "These keys"], ["Esc", "Close"]);
      const heading = Object.assign(doc.createElement("h2"), { textContent: "Keys" });
      const list = doc.createElement("dl");
      for (const [keys, what] of rows) {
        const dt = doc.createElement("dt");
        for (const key of keys.split(" ")) dt.append(Object.assign(doc.createElement("kbd"), { textContent: key }), " ");
        list.append(dt, Object.assign(doc.createElement("dd"), { textContent: what }));
      }
      dialog.append(heading, list);
      dialog.setAttribute("aria-labelledby", (heading.id = "keys-title"));
      dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
      body.append(dialog);
    }
    if (dialog.open) dialog.close(); else dialog.showModal();
  };
  if (help) {
    help.hidden = false;
    help.addEventListener("click", showHelp);
  }
  doc.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !help) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "?") showHelp();
    else if (event.key === "/") {
      const filter = $("#filter");
      if (filter) { event.preventDefault(); filter.focus(); filter.select(); }
    } else if (event.key === "g") going = Date.now();
    else if (Date.now() - going < 1500) {
      going = 0;
      const link = $(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) link.click();
    }
  });
})();
