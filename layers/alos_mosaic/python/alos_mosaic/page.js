"use strict";
(() => {
  const tiles = JSON.parse(document.getElementById("data").textContent)?.tiles ?? [];
  const panel = document.getElementById("tile");

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  /* Where AWS' console shows a file beside an item, after a login; nothing for an item that is not in S3. */
  const ITEM = ".stac-item.json";
  const inConsole = (item, ending) => {
    const [, bucket, key] = item?.match(/^s3:\/\/([^/]+)\/(.+)\.stac-item\.json$/) ?? [];
    return bucket && `https://console.aws.amazon.com/s3/object/${bucket}?prefix=${encodeURIComponent(key + ending)}`;
  };

  /* Drawn over all tiles: a tile's own outline would lie under its neighbours'. */
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "path");
  ring.setAttribute("class", "ring");
  ring.setAttribute("aria-hidden", "true");

  let shown = null;
  const show = (mark) => {
    if (mark === shown) return;
    shown = mark;
    ring.setAttribute("d", mark.getAttribute("d").replace(/z.*/, "z"));
    mark.parentNode.append(ring);
    const tile = tiles[Number(mark.id.slice(1))];
    const heading = element("p", undefined, { class: "name" });
    heading.append(element("b", tile.name), " ", element("span", tile.state, { class: `state ${tile.state}` }));
    const facts = element("dl");
    for (const [name, value] of tile.facts) {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      facts.append(pair);
    }
    const words = element("div", undefined, { class: "words" });
    words.append(heading, facts);
    const links = element("p", undefined, { class: "links" });
    const quicklook = tile.quicklook ?? inConsole(tile.item, ".webp");
    if (quicklook) links.append(element("a", "Quicklook", { href: quicklook }));
    const item = inConsole(tile.item, ITEM);
    if (item) links.append(element("a", "STAC item", { href: item }));
    if (tile.remedy) links.append(element("a", "What to do", { href: `#${tile.remedy}` }));
    if (links.hasChildNodes()) words.append(links);
    panel.replaceChildren(words);
    panel.classList.remove("blank");
    if (tile.thumbnail) {
      panel.append(element("img", undefined, { src: tile.thumbnail, alt: `Quicklook of ${tile.name}` }));
    }
  };

  const place = (mark) => mark.getAttribute("d").match(/^M(-?\d+) (-?\d+)/).slice(1).map(Number);
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /* The nearest tile in a direction; what lies aside counts three times, so that rows and columns are kept to. */
  const beyond = (marks, from, [right, down]) => {
    const [x, y] = place(from);
    let best = null, least = Infinity;
    for (const mark of marks) {
      const [east, south] = place(mark).map((number, axis) => number - [x, y][axis]);
      const ahead = east * right + south * down;
      const aside = Math.abs(east * down) + Math.abs(south * right);
      if (ahead > 20 && ahead + 3 * aside < least) [best, least] = [mark, ahead + 3 * aside];
    }
    return best;
  };

  /* All maps of a page show the same: they are zoomed together, and the one that is moved takes the others along. */
  const panes = [...document.querySelectorAll(".pane")];
  const SCALES = [1, 1.5, 2, 3, 4, 6, 8];
  const TILE = 50, LEAST_PIXELS = 12, REACH_PIXELS = 22;
  let scale = 0, leading = panes[0];

  const centre = (mark) => {
    leading = mark.closest(".pane");
    const [inner, outer] = [mark.getBoundingClientRect(), leading.getBoundingClientRect()];
    leading.scrollLeft += inner.x + inner.width / 2 - outer.x - outer.width / 2;
    leading.scrollTop += inner.y + inner.height / 2 - outer.y - outer.height / 2;
  };

  const zoom = (to) => {
    if (to < 0 || to >= SCALES.length) return;
    const middle = [leading.scrollLeft + leading.clientWidth / 2, leading.scrollTop + leading.clientHeight / 2];
    const growth = SCALES[to] / SCALES[scale], wasWhole = scale === 0;
    scale = to;
    for (const pane of panes) pane.style.setProperty("--scale", SCALES[to]);
    leading.scrollLeft = middle[0] * growth - leading.clientWidth / 2;
    leading.scrollTop = middle[1] * growth - leading.clientHeight / 2;
    const chosen = leading.querySelector("[aria-selected]");
    if (wasWhole && chosen) centre(chosen);
    for (const [button, end] of ends) button.setAttribute("aria-disabled", String(end(scale)));
  };

  const ends = [];
  const zooms = element("div", undefined, { class: "zoom", role: "group", "aria-label": "Size of the maps" });
  const isWhole = (at) => at === 0, isLargest = (at) => at === SCALES.length - 1;
  for (const [text, label, to, end] of [
    ["\u2212", "Smaller", () => scale - 1, isWhole],
    ["+", "Larger", () => scale + 1, isLargest],
    ["Whole", "Whole map", () => 0, isWhole],
  ]) {
    const button = element("button", text, { type: "button", title: label, "aria-label": label, "aria-disabled": String(end(scale)) });
    button.addEventListener("click", () => zoom(to()));
    ends.push([button, end]);
    zooms.append(button);
  }
  if (panes.length > 0) document.querySelector("#maps").append(zooms);

  for (const pane of panes) {
    for (const sign of ["pointerdown", "pointerover", "focusin", "wheel"]) {
      pane.addEventListener(sign, () => { leading = pane; }, { passive: true });
    }
    pane.addEventListener("scroll", () => {
      if (pane !== leading) return;
      for (const other of panes) {
        if (other !== pane) other.scrollTo(pane.scrollLeft, pane.scrollTop);
      }
    });
  }

  const goTo = new Map();
  for (const map of document.querySelectorAll("svg.map")) {
    const marks = [...map.querySelectorAll("[role=option]")];
    if (marks.length === 0) continue;
    const first = map.querySelector(".failed, .planned") ?? marks[0];
    let current = null;
    const go = (mark) => {
      current?.removeAttribute("aria-selected");
      current = mark;
      current.setAttribute("aria-selected", "true");
      map.setAttribute("aria-activedescendant", current.id);
      show(current);
    };
    /* The panel may lie over the window's lower edge: moves a tile out from under it. */
    const uncover = (mark) => {
      const under = mark.getBoundingClientRect().bottom + 8 - panel.getBoundingClientRect().top;
      if (getComputedStyle(panel).bottom !== "auto" && under > 0) scrollBy(0, under);
    };
    const reveal = (mark) => {
      go(mark);
      if (scale > 0) centre(mark);
      uncover(mark);
    };
    /* A finger is wider than a tile: the nearest one that it may mean. */
    const near = (event) => {
      const matrix = map.getScreenCTM();
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      const far = (mark) => Math.hypot(...place(mark).map((number, axis) => number + TILE / 2 - [point.x, point.y][axis]));
      const best = marks.reduce((one, other) => (far(other) < far(one) ? other : one));
      return far(best) * matrix.a < REACH_PIXELS ? best : null;
    };
    for (const mark of marks) goTo.set(mark.id, reveal);
    map.addEventListener("pointerover", (event) => {
      const mark = event.pointerType === "mouse" && event.target.closest("[role=option]");
      if (mark) show(mark);
    });
    map.addEventListener("click", (event) => {
      const mark = event.target.closest("[role=option]") ?? near(event);
      if (!mark) return;
      go(mark);
      uncover(mark);
    });
    /* By the keyboard, that is: who presses on the map means the tile there. */
    map.addEventListener("focus", () => {
      if (map.matches(":focus-visible")) reveal(current ?? first);
    });
    map.addEventListener("keydown", (event) => {
      current ??= first;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "+" || event.key === "-") zoom(scale + (event.key === "+" ? 1 : -1));
      const next = event.key in steps ? beyond(marks, current, steps[event.key])
        : event.key === "Home" ? marks[0]
        : event.key === "End" ? marks[marks.length - 1]
        : undefined;
      if (next === undefined) return;
      event.preventDefault();
      if (next) reveal(next);
    });
  }

  /* Names of tiles lead to them. */
  const follow = () => {
    const mark = document.getElementById(location.hash.slice(1));
    const reveal = goTo.get(mark?.id);
    if (!reveal) return false;
    mark.closest("figure").scrollIntoView({ block: "start" });
    reveal(mark);
    mark.closest(".map").focus({ preventScroll: true });
    return true;
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || !location.hash || link.hash !== location.hash || !follow()) return;
    event.preventDefault();
  });

  /* On a phone a map of the world begins so large that its tiles can be told apart, where something is to be seen. */
  if (panes.length > 0 && matchMedia("(max-width: 40rem)").matches) {
    const { width } = panes[0].firstElementChild.viewBox.baseVal;
    const pixels = TILE * panes[0].clientWidth / width;
    const fitting = SCALES.findIndex((each) => each * pixels >= LEAST_PIXELS);
    zoom(fitting < 0 ? SCALES.length - 1 : fitting);
    const outstanding = document.querySelectorAll(".map .failed, .map .planned");
    const marks = [...(outstanding.length > 0 ? outstanding : document.querySelectorAll(".map [role=option]"))];
    marks.sort((one, other) => place(one)[0] - place(other)[0]);
    if (scale > 0 && marks.length > 0) centre(marks[Math.floor(marks.length / 2)]);
  }
  follow();

  for (const box of document.querySelectorAll(".command")) {
    const code = box.querySelector("code");
    const button = element("button", "Copy", { type: "button" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    box.append(button);
  }
})();
